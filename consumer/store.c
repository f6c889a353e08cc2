/* The hiredis driver of the consumer: every call is one of the city's Functions or a read of a lane. */
#include "consumer/store.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumer/store_connect.h"
#include "schemas/seen_lane.h"

enum {
    COMMAND_TIMEOUT_MS = 10000, /* of anything but a commit, whose reply is polled for */
    LANE_PIECE = 4 * 1024 * 1024 / SEEN_RECORD_SIZE, /* records */
};

struct store {
    struct redis *redis;
    char city[CITY_SIZE_MOST + 1];
    char generation[GENERATION_SIZE];
    char epoch[EPOCH_SIZE];
    char totals_key[REDIS_KEY_SIZE];
};

static int unexpected(struct error *error, const char *what)
{
    return error_set(error, ERROR_REDIS, "%s: Redis answered something unexpected", what);
}

static const redisReply *array_find(const redisReply *array, const char *name)
{
    for (size_t i = 0; array && array->type == REDIS_REPLY_ARRAY && i + 1 < array->elements; i += 2)
        if (redis_reply_is(array->element[i], name))
            return array->element[i + 1];
    return NULL;
}

static int begin(struct store *store, const struct store_options *options, struct error *error)
{
    char epoch[RANDOM_TEXT_SIZE] = "";
    redisReply *reply = NULL;
    int result = store_random_text(epoch, error);
    if (result < 0)
        return result;
    result = redis_callf(store->redis, &reply, error, "FCALL %s 1 %s %s %s %s", citytotals_function_open, store->totals_key, epoch,
                         options->cluster_id, options->accepted_cluster ? options->accepted_cluster : "");
    if (result < 0)
        return error_wrap(error, "open the state of %s", store->city);
    struct slice stored = {0}, cluster = {0};
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        stored = redis_reply_text(reply->element[0]);
        cluster = redis_reply_text(reply->element[1]);
    }
    if (!stored.data || stored.size >= sizeof store->epoch)
        result = unexpected(error, "open the state");
    else if (!slice_equal(cluster, slice_of(options->cluster_id)))
        result = error_set(error, ERROR_HALTED,
                           "the totals of %s were folded from Kafka cluster %.*s, and this is cluster %s: give the right "
                           "--brokers, or --accept-cluster %s if the topics were moved there with their offsets (it is "
                           "recorded)",
                           store->city, SLICE_ARG(cluster), options->cluster_id, options->cluster_id);
    else
        snprintf(store->epoch, sizeof store->epoch, "%.*s", SLICE_ARG(stored));
    freeReplyObject(reply);
    return result;
}

int store_open(const struct store_options *options, struct store **ret_store, struct error *error)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return error_set(error, ERROR_MEMORY, "out of memory");
    snprintf(store->city, sizeof store->city, "%s", options->city);
    snprintf(store->generation, sizeof store->generation, "%s", options->generation ? options->generation : GENERATION_LIVE);
    char suffix[GENERATION_SIZE + 8];
    snprintf(suffix, sizeof suffix, "%stotals", store->generation);
    redis_key(store->totals_key, options->city, suffix);
    int result = store_connect(&options->place, store->totals_key, true, COMMAND_TIMEOUT_MS, &store->redis, error);
    if (result >= 0)
        result = begin(store, options, error);
    if (result < 0) {
        store_close(store);
        return result;
    }
    *ret_store = store;
    return 0;
}

struct store *store_close(struct store *store)
{
    if (store)
        redis_free(store->redis);
    free(store);
    return NULL;
}

const char *store_epoch(const struct store *store)
{
    return store->epoch;
}

int store_positions(struct store *store, struct partitions *partitions, struct error *error)
{
    redisReply *reply = NULL;
    int result = redis_callf(store->redis, &reply, error, "FCALL_RO %s 1 %s last", citytotals_function_snapshot,
                             store->totals_key);
    if (result < 0)
        return error_wrap(error, "read the stored offsets of %s", store->city);
    if (!redis_reply_is(array_find(reply, "epoch"), store->epoch)) {
        result = error_set(error, ERROR_REDIS, "the state of %s was begun anew (another epoch)", store->city);
        goto finish;
    }
    for (size_t i = 0; i < partitions->count; i++) {
        struct partition *partition = &partitions->items[i];
        struct slice offset = redis_reply_text(array_find(array_find(reply, "offsets"), partition->field));
        struct slice last = redis_reply_text(array_find(array_find(reply, "last"), partition->field));
        int64_t position = 0;
        struct last_record record = LAST_RECORD_NONE;
        if (offset.data && (!integer_parse(offset, &position) || position < 0)) {
            result = error_set(error, ERROR_HALTED, "key {%s}:offsets field %s holds \"%.*s\"; allowed: an offset, 0 or more",
                               store->city, partition->field, SLICE_ARG(offset));
            goto finish;
        }
        if (last.data && !last_record_parse(last, &record)) {
            result = error_set(error, ERROR_HALTED,
                               "key {%s}:last field %s holds \"%.*s\"; allowed: offset, timestamp, checksum, newest timestamp",
                               store->city, partition->field, SLICE_ARG(last));
            goto finish;
        }
        partition->position = partition->read_position = position;
        partition->last = record;
    }
finish:
    freeReplyObject(reply);
    return result;
}

int store_skip(struct store *store, const struct partition *partition, int64_t to, const char *why, struct error *error)
{
    redisReply *reply = NULL;
    int result = redis_callf(store->redis, &reply, error, "FCALL %s 1 %s %s %s %lld %lld %s", citytotals_function_skip,
                             store->totals_key, store->epoch, partition->field, (long long)partition->position,
                             (long long)to, why);
    if (result < 0)
        return error_wrap(error, "record the gap of %s", partition->field);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1 || !redis_reply_is(reply->element[0], "OK"))
        result = error_set(error, ERROR_REDIS, "record the gap of %s: the position was moved by somebody else",
                           partition->field);
    freeReplyObject(reply);
    return result;
}

int store_lane_length(struct store *store, uint32_t lane, int64_t *ret_records, struct error *error)
{
    char key[REDIS_KEY_SIZE];
    return seen_lane_length(store->redis, seen_lane_key(key, store->city, store->generation, lane), ret_records, error);
}

struct loading {
    struct lanes *lanes;
    uint32_t lane;
};

static int append(void *context, const uint8_t *records, size_t count, int64_t index, struct error *error)
{
    (void)index;
    const struct loading *loading = context;
    return lane_append(loading->lanes, loading->lane, records, count, error);
}

int store_load_lane(struct store *store, struct lanes *lanes, uint32_t lane, struct error *error)
{
    char key[REDIS_KEY_SIZE];
    if (!lane_is_loaded(lanes, lane) && lane_length(lanes, lane) == 0)
        lane_begin(lanes, lane);
    const struct seen_range rest = {.from = lane_length(lanes, lane), .to = SEEN_LANE_END, .piece = LANE_PIECE};
    int result = seen_lane_read(store->redis, seen_lane_key(key, store->city, store->generation, lane), rest, append,
                                &(struct loading){lanes, lane}, NULL, error);
    if (result >= 0)
        lane_loaded(lanes, lane);
    return result;
}

static int take_record(void *context, const uint8_t *records, size_t count, int64_t index, struct error *error)
{
    (void)count, (void)index, (void)error;
    memcpy(context, records, SEEN_RECORD_SIZE);
    return 0;
}

int store_read_record(struct store *store, uint32_t lane, uint32_t index, uint8_t ret_record[SEEN_RECORD_SIZE],
                      struct error *error)
{
    char key[REDIS_KEY_SIZE];
    const struct seen_range one = {.from = index, .to = (int64_t)index + 1, .piece = 1};
    return seen_lane_read(store->redis, seen_lane_key(key, store->city, store->generation, lane), one, take_record, ret_record,
                          NULL, error);
}

int store_commit_send(struct store *store, const struct arguments *arguments, struct error *error)
{
    return redis_send(store->redis, arguments->count, arguments->values, arguments->sizes, error);
}

/* STALE: lane, bytes stored, tail, … Brings the lanes up to date. */
static int take_tails(struct lanes *lanes, const redisReply *reply, struct error *error)
{
    for (size_t i = 1; i + 2 < reply->elements; i += 3) {
        int64_t lane, stored;
        struct slice tail = redis_reply_text(reply->element[i + 2]);
        if (!integer_parse(redis_reply_text(reply->element[i]), &lane) || lane < 0 || lane >= SEEN_LANES || !tail.data ||
            !integer_parse(redis_reply_text(reply->element[i + 1]), &stored) || tail.size % SEEN_RECORD_SIZE != 0)
            return unexpected(error, "commit");
        int result = lanes_take_tail(lanes, (uint32_t)lane, stored / SEEN_RECORD_SIZE, (const uint8_t *)tail.data,
                                     tail.size / SEEN_RECORD_SIZE, error);
        if (result < 0)
            return result;
    }
    return 0;
}

int store_commit_receive(struct store *store, struct lanes *lanes, int64_t wait_ms, struct commit_result *ret_result,
                         struct error *error)
{
    redisReply *reply = NULL;
    struct pollfd wait = {.fd = redis_context(store->redis)->fd, .events = POLLIN};
    /* Nothing else is outstanding, so no part of the reply can have been read ahead. */
    if (poll(&wait, 1, (int)wait_ms) <= 0) {
        *ret_result = (struct commit_result){.outcome = COMMIT_PENDING};
        return 0;
    }
    int result = redis_receive(store->redis, &reply, error);
    if (result < 0)
        return error_wrap(error, "commit");
    struct commit_result commit = {0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1)
        result = unexpected(error, "commit");
    else if (redis_reply_is(reply->element[0], "OK") && reply->elements == 3 &&
             integer_parse(redis_reply_text(reply->element[1]), &commit.version) &&
             integer_parse(redis_reply_text(reply->element[2]), &commit.late_visits))
        commit.outcome = COMMIT_OK;
    else if (redis_reply_is(reply->element[0], "STALE")) {
        commit.outcome = COMMIT_STALE;
        result = take_tails(lanes, reply, error);
    } else if (redis_reply_is(reply->element[0], "FENCED") && reply->elements == 3) {
        commit.outcome = COMMIT_FENCED;
        snprintf(commit.detail, sizeof commit.detail, "%.*s stands at %.*s", SLICE_ARG(redis_reply_text(reply->element[1])),
                 SLICE_ARG(redis_reply_text(reply->element[2])));
    } else if (redis_reply_is(reply->element[0], "HELD")) {
        commit.outcome = COMMIT_FENCED;
        snprintf(commit.detail, sizeof commit.detail, "a rebuild is about to take the state's place");
    } else if (redis_reply_is(reply->element[0], "EPOCH"))
        commit.outcome = COMMIT_EPOCH;
    else
        result = unexpected(error, "commit");
    freeReplyObject(reply);
    if (result < 0)
        return result;
    *ret_result = commit;
    return 0;
}
