/* Collects the problems of a line, and repeats foreign text harmlessly. */
#include "producer/problem.h"

#include <stdarg.h>
#include <stdio.h>

/* Cut back to a character's start when the text filled its room. */
static void trim(char *text, size_t size)
{
    size_t end = strlen(text);
    if (end + 1 < size)
        return;
    while (end > 0 && ((unsigned char)text[end - 1] & 0xC0) == 0x80)
        end--;
    if (end > 0 && (unsigned char)text[end - 1] >= 0xC0)
        end--;
    text[end] = '\0';
}

void problem_add(struct problems *problems, const char *field, uint32_t column, const char *format, ...)
{
    if (problems->count++ >= PROBLEMS_MOST)
        return;
    struct problem *problem = &problems->items[problems->count - 1];
    snprintf(problem->field, sizeof problem->field, "%s", field);
    trim(problem->field, sizeof problem->field);
    problem->column = column;
    va_list list;
    va_start(list, format);
    vsnprintf(problem->text, sizeof problem->text, format, list);
    va_end(list);
    trim(problem->text, sizeof problem->text);
}

const char *quoted(struct slice text, char out[QUOTED_SIZE])
{
    size_t at = 0, size = text.size;
    bool cut = size > QUOTED_MOST;
    if (cut) {
        size = QUOTED_MOST;
        while (size > 0 && ((unsigned char)text.data[size] & 0xC0) == 0x80)
            size--;
    }
    out[at++] = '"';
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text.data[i], next = i + 1 < size ? (unsigned char)text.data[i + 1] : 0;
        if (byte < 0x20 || byte == 0x7F) {
            at += (size_t)snprintf(out + at, QUOTED_SIZE - at, "\\u%04x", byte);
        } else if (byte == 0xC2 && next >= 0x80 && next < 0xA0) {
            at += (size_t)snprintf(out + at, QUOTED_SIZE - at, "\\u%04x", next);
            i++;
        } else {
            out[at++] = (char)byte;
        }
    }
    snprintf(out + at, QUOTED_SIZE - at, "%s\"", cut ? "…" : "");
    return out;
}
