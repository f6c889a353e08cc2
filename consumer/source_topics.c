/* What the source asks Kafka of the city's topics: do they exist, are they set up as events need, where do logs end. */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "consumer/source_internal.h"
#include "schemas/identity.h"

enum { ASK_MS = 1000, ASK_AWAY_MS = 200, SETTING_TIMEOUT_MS = 3000, LOOK_AGAIN_MS = 200 };

/* ERROR_KAFKA when no broker answers; *ret_missing is the first topic that does not exist, or NULL. */
static int find_missing(struct source *source, int64_t timeout_ms, const char **ret_missing, struct error *error)
{
    const char *missing = NULL;
    for (int type = EVENT_TYPES - 1; type >= 0; type--) {
        int count = 0;
        int result = kafka_partition_count(source->kafka, source->topics[type], timeout_ms, &count, error);
        if (result < 0)
            return result;
        if (count == 0)
            missing = source->topics[type];
    }
    *ret_missing = missing;
    return 0;
}

int source_wait(struct source *source, int64_t timeout_ms, const volatile sig_atomic_t *stop, struct health *health,
                struct error *error)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    bool said_away = false, said_missing = false;
    const char *brokers = source->common->brokers ? source->common->brokers : "the configured brokers";
    const char *missing = NULL; /* as last heard */
    for (;;) {
        int64_t left = deadline - clock_monotonic_ms();
        struct error failure = {0};
        health_turn(health);
        int result = find_missing(source, left < 1 ? 1 : left < ASK_MS ? left : ASK_MS, &missing, &failure);
        if (result >= 0 && !missing)
            return 0;
        if (stop && *stop)
            return error_set(error, ERROR_INTERRUPTED, "stopped while waiting for kafka");
        if (clock_monotonic_ms() >= deadline && !missing)
            return error_set(error, ERROR_KAFKA, "kafka at %s did not answer within %" PRId64 " ms: %s", brokers,
                             timeout_ms, failure.text);
        if (clock_monotonic_ms() >= deadline)
            return error_set(error, ERROR_KAFKA,
                             "topic %s is missing; create it, or let citytotals-producer send --create-topics do it",
                             missing);
        if (result < 0 && !said_away)
            log_warning("kafka at %s does not answer; waiting at most %" PRId64 " s", brokers, timeout_ms / 1000);
        else if (result >= 0 && !said_missing)
            log_warning("topic %s does not exist; waiting for it at most %" PRId64
                        " s (citytotals-producer send --create-topics makes the topics)",
                        missing, timeout_ms / 1000);
        said_away = said_away || result < 0;
        said_missing = said_missing || result >= 0;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000L}, NULL);
    }
}

int source_cluster_id(struct source *source, int64_t timeout_ms, char **ret_cluster_id, struct error *error)
{
    return kafka_cluster_id(source->kafka, timeout_ms, ret_cluster_id, error);
}

int source_topic_partition_count(struct source *source, enum event_type type, int32_t *ret_count, struct error *error)
{
    int count = 0;
    int result = kafka_partition_count(source->kafka, source->topics[type], SETTING_TIMEOUT_MS, &count, error);
    if (result >= 0)
        *ret_count = count;
    return result;
}

/* *ret_value is NULL when the broker does not tell; *tells becomes false when it does not answer at all: a broker that
 * does not know the question is asked once, not for each topic. */
static char *setting(struct source *source, const char *topic, const char *name, bool *tells)
{
    char *value = NULL;
    struct error error = {0};
    if (*tells && kafka_topic_setting(source->kafka, topic, name, SETTING_TIMEOUT_MS, &value, &error) < 0) {
        log_debug("setting %s of topic %s: %s", name, topic, error.text);
        *tells = false;
        return NULL;
    }
    return value;
}

static int check_topic(struct source *source, enum event_type type, bool *tells, struct error *error)
{
    const char *topic = source->topics[type];
    int result = 0;
    char *stamps = setting(source, topic, "message.timestamp.type", tells);
    char *cleanup = setting(source, topic, "cleanup.policy", tells);
    if (stamps && strcmp(stamps, "LogAppendTime") != 0)
        log_warning("topic %s has message.timestamp.type=%s; set it to LogAppendTime, or a sender's wrong clock "
                    "decides what is out of its window",
                    topic, stamps);
    if (cleanup && strstr(cleanup, "compact")) {
        if (type != EVENT_PAGE_VISIT)
            result = error_set(error, ERROR_REFUSED,
                               "topic %s has cleanup.policy=%s: compaction deletes events that the totals are made of; "
                               "set it to delete",
                               topic, cleanup);
        else
            log_warning("topic %s has cleanup.policy=%s; set it to delete, or page visits are lost", topic, cleanup);
    }
    free(stamps);
    free(cleanup);
    return result;
}

int source_check_topics(struct source *source, struct error *error)
{
    int32_t counts[EVENT_TYPES] = {0};
    bool tells = true;
    for (int type = 0; type < EVENT_TYPES; type++) {
        int result = check_topic(source, (enum event_type)type, &tells, error);
        if (result >= 0)
            result = source_topic_partition_count(source, (enum event_type)type, &counts[type], error);
        if (result < 0)
            return result;
    }
    if (!tells)
        log_warning("the broker does not tell its topics' settings; they need message.timestamp.type=LogAppendTime and "
                    "cleanup.policy=delete");
    int32_t changes = counts[EVENT_HEADCOUNT_CHANGE], mergers = counts[EVENT_UNIT_MERGER];
    if (changes != mergers)
        log_warning("topics %s and %s have %" PRId32 " and %" PRId32
                    " partitions; with equal numbers an agency's events are folded by one consumer, which is faster",
                    source->topics[EVENT_HEADCOUNT_CHANGE], source->topics[EVENT_UNIT_MERGER], changes, mergers);
    for (int type = EVENT_HEADCOUNT_CHANGE; type <= EVENT_UNIT_MERGER; type++)
        if (counts[type] > 0 && SEEN_LANES % counts[type] != 0)
            log_warning("topic %s has %" PRId32 " partitions; a number that divides %d is faster", source->topics[type],
                        counts[type], SEEN_LANES);
    return 0;
}

int source_watermarks(struct source *source, uint8_t topic, int32_t partition, int64_t timeout_ms, int64_t *ret_low,
                      int64_t *ret_high, struct error *error)
{
    /* A broker answers in order: each question would stand behind a fetch that waits for records. */
    if (source->reading)
        source_read_nothing(source);
    return kafka_partition_bounds(source->kafka, source->topics[topic], partition, timeout_ms, ret_low, ret_high, error);
}

bool source_is_away(struct source *source)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (source->doubtful && rd_kafka_metadata(source->kafka, 0, NULL, &metadata, ASK_AWAY_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_metadata_destroy(metadata);
        source->doubtful = false;
    }
    return source->doubtful;
}

int64_t source_known_end(const struct source *source, uint8_t topic, int32_t partition)
{
    int64_t low, high;
    if (rd_kafka_get_watermark_offsets(source->kafka, source->topics[topic], partition, &low, &high) !=
            RD_KAFKA_RESP_ERR_NO_ERROR || high < 0)
        return -1;
    return high;
}

void source_commit_offsets(struct source *source, const struct topic_partition *parts, const int64_t *offsets,
                           size_t count)
{
    /* What waits in the library for a coordinator would come to it with a membership that is over: a static member is fenced then. */
    if (count == 0 || source->changed || source->doubtful)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        const char *topic = source->topics[parts[i].topic];
        rd_kafka_topic_partition_list_add(list, topic, parts[i].partition)->offset = offsets[i];
    }
    rd_kafka_commit(source->kafka, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}
