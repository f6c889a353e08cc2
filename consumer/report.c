/* Gathers what a proof found, and writes it as text or JSON. */
#include "consumer/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"

enum { SENTENCE_SIZE = 1024, SHOWN_MOST = 200 };

void report_init(struct report *report, const char *city)
{
    *report = (struct report){0};
    snprintf(report->prefix, sizeof report->prefix, "{%s}:", city);
}

static void free_difference(struct difference *difference)
{
    free(difference->key);
    free(difference->field);
    free(difference->expected);
    free(difference->found);
}

void report_free(struct report *report)
{
    struct difference *differences = report->differences.items;
    for (size_t i = 0; i < report->differences.listed; i++)
        free_difference(&differences[i]);
    free(differences);
    struct report_list *sentences[] = {&report->unproved, &report->remarks};
    for (size_t list = 0; list < 2; list++) {
        for (size_t i = 0; i < sentences[list]->listed; i++)
            free(((char **)sentences[list]->items)[i]);
        free(sentences[list]->items);
    }
    *report = (struct report){0};
}

/* Room for one more item, or NULL where the list is full or memory is out. The count grows in any case. */
static void *add(struct report *report, struct report_list *list, size_t item_size)
{
    list->count++;
    if (list->listed == REPORT_LISTED_MOST)
        return NULL;
    if (!list->items)
        list->items = calloc(REPORT_LISTED_MOST, item_size);
    if (!list->items) {
        report->out_of_memory = true;
        return NULL;
    }
    return (char *)list->items + item_size * list->listed++;
}

/* Terminated, printable, bounded; foreign bytes must not steer a terminal. */
static char *shown(struct report *report, const char *before, struct slice text)
{
    struct buffer out = BUFFER_BOUNDED(4096);
    buffer_text_append(&out, before);
    if (!text.data)
        buffer_text_append(&out, "(absent)");
    for (size_t i = 0; text.data && i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (i == SHOWN_MOST) {
            buffer_text_append(&out, "...");
            break;
        }
        if (c >= ' ' && c <= '~')
            buffer_append(&out, &text.data[i], 1);
        else
            buffer_printf(&out, "\\x%02x", c);
    }
    if (!buffer_text(&out))
        report->out_of_memory = true;
    return out.data;
}

static void add_difference(struct report *report, const char *prefix, const char *name, struct slice field,
                           struct slice expected, struct slice found)
{
    struct difference *difference = add(report, &report->differences, sizeof *difference);
    if (difference)
        *difference = (struct difference){shown(report, prefix, slice_of(name)), shown(report, "", field),
                                          shown(report, "", expected), shown(report, "", found)};
}

void report_difference(struct report *report, const char *suffix, struct slice field, struct slice expected,
                       struct slice found)
{
    add_difference(report, report->prefix, suffix, field, expected, found);
}

void report_difference_in_kafka(struct report *report, const char *name, struct slice field, struct slice expected,
                                struct slice found)
{
    add_difference(report, "", name, field, expected, found);
}

static void add_sentence(struct report *report, struct report_list *list, const char *format, va_list arguments)
{
    char text[SENTENCE_SIZE];
    vsnprintf(text, sizeof text, format, arguments);
    char **sentence = add(report, list, sizeof *sentence);
    if (sentence)
        *sentence = shown(report, text, (struct slice){"", 0});
}

void report_unproved(struct report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_sentence(report, &report->unproved, format, arguments);
    va_end(arguments);
}

void report_remark(struct report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_sentence(report, &report->remarks, format, arguments);
    va_end(arguments);
}

static void sentences_text(const struct report_list *list, const char *head, struct buffer *out)
{
    for (size_t i = 0; i < list->listed; i++)
        buffer_printf(out, "%s: %s\n", head, ((char **)list->items)[i]);
    if (list->count > (int64_t)list->listed)
        buffer_printf(out, "%s: and %" PRId64 " more\n", head, list->count - (int64_t)list->listed);
}

void report_text(const struct report *report, struct buffer *out)
{
    const struct difference *differences = report->differences.items;
    for (size_t i = 0; i < report->differences.listed; i++) {
        const struct difference *difference = &differences[i];
        buffer_printf(out, "differs: %s%s%s: expected %s, found %s\n", difference->key, *difference->field ? " " : "",
                      difference->field, difference->expected, difference->found);
    }
    if (report->differences.count > (int64_t)report->differences.listed)
        buffer_printf(out, "differs: and %" PRId64 " more\n",
                      report->differences.count - (int64_t)report->differences.listed);
    sentences_text(&report->unproved, "not proved", out);
    sentences_text(&report->remarks, "remark", out);
}

static void sentences_json(const struct report_list *list, const char *name, struct buffer *out)
{
    buffer_printf(out, "\"%s_count\":%" PRId64 ",\"%s\":[", name, list->count, name);
    for (size_t i = 0; i < list->listed; i++) {
        buffer_text_append(out, i ? "," : "");
        json_text_append(out, slice_of(((char **)list->items)[i]));
    }
    buffer_text_append(out, "]");
}

void report_json(const struct report *report, struct buffer *out)
{
    const struct difference *differences = report->differences.items;
    buffer_printf(out, "\"differences_count\":%" PRId64 ",\"differences\":[", report->differences.count);
    for (size_t i = 0; i < report->differences.listed; i++) {
        const char *const values[] = {differences[i].key, differences[i].field, differences[i].expected, differences[i].found};
        static const char *const names[] = {"key", "field", "expected", "found"};
        buffer_text_append(out, i ? ",{" : "{");
        for (int j = 0; j < 4; j++) {
            buffer_printf(out, "%s\"%s\":", j ? "," : "", names[j]);
            json_text_append(out, slice_of(values[j]));
        }
        buffer_text_append(out, "}");
    }
    buffer_text_append(out, "],");
    sentences_json(&report->unproved, "unproved", out);
    buffer_text_append(out, ",");
    sentences_json(&report->remarks, "remarks", out);
}
