/* mock-kafka: librdkafka's mock cluster as a program, with a city's four topics, for trying out. Everything is in memory
 * and bounded: a partition keeps its latest 5 MB. It stamps no records: their timestamps are the sender's. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int usage(void)
{
    fprintf(stderr, "Usage: mock-kafka CITY PARTITIONS\nPrints `brokers HOST:PORT` and serves until standard input ends or "
                    "SIGTERM comes.\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const char *const topics[] = {"headcount-changes", "unit-mergers", "page-visits", "dead-letters"};
    char *end, name[128], text[256];
    if (argc != 3)
        return usage();
    long partitions = strtol(argv[2], &end, 10);
    if (*end || partitions < 1 || partitions > 64)
        return usage();
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, NULL, text, sizeof text);
    rd_kafka_mock_cluster_t *cluster = kafka ? rd_kafka_mock_cluster_new(kafka, 1) : NULL;
    if (!cluster) {
        fprintf(stderr, "mock-kafka: can't start: %s\n", kafka ? "no mock cluster" : text);
        return 1;
    }
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        snprintf(name, sizeof name, "%s.%s", argv[1], topics[i]);
        if (rd_kafka_mock_topic_create(cluster, name, (int)partitions, 1)) {
            fprintf(stderr, "mock-kafka: can't create topic %s\n", name);
            return 1;
        }
    }
    printf("brokers %s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (read(STDIN_FILENO, text, sizeof text) > 0) /* whoever started it is there */
        ;
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(kafka);
    return 0;
}
