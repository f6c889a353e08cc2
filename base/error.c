/* Errors as values: setting and wrapping sentences, and what each code means. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum error_class class;
    int exit_status;
    const char *name;
} codes[] = {
#define X(code, class_, exit_status_, name_) [code] = {class_, exit_status_, name_},
    ERROR_TABLE(X)
#undef X
};

/* A sentence that was cut ends before the character that did not fit. */
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

static int set(struct error *error, enum error_code code, enum error_class class, const char *format, va_list list)
{
    if (error) {
        char text[ERROR_TEXT_SIZE]; /* the arguments may point into error->text */
        vsnprintf(text, sizeof text, format, list);
        trim(text, sizeof text);
        memcpy(error->text, text, sizeof text);
        error->code = code;
        error->class = class;
    }
    return -(int)code;
}

int error_set(struct error *error, enum error_code code, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int result = set(error, code, codes[code].class, format, list);
    va_end(list);
    return result;
}

int error_set_class(struct error *error, enum error_code code, enum error_class class, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int result = set(error, code, class, format, list);
    va_end(list);
    return result;
}

int error_wrap(struct error *error, const char *format, ...)
{
    if (!error)
        return -ERROR_IO;
    char text[ERROR_TEXT_SIZE];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (size >= 0 && (size_t)size < sizeof text)
        snprintf(text + size, sizeof text - (size_t)size, ": %s", error->text);
    trim(text, sizeof text);
    memcpy(error->text, text, sizeof text);
    return -(int)error->code;
}

int error_exit_status(enum error_code code)
{
    return code == ERROR_NONE ? 0 : codes[code].exit_status;
}

const char *error_code_name(enum error_code code)
{
    return code == ERROR_NONE ? "none" : codes[code].name;
}
