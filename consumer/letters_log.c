/* Reads the dead-letter topic once, without a group. */
#include "consumer/letters_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/kafka.h"
#include "schemas/codec.h"

enum { TOPIC_SIZE = 128, ASK_MS = 5000, POLL_MS = 200, AT_ONCE = 256 };

struct reading {
    rd_kafka_t *kafka;
    rd_kafka_queue_t *queue;
    char topic[TOPIC_SIZE];
    int64_t *ends; /* by partition; reached = -1 */
    int partitions, open;
};

static int connect_reading(const struct common_options *common, struct reading *reading, struct error *error)
{
    char group[TOPIC_SIZE], text[512];
    snprintf(group, sizeof group, "citytotals.%s", common->city);
    const struct kafka_property defaults[] = {{"group.id", group}, {"client.id", "citytotals-consumer"}, {NULL, NULL}};
    static const struct kafka_property fixed[] = {
        {"enable.auto.commit", "false"},       {"auto.offset.reset", "error"}, {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"}, {"check.crcs", "true"},         {"allow.auto.create.topics", "false"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = NULL;
    int result = kafka_conf_new(common, defaults, fixed, &conf, error);
    if (result < 0)
        return result;
    reading->kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (!reading->kafka) {
        rd_kafka_conf_destroy(conf);
        return error_set(error, ERROR_CONFIG, "make a Kafka consumer: %s", text);
    }
    rd_kafka_poll_set_consumer(reading->kafka);
    reading->queue = rd_kafka_queue_get_consumer(reading->kafka);
    snprintf(reading->topic, sizeof reading->topic, "%s." DEAD_LETTER_TOPIC_SUFFIX, common->city);
    return 0;
}

static int assign(struct reading *reading, struct letters_log *log, struct error *error)
{
    reading->ends = calloc((size_t)reading->partitions, sizeof *reading->ends);
    if (!reading->ends)
        return error_set(error, ERROR_MEMORY, "out of memory");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(reading->partitions);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < reading->partitions && !err; i++) {
        int64_t low = 0, high = 0;
        err = rd_kafka_query_watermark_offsets(reading->kafka, reading->topic, i, &low, &high, ASK_MS);
        log->shortened = log->shortened || low > 0;
        reading->ends[i] = high > low ? high : -1;
        if (err || high == low)
            continue;
        reading->open++;
        rd_kafka_topic_partition_list_add(list, reading->topic, i)->offset = low;
    }
    if (!err)
        err = rd_kafka_assign(reading->kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err ? error_set(error, ERROR_KAFKA, "read %s: %s", reading->topic, rd_kafka_err2str(err)) : 0;
}

static void reached(struct reading *reading, int32_t partition, int64_t next)
{
    if (partition < 0 || partition >= reading->partitions || reading->ends[partition] < 0 || next < reading->ends[partition])
        return;
    reading->ends[partition] = -1;
    reading->open--;
}

static int take_message(struct reading *reading, const rd_kafka_message_t *message, letters_log_fn take, void *context,
                        struct letters_log *log, struct error *error)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reached(reading, message->partition, INT64_MAX);
        return 0;
    }
    if (message->err && message->offset >= 0)
        return error_set(error, ERROR_KAFKA, "read %s/%" PRId32 ": %s", reading->topic, message->partition,
                         rd_kafka_message_errstr(message));
    if (message->err || message->partition >= reading->partitions || reading->ends[message->partition] < 0 ||
        message->offset >= reading->ends[message->partition]) {
        if (!message->err)
            reached(reading, message->partition, message->offset);
        return 0; /* an error about no record is retried by the library */
    }
    rd_kafka_timestamp_type_t type;
    struct letter_place place = {message->partition, message->offset, rd_kafka_message_timestamp(message, &type)};
    struct dead_letter letter;
    bool is_letter = message->payload && dead_letter_decode((struct slice){message->payload, message->len}, &letter);
    log->count++;
    int result = take(context, is_letter ? &letter : NULL, &place, error);
    reached(reading, message->partition, message->offset + 1);
    return result;
}

static int read_all(struct reading *reading, int64_t timeout_ms, const volatile sig_atomic_t *stop, letters_log_fn take,
                    void *context, struct letters_log *log, struct error *error)
{
    rd_kafka_message_t *messages[AT_ONCE];
    int64_t heard_ms = clock_monotonic_ms();
    int result = 0;
    while (reading->open > 0 && result >= 0) {
        ssize_t count = rd_kafka_consume_batch_queue(reading->queue, 0, messages, AT_ONCE);
        if (count <= 0)
            count = rd_kafka_consume_batch_queue(reading->queue, POLL_MS, messages, 1);
        for (ssize_t i = 0; i < count; i++) {
            if (result >= 0)
                result = take_message(reading, messages[i], take, context, log, error);
            rd_kafka_message_destroy(messages[i]);
        }
        if (count > 0)
            heard_ms = clock_monotonic_ms();
        if (result >= 0 && stop && *stop)
            result = error_set(error, ERROR_INTERRUPTED, "stopped");
        else if (result >= 0 && clock_monotonic_ms() - heard_ms > timeout_ms)
            result = error_set(error, ERROR_KAFKA, "read %s: nothing came for %" PRId64 " ms", reading->topic, timeout_ms);
    }
    return result;
}

int letters_log_read(const struct common_options *common, int64_t timeout_ms, const volatile sig_atomic_t *stop,
                     letters_log_fn take, void *context, struct letters_log *ret_log, struct error *error)
{
    struct reading reading = {0};
    struct letters_log log = {0};
    int result = connect_reading(common, &reading, error);
    if (result >= 0)
        result = kafka_wait(reading.kafka, timeout_ms, stop, NULL, error);
    if (result >= 0)
        result = kafka_partition_count(reading.kafka, reading.topic, ASK_MS, &reading.partitions, error);
    if (result >= 0 && reading.partitions == 0)
        log.missing = true;
    else if (result >= 0 && (result = assign(&reading, &log, error)) >= 0)
        result = read_all(&reading, timeout_ms, stop, take, context, &log, error);
    if (reading.queue)
        rd_kafka_queue_destroy(reading.queue);
    if (reading.kafka)
        rd_kafka_destroy_flags(reading.kafka, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(reading.ends);
    if (result >= 0)
        *ret_log = log;
    return result;
}
