/* Log lines on standard error, as text or JSON, one write each. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

static _Atomic enum log_level threshold = LOG_LEVEL_INFO;
static _Atomic enum log_format form = LOG_FORMAT_TEXT;

void log_configure(enum log_level level, enum log_format format)
{
    threshold = level;
    form = format;
}

/* Bytes of the well-formed UTF-8 character at `text` (terminated), and its code point; 0 when there is none. */
static size_t character(const char *text, uint32_t *ret_code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)text;
    size_t size = at[0] < 0x80 ? 1 : at[0] < 0xC0 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF8 ? 4 : 0;
    uint32_t code = size == 1 ? at[0] : size ? at[0] & (0x7Fu >> size) : 0;
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3F);
    }
    if (size == 0 || code < least[size] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 0;
    *ret_code = code;
    return size;
}

/* Escape what would break a line, a terminal or a JSON string; each byte that is no UTF-8 becomes U+FFFD. */
static void escape(char *out, size_t size, const char *text, bool json)
{
    size_t at = 0;
    while (*text && at + 8 < size) {
        uint32_t code = 0;
        size_t bytes = character(text, &code);
        if (bytes == 0)
            at += (size_t)snprintf(out + at, size - at, "\xEF\xBF\xBD");
        else if (code < 0x20 || (code >= 0x7F && code < 0xA0))
            at += (size_t)snprintf(out + at, size - at, "\\u%04x", code);
        else if (json && (code == '"' || code == '\\'))
            at += (size_t)snprintf(out + at, size - at, "\\%c", (char)code);
        else
            for (size_t i = 0; i < bytes; i++)
                out[at++] = text[i];
        text += bytes ? bytes : 1;
    }
    out[at] = '\0';
}

void log_write(enum log_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (level > threshold)
        return;
    char message[ERROR_TEXT_SIZE + 512], escaped[2 * sizeof message], line[sizeof escaped + 128], time[TIMESTAMP_TEXT_SIZE];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    bool json = form == LOG_FORMAT_JSON;
    escape(escaped, sizeof escaped, message, json);
    timestamp_format(clock_wall_ms(), time);
    int size = json ? snprintf(line, sizeof line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"%s\"}\n", time,
                               names[level], escaped)
                    : snprintf(line, sizeof line, "%s %s %s\n", time, names[level], escaped);
    if (size > 0 && write(STDERR_FILENO, line, (size_t)size) < 0)
        return; /* nowhere left to say it */
}
