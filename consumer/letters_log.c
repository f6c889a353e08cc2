/* Reads the dead-letter topic once, without a group. */
#include "consumer/letters_log.h"

#include <stdio.h>

#include "base/kafka_log.h"
#include "schemas/codec.h"

enum { TOPIC_SIZE = 128, ASK_MS = 5000 };

struct reading {
    letters_log_fn take;
    void *context;
    struct letters_log log;
};

static int on_record(void *context, const struct kafka_log_record *record, struct error *error)
{
    struct reading *reading = context;
    const struct letter_place place = {record->part->partition, record->offset, record->timestamp_ms};
    struct dead_letter letter;
    bool is_letter = record->value.data && dead_letter_decode(record->value, &letter);
    reading->log.count++;
    return reading->take(reading->context, is_letter ? &letter : NULL, &place, error);
}

static int read_topic(struct kafka_log *kafka, const char *topic, struct reading *reading, int64_t timeout_ms,
                      const volatile sig_atomic_t *stop, struct error *error)
{
    int partitions = 0;
    int result = kafka_partition_count(kafka_log_kafka(kafka), topic, ASK_MS, &partitions, error);
    reading->log.missing = partitions == 0;
    if (result < 0 || partitions == 0 || (result = kafka_log_add(kafka, topic, 0, timeout_ms, error)) < 0)
        return result;
    size_t count;
    const struct kafka_log_part *parts = kafka_log_parts(kafka, &count);
    for (size_t i = 0; i < count; i++)
        reading->log.shortened = reading->log.shortened || parts[i].begin > 0;
    return kafka_log_read(kafka, on_record, NULL, reading, timeout_ms, stop, error);
}

int letters_log_read(const struct common_options *common, int64_t timeout_ms, const volatile sig_atomic_t *stop,
                     letters_log_fn take, void *context, struct letters_log *ret_log, struct error *error)
{
    struct reading reading = {.take = take, .context = context};
    struct kafka_log *kafka = NULL;
    char topic[TOPIC_SIZE];
    snprintf(topic, sizeof topic, "%s." DEAD_LETTER_TOPIC_SUFFIX, common->city);
    int result = kafka_log_open(common, "citytotals-consumer", &kafka, error);
    if (result >= 0)
        result = kafka_wait(kafka_log_kafka(kafka), timeout_ms, stop, NULL, error);
    if (result >= 0)
        result = read_topic(kafka, topic, &reading, timeout_ms, stop, error);
    kafka_log_close(kafka);
    if (result >= 0)
        *ret_log = reading.log;
    return result;
}
