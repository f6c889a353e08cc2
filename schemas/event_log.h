/* A city's organisational events as the log in Kafka has them: decoded, and judged by the rules, as the fold judges them. */
#ifndef CITYTOTALS_SCHEMAS_EVENT_LOG_H
#define CITYTOTALS_SCHEMAS_EVENT_LOG_H

#include "base/kafka_log.h"
#include "schemas/registry.h"

struct event_log_options {
    const struct common_options *common; /* lives as long as the log; so does all that follows */
    const struct registry_options *registry; /* .url NULL: none */
    const char *client_id;
    int64_t connect_timeout_ms;
    const volatile sig_atomic_t *stop; /* may be NULL */
    unsigned types; /* bits of the organisational event types */
};

struct logged_event {
    const char *topic;
    int32_t partition;
    int64_t offset, timestamp_ms;
    enum dead_letter_reason reason; /* LETTER_NONE: it passed the rules */
    bool decoded;                   /* `event` is there: also with a reason of the rules */
    struct event event;             /* valid during the call */
};

struct event_log;
/* Waits for Kafka, and knows the bounds of the topics' logs afterwards. ERROR_KAFKA, ERROR_CONFIG, ERROR_USAGE. */
int event_log_open(const struct event_log_options *options, struct event_log **ret_log, struct error *error);
struct event_log *event_log_close(struct event_log *log); /* NULL; accepts NULL */
/* The partitions by topic; their tags are event types. Move `end` back to what is wanted before reading. */
struct kafka_log_part *event_log_parts(struct event_log *log, size_t *ret_count);
/* The number of the partition that producers choose for an agency, where the topic has `count`. */
int32_t event_log_partition_of(struct slice agency, int count);

typedef int (*logged_event_fn)(void *context, const struct logged_event *event, struct error *error);
/* From each partition's begin to its end. ERROR_REGISTRY: a record's schema can't be asked for now. */
int event_log_read(struct event_log *log, logged_event_fn on_event, kafka_log_progress_fn on_progress, void *context,
                   struct error *error);

#endif
