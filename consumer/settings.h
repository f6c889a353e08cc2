/* The consumer's commands and their settings. */
#ifndef CITYTOTALS_CONSUMER_SETTINGS_H
#define CITYTOTALS_CONSUMER_SETTINGS_H

#include "schemas/registry.h"

struct run_options {
    struct common_options common; /* first: the common table's offsets are into it */
    const char *management;
    int64_t connect_timeout_ms;
    bool until_end;
    int64_t seen_memory;
    int64_t batch_events;
    bool accept_log_start;
    const char *accept_cluster;
    int64_t retry_ms;
    struct registry_options registry; /* .url NULL: none */
};
extern const struct command consumer_command_run;

enum { VERIFY_TEXT, VERIFY_JSON };
struct verify_options {
    struct common_options common; /* first */
    int format;                   /* VERIFY_TEXT, VERIFY_JSON */
    struct setting_list agencies; /* only these */
    const char *snapshot;         /* NULL: from the log's start */
    const char *report;           /* NULL, or a file of a report to be proved too */
    int64_t connect_timeout_ms;
};
extern const struct command consumer_command_verify;

struct rebuild_options {
    struct run_options run; /* first: how it folds; --until-end is no setting of rebuild's */
    bool dry_run, restart, abandon;
};
extern const struct command consumer_command_rebuild;

struct snapshot_options {
    struct common_options common; /* first */
    bool replace;
    const char *accept_cluster;
    int64_t connect_timeout_ms;
};
extern const struct command consumer_command_snapshot;

enum { LETTERS_TEXT, LETTERS_JSON };
struct dead_letters_options {
    struct common_options common; /* first */
    int format;                   /* LETTERS_TEXT, LETTERS_JSON */
    struct setting_list reasons;
    const char *topic, *since, *until, *output;
    bool dry_run, again;
    int64_t connect_timeout_ms;
};
extern const struct command consumer_command_dead_letters;

extern const char consumer_summary[]; /* of the program */

#endif
