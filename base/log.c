/* Log lines on standard error, as text or JSON, one write each. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
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

/* Escape what would break a line or a JSON string. Returns the new end. */
static size_t escape(char *out, size_t size, const char *text, bool json)
{
    size_t at = 0;
    for (; *text && at + 8 < size; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == 0x7F)
            at += (size_t)snprintf(out + at, size - at, "\\u%04x", byte);
        else if (json && (byte == '"' || byte == '\\'))
            at += (size_t)snprintf(out + at, size - at, "\\%c", byte);
        else
            out[at++] = (char)byte;
    }
    out[at] = '\0';
    return at;
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
