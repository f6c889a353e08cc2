/* Drives a librdkafka group consumer: what the group gives, assignment at given offsets, batches of records. */
#include <assert.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "consumer/source_internal.h"

enum {
    FETCH_MOST = 4 << 20, /* bytes of an answer from a broker; of one partition, half of it */
    TAKEN_AT_ONCE = 256,
    BYTES_AT_ONCE = 16 << 20, /* of keys and values: then a fetch ends, */
    BYTES_KEPT = 32 << 20,    /* and what it took above is not kept for the next */
    CLOSE_TIMEOUT_MS = 5000,
    REPEATED_ERROR_MS = 30000,         /* the same error is logged once in so long */
    VERSION_WITH_BACKOFF = 0x02020000, /* librdkafka 2.2 has fetch.queue.backoff.ms */
};

static void forget_given(struct source *source)
{
    free(source->given);
    source->given = NULL;
    source->given_count = 0;
}

static int topic_of_name(const struct source *source, const char *name)
{
    for (int type = 0; type < EVENT_TYPES; type++)
        if (strcmp(source->topics[type], name) == 0)
            return type;
    return TOPIC_NONE;
}

/* An empty assignment. NULL, giving it up, is kept for revocations. */
rd_kafka_resp_err_t source_read_nothing(struct source *source)
{
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t err = rd_kafka_assign(source->kafka, none);
    rd_kafka_topic_partition_list_destroy(none);
    source->behind = 0;
    source->reading = false;
    waker_set_busy(source->waker, false);
    return err;
}

static void take_given(struct source *source, const rd_kafka_topic_partition_list_t *partitions)
{
    forget_given(source);
    source->given = calloc((size_t)partitions->cnt + 1, sizeof *source->given);
    if (!source->given) {
        snprintf(source->fatal, sizeof source->fatal, "out of memory for %d partitions", partitions->cnt);
        return;
    }
    for (int i = 0; i < partitions->cnt; i++) {
        int topic = topic_of_name(source, partitions->elems[i].topic);
        if (topic != TOPIC_NONE)
            source->given[source->given_count++] =
                (struct topic_partition){.topic = (uint8_t)topic, .partition = partitions->elems[i].partition};
    }
}

static void on_rebalance(rd_kafka_t *kafka, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *partitions,
                         void *context)
{
    struct source *source = context;
    source->rebalanced = true;
    source->changed = true;
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        take_given(source, partitions);
        source_read_nothing(source); /* where to read from is not known yet; this lets the group settle */
        return;
    }
    if (err != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
        log_warning("kafka: rebalance: %s", rd_kafka_err2str(err));
    forget_given(source);
    rd_kafka_assign(kafka, NULL);
    source->behind = 0;
    source->reading = false;
    waker_set_busy(source->waker, false);
}

static void on_error(rd_kafka_t *kafka, int code, const char *reason, void *context)
{
    struct source *source = context;
    rd_kafka_resp_err_t err = (rd_kafka_resp_err_t)code;
    (void)kafka;
    source->doubtful = source->doubtful || err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || err == RD_KAFKA_RESP_ERR__TRANSPORT;
    int64_t now = clock_monotonic_ms();
    if (err == source->last_error && now - source->last_error_at_ms < REPEATED_ERROR_MS)
        return;
    source->last_error = err;
    source->last_error_at_ms = now;
    log_warning("kafka: %s: %s", rd_kafka_err2str(err), reason ? reason : "");
}

static int make_conf(const struct common_options *common, const char *city, rd_kafka_conf_t **ret_conf,
                     struct error *error)
{
    char group[TOPIC_NAME_SIZE];
    snprintf(group, sizeof group, "citytotals.%s", city);
    char queue_low[16], partition_most[16], fetch_most[16];
    snprintf(queue_low, sizeof queue_low, "%d", QUEUE_LOW);
    snprintf(partition_most, sizeof partition_most, "%d", FETCH_MOST / 2);
    snprintf(fetch_most, sizeof fetch_most, "%d", FETCH_MOST);
    const struct kafka_property defaults[] = {
        {"group.id", group},
        {"client.id", "citytotals-consumer"},
        {"queued.min.messages", queue_low},
        {"queued.max.messages.kbytes", "65536"},
        {"fetch.wait.max.ms", "100"}, /* a broker answers in order, and closing waits as long */
        {"fetch.message.max.bytes", partition_most},
        {"fetch.max.bytes", fetch_most},
        {rd_kafka_version() >= VERSION_WITH_BACKOFF ? "fetch.queue.backoff.ms" : NULL, "5"},
        {NULL, NULL},
    };
    static const struct kafka_property fixed[] = {
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"},
        {"check.crcs", "true"},
        {"partition.assignment.strategy", "range"},
        {NULL, NULL},
    };
    return kafka_conf_new(common, defaults, fixed, ret_conf, error);
}

/* librdkafka's buffers come and go by the megabyte: memory that is given back each time costs a page fault a page. */
static void keep_freed_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 2 * FETCH_MOST);
    mallopt(M_TRIM_THRESHOLD, 16 * FETCH_MOST);
}

int source_open(const struct common_options *common, const char *city, struct source **ret_source, struct error *error)
{
    keep_freed_memory();
    struct source *source = calloc(1, sizeof *source);
    if (!source)
        return error_set(error, ERROR_MEMORY, "out of memory");
    source->common = common;
    for (int type = 0; type < EVENT_TYPES; type++)
        snprintf(source->topics[type], TOPIC_NAME_SIZE, "%s.%s", city, event_topic_suffix((enum event_type)type));
    rd_kafka_conf_t *conf = NULL;
    int result = make_conf(common, city, &conf, error);
    if (result < 0)
        goto finish;
    rd_kafka_conf_set_opaque(conf, source);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_error_cb(conf, on_error);
    char text[512];
    source->kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (!source->kafka) {
        rd_kafka_conf_destroy(conf);
        result = error_set(error, ERROR_CONFIG, "make a Kafka consumer: %s", text);
        goto finish;
    }
    rd_kafka_poll_set_consumer(source->kafka);
    source->queue = rd_kafka_queue_get_consumer(source->kafka);
    for (int type = 0; type < EVENT_TYPES; type++)
        source->handles[type] = rd_kafka_topic_new(source->kafka, source->topics[type], NULL);
    if (rd_kafka_version() < VERSION_WITH_BACKOFF)
        result = waker_start(source, &source->waker, error);
finish:
    if (result < 0) {
        source_close(source);
        return result;
    }
    *ret_source = source;
    return 0;
}

/* Leave the group while serving its last callbacks, but not for ever: a broker may be away. False when it is. */
static bool leave_group(struct source *source)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(source->kafka);
    rd_kafka_error_t *failed = rd_kafka_consumer_close_queue(source->kafka, queue);
    if (failed)
        rd_kafka_error_destroy(failed);
    int64_t deadline = clock_monotonic_ms() + CLOSE_TIMEOUT_MS;
    /* Records that are still under way come out too; rd_kafka_queue_poll_callback would abort on them. */
    while (!failed && !rd_kafka_consumer_closed(source->kafka) && clock_monotonic_ms() < deadline) {
        rd_kafka_message_t *message;
        if (rd_kafka_consume_batch_queue(queue, 50, &message, 1) == 1)
            rd_kafka_message_destroy(message);
    }
    bool left = failed || rd_kafka_consumer_closed(source->kafka);
    rd_kafka_queue_destroy(queue);
    return left;
}

struct source *source_close(struct source *source)
{
    if (!source)
        return NULL;
    source->waker = waker_stop(source->waker);
    if (source->kafka) {
        if (!leave_group(source)) {
            /* Destroying the handle would wait for the group's coordinator, for as long as it is away. */
            log_warning("kafka did not take leave within %d s; the group will notice by the session's time-out",
                        CLOSE_TIMEOUT_MS / 1000);
            return NULL;
        }
        for (int type = 0; type < EVENT_TYPES; type++)
            if (source->handles[type])
                rd_kafka_topic_destroy(source->handles[type]);
        if (source->queue)
            rd_kafka_queue_destroy(source->queue);
        rd_kafka_destroy_flags(source->kafka, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    forget_given(source);
    free(source);
    return NULL;
}

int source_subscribe(struct source *source, struct error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(EVENT_TYPES);
    for (int type = 0; type < EVENT_TYPES; type++)
        rd_kafka_topic_partition_list_add(list, source->topics[type], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(source->kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    source->group_watch.subscribed = source->group_watch.subscribed || !err;
    return err ? error_set(error, ERROR_KAFKA, "join the consumer group: %s", rd_kafka_err2str(err)) : 0;
}

int source_take_all(struct source *source, struct error *error)
{
    int32_t counts[EVENT_TYPES] = {0};
    size_t total = 0;
    for (int type = 0; type < EVENT_TYPES; type++) {
        int result = source_topic_partition_count(source, (enum event_type)type, &counts[type], error);
        if (result < 0)
            return result;
        total += (size_t)counts[type];
    }
    struct topic_partition *given = calloc(total + 1, sizeof *given);
    if (!given)
        return error_set(error, ERROR_MEMORY, "out of memory for %zu partitions", total);
    forget_given(source);
    source->given = given;
    for (int type = 0; type < EVENT_TYPES; type++)
        for (int32_t id = 0; id < counts[type]; id++)
            given[source->given_count++] = (struct topic_partition){.topic = (uint8_t)type, .partition = id};
    source->changed = true;
    return 0;
}

static void set_at_end(struct source *source, uint8_t topic, int32_t partition, bool at_end)
{
    if (topic >= EVENT_TYPES || partition < 0 || partition >= SOURCE_PARTITIONS_MOST ||
        source->at_end[topic][partition] == at_end)
        return;
    source->at_end[topic][partition] = at_end;
    if (at_end && source->behind > 0)
        source->behind--;
    else if (!at_end)
        source->behind++;
}

static uint8_t topic_of_message(const struct source *source, const rd_kafka_message_t *message)
{
    if (!message->rkt)
        return TOPIC_NONE;
    for (int type = 0; type < EVENT_TYPES; type++)
        if (message->rkt == source->handles[type])
            return (uint8_t)type;
    return (uint8_t)topic_of_name(source, rd_kafka_topic_name(message->rkt));
}

/* A copy, as a place in `bytes` + 1 until all is copied: the bytes may move while they grow. */
static struct slice copy_of(struct buffer *bytes, const void *data, size_t size)
{
    if (!data)
        return (struct slice){0};
    buffer_append(bytes, data, size);
    return (struct slice){(const char *)(uintptr_t)(bytes->size - size + 1), size}; // NOLINT: a place until all is copied
}

static void fill_record(struct source *source, struct source_record *record, const rd_kafka_message_t *message,
                        struct buffer *bytes)
{
    rd_kafka_timestamp_type_t timestamp_type;
    *record = (struct source_record){
        .topic = topic_of_message(source, message),
        .partition = message->partition,
        .offset = message->offset,
        .timestamp_ms = -1,
    };
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        record->kind = RECORD_MESSAGE;
        record->timestamp_ms = rd_kafka_message_timestamp(message, &timestamp_type);
        record->key = copy_of(bytes, message->key, message->key_len);
        record->value = copy_of(bytes, message->payload, message->len);
    } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        record->kind = RECORD_EOF;
    } else {
        record->kind = RECORD_ERROR;
        const char *text = rd_kafka_message_errstr(message);
        record->key = copy_of(bytes, text, text ? strlen(text) + 1 : 0);
        if (!message->rkt)
            record->partition = -1;
        /* Outside the log no record is bad: the stored position must meet the log again, which tells what to do. */
        if (message->offset < 0 || message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
            record->offset = -1;
    }
}

/* Take at most `most` messages, waiting for the first one only. */
static size_t take(struct source *source, rd_kafka_message_t **messages, size_t most, int64_t wait_ms)
{
    /* librdkafka waits until the array is full or the time is up, so the wait is for an array of one. */
    ssize_t count = rd_kafka_consume_batch_queue(source->queue, 0, messages, most);
    if (count == 0 && wait_ms > 0 && !source->rebalanced) {
        count = rd_kafka_consume_batch_queue(source->queue, (int)wait_ms, messages, 1);
        if (count == 1 && most > 1) {
            ssize_t more = rd_kafka_consume_batch_queue(source->queue, 0, messages + 1, most - 1);
            count += more > 0 ? more : 0;
        }
    }
    return count > 0 ? (size_t)count : 0;
}

/* A message is copied and given back at once, while it is in the processor's cache: what librdkafka keeps of one takes
 * far more memory than its bytes. (rd_kafka_consume_callback_queue, which locks its queue once for all messages, aborts
 * when a rebalance stands among them.) */
static size_t take_copies(struct source *source, struct source_record *records, size_t most, struct buffer *bytes,
                          int64_t wait_ms)
{
    size_t taken = 0;
    while (taken < most && bytes->size < BYTES_AT_ONCE && !source->rebalanced) {
        rd_kafka_message_t *messages[TAKEN_AT_ONCE];
        size_t left = most - taken, count = take(source, messages, left < TAKEN_AT_ONCE ? left : TAKEN_AT_ONCE, wait_ms);
        for (size_t i = 0; i < count; i++) {
            fill_record(source, &records[taken++], messages[i], bytes);
            rd_kafka_message_destroy(messages[i]);
        }
        if (count < TAKEN_AT_ONCE)
            break;
        wait_ms = 0;
    }
    return taken;
}

static const char *placed(const struct buffer *bytes, const char *place)
{
    return place ? bytes->data + ((uintptr_t)place - 1) : NULL;
}

ssize_t source_fetch(struct source *source, struct source_record *records, size_t most, struct buffer *bytes, int64_t wait_ms,
                     bool *ret_rebalanced)
{
    source->rebalanced = false;
    if (bytes->capacity > BYTES_KEPT)
        buffer_free(bytes);
    bytes->bound = SIZE_MAX / 2;
    buffer_reset(bytes);
    size_t count = take_copies(source, records, most, bytes, wait_ms);
    if (buffer_failed(bytes))
        snprintf(source->fatal, sizeof source->fatal, "out of memory for %zu records", count);
    *ret_rebalanced = source->rebalanced;
    if (source->rebalanced || buffer_failed(bytes))
        return 0;
    const struct source_record *before = NULL;
    for (size_t i = 0; i < count; i++) {
        struct source_record *record = &records[i];
        record->key.data = placed(bytes, record->key.data); /* or an error's text */
        record->value.data = placed(bytes, record->value.data);
        /* A run of messages of one partition is looked at once. */
        if (!before || record->kind != RECORD_MESSAGE || before->kind != RECORD_MESSAGE ||
            before->partition != record->partition || before->topic != record->topic)
            set_at_end(source, record->topic, record->partition, record->kind != RECORD_MESSAGE);
        before = record;
    }
    waker_set_busy(source->waker, source->behind > 0);
    return (ssize_t)count;
}

/* Take and forget what is there, waiting for the first one only; false when there was nothing. */
static bool drain(struct source *source, int64_t wait_ms)
{
    rd_kafka_message_t *messages[TAKEN_AT_ONCE];
    size_t count = take(source, messages, TAKEN_AT_ONCE, wait_ms);
    for (size_t i = 0; i < count; i++)
        rd_kafka_message_destroy(messages[i]);
    return count > 0;
}

void source_idle(struct source *source, int64_t wait_ms, bool *ret_rebalanced)
{
    source->rebalanced = false;
    if (source->reading)
        source_read_nothing(source);
    drain(source, wait_ms);
    *ret_rebalanced = source->rebalanced;
}

bool source_rebalanced(const struct source *source)
{
    return source->changed;
}

void source_assignment(struct source *source, const struct topic_partition **ret_parts, size_t *ret_count)
{
    source->changed = false;
    *ret_parts = source->given;
    *ret_count = source->given_count;
}

int source_assign(struct source *source, const struct topic_partition *parts, const int64_t *offsets, size_t count,
                  struct error *error)
{
    int result = source_fatal(source, error);
    if (result < 0)
        return result;
    rd_kafka_resp_err_t err = source_read_nothing(source);
    while (!err && drain(source, 0))
        ;
    /* What the group gave may have changed meanwhile: then these may be somebody else's. The caller will see. */
    if (!err && count > 0 && !source->changed) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
        memset(source->at_end, true, sizeof source->at_end);
        for (size_t i = 0; i < count; i++) {
            assert(parts[i].topic < EVENT_TYPES);
            const char *topic = source->topics[parts[i].topic];
            rd_kafka_topic_partition_list_add(list, topic, parts[i].partition)->offset = offsets[i];
            set_at_end(source, parts[i].topic, parts[i].partition, false);
        }
        waker_watch(source->waker, list);
        err = rd_kafka_assign(source->kafka, list);
        rd_kafka_topic_partition_list_destroy(list);
        source->reading = true;
        waker_set_busy(source->waker, !err);
    }
    return err ? error_set(error, ERROR_KAFKA, "assign %zu partitions: %s", count, rd_kafka_err2str(err)) : 0;
}

int source_fatal(const struct source *source, struct error *error)
{
    char text[400] = "";
    if (source->fatal[0])
        return error_set_class(error, ERROR_KAFKA, ERROR_CLASS_FATAL, "the Kafka consumer can't go on: %s", source->fatal);
    /* The library tells a consumer of it only by a message in its queue, which may be dropped with others: so it is asked. */
    rd_kafka_resp_err_t err = rd_kafka_fatal_error(source->kafka, text, sizeof text);
    if (!err)
        return 0;
    return error_set_class(error, ERROR_KAFKA, ERROR_CLASS_FATAL, "the Kafka consumer can't go on: %s: %s", rd_kafka_err2name(err), text);
}
