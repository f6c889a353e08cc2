/* What the source hands to the fold: one Kafka record, end of a log, or error. Knows no Kafka library. */
#ifndef CITYTOTALS_CONSUMER_RECORD_H
#define CITYTOTALS_CONSUMER_RECORD_H

#include "base/slice.h"

enum record_kind {
    RECORD_MESSAGE,
    RECORD_EOF,   /* `offset` is the end of the partition's log */
    RECORD_ERROR, /* error_text; topic TOPIC_NONE and partition -1 when it is about no partition */
};

struct topic_partition {
    uint8_t topic; /* enum event_type */
    int32_t partition;
};

struct source_record {
    uint8_t topic; /* enum event_type */
    uint8_t kind;  /* enum record_kind */
    int32_t partition;
    int64_t offset;       /* an error that has none: -1 */
    int64_t timestamp_ms; /* Kafka's; -1 when the record has none */
    union {
        struct slice key;
        const char *error_text; /* of an error; may be NULL */
    };
    struct slice value;
};

#define TOPIC_NONE 255 /* `topic` of an error about no topic of ours */

#endif
