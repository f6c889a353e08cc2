/* Reads and judges a city's organisational events from Kafka. */
#include "schemas/event_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/codec.h"
#include "schemas/identity.h"
#include "schemas/rules.h"

enum { TOPIC_SIZE = 128, ASK_MS = 30000, SILENCE_MS = 60000 };

struct event_log {
    struct event_log_options options;
    struct kafka_log *kafka;
    struct registry *registry;
    struct decoder *decoder;
    struct error registry_error;
    struct unit_storage units;
    /* While reading: */
    logged_event_fn on_event;
    kafka_log_progress_fn on_progress;
    void *context;
};

static bool is_stopped(void *context)
{
    const struct event_log *log = context;
    return log->options.stop && *log->options.stop;
}

static enum schema_lookup look_up(void *context, uint32_t id, const char **ret_json, size_t *ret_size)
{
    struct event_log *log = context;
    enum schema_lookup found = log->registry ? registry_find(log->registry, id, ret_json, ret_size, &log->registry_error)
                                             : SCHEMA_LOOKUP_UNKNOWN;
    if (found == SCHEMA_LOOKUP_AWAY)
        *ret_json = log->registry_error.text;
    return found;
}

int event_log_open(const struct event_log_options *options, struct event_log **ret_log, struct error *error)
{
    struct event_log *log = calloc(1, sizeof *log);
    if (!log)
        return error_set(error, ERROR_MEMORY, "out of memory");
    log->options = *options;
    int result = decoder_new(look_up, log, &log->decoder, error);
    if (result >= 0 && options->registry && options->registry->url)
        result = registry_new(options->registry, is_stopped, log, &log->registry, error);
    if (result >= 0)
        result = kafka_log_open(options->common, options->client_id, &log->kafka, error);
    if (result >= 0)
        result = kafka_wait(kafka_log_kafka(log->kafka), options->connect_timeout_ms, options->stop, NULL, error);
    for (int type = 0; type < EVENT_PAGE_VISIT && result >= 0; type++) {
        char topic[TOPIC_SIZE];
        snprintf(topic, sizeof topic, "%s.%s", options->common->city, event_topic_suffix((enum event_type)type));
        if (options->types & 1u << type)
            result = kafka_log_add(log->kafka, topic, type, ASK_MS, error);
    }
    if (result < 0) {
        event_log_close(log);
        return result;
    }
    *ret_log = log;
    return 0;
}

struct event_log *event_log_close(struct event_log *log)
{
    if (!log)
        return NULL;
    kafka_log_close(log->kafka);
    registry_free(log->registry);
    decoder_free(log->decoder);
    free(log);
    return NULL;
}

struct kafka_log_part *event_log_parts(struct event_log *log, size_t *ret_count)
{
    return kafka_log_parts(log->kafka, ret_count);
}

int32_t event_log_partition_of(struct slice agency, int count)
{
    return (int32_t)(murmur2_positive(agency) % (uint32_t)count);
}

static int on_record(void *context, const struct kafka_log_record *record, struct error *error)
{
    struct event_log *log = context;
    struct decode_failure failure = {.what = ""};
    bool away = false;
    struct logged_event logged = {.topic = record->part->topic, .partition = record->part->partition, .offset = record->offset,
                                  .timestamp_ms = record->timestamp_ms};
    logged.reason = decoder_decode(log->decoder, (enum event_type)record->part->tag, record->value, &logged.event, &log->units,
                                   &failure, &away);
    if (away)
        return error_set(error, ERROR_REGISTRY, "the schema of %s/%" PRId32 " offset %" PRId64 " is not known now: %s", logged.topic,
                         logged.partition, logged.offset, failure.what);
    logged.decoded = logged.reason == LETTER_NONE;
    if (logged.decoded)
        logged.reason = event_check(&logged.event, record->timestamp_ms, NULL);
    return log->on_event(log->context, &logged, error);
}

static void progress(void *context, int64_t done, int64_t total)
{
    struct event_log *log = context;
    if (log->on_progress)
        log->on_progress(log->context, done, total);
}

int event_log_read(struct event_log *log, logged_event_fn on_event, kafka_log_progress_fn on_progress, void *context,
                   struct error *error)
{
    log->on_event = on_event;
    log->on_progress = on_progress;
    log->context = context;
    return kafka_log_read(log->kafka, on_record, progress, log, SILENCE_MS, log->options.stop, error);
}
