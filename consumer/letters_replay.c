/* The producer of replayed records: acknowledged by all in-sync replicas, in the partition that their key asks for. */
#include "consumer/letters_replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/kafka.h"

enum { POLL_MS = 100 };

struct replayer {
    rd_kafka_t *kafka;
    struct replayed *into; /* of the present call */
    size_t acknowledged, failed;
    rd_kafka_resp_err_t first_failure;
};

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *context)
{
    (void)kafka;
    struct replayer *replayer = context;
    struct replayed *into = message->_private;
    if (message->err) {
        if (replayer->failed++ == 0)
            replayer->first_failure = message->err;
        return;
    }
    *into = (struct replayed){message->partition, message->offset};
    replayer->acknowledged++;
}

int replayer_open(const struct common_options *common, struct replayer **ret_replayer, struct error *error)
{
    static const struct kafka_property defaults[] = {
        {"client.id", "citytotals-replay"}, {"linger.ms", "5"}, {"message.max.bytes", "8388608"},
        {"message.timeout.ms", "30000"},    {NULL, NULL},
    };
    static const struct kafka_property fixed[] = {
        {"acks", "all"}, {"enable.idempotence", "true"}, {"partitioner", "murmur2_random"}, {NULL, NULL}};
    struct replayer *replayer = calloc(1, sizeof *replayer);
    rd_kafka_conf_t *conf = NULL;
    char text[512];
    if (!replayer)
        return error_set(error, ERROR_MEMORY, "out of memory");
    int result = kafka_conf_new(common, defaults, fixed, &conf, error);
    if (result >= 0) {
        rd_kafka_conf_set_opaque(conf, replayer);
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        replayer->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
        if (!replayer->kafka) {
            rd_kafka_conf_destroy(conf);
            result = error_set(error, ERROR_CONFIG, "make a Kafka producer: %s", text);
        }
    }
    if (result < 0) {
        replayer_close(replayer);
        return result;
    }
    *ret_replayer = replayer;
    return 0;
}

struct replayer *replayer_close(struct replayer *replayer)
{
    if (!replayer)
        return NULL;
    if (replayer->kafka) {
        rd_kafka_purge(replayer->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(replayer->kafka, 0);
        rd_kafka_destroy(replayer->kafka);
    }
    free(replayer);
    return NULL;
}

int replayer_send(struct replayer *replayer, const struct dead_letter *letters, size_t count, int64_t timeout_ms,
                  const volatile sig_atomic_t *stop, struct replayed *ret_replayed, struct error *error)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    replayer->acknowledged = replayer->failed = 0;
    for (size_t i = 0; i < count; i++) {
        char topic[128];
        snprintf(topic, sizeof topic, "%.*s", SLICE_ARG(letters[i].topic));
        rd_kafka_resp_err_t err;
        do {
            err = rd_kafka_producev(replayer->kafka, RD_KAFKA_V_TOPIC(topic),
                                    RD_KAFKA_V_KEY(letters[i].key.data, letters[i].key.size),
                                    RD_KAFKA_V_VALUE((void *)(uintptr_t)letters[i].value.data, letters[i].value.size),
                                    RD_KAFKA_V_OPAQUE(&ret_replayed[i]), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                    RD_KAFKA_V_END);
            rd_kafka_poll(replayer->kafka, err == RD_KAFKA_RESP_ERR__QUEUE_FULL ? POLL_MS : 0);
        } while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL && clock_monotonic_ms() < deadline && !*stop);
        if (err)
            return error_set(error, ERROR_KAFKA, "send the record of %s/%" PRId32 " offset %" PRId64 " again: %s", topic,
                             letters[i].partition, letters[i].offset, rd_kafka_err2str(err));
    }
    while (replayer->acknowledged + replayer->failed < count && replayer->failed == 0 && clock_monotonic_ms() < deadline && !*stop)
        rd_kafka_poll(replayer->kafka, POLL_MS);
    if (replayer->failed > 0)
        return error_set(error, ERROR_KAFKA, "send %zu records again: %s", count, rd_kafka_err2str(replayer->first_failure));
    if (replayer->acknowledged < count)
        return error_set(error, *stop ? ERROR_INTERRUPTED : ERROR_KAFKA, "send %zu records again: %zu were not acknowledged", count,
                         count - replayer->acknowledged);
    return 0;
}
