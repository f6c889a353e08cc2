/* Log lines on standard error, one event a line, as text or JSON. Safe from several threads. Only main.c, run loops and
 * library callbacks log; everything else returns errors. */
#ifndef CITYTOTALS_BASE_LOG_H
#define CITYTOTALS_BASE_LOG_H

#include "base/error.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

void log_configure(enum log_level level, enum log_format format);
/* text: `2020-11-20T02:00:00.000Z info listening management 127.0.0.1:8080`
 * json: {"time":"…","level":"info","message":"listening management 127.0.0.1:8080"}
 * Control characters in the message are escaped, bytes that are no UTF-8 become U+FFFD; a longer message than 1.5 KiB
 * is cut. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
