/* count: the reference of the fold's speed, a group consumer of the same topic that only counts. It reads as the
 * consumer does (read_committed, checked CRCs, as large answers and as long a queue), in batches, and keeps librdkafka's
 * reader awake. */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 10000, QUEUE_LOW = 40000, VERSION_WITH_BACKOFF = 0x02020000 };

static rd_kafka_t *kafka;
static rd_kafka_queue_t *queue;
static const char *topic;
static _Atomic bool stop;

static void *wake(void *context)
{
    (void)context;
    while (!stop) {
        int64_t low, high;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        if (rd_kafka_queue_length(queue) < QUEUE_LOW)
            rd_kafka_query_watermark_offsets(kafka, topic, 0, &low, &high, 1000);
    }
    return NULL;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    char text[512];
    bool keep = argc == 5 && strcmp(argv[4], "keep") == 0;
    if (argc != 4 && !keep) {
        fprintf(stderr, "Usage: count BROKERS TOPIC EVENTS [keep]\nPrints the seconds from the first record to the last. keep: freed "
                        "memory is kept, as the consumer does.\n");
        return 2;
    }
    if (keep) {
        mallopt(M_MMAP_THRESHOLD, 8 << 20);
        mallopt(M_TRIM_THRESHOLD, 64 << 20);
    }
    topic = argv[2];
    snprintf(text, sizeof text, "count-%d", (int)getpid());
    const char *const settings[][2] = {
        {"bootstrap.servers", argv[1]}, {"group.id", text}, {"auto.offset.reset", "earliest"}, {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"}, {"check.crcs", "true"}, {"queued.min.messages", "40000"},
        {"fetch.message.max.bytes", "2097152"}, {"fetch.max.bytes", "4194304"},
        {rd_kafka_version() >= VERSION_WITH_BACKOFF ? "fetch.queue.backoff.ms" : "client.id", "5"}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[512];
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], reason, sizeof reason)) {
            fprintf(stderr, "count: %s\n", reason);
            return 1;
        }
    kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    if (!kafka) {
        fprintf(stderr, "count: %s\n", reason);
        return 1;
    }
    rd_kafka_poll_set_consumer(kafka);
    queue = rd_kafka_queue_get_consumer(kafka);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    pthread_t waker;
    bool waking = rd_kafka_version() < VERSION_WITH_BACKOFF && pthread_create(&waker, NULL, wake, NULL) == 0;

    static rd_kafka_message_t *messages[BATCH];
    int64_t count = 0, most = strtoll(argv[3], NULL, 10);
    double first = 0;
    while (count < most) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 100, messages, BATCH);
        for (ssize_t i = 0; i < got; i++) {
            count += messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR;
            rd_kafka_message_destroy(messages[i]);
        }
        if (first == 0 && count > 0)
            first = now();
    }
    printf("%" PRId64 " %.3f\n", count, now() - first);
    fflush(stdout);
    stop = true;
    if (waking)
        pthread_join(waker, NULL);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(kafka);
    rd_kafka_destroy(kafka);
    return 0;
}
