/* fill: writes N distinct headcount events of 200 agencies over six years to a city's topic, as fast as Kafka takes them.
 * Their effective dates follow the log, as agencies report: most lie within days of the log's present; one in a hundred, a
 * late correction, anywhere in the six years. Each such date is a field of its own in a commit, so the share decides what
 * Redis does: `spread` draws every date from all six years, which is the worst case. */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/codec.h"

enum { AGENCIES = 200, FIRST_DATE = 16436 /* 2015-01-01 */, DATES = 2192, NEAR = 30, STRAY_ONE_IN = 100 };

static int64_t delivered, failed;

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *context)
{
    (void)kafka;
    (void)context;
    *(message->err ? &failed : &delivered) += 1;
}

/* splitmix64: the same events for the same seed. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* `present` is the day that the log has reached. */
static int32_t draw_date(uint64_t draw, int32_t present, bool spread)
{
    int32_t anywhere = (int32_t)(draw & 0xffff) % DATES, near = present - (int32_t)(draw >> 16 & 0xff) % NEAR;
    return FIRST_DATE + (spread || near < 0 || (draw >> 24 & 0xffff) % STRAY_ONE_IN == 0 ? anywhere : near);
}

static void make_event(uint64_t *random, struct event *event, char agency[32], int32_t present, bool spread)
{
    uint64_t high = next_random(random), low = next_random(random), draw = next_random(random);
    memcpy(event->event_id.bytes, &high, 8);
    memcpy(event->event_id.bytes + 8, &low, 8);
    int size = snprintf(agency, 32, "agency-%03d", (int)(draw % AGENCIES));
    event->type = EVENT_HEADCOUNT_CHANGE;
    event->agency = event->source = (struct slice){agency, (size_t)size};
    event->occurred_at_ms = INT64_C(1604000000000) + (int64_t)(draw >> 40);
    event->effective_date = draw_date(next_random(random), present, spread);
    event->headcount.sector = (enum sector)(draw >> 32 & 0xff) % SECTORS;
    event->headcount.reason = draw >> 8 & 1 ? REASON_RECRUITED : REASON_RETIRED;
    event->headcount.delta = (event->headcount.reason == REASON_RETIRED ? -1 : 1) * (int32_t)(1 + (draw >> 9 & 15));
}

int main(int argc, char **argv)
{
    char text[512], topic_name[128], agency[32];
    bool spread = argc == 5 && strcmp(argv[4], "spread") == 0;
    if (argc != 4 && !spread) {
        fprintf(stderr, "Usage: fill BROKERS CITY EVENTS [spread]\n");
        return 2;
    }
    static const char *const settings[][2] = {{"acks", "all"}, {"enable.idempotence", "true"}, {"linger.ms", "50"},
                                              {"batch.size", "900000"}, {"queue.buffering.max.messages", "500000"}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_conf_t *topic_conf = rd_kafka_topic_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], text, sizeof text);
    rd_kafka_topic_conf_set(topic_conf, "partitioner", "murmur2_random", text, sizeof text);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof text);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    snprintf(topic_name, sizeof topic_name, "%s.headcount-changes", argv[2]);
    rd_kafka_topic_t *topic = kafka ? rd_kafka_topic_new(kafka, topic_name, topic_conf) : NULL;
    struct encoder *encoder = NULL;
    struct error error = {0};
    if (!topic || encoder_new(&encoder, &error) < 0) {
        fprintf(stderr, "fill: %s%s\n", kafka ? "" : text, error.text);
        return 1;
    }
    struct buffer value = BUFFER_BOUNDED(4096);
    int64_t count = strtoll(argv[3], NULL, 10);
    uint64_t random = 42;
    for (int64_t i = 0; i < count; i++) {
        struct event event = {0};
        make_event(&random, &event, agency, (int32_t)(i * DATES / count), spread);
        buffer_reset(&value);
        if (encoder_event(encoder, &event, -1, &value, &error) < 0)
            return 1;
        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value.data, value.size, event.agency.data,
                                event.agency.size, NULL) != 0)
            rd_kafka_poll(kafka, 10);
        if (i % 1000 == 0)
            rd_kafka_poll(kafka, 0);
    }
    rd_kafka_flush(kafka, 120000);
    printf("%" PRId64 " written, %" PRId64 " failed, %zu bytes each\n", delivered, failed, value.size);
    buffer_free(&value);
    encoder_free(encoder);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(kafka);
    return delivered == count ? 0 : 1;
}
