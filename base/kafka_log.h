/* Reads topics' logs from their beginning to their end as it was at the start, without a group. Knows no topic of ours. */
#ifndef CITYTOTALS_BASE_KAFKA_LOG_H
#define CITYTOTALS_BASE_KAFKA_LOG_H

#include "base/kafka.h"

struct kafka_log_part {
    const char *topic; /* the log's */
    int tag;           /* the caller's number for the topic */
    int32_t partition;
    int64_t begin, end; /* read from here to before there; the caller may move them inwards before reading */
    int64_t position;
    bool done;
};
struct kafka_log_record {
    const struct kafka_log_part *part;
    int64_t offset;
    int64_t timestamp_ms; /* -1 when the record has none */
    struct slice key, value; /* valid during the call */
};

struct kafka_log;
/* Does not wait for Kafka. ERROR_CONFIG for bad properties, ERROR_USAGE without brokers. `common` outlives the log. */
int kafka_log_open(const struct common_options *common, const char *client_id, struct kafka_log **ret_log, struct error *error);
struct kafka_log *kafka_log_close(struct kafka_log *log); /* NULL; accepts NULL */
rd_kafka_t *kafka_log_kafka(struct kafka_log *log);
/* Add a topic's partitions with the bounds of their logs. ERROR_KAFKA: Kafka has no such topic, or did not answer. */
int kafka_log_add(struct kafka_log *log, const char *topic, int tag, int64_t timeout_ms, struct error *error);
struct kafka_log_part *kafka_log_parts(struct kafka_log *log, size_t *ret_count);

/* Negative: an error, with which the reading ends. */
typedef int (*kafka_log_fn)(void *context, const struct kafka_log_record *record, struct error *error);
/* After each batch; `done` and `total` in offsets. May be NULL. */
typedef void (*kafka_log_progress_fn)(void *context, int64_t done, int64_t total);
/* Give every committed record once, in order within each partition. Ends with ERROR_KAFKA when nothing came for
 * `silence_ms`, with ERROR_INTERRUPTED soon after *stop (may be NULL). */
int kafka_log_read(struct kafka_log *log, kafka_log_fn on_record, kafka_log_progress_fn on_progress, void *context,
                   int64_t silence_ms, const volatile sig_atomic_t *stop, struct error *error);

#endif
