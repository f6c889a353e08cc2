/* The hiredis driver of `snapshot load`. */
#include "consumer/store_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "consumer/store_connect.h"
#include "schemas/layout.h"

enum { CALL_TIMEOUT_MS = 60000, WORDS_MOST = 1000 };

struct load_store {
    struct redis *redis;
    char city[CITY_SIZE_MOST + 1], totals_key[REDIS_KEY_SIZE], meta_key[REDIS_KEY_SIZE], live_meta_key[REDIS_KEY_SIZE];
    struct redis_place place;
    const char *words[WORDS_MOST]; /* of one command */
    size_t sizes[WORDS_MOST];
    int count;
};

int load_store_open(const struct redis_place *place, const char *city, struct load_store **ret_store, struct error *error)
{
    struct load_store *store = calloc(1, sizeof *store);
    if (!store)
        return error_set(error, ERROR_MEMORY, "out of memory");
    store->place = *place;
    snprintf(store->city, sizeof store->city, "%s", city);
    redis_key(store->totals_key, city, "totals");
    redis_key(store->meta_key, city, GENERATION_REBUILD "meta");
    redis_key(store->live_meta_key, city, "meta");
    int result = store_connect(place, store->totals_key, true, CALL_TIMEOUT_MS, &store->redis, error);
    if (result < 0) {
        load_store_close(store);
        return result;
    }
    *ret_store = store;
    return 0;
}

struct load_store *load_store_close(struct load_store *store)
{
    if (!store)
        return NULL;
    redis_free(store->redis);
    free(store);
    return NULL;
}

static void word(struct load_store *store, struct slice text)
{
    store->words[store->count] = text.data ? text.data : "";
    store->sizes[store->count++] = text.size;
}

static void command(struct load_store *store, const char *name, const char *key)
{
    store->count = 0;
    word(store, slice_of(name));
    word(store, slice_of(key));
}

static int call(struct load_store *store, struct error *error)
{
    redisReply *reply = NULL;
    int result = redis_call(store->redis, store->count, store->words, store->sizes, &reply, error);
    if (result < 0)
        return error_wrap(error, "write %s", store->words[1]);
    freeReplyObject(reply);
    return 0;
}

int load_store_begin(struct load_store *store, struct error *error)
{
    command(store, "HSET", store->meta_key);
    word(store, slice_of("built_by"));
    word(store, slice_of("a snapshot"));
    return call(store, error);
}

/* What only the state that was saved had: its epoch, and the end of a hold. */
static bool is_left_out(const struct snapshot_block *block, struct slice field)
{
    return slice_equal(block->name, slice_of("meta")) &&
           (slice_equal(field, slice_of("epoch")) || slice_equal(field, slice_of("held_until")));
}

static int load_hash(struct load_store *store, const char *key, const struct snapshot_block *block, struct error *error)
{
    struct slice rest = block->bytes, field, value;
    int result = 0;
    command(store, "HSET", key);
    while (result >= 0 && snapshot_pair(&rest, &field, &value)) {
        if (is_left_out(block, field))
            continue;
        word(store, field);
        word(store, value);
        if (store->count < WORDS_MOST - 1)
            continue;
        result = call(store, error);
        command(store, "HSET", key);
    }
    return result >= 0 && store->count > 2 ? call(store, error) : result;
}

static int load_bytes(struct load_store *store, const char *key, const struct snapshot_block *block, struct error *error)
{
    if (block->bytes.size == 0)
        return 0;
    command(store, "APPEND", key);
    word(store, block->bytes);
    return call(store, error);
}

static int load_visitors(struct load_store *store, const char *key, const struct snapshot_block *block, struct error *error)
{
    char times[WORDS_MOST / 2][24];
    int result = 0;
    command(store, "ZADD", key);
    for (size_t at = 0; at < block->bytes.size && result >= 0; at += SNAPSHOT_VISITOR_SIZE) {
        const uint8_t *record = (const uint8_t *)block->bytes.data + at;
        char *time = times[store->count / 2 - 1];
        snprintf(time, sizeof times[0], "%" PRId64, snapshot_visitor_time(record));
        word(store, slice_of(time));
        word(store, (struct slice){(const char *)record, 16});
        if (store->count < WORDS_MOST - 1)
            continue;
        result = call(store, error);
        command(store, "ZADD", key);
    }
    return result >= 0 && store->count > 2 ? call(store, error) : result;
}

static int load_entry(struct load_store *store, const char *key, const struct snapshot_block *block, struct error *error)
{
    struct slice rest = block->bytes, field, value;
    command(store, "XADD", key);
    word(store, block->id);
    while (store->count < WORDS_MOST - 1 && snapshot_pair(&rest, &field, &value)) {
        word(store, field);
        word(store, value);
    }
    return call(store, error);
}

int load_store_block(struct load_store *store, const struct snapshot_block *block, struct error *error)
{
    char suffix[64], key[REDIS_KEY_SIZE];
    switch (block->kind) {
    case SNAPSHOT_HASH:
        snprintf(suffix, sizeof suffix, GENERATION_REBUILD "%.*s", SLICE_ARG(block->name));
        return load_hash(store, redis_key(key, store->city, suffix), block, error);
    case SNAPSHOT_LANE:
        snprintf(suffix, sizeof suffix, GENERATION_REBUILD "seen:%" PRIu32, block->lane);
        return load_bytes(store, redis_key(key, store->city, suffix), block, error);
    case SNAPSHOT_VISITORS:
        snprintf(suffix, sizeof suffix, GENERATION_REBUILD "visitors:%.*s", SLICE_ARG(block->name));
        return load_visitors(store, redis_key(key, store->city, suffix), block, error);
    case SNAPSHOT_ENTRY:
        snprintf(suffix, sizeof suffix, GENERATION_REBUILD "%.*s", SLICE_ARG(block->name));
        return load_entry(store, redis_key(key, store->city, suffix), block, error);
    case SNAPSHOT_STRING:
        snprintf(suffix, sizeof suffix, GENERATION_REBUILD "%.*s", SLICE_ARG(block->name));
        return load_bytes(store, redis_key(key, store->city, suffix), block, error);
    case SNAPSHOT_HEAD:
    case SNAPSHOT_END:
        break;
    }
    return 0;
}

int load_store_accept_cluster(struct load_store *store, const char *cluster, const char *instead_of, struct error *error)
{
    char field[192], text[192];
    snprintf(field, sizeof field, "cluster_accepted:%s", cluster);
    snprintf(text, sizeof text, "%" PRId64 " instead of %s", clock_wall_ms() / 1000, instead_of);
    command(store, "HSET", store->meta_key);
    word(store, slice_of("cluster_id"));
    word(store, slice_of(cluster));
    word(store, slice_of(field));
    word(store, slice_of(text));
    return call(store, error);
}

/* No answer does not mean that it was not done: is the live epoch the new one? */
static bool is_placed(struct load_store *store, const char *epoch)
{
    redisReply *reply = NULL;
    store->redis = redis_free(store->redis);
    if (store_connect(&store->place, store->totals_key, true, CALL_TIMEOUT_MS, &store->redis, NULL) < 0 ||
        redis_callf(store->redis, &reply, NULL, "HGET %s epoch", store->live_meta_key) < 0)
        return false;
    bool placed = reply->type == REDIS_REPLY_STRING && strcmp(reply->str, epoch) == 0;
    freeReplyObject(reply);
    return placed;
}

static int take_placed(const redisReply *reply, int64_t *ret_version, struct error *error)
{
    const char *word = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 ? reply->element[0]->str : NULL;
    const char *detail = word ? reply->element[1]->str : NULL;
    if (!word || !detail)
        return error_set(error, ERROR_REDIS, "put the snapshot in its place: Redis answered something unexpected");
    if (strcmp(word, "TAKEN") == 0)
        return error_set(error, ERROR_REFUSED,
                         "this Redis has totals of the city already (key %s): nothing was changed; give --replace to put the "
                         "snapshot in their place",
                         detail);
    if (strcmp(word, "OK") != 0)
        return error_set(error, ERROR_REDIS, "what was loaded is gone from Redis; load the snapshot again");
    *ret_version = strtoll(detail, NULL, 10);
    return 0;
}

int load_store_place(struct load_store *store, bool replace, int64_t *ret_version, struct error *error)
{
    char staged[RANDOM_TEXT_SIZE], epoch[RANDOM_TEXT_SIZE];
    redisReply *reply = NULL;
    int result = store_random_text(staged, error);
    if (result >= 0)
        result = store_random_text(epoch, error);
    if (result < 0)
        return result;
    command(store, "HSET", store->meta_key);
    word(store, slice_of("epoch"));
    word(store, slice_of(staged));
    if ((result = call(store, error)) < 0)
        return result;
    result = redis_callf(store->redis, &reply, error, "FCALL %s 1 %s %s %s %s %s", citytotals_function_place, store->totals_key,
                         GENERATION_REBUILD, staged, epoch, replace ? "replace" : "");
    if (result < 0) {
        *ret_version = -1;
        return is_placed(store, epoch) ? 0 : error_wrap(error, "put the snapshot in its place");
    }
    result = take_placed(reply, ret_version, error);
    freeReplyObject(reply);
    return result;
}
