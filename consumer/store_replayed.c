/* The hiredis driver of the record of replays. */
#include "consumer/store_replayed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/redis.h"
#include "schemas/layout.h"

enum { FIELD_SIZE = 256 };

struct replayed_store {
    struct redis *redis;
    char key[REDIS_KEY_SIZE];
};

int replayed_store_open(const struct redis_place *place, const char *city, struct replayed_store **ret_store, struct error *error)
{
    struct replayed_store *store = calloc(1, sizeof *store);
    if (!store)
        return error_set(error, ERROR_MEMORY, "out of memory");
    redis_key(store->key, city, "replayed");
    int result = redis_connect(&(struct redis_options){.place = *place, .route_key = store->key, .writer = true}, &store->redis, error);
    if (result < 0) {
        free(store);
        return result;
    }
    *ret_store = store;
    return 0;
}

struct replayed_store *replayed_store_close(struct replayed_store *store)
{
    if (store)
        redis_free(store->redis);
    free(store);
    return NULL;
}

static const char *field_of(const struct dead_letter *letter, char field[FIELD_SIZE])
{
    snprintf(field, FIELD_SIZE, "%.*s/%" PRId32 "/%" PRId64, SLICE_ARG(letter->topic), letter->partition, letter->offset);
    return field;
}

int replayed_store_has(struct replayed_store *store, const struct dead_letter *letter, bool *ret_has, struct error *error)
{
    char field[FIELD_SIZE];
    redisReply *reply = NULL;
    int result = redis_callf(store->redis, &reply, error, "HEXISTS %s %s", store->key, field_of(letter, field));
    if (result < 0)
        return error_wrap(error, "look up what was replayed");
    *ret_has = reply->type == REDIS_REPLY_INTEGER && reply->integer != 0;
    freeReplyObject(reply);
    return 0;
}

int replayed_store_add(struct replayed_store *store, const struct dead_letter *letter, int32_t partition, int64_t offset,
                       struct error *error)
{
    char field[FIELD_SIZE], value[96];
    redisReply *reply = NULL;
    snprintf(value, sizeof value, "%" PRId32 "/%" PRId64 " %" PRId64, partition, offset, clock_wall_ms() / 1000);
    int result = redis_callf(store->redis, &reply, error, "HSET %s %s %s", store->key, field_of(letter, field), value);
    if (result < 0)
        return error_wrap(error, "record what was replayed");
    freeReplyObject(reply);
    return 0;
}
