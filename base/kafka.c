/* librdkafka's configuration, metadata and log lines, for all three programs. */
#include "base/kafka.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

enum { REPEAT_AFTER_MS = 10000, SLICE_MS = 500, ASK_AGAIN_MS = 50 };

/* A broker that is away makes the same few lines again and again: each kind is logged once in ten seconds. */
static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    static _Atomic int64_t quiet_until_ms[8];
    (void)kafka;
    if (strcmp(facility, "GETPID") == 0)
        level = 6; /* a broker that has just started has no producer id to give yet: it is asked again */
    unsigned kind = 0;
    for (const char *at = facility; *at; at++)
        kind = kind * 31 + (unsigned char)*at;
    int64_t now = clock_monotonic_ms();
    if (level <= 4) {
        if (now < quiet_until_ms[kind % 8])
            return;
        quiet_until_ms[kind % 8] = now + REPEAT_AFTER_MS;
    }
    log_write(level <= 2 ? LOG_LEVEL_ERROR : level <= 4 ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "kafka: %s: %s", facility, text);
}

/* Errors are reported where they matter (time-outs, halts); here they are only told. */
static void on_error(rd_kafka_t *kafka, int code, const char *reason, void *context)
{
    (void)kafka;
    (void)context;
    log_debug("kafka: %s: %s", rd_kafka_err2name((rd_kafka_resp_err_t)code), reason);
}

static int set(rd_kafka_conf_t *conf, const char *key, const char *value, struct error *error)
{
    char text[512];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, key, value, text, sizeof text);
    if (result == RD_KAFKA_CONF_UNKNOWN) /* perhaps a misspelt secret: its value is not repeated */
        return error_set(error, ERROR_CONFIG, "kafka property %s: %s", key, text);
    if (result != RD_KAFKA_CONF_OK)
        return error_set(error, ERROR_CONFIG, "kafka property %s=%s: %s", key, value, text);
    return 0;
}

static int set_user(rd_kafka_conf_t *conf, const char *property, const struct kafka_property *fixed, struct error *error)
{
    char key[256];
    const char *equals = strchr(property, '=');
    if (!equals || equals == property || (size_t)(equals - property) >= sizeof key)
        return error_set(error, ERROR_CONFIG, "kafka property \"%s\"; allowed: key=value", property);
    memcpy(key, property, (size_t)(equals - property));
    key[equals - property] = '\0';
    for (; fixed && fixed->key; fixed++)
        if (strcmp(fixed->key, key) == 0)
            return error_set(error, ERROR_CONFIG, "kafka property %s is always %s here and can't be set", key, fixed->value);
    return set(conf, key, equals + 1, error);
}

int kafka_conf_new(const struct common_options *common, const struct kafka_property *defaults,
                   const struct kafka_property *fixed, rd_kafka_conf_t **ret_conf, struct error *error)
{
    if (!common->brokers)
        return error_set(error, ERROR_USAGE, "no brokers given; give --brokers HOST:PORT or CITYTOTALS_BROKERS");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    int result = 0;
    for (; result >= 0 && defaults && defaults->key; defaults++)
        result = set(conf, defaults->key, defaults->value, error);
    if (result >= 0)
        result = set(conf, "bootstrap.servers", common->brokers, error);
    for (size_t i = 0; result >= 0 && i < common->properties.count; i++)
        result = set_user(conf, common->properties.items[i], fixed, error);
    for (const struct kafka_property *property = fixed; result >= 0 && property && property->key; property++)
        result = set(conf, property->key, property->value, error);
    if (result < 0) {
        rd_kafka_conf_destroy(conf);
        return result;
    }
    *ret_conf = conf;
    return 0;
}

int kafka_wait(rd_kafka_t *kafka, int64_t timeout_ms, const volatile sig_atomic_t *stop, struct health *health,
               struct error *error)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    bool said = false;
    for (;;) {
        const struct rd_kafka_metadata *metadata = NULL;
        health_turn(health);
        int64_t left = deadline - clock_monotonic_ms();
        rd_kafka_resp_err_t code = rd_kafka_metadata(kafka, 0, NULL, &metadata, left < 1 ? 1 : left > 1000 ? 1000 : (int)left);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
            return 0;
        }
        if (stop && *stop)
            return error_set(error, ERROR_INTERRUPTED, "interrupted while waiting for kafka");
        if (clock_monotonic_ms() >= deadline)
            return error_set(error, ERROR_KAFKA, "no kafka broker answers: %s", rd_kafka_err2str(code));
        if (!said)
            log_warning("waiting for kafka: %s", rd_kafka_err2str(code));
        said = true;
    }
}

int kafka_cluster_id(rd_kafka_t *kafka, int64_t timeout_ms, char **ret_cluster_id, struct error *error)
{
    char *id = rd_kafka_clusterid(kafka, (int)timeout_ms);
    char *copy = id ? strdup(id) : NULL;
    if (id)
        rd_kafka_mem_free(kafka, id);
    if (!copy)
        return error_set(error, ERROR_KAFKA, "kafka does not tell its cluster id");
    *ret_cluster_id = copy;
    return 0;
}

int kafka_partition_count(rd_kafka_t *kafka, const char *topic, int64_t timeout_ms, int *ret_count, struct error *error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(kafka, topic, NULL);
    if (!handle)
        return error_set(error, ERROR_KAFKA, "topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_resp_err_t code = rd_kafka_metadata(kafka, 0, handle, &metadata, (int)timeout_ms);
    rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return error_set(error, ERROR_KAFKA, "ask for topic %s: %s", topic, rd_kafka_err2str(code));
    int count = 0, result = 0;
    if (metadata->topic_cnt > 0) {
        code = metadata->topics[0].err;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            count = metadata->topics[0].partition_cnt;
        else if (code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && code != RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
            result = error_set(error, ERROR_KAFKA, "ask for topic %s: %s", topic, rd_kafka_err2str(code));
    }
    rd_kafka_metadata_destroy(metadata);
    if (result >= 0)
        *ret_count = count;
    return result;
}

bool kafka_is_away(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
           code == RD_KAFKA_RESP_ERR__RESOLVE || code == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

/* Whether what a question ended with may pass by itself: nobody answers, or a partition is between two leaders, or new. */
static bool is_passing(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
        return true;
    default:
        return kafka_is_away(code);
    }
}

/* One end of each log of the list by ListOffsets requests of its own: rd_kafka_query_watermark_offsets waits for the socket's
 * time-out, a minute, whatever it is given. The first error. */
static rd_kafka_resp_err_t ask_offsets(rd_kafka_t *kafka, rd_kafka_topic_partition_list_t *list, int64_t which, int64_t timeout_ms)
{
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = which;
    rd_kafka_resp_err_t err = rd_kafka_offsets_for_times(kafka, list, timeout_ms > 1 ? (int)timeout_ms : 1);
    for (int i = 0; i < list->cnt && !err; i++)
        err = list->elems[i].err ? list->elems[i].err : list->elems[i].offset < 0 ? RD_KAFKA_RESP_ERR__NO_OFFSET : 0;
    return err;
}

/* Whether to ask again: what failed may pass by itself, and there is time for a pause. */
static bool pauses(rd_kafka_resp_err_t err, int64_t deadline_ms)
{
    if (!is_passing(err) || clock_monotonic_ms() + ASK_AGAIN_MS >= deadline_ms)
        return false;
    nanosleep(&(struct timespec){.tv_nsec = ASK_AGAIN_MS * 1000000L}, NULL);
    return true;
}

int kafka_partition_bounds(rd_kafka_t *kafka, const char *topic, int32_t partition, int64_t timeout_ms, int64_t *ret_low,
                           int64_t *ret_high, struct error *error)
{
    static const int64_t whichs[] = {RD_KAFKA_OFFSET_BEGINNING, RD_KAFKA_OFFSET_END};
    int64_t found[2], deadline = clock_monotonic_ms() + timeout_ms;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition);
    rd_kafka_resp_err_t err = 0;
    for (int i = 0; i < 2 && !err; i++) {
        do
            err = ask_offsets(kafka, list, whichs[i], deadline - clock_monotonic_ms());
        while (pauses(err, deadline));
        found[i] = list->elems[0].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (err)
        return error_set(error, ERROR_KAFKA, "ask for the bounds of %s/%" PRId32 ": %s", topic, partition, rd_kafka_err2str(err));
    *ret_low = found[0];
    *ret_high = found[1];
    return 0;
}

static int setting_of(rd_kafka_event_t *event, const char *topic, const char *name, char **ret_value, struct error *error)
{
    if (!event)
        return error_set(error, ERROR_KAFKA, "ask for the settings of %s: no answer", topic);
    if (rd_kafka_event_error(event))
        return error_set(error, ERROR_KAFKA, "ask for the settings of %s: %s", topic, rd_kafka_event_error_string(event));
    const rd_kafka_DescribeConfigs_result_t *answer = rd_kafka_event_DescribeConfigs_result(event);
    size_t count = 0, entries = 0;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(answer, &count);
    *ret_value = NULL;
    if (count == 0 || rd_kafka_ConfigResource_error(resources[0]))
        return count == 0 ? 0
                          : error_set(error, ERROR_KAFKA, "ask for the settings of %s: %s", topic,
                                      rd_kafka_ConfigResource_error_string(resources[0]));
    const rd_kafka_ConfigEntry_t **configs = rd_kafka_ConfigResource_configs(resources[0], &entries);
    for (size_t i = 0; i < entries; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(configs[i]), name) == 0 && rd_kafka_ConfigEntry_value(configs[i]))
            *ret_value = strdup(rd_kafka_ConfigEntry_value(configs[i]));
    return 0;
}

int kafka_topic_setting(rd_kafka_t *kafka, const char *topic, const char *name, int64_t timeout_ms, char **ret_value,
                        struct error *error)
{
    char text[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(kafka, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_AdminOptions_set_request_timeout(options, (int)timeout_ms, text, sizeof text);
    rd_kafka_DescribeConfigs(kafka, &resource, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, (int)timeout_ms + 1000);
    int result = setting_of(event, topic, name, ret_value, error);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_queue_destroy(queue);
    return result;
}

/* The next slice of the time that is left, so that a stop, which may be another thread's, is seen soon; 0 when there is none left. */
static int slice_ms(int64_t deadline_ms, const volatile sig_atomic_t *stop)
{
    int64_t left = deadline_ms - clock_monotonic_ms();
    return left <= 0 || (stop && __atomic_load_n(stop, __ATOMIC_RELAXED)) ? 0 : left < SLICE_MS ? (int)left : SLICE_MS;
}

int kafka_partitions_add(rd_kafka_t *kafka, const char *topic, int64_t deadline_ms, const volatile sig_atomic_t *stop,
                         rd_kafka_topic_partition_list_t *list, struct error *error)
{
    int count = 0, result = error_set(error, ERROR_KAFKA, "ask for topic %s: no answer", topic), ms;
    while ((ms = slice_ms(deadline_ms, stop)) > 0 && (result = kafka_partition_count(kafka, topic, ms, &count, error)) < 0)
        ;
    if (result < 0)
        return result;
    if (count == 0)
        return error_set(error, ERROR_KAFKA, "kafka has no topic %s", topic);
    for (int partition = 0; partition < count; partition++)
        rd_kafka_topic_partition_list_add(list, topic, partition);
    return 0;
}

int kafka_bounds(rd_kafka_t *kafka, rd_kafka_topic_partition_list_t *list, int64_t bound, int64_t deadline_ms,
                 const volatile sig_atomic_t *stop, struct error *error)
{
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
    int ms;
    while ((ms = slice_ms(deadline_ms, stop)) > 0 && (err = ask_offsets(kafka, list, bound, ms)) && pauses(err, deadline_ms))
        ;
    return err ? error_set(error, ERROR_KAFKA, "ask for the bounds of the logs: %s", rd_kafka_err2str(err)) : 0;
}
