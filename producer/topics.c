/* Looks for a city's topics and makes them. */
#include "producer/topics.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

enum { TOPIC_SIZE = 128, REPLICAS_WANTED = 3, LOOK_MS = 5000 };
/* A dead letter holds its source's key twice and its value: room for the largest that a usual broker takes. */
#define LETTER_BYTES "8388608"
#define VISITS_KEPT_MS "7776000000" /* 90 days */

static const char *suffix_of(int topic)
{
    return topic == TOPIC_DEAD_LETTERS ? DEAD_LETTER_TOPIC_SUFFIX : event_topic_suffix((enum event_type)topic);
}

static const char *name_of(const char *city, int topic, char out[TOPIC_SIZE])
{
    snprintf(out, TOPIC_SIZE, "%s.%s", city, suffix_of(topic));
    return out;
}

int topics_look(rd_kafka_t *kafka, const char *city, int64_t timeout_ms, struct topics *ret_topics, struct error *error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    char name[TOPIC_SIZE];
    rd_kafka_resp_err_t code = rd_kafka_metadata(kafka, 1, NULL, &metadata, (int)timeout_ms);
    if (code)
        return error_set(error, ERROR_KAFKA, "ask kafka for its topics: %s", rd_kafka_err2str(code));
    *ret_topics = (struct topics){.brokers = metadata->broker_cnt};
    for (int i = 0; i < metadata->topic_cnt; i++)
        for (int topic = 0; topic < TOPICS; topic++)
            if (strcmp(metadata->topics[i].topic, name_of(city, topic, name)) == 0 && !metadata->topics[i].err) {
                ret_topics->there[topic] = true;
                ret_topics->partitions[topic] = metadata->topics[i].partition_cnt;
            }
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

int topics_missing(const struct topics *topics, const char *city, unsigned wanted, char *out, size_t size)
{
    int count = 0;
    size_t at = 0;
    out[0] = '\0';
    for (int topic = 0; topic < TOPICS; topic++) {
        char name[TOPIC_SIZE];
        if (!(wanted & 1u << topic) || topics->there[topic])
            continue;
        int more = snprintf(out + at, size - at, "%s%s", count ? ", " : "", name_of(city, topic, name));
        at = at + (size_t)more < size ? at + (size_t)more : size - 1;
        count++;
    }
    return count;
}

static rd_kafka_NewTopic_t *describe(const char *city, int topic, int partitions, int brokers, struct error *error)
{
    char name[TOPIC_SIZE], text[512];
    int replicas = brokers < REPLICAS_WANTED ? brokers : REPLICAS_WANTED;
    rd_kafka_NewTopic_t *described = rd_kafka_NewTopic_new(name_of(city, topic, name), partitions, replicas < 1 ? 1 : replicas, text,
                                                           sizeof text);
    if (!described) {
        error_set(error, ERROR_CONFIG, "create topic %s: %s", name, text);
        return NULL;
    }
    const char *settings[][2] = {
        {"cleanup.policy", "delete"},
        {"message.timestamp.type", "LogAppendTime"},
        {"retention.ms", topic == EVENT_PAGE_VISIT ? VISITS_KEPT_MS : "-1"},
        {replicas >= REPLICAS_WANTED ? "min.insync.replicas" : NULL, "2"},
        {topic == TOPIC_DEAD_LETTERS ? "max.message.bytes" : NULL, LETTER_BYTES},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (settings[i][0])
            rd_kafka_NewTopic_set_config(described, settings[i][0], settings[i][1]);
    return described;
}

static int judge(rd_kafka_event_t *event, struct error *error)
{
    if (!event)
        return error_set(error, ERROR_KAFKA, "create topics: no answer");
    if (rd_kafka_event_error(event))
        return error_set(error, ERROR_KAFKA, "create topics: %s", rd_kafka_event_error_string(event));
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return error_set(error, ERROR_KAFKA, "create topic %s: %s", rd_kafka_topic_result_name(results[i]),
                             rd_kafka_topic_result_error_string(results[i]) ? rd_kafka_topic_result_error_string(results[i])
                                                                            : rd_kafka_err2str(code));
    }
    return 0;
}

static int wait_for_all(rd_kafka_t *kafka, const char *city, int64_t deadline, const volatile sig_atomic_t *stop,
                        struct error *error)
{
    char missing[512];
    for (;;) {
        struct topics topics;
        int result = topics_look(kafka, city, LOOK_MS, &topics, error);
        if (result >= 0 && topics_missing(&topics, city, (1u << TOPICS) - 1, missing, sizeof missing) == 0)
            return 0;
        if (stop && *stop)
            return error_set(error, ERROR_INTERRUPTED, "interrupted");
        if (clock_monotonic_ms() >= deadline)
            return result < 0 ? result : error_set(error, ERROR_KAFKA, "created topics are not there yet: %s", missing);
        rd_kafka_poll(kafka, 100);
    }
}

int topics_create(rd_kafka_t *kafka, const char *city, const struct topics *topics, int partitions, int64_t timeout_ms,
                  const volatile sig_atomic_t *stop, struct error *error)
{
    rd_kafka_NewTopic_t *wanted[TOPICS];
    size_t count = 0;
    char text[512];
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    int result = 0;
    for (int topic = 0; topic < TOPICS && result >= 0; topic++) {
        if (topics->there[topic])
            continue;
        if ((wanted[count] = describe(city, topic, partitions, topics->brokers, error)))
            count++;
        else
            result = -ERROR_CONFIG;
    }
    if (result >= 0 && count > 0) {
        rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka);
        rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(kafka, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        rd_kafka_AdminOptions_set_operation_timeout(options, (int)timeout_ms, text, sizeof text);
        rd_kafka_AdminOptions_set_request_timeout(options, (int)timeout_ms, text, sizeof text);
        rd_kafka_CreateTopics(kafka, wanted, count, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, (int)timeout_ms + 1000);
        result = judge(event, error);
        if (event)
            rd_kafka_event_destroy(event);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_queue_destroy(queue);
    }
    rd_kafka_NewTopic_destroy_array(wanted, count);
    return result >= 0 && count > 0 ? wait_for_all(kafka, city, deadline, stop, error) : result;
}
