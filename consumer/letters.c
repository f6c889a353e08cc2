/* Produces dead letters and waits until Kafka has them. After a failure the producer is made anew: what was in flight
 * is given up, and an idempotent producer that gave up messages does not go on. */
#include "consumer/letters.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/kafka.h"
#include "schemas/codec.h"

enum {
    TOPIC_SIZE = 128,
    /* A letter carries its source's key twice and its value: over 2 MiB where a broker takes keys of 1 MiB. */
    MESSAGE_MOST = 8 * 1024 * 1024,
    POLL_MS = 100,
};

struct letters {
    const struct common_options *common;
    char topic[TOPIC_SIZE];
    struct encoder *encoder;
    struct buffer buffer;
    rd_kafka_t *kafka; /* NULL until used, and after a failure */
    size_t acknowledged, failed;
    rd_kafka_resp_err_t first_failure;
};

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *context)
{
    (void)kafka;
    struct letters *letters = context;
    if (!message->err) {
        letters->acknowledged++;
        return;
    }
    if (letters->failed++ == 0)
        letters->first_failure = message->err;
}

static int make_conf(struct letters *letters, rd_kafka_conf_t **ret_conf, struct error *error)
{
    static const struct kafka_property defaults[] = {
        {"client.id", "citytotals-dead-letters"},
        {"linger.ms", "5"},
        {"message.max.bytes", "8388608"},
        {"queue.buffering.max.kbytes", "65536"},
        {"message.timeout.ms", "30000"},
        {"topic.metadata.propagation.max.ms", "5000"}, /* a missing topic is told soon */
        {NULL, NULL},
    };
    static const struct kafka_property fixed[] = {
        {"acks", "all"},
        {"enable.idempotence", "true"},
        {"partitioner", "murmur2_random"},
        {NULL, NULL},
    };
    _Static_assert(MESSAGE_MOST == 8388608, "as message.max.bytes above");
    int result = kafka_conf_new(letters->common, defaults, fixed, ret_conf, error);
    if (result < 0)
        return error_wrap(error, "dead-letter producer");
    rd_kafka_conf_set_opaque(*ret_conf, letters);
    rd_kafka_conf_set_dr_msg_cb(*ret_conf, on_delivery);
    return 0;
}

int letters_open(const struct common_options *common, const char *city, struct letters **ret_letters,
                 struct error *error)
{
    struct letters *letters = calloc(1, sizeof *letters);
    if (!letters)
        return error_set(error, ERROR_MEMORY, "out of memory");
    letters->common = common;
    letters->buffer = BUFFER_BOUNDED(MESSAGE_MOST);
    snprintf(letters->topic, sizeof letters->topic, "%s." DEAD_LETTER_TOPIC_SUFFIX, city);
    rd_kafka_conf_t *conf = NULL;
    int result = encoder_new(&letters->encoder, error);
    if (result >= 0)
        result = make_conf(letters, &conf, error);
    if (result < 0) {
        letters_close(letters);
        return result;
    }
    rd_kafka_conf_destroy(conf);
    *ret_letters = letters;
    return 0;
}

static void give_up(struct letters *letters)
{
    if (!letters->kafka)
        return;
    rd_kafka_purge(letters->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_poll(letters->kafka, 0);
    rd_kafka_destroy(letters->kafka);
    letters->kafka = NULL;
}

struct letters *letters_close(struct letters *letters)
{
    if (!letters)
        return NULL;
    give_up(letters); /* every send has ended, so nothing is given up */
    encoder_free(letters->encoder);
    buffer_free(&letters->buffer);
    free(letters);
    return NULL;
}

static int connect_producer(struct letters *letters, struct error *error)
{
    if (letters->kafka)
        return 0;
    rd_kafka_conf_t *conf = NULL;
    char text[512];
    int result = make_conf(letters, &conf, error);
    if (result < 0)
        return result;
    letters->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (letters->kafka)
        return 0;
    rd_kafka_conf_destroy(conf);
    return error_set(error, ERROR_CONFIG, "make the dead-letter producer: %s", text);
}

static int produce_one(struct letters *letters, const struct dead_letter *item, int64_t schema_id, int64_t deadline, struct error *error)
{
    buffer_reset(&letters->buffer);
    int result = encoder_dead_letter(letters->encoder, item, schema_id, &letters->buffer, error);
    if (result < 0)
        return result;
    if (buffer_failed(&letters->buffer))
        return error_set(error, ERROR_LIMIT, "it is over %d bytes", MESSAGE_MOST);
    for (;;) {
        rd_kafka_resp_err_t err = rd_kafka_producev(
            letters->kafka, RD_KAFKA_V_TOPIC(letters->topic), RD_KAFKA_V_KEY(item->key.data, item->key.size),
            RD_KAFKA_V_VALUE(letters->buffer.data, letters->buffer.size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_END);
        if (!err)
            return 0;
        if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL || clock_monotonic_ms() >= deadline)
            return error_set(error, ERROR_KAFKA, "%s", rd_kafka_err2str(err));
        rd_kafka_poll(letters->kafka, POLL_MS);
    }
}

int letters_send(struct letters *letters, const struct dead_letter *items, size_t count, int64_t schema_id,
                 int64_t timeout_ms, struct error *error)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    int result = connect_producer(letters, error);
    if (result < 0)
        return result;
    letters->acknowledged = letters->failed = 0;
    for (size_t i = 0; i < count && result >= 0; i++) {
        result = produce_one(letters, &items[i], schema_id, deadline, error);
        if (result < 0)
            error_wrap(error, "write the dead letter of %.*s/%" PRId32 " offset %" PRId64 " to %s",
                       SLICE_ARG(items[i].topic), items[i].partition, items[i].offset, letters->topic);
        rd_kafka_poll(letters->kafka, 0);
    }
    while (result >= 0 && letters->acknowledged + letters->failed < count && letters->failed == 0 &&
           clock_monotonic_ms() < deadline)
        rd_kafka_poll(letters->kafka, POLL_MS);
    if (result >= 0 && letters->failed > 0)
        result = error_set(error, ERROR_KAFKA, "write %zu dead letters to %s: %s", count, letters->topic,
                           rd_kafka_err2str(letters->first_failure));
    else if (result >= 0 && letters->acknowledged < count)
        result = error_set(error, ERROR_KAFKA,
                           "write %zu dead letters to %s: %zu were not acknowledged within %" PRId64 " ms", count,
                           letters->topic, count - letters->acknowledged, timeout_ms);
    if (result < 0)
        give_up(letters);
    return result;
}
