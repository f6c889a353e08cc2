/* The producer's commands and their settings. */
#ifndef CITYTOTALS_PRODUCER_SETTINGS_H
#define CITYTOTALS_PRODUCER_SETTINGS_H

#include "base/settings.h"

enum send_format { SEND_FORMAT_AUTO, SEND_FORMAT_NDJSON, SEND_FORMAT_CSV };

struct send_options {
    struct common_options common; /* first: the common table's offsets are into it */
    int format;                   /* enum send_format */
    int csv_type;                 /* enum event_type + 1; 0 = not given */
    const char *source;
    bool dry_run, keep_going;
    const char *rejects;
    bool create_topics;
    int64_t partitions;
    int64_t block_lines;
    int64_t check_memory;
    int64_t connect_timeout_ms, ack_timeout_ms;
};
extern const struct command producer_command_send;

#endif
