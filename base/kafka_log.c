/* Reads topics' logs from beginning to end over librdkafka, without a group. */
#include "base/kafka_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { TOPICS_MOST = 8, PARTS_MOST = 4096, BATCH_MOST = 5000, POLL_MS = 200 };

struct kafka_log {
    rd_kafka_t *kafka;
    char *topics[TOPICS_MOST];
    size_t topic_count;
    struct kafka_log_part *parts;
    size_t part_count;
};

int kafka_log_open(const struct common_options *common, const char *client_id, struct kafka_log **ret_log, struct error *error)
{
    const struct kafka_property defaults[] = {
        {"client.id", client_id},
        {"group.id", client_id}, /* never joined: partitions and offsets are given */
        {"log_level", "3"},
        {"queued.min.messages", "20000"}, /* with a full queue older librdkafkas sleep a second */
        {"queued.max.messages.kbytes", "65536"},
        {"fetch.wait.max.ms", "50"}, /* nothing is waited for but the end, and closing waits as long */
        {NULL, NULL},
    };
    static const struct kafka_property fixed[] = {
        {"isolation.level", "read_committed"}, {"check.crcs", "true"},           {"enable.auto.commit", "false"},
        {"enable.partition.eof", "true"},      {"auto.offset.reset", "error"},   {"allow.auto.create.topics", "false"},
        {"enable.auto.offset.store", "false"}, {NULL, NULL},
    };
    char text[512];
    rd_kafka_conf_t *conf;
    int result = kafka_conf_new(common, defaults, fixed, &conf, error);
    if (result < 0)
        return result;
    struct kafka_log *log = calloc(1, sizeof *log);
    if (log)
        log->parts = calloc(PARTS_MOST, sizeof *log->parts);
    if (log && log->parts)
        log->kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (!log || !log->kafka) {
        result = log && log->parts ? error_set(error, ERROR_CONFIG, "set up the Kafka client: %s", text)
                                   : error_set(error, ERROR_MEMORY, "out of memory");
        rd_kafka_conf_destroy(conf);
        kafka_log_close(log);
        return result;
    }
    rd_kafka_poll_set_consumer(log->kafka);
    *ret_log = log;
    return 0;
}

struct kafka_log *kafka_log_close(struct kafka_log *log)
{
    if (!log)
        return NULL;
    if (log->kafka) {
        rd_kafka_assign(log->kafka, NULL);
        rd_kafka_destroy(log->kafka);
    }
    for (size_t i = 0; i < log->topic_count; i++)
        free(log->topics[i]);
    free(log->parts);
    free(log);
    return NULL;
}

rd_kafka_t *kafka_log_kafka(struct kafka_log *log)
{
    return log->kafka;
}

struct kafka_log_part *kafka_log_parts(struct kafka_log *log, size_t *ret_count)
{
    *ret_count = log->part_count;
    return log->parts;
}

int kafka_log_add(struct kafka_log *log, const char *topic, int tag, int64_t timeout_ms, struct error *error)
{
    int count = 0;
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    int result = kafka_partition_count(log->kafka, topic, timeout_ms, &count, error);
    if (result < 0)
        return result;
    if (count == 0)
        return error_set(error, ERROR_KAFKA, "kafka has no topic %s (or does not show it to this user)", topic);
    if (log->topic_count == TOPICS_MOST || log->part_count + (size_t)count > PARTS_MOST)
        return error_set(error, ERROR_LIMIT, "topic %s: more than %d topics or %d partitions", topic, TOPICS_MOST, PARTS_MOST);
    char *copy = strdup(topic);
    if (!copy)
        return error_set(error, ERROR_MEMORY, "out of memory");
    log->topics[log->topic_count++] = copy;
    for (int partition = 0; partition < count; partition++) {
        struct kafka_log_part *part = &log->parts[log->part_count];
        int64_t left = deadline - clock_monotonic_ms();
        *part = (struct kafka_log_part){.topic = copy, .tag = tag, .partition = partition};
        result = kafka_partition_bounds(log->kafka, topic, partition, left, &part->begin, &part->end, error);
        if (result < 0)
            return result;
        log->part_count++;
    }
    return 0;
}

static struct kafka_log_part *part_of(struct kafka_log *log, const rd_kafka_message_t *message)
{
    const char *topic = message->rkt ? rd_kafka_topic_name(message->rkt) : "";
    for (size_t i = 0; i < log->part_count; i++)
        if (log->parts[i].partition == message->partition && strcmp(log->parts[i].topic, topic) == 0)
            return &log->parts[i];
    return NULL;
}

/* One message of the queue; *left counts the partitions that are not done. */
static int take(struct kafka_log *log, const rd_kafka_message_t *message, kafka_log_fn on_record, void *context, size_t *left,
                struct error *error)
{
    struct kafka_log_part *part = part_of(log, message);
    if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (kafka_is_away(message->err))
            return 0;
        return error_set(error, ERROR_KAFKA, "read %s/%" PRId32 ": %s",
                         message->rkt ? rd_kafka_topic_name(message->rkt) : "the log", message->partition,
                         rd_kafka_message_errstr(message));
    }
    if (!part || part->done)
        return 0;
    int result = 0;
    if (message->err) {
        part->position = message->offset;
        part->done = true;
    } else {
        if (message->offset < part->end) {
            const struct kafka_log_record record = {.part = part, .offset = message->offset,
                                                    .timestamp_ms = rd_kafka_message_timestamp(message, NULL),
                                                    .key = {message->key, message->key_len},
                                                    .value = {message->payload, message->len}};
            result = on_record(context, &record, error);
        }
        part->position = message->offset + 1;
        part->done = part->position >= part->end;
    }
    *left -= part->done;
    return result;
}

static int assign(struct kafka_log *log, size_t *ret_left, struct error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)log->part_count);
    for (size_t i = 0; i < log->part_count; i++) {
        struct kafka_log_part *part = &log->parts[i];
        part->position = part->begin;
        part->done = part->begin >= part->end;
        if (!part->done)
            rd_kafka_topic_partition_list_add(list, part->topic, part->partition)->offset = part->begin;
    }
    *ret_left = (size_t)list->cnt;
    rd_kafka_resp_err_t code = rd_kafka_assign(log->kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? error_set(error, ERROR_KAFKA, "read the log: %s", rd_kafka_err2str(code)) : 0;
}

static void tell(const struct kafka_log *log, kafka_log_progress_fn on_progress, void *context)
{
    int64_t done = 0, total = 0;
    for (size_t i = 0; on_progress && i < log->part_count; i++) {
        const struct kafka_log_part *part = &log->parts[i];
        int64_t all = part->end > part->begin ? part->end - part->begin : 0;
        total += all;
        done += part->done ? all : part->position - part->begin;
    }
    if (on_progress)
        on_progress(context, done, total);
}

int kafka_log_read(struct kafka_log *log, kafka_log_fn on_record, kafka_log_progress_fn on_progress, void *context,
                   int64_t silence_ms, const volatile sig_atomic_t *stop, struct error *error)
{
    rd_kafka_message_t **messages = calloc(BATCH_MOST, sizeof(rd_kafka_message_t *));
    size_t left = 0;
    if (!messages)
        return error_set(error, ERROR_MEMORY, "out of memory");
    int result = assign(log, &left, error);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(log->kafka);
    int64_t heard = clock_monotonic_ms();
    while (result >= 0 && left > 0) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, POLL_MS, messages, BATCH_MOST);
        for (ssize_t i = 0; i < count; i++) {
            if (result >= 0)
                result = take(log, messages[i], on_record, context, &left, error);
            if (!messages[i]->err || messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
                heard = clock_monotonic_ms();
            rd_kafka_message_destroy(messages[i]);
        }
        tell(log, on_progress, context);
        if (result >= 0 && stop && *stop)
            result = error_set(error, ERROR_INTERRUPTED, "interrupted");
        else if (result >= 0 && clock_monotonic_ms() - heard > silence_ms)
            result = error_set(error, ERROR_KAFKA, "kafka sent nothing for %" PRId64 " ms", silence_ms);
    }
    rd_kafka_assign(log->kafka, NULL);
    rd_kafka_queue_destroy(queue);
    free(messages);
    return result;
}
