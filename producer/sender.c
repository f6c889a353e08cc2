/* The producer's driver over librdkafka. */
#include "producer/sender.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "base/clock.h"

enum {
    TOPIC_SIZE = 128,
    POLL_MS = 50,
    NUMBER_SIZE = 32,
    QUEUE_EVENTS = 200000,
    QUEUE_KIB = 65536,
    LINGER_MS = 20,
    POLL_EVERY = 256, /* submissions between two looks at the verdicts */
};

struct sender {
    struct sender_options options;
    rd_kafka_t *kafka;
    rd_kafka_topic_t *topics[EVENT_TYPES];
    atomic_size_t pending;
    size_t until_poll;
};

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *context)
{
    (void)kafka;
    struct sender *sender = context;
    sender->pending--;
    struct sender_verdict verdict = {.failure = message->err ? rd_kafka_err2str(message->err) : NULL, .partition = -1, .offset = -1};
    if (!message->err) {
        verdict.partition = message->partition;
        verdict.offset = message->offset;
    }
    sender->options.on_delivery(sender->options.context, message->_private, &verdict);
}

static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    (void)facility;
    struct sender *sender = kafka ? rd_kafka_opaque(kafka) : NULL;
    if (sender)
        sender->options.on_log(sender->options.context, level, text);
}

/* They are told where they matter, by an event's verdict. */
static void on_error(rd_kafka_t *kafka, int code, const char *reason, void *context)
{
    (void)kafka;
    struct sender *sender = context;
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        sender->options.on_log(sender->options.context, LOG_CRIT, reason);
}

static int make_conf(struct sender *sender, rd_kafka_conf_t **ret_conf, struct error *error)
{
    char timeout[NUMBER_SIZE], events[NUMBER_SIZE], kib[NUMBER_SIZE], linger[NUMBER_SIZE];
    const struct sender_options *options = &sender->options;
    snprintf(timeout, sizeof timeout, "%" PRId64, options->ack_timeout_ms);
    snprintf(events, sizeof events, "%" PRId64, options->queue_events ? options->queue_events : QUEUE_EVENTS);
    snprintf(kib, sizeof kib, "%" PRId64, options->queue_kib ? options->queue_kib : QUEUE_KIB);
    snprintf(linger, sizeof linger, "%" PRId64, options->linger_ms < 0 ? 0 : options->linger_ms ? options->linger_ms : LINGER_MS);
    const struct kafka_property defaults[] = {
        {"client.id", sender->options.client_id},
        /* Few large batches: a hundred small ones cost the broker more than one large. */
        {"linger.ms", linger},
        {"batch.size", "900000"},
        {"batch.num.messages", "10000"},
        {"queue.buffering.max.messages", events},
        {"queue.buffering.max.kbytes", kib},
        {NULL, NULL},
    };
    const struct kafka_property fixed[] = {
        {"acks", "all"},
        {"enable.idempotence", "true"},
        {"partitioner", "murmur2_random"},
        {"message.timeout.ms", timeout},
        {NULL, NULL},
    };
    int result = kafka_conf_new(sender->options.common, defaults, fixed, ret_conf, error);
    if (result < 0)
        return result;
    rd_kafka_conf_set_opaque(*ret_conf, sender);
    rd_kafka_conf_set_dr_msg_cb(*ret_conf, on_delivery);
    if (sender->options.on_log) {
        rd_kafka_conf_set_log_cb(*ret_conf, on_log);
        rd_kafka_conf_set_error_cb(*ret_conf, on_error);
    }
    return 0;
}

int sender_open(const struct sender_options *options, struct sender **ret_sender, struct error *error)
{
    rd_kafka_conf_t *conf = NULL;
    char text[512], topic[TOPIC_SIZE];
    struct sender *sender = calloc(1, sizeof *sender);
    if (!sender)
        return error_set(error, ERROR_MEMORY, "out of memory");
    sender->options = *options;
    int result = make_conf(sender, &conf, error);
    if (result < 0)
        goto failed;
    sender->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!sender->kafka) {
        rd_kafka_conf_destroy(conf);
        result = error_set(error, ERROR_CONFIG, "kafka: %s", text);
        goto failed;
    }
    for (int type = 0; type < EVENT_TYPES; type++) {
        snprintf(topic, sizeof topic, "%s.%s", options->common->city, event_topic_suffix((enum event_type)type));
        sender->topics[type] = rd_kafka_topic_new(sender->kafka, topic, NULL);
        if (!sender->topics[type]) {
            result = error_set(error, ERROR_KAFKA, "topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
            goto failed;
        }
    }
    *ret_sender = sender;
    return 0;
failed:
    sender_close(sender);
    return result;
}

struct sender *sender_close(struct sender *sender)
{
    if (!sender)
        return NULL;
    if (sender->kafka) {
        if (sender->pending) {
            rd_kafka_purge(sender->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
            int64_t deadline = clock_monotonic_ms() + 1000;
            while (sender->pending && clock_monotonic_ms() < deadline)
                rd_kafka_poll(sender->kafka, POLL_MS);
        }
        for (int type = 0; type < EVENT_TYPES; type++)
            if (sender->topics[type])
                rd_kafka_topic_destroy(sender->topics[type]);
        rd_kafka_destroy(sender->kafka);
    }
    free(sender);
    return NULL;
}

rd_kafka_t *sender_kafka(struct sender *sender)
{
    return sender->kafka;
}

int sender_submit(struct sender *sender, const struct message *message, void *event_context, int64_t timeout_ms,
                  const volatile sig_atomic_t *stop, struct error *error)
{
    if (sender->until_poll-- == 0) {
        sender->until_poll = POLL_EVERY;
        rd_kafka_poll(sender->kafka, 0);
    }
    for (int64_t deadline = -1;;) {
        int result = sender_produce(sender, message, event_context, error);
        if (result != -ERROR_TIMEOUT)
            return result;
        if (deadline < 0)
            deadline = clock_monotonic_ms() + timeout_ms;
        if (stop && *stop)
            return error_set(error, ERROR_INTERRUPTED, "interrupted");
        if (clock_monotonic_ms() >= deadline)
            return error_set(error, ERROR_TIMEOUT, "the queue stayed full for %" PRId64 " ms: kafka takes no more events", timeout_ms);
        rd_kafka_poll(sender->kafka, POLL_MS);
    }
}

static int refused(struct sender *sender, rd_kafka_resp_err_t code, struct error *error)
{
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return error_set(error, ERROR_TIMEOUT, "the queue is full: kafka takes no more events now");
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char text[512];
        rd_kafka_fatal_error(sender->kafka, text, sizeof text);
        return error_set(error, ERROR_REFUSED, "kafka: %s", text);
    }
    return error_set(error, ERROR_KAFKA, "kafka: %s", rd_kafka_err2str(code));
}

int sender_produce(struct sender *sender, const struct message *message, void *event_context, struct error *error)
{
    /* Counted first: the verdict may come within the call below, or on another thread. */
    sender->pending++;
    if (rd_kafka_produce(sender->topics[message->type], RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                         (void *)(uintptr_t)message->value.data, message->value.size, message->key.data, message->key.size,
                         event_context) == 0)
        return 0;
    sender->pending--;
    return refused(sender, rd_kafka_last_error(), error);
}

int sender_produce_many(struct sender *sender, struct sender_item *items, size_t count, struct error *error)
{
    rd_kafka_message_t messages[SENDER_MANY_MOST];
    int result = 0;
    assert(count > 0 && count <= SENDER_MANY_MOST);
    for (size_t i = 0; i < count; i++)
        messages[i] = (rd_kafka_message_t){.payload = (void *)(uintptr_t)items[i].message.value.data,
                                           .len = items[i].message.value.size,
                                           .key = (void *)(uintptr_t)items[i].message.key.data,
                                           .key_len = items[i].message.key.size,
                                           ._private = items[i].event_context};
    sender->pending += count;
    rd_kafka_produce_batch(sender->topics[items[0].message.type], RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, messages, (int)count);
    for (size_t i = 0; i < count; i++) {
        items[i].taken = messages[i].err == RD_KAFKA_RESP_ERR_NO_ERROR;
        if (items[i].taken)
            continue;
        sender->pending--;
        result = refused(sender, messages[i].err, error);
    }
    return result;
}

void sender_push(struct sender *sender, int64_t timeout_ms)
{
    rd_kafka_flush(sender->kafka, (int)timeout_ms); /* does not wait for linger.ms */
}

void sender_poll(struct sender *sender, int64_t timeout_ms)
{
    rd_kafka_poll(sender->kafka, (int)timeout_ms);
}

size_t sender_pending(const struct sender *sender)
{
    return sender->pending;
}

int sender_flush(struct sender *sender, int64_t timeout_ms, const volatile sig_atomic_t *stop, struct error *error)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    while (sender->pending) {
        if (stop && *stop)
            return error_set(error, ERROR_INTERRUPTED, "interrupted");
        if (clock_monotonic_ms() >= deadline)
            return error_set(error, ERROR_TIMEOUT, "%zu events were not acknowledged within %" PRId64 " ms", sender->pending, timeout_ms);
        rd_kafka_flush(sender->kafka, POLL_MS); /* does not wait for linger.ms */
    }
    return 0;
}
