/* What producer, consumer and query share of librdkafka: configuration, errors, log, metadata. Knows no topic of ours. */
#ifndef CITYTOTALS_BASE_KAFKA_H
#define CITYTOTALS_BASE_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/health.h"
#include "base/settings.h"

struct kafka_property {
    const char *key, *value;
};

/* A configuration with `defaults` (ended by a NULL key), then brokers, then the user's -X properties on top. `fixed`
 * (may be NULL, ended by a NULL key) are properties that the program needs as they are: a -X that names one is refused.
 * Bad names and values: ERROR_CONFIG with librdkafka's sentence. librdkafka's log lines go to base/log. The caller owns
 * the result until rd_kafka_new takes it. */
int kafka_conf_new(const struct common_options *common, const struct kafka_property *defaults,
                   const struct kafka_property *fixed, rd_kafka_conf_t **ret_conf, struct error *error);

/* Wait until a broker answers, logging one line when it does not at once; ERROR_KAFKA after `timeout_ms`,
 * ERROR_INTERRUPTED within a second after *stop (may be NULL) became true. `health` (may be NULL) turns meanwhile. */
int kafka_wait(rd_kafka_t *kafka, int64_t timeout_ms, const volatile sig_atomic_t *stop, struct health *health,
               struct error *error);
/* The cluster's id, waiting at most timeout_ms; owned by the caller (free). */
int kafka_cluster_id(rd_kafka_t *kafka, int64_t timeout_ms, char **ret_cluster_id, struct error *error);
/* Number of partitions, 0 when the topic does not exist. */
int kafka_partition_count(rd_kafka_t *kafka, const char *topic, int64_t timeout_ms, int *ret_count, struct error *error);
/* Whether `code` says that no broker answers. */
bool kafka_is_away(rd_kafka_resp_err_t code);
/* Where one partition's log begins and ends, asked again while no broker answers and while the partition has no leader or is not known
 * yet. Waits at most timeout_ms, also where librdkafka's own query would not; but a broker answers in order, so a fetch that waits for
 * records is waited for too. */
int kafka_partition_bounds(rd_kafka_t *kafka, const char *topic, int32_t partition, int64_t timeout_ms, int64_t *ret_low,
                           int64_t *ret_high, struct error *error);
/* One topic setting as the broker has it ("message.timestamp.type"); *ret_value is owned by the caller, NULL when the
 * broker does not say. */
int kafka_topic_setting(rd_kafka_t *kafka, const char *topic, const char *name, int64_t timeout_ms, char **ret_value,
                        struct error *error);
/* Add every partition of a topic to `list`, asking until deadline_ms (clock_monotonic_ms) or *stop (may be NULL). ERROR_KAFKA:
 * no answer, or no such topic. */
int kafka_partitions_add(rd_kafka_t *kafka, const char *topic, int64_t deadline_ms, const volatile sig_atomic_t *stop,
                         rd_kafka_topic_partition_list_t *list, struct error *error);
/* Every partition's RD_KAFKA_OFFSET_END or RD_KAFKA_OFFSET_BEGINNING becomes its `offset`, by one request a leader,
 * asked again as by kafka_partition_bounds, until deadline_ms or *stop (may be NULL). */
int kafka_bounds(rd_kafka_t *kafka, rd_kafka_topic_partition_list_t *list, int64_t bound, int64_t deadline_ms,
                 const volatile sig_atomic_t *stop, struct error *error);

#endif
