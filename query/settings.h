/* The query program's commands and their settings. */
#ifndef CITYTOTALS_QUERY_SETTINGS_H
#define CITYTOTALS_QUERY_SETTINGS_H

#include "schemas/registry.h"

enum print_format { PRINT_FORMAT_TEXT, PRINT_FORMAT_JSON };
enum language { LANGUAGE_VI, LANGUAGE_EN, LANGUAGES };

struct print_options {
    struct common_options common; /* first: the common table's offsets are into it */
    int format;                   /* enum print_format */
    int language;                 /* enum language */
    bool watch;
    int64_t interval_ms;
    int32_t as_of; /* days since 1970-01-01; INT32_MIN = now */
};
extern const struct command query_command_print;

struct serve_options {
    struct common_options common; /* first, as above */
    const char *listen, *management, *agencies;
    struct setting_list origins;
    int64_t threads, streams, per_address, interval_ms;
};
extern const struct command query_command_serve;

enum report_format { REPORT_FORMAT_TEXT, REPORT_FORMAT_HTML, REPORT_FORMAT_CSV, REPORT_FORMAT_JSON };

struct report_options {
    struct common_options common; /* first, as above */
    const char *agencies;
    int format;   /* enum report_format */
    int language; /* enum language */
    int32_t as_of;
};
extern const struct command query_command_report;

enum changes_format { CHANGES_FORMAT_TEXT, CHANGES_FORMAT_JSON, CHANGES_FORMAT_CSV };

/* Of `changes` and `explain`. */
struct trace_options {
    struct common_options common; /* first, as above */
    int format;                   /* enum changes_format */
    int language;                 /* enum language; of the text */
    const char *agency, *category;
    int32_t from, to; /* days; INT32_MIN = not given */
    int64_t limit, memory, connect_timeout_ms;
    bool from_log;
    struct registry_options registry;
};
extern const struct command query_command_changes, query_command_explain;

extern const char query_summary[]; /* of the program */

#endif
