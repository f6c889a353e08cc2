/* Asks Kafka for the ends of the city's logs and compares them with the stored offsets. */
#include "query/lag.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/kafka.h"
#include "query/totals.h"

enum { TOPIC_MOST = CITY_SIZE_MOST + 32 };

struct lag {
    rd_kafka_t *kafka;
};

int lag_open(const struct common_options *common, struct lag **ret_lag, struct error *error)
{
    /* A consumer never creates a topic by asking for it. */
    static const struct kafka_property fixed[] = {
        {"isolation.level", "read_committed"}, {"allow.auto.create.topics", "false"}, {NULL, NULL}};
    /* The client's remarks would stand among the totals; its errors say why there is no lag. */
    static const struct kafka_property defaults[] = {{"log_level", "3"}, {NULL, NULL}};
    char text[512];
    rd_kafka_conf_t *conf;
    int result = kafka_conf_new(common, defaults, fixed, &conf, error);
    if (result < 0)
        return result;
    struct lag *lag = calloc(1, sizeof *lag);
    if (lag)
        lag->kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (!lag || !lag->kafka) {
        result = lag ? error_set(error, ERROR_CONFIG, "set up the Kafka client: %s", text)
                     : error_set(error, ERROR_MEMORY, "out of memory");
        rd_kafka_conf_destroy(conf);
        free(lag);
        return result;
    }
    *ret_lag = lag;
    return 0;
}

struct lag *lag_close(struct lag *lag)
{
    if (!lag)
        return NULL;
    rd_kafka_destroy(lag->kafka);
    free(lag);
    return NULL;
}

static int sum(const struct snapshot *snapshot, const char *city, const rd_kafka_topic_partition_list_t *begins,
               const rd_kafka_topic_partition_list_t *ends, int64_t *ret_lag, struct error *error)
{
    int64_t lag = 0;
    for (int i = 0; i < ends->cnt; i++) {
        const rd_kafka_topic_partition_t *end = &ends->elems[i];
        char field[TOPIC_MOST + 16];
        int64_t stored;
        snprintf(field, sizeof field, "%s/%" PRId32, end->topic, end->partition);
        int result = counter_find(snapshot, SNAPSHOT_OFFSETS, city, field, &stored, NULL, error);
        if (result < 0)
            return result;
        if (stored > end->offset)
            return error_set(error, ERROR_KAFKA,
                             "the stored offset %" PRId64 " of %s is beyond the log's end %" PRId64
                             ": is it another Kafka cluster?", stored, field, end->offset);
        int64_t from = stored > begins->elems[i].offset ? stored : begins->elems[i].offset;
        lag += end->offset > from ? end->offset - from : 0;
    }
    *ret_lag = lag;
    return 0;
}

int lag_read(struct lag *lag, const struct snapshot *snapshot, const char *city, int64_t timeout_ms,
             const volatile sig_atomic_t *stop, int64_t *ret_lag, struct error *error)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_new(64), *begins = NULL;
    int result = 0;
    for (int type = 0; type < EVENT_TYPES && result >= 0; type++) {
        char topic[TOPIC_MOST];
        snprintf(topic, sizeof topic, "%s.%s", city, event_topic_suffix((enum event_type)type));
        result = kafka_partitions_add(lag->kafka, topic, deadline, stop, ends, error);
    }
    if (result < 0)
        goto finish;
    begins = rd_kafka_topic_partition_list_copy(ends);
    if ((result = kafka_bounds(lag->kafka, ends, RD_KAFKA_OFFSET_END, deadline, stop, error)) >= 0 &&
        (result = kafka_bounds(lag->kafka, begins, RD_KAFKA_OFFSET_BEGINNING, deadline, stop, error)) >= 0)
        result = sum(snapshot, city, begins, ends, ret_lag, error);
finish:
    rd_kafka_topic_partition_list_destroy(ends);
    if (begins)
        rd_kafka_topic_partition_list_destroy(begins);
    return result;
}
