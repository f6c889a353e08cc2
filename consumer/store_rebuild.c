/* The hiredis driver of a rebuild's own calls. */
#include "consumer/store_rebuild.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/settings.h"
#include "consumer/store_connect.h"
#include "schemas/layout.h"

enum { CALL_TIMEOUT_MS = 10000, ID_SIZE = RANDOM_TEXT_SIZE, KEEP_EVERY_MS = 1000, LOOK_AGAIN_MS = 200, SWAP_HEAD = 8 };

struct rebuild_store {
    struct redis *redis; /* NULL after an error, until the next call */
    struct redis_place place;
    char city[CITY_SIZE_MOST + 1];
    char totals_key[REDIS_KEY_SIZE], lock_key[REDIS_KEY_SIZE], meta_key[REDIS_KEY_SIZE], live_meta_key[REDIS_KEY_SIZE];
    char id[ID_SIZE]; /* of this rebuild: the lock's value */
    bool locked;
    int64_t kept_ms;
    char built_by[128];
};

static int connected(struct rebuild_store *store, struct error *error)
{
    if (store->redis)
        return 0;
    return store_connect(&store->place, store->totals_key, true, CALL_TIMEOUT_MS, &store->redis, error);
}

/* Any failure leaves the connection in doubt: the next call makes another. */
static int failed(struct rebuild_store *store, int result)
{
    store->redis = redis_free(store->redis);
    return result;
}

int rebuild_store_open(const struct redis_place *place, const char *city, struct rebuild_store **ret_store, struct error *error)
{
    struct rebuild_store *store = calloc(1, sizeof *store);
    if (!store)
        return error_set(error, ERROR_MEMORY, "out of memory");
    store->place = *place;
    snprintf(store->city, sizeof store->city, "%s", city);
    redis_key(store->totals_key, city, "totals");
    redis_key(store->live_meta_key, city, "meta");
    redis_key(store->lock_key, city, GENERATION_REBUILD "lock");
    redis_key(store->meta_key, city, GENERATION_REBUILD "meta");
    snprintf(store->built_by, sizeof store->built_by, "%s %s", CITYTOTALS_VERSION, citytotals_library_name);
    int result = store_random_text(store->id, error);
    if (result >= 0)
        result = connected(store, error);
    if (result < 0) {
        rebuild_store_close(store);
        return result;
    }
    *ret_store = store;
    return 0;
}

struct rebuild_store *rebuild_store_close(struct rebuild_store *store)
{
    if (!store)
        return NULL;
    redisReply *reply = NULL;
    if (store->locked && store->redis && redis_callf(store->redis, &reply, NULL, "GET %s", store->lock_key) >= 0) {
        bool ours = redis_reply_is(reply, store->id);
        freeReplyObject(reply);
        if (ours && redis_callf(store->redis, &reply, NULL, "DEL %s", store->lock_key) >= 0)
            freeReplyObject(reply);
    }
    redis_free(store->redis);
    free(store);
    return NULL;
}

/* *ret_taken, or the holder's id and what is left of its lease. */
static int try_lock(struct rebuild_store *store, bool *ret_taken, char holder[ID_SIZE], int64_t *ret_left_ms, struct error *error)
{
    redisReply *reply = NULL;
    int result = connected(store, error);
    if (result >= 0)
        result = redis_callf(store->redis, &reply, error, "SET %s %s NX PX %d", store->lock_key, store->id, REBUILD_LEASE_MS);
    if (result < 0)
        return failed(store, result);
    *ret_taken = redis_reply_is(reply, "OK");
    freeReplyObject(reply);
    if (*ret_taken) {
        store->locked = true;
        store->kept_ms = clock_monotonic_ms();
        return 0;
    }
    if ((result = redis_callf(store->redis, &reply, error, "GET %s", store->lock_key)) < 0)
        return failed(store, result);
    snprintf(holder, ID_SIZE, "%.*s", reply->type == REDIS_REPLY_STRING ? (int)reply->len : 0, reply->str ? reply->str : "");
    freeReplyObject(reply);
    if ((result = redis_callf(store->redis, &reply, error, "PTTL %s", store->lock_key)) < 0)
        return failed(store, result);
    *ret_left_ms = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);
    return 0;
}

int rebuild_store_lock(struct rebuild_store *store, int (*stopped)(void), struct error *error)
{
    char first[ID_SIZE] = "", holder[ID_SIZE];
    int64_t least_ms = INT64_MAX, left_ms = 0;
    for (;;) {
        bool taken = false;
        holder[0] = '\0';
        int result = try_lock(store, &taken, holder, &left_ms, error);
        if (result < 0 || taken)
            return result;
        /* A lease that grows again, or another holder: somebody is alive. A dead one's only runs out. */
        if ((*first && *holder && strcmp(first, holder) != 0) || (*holder && left_ms > least_ms))
            return error_set(error, ERROR_REFUSED, "another rebuild or load of %s is at work (key %s)", store->city, store->lock_key);
        if (*holder)
            memcpy(first, holder, sizeof first);
        least_ms = left_ms;
        if (stopped())
            return error_set(error, ERROR_INTERRUPTED, "stopped while waiting for another rebuild's lock");
        nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000L}, NULL);
    }
}

int rebuild_store_keep(struct rebuild_store *store, struct error *error)
{
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms - store->kept_ms < KEEP_EVERY_MS)
        return 0;
    redisReply *reply = NULL;
    int result = connected(store, error);
    if (result >= 0)
        result = redis_callf(store->redis, &reply, error, "GET %s", store->lock_key);
    if (result < 0)
        return failed(store, result);
    bool ours = redis_reply_is(reply, store->id), nobodys = reply->type == REDIS_REPLY_NIL;
    freeReplyObject(reply);
    if (!ours && !nobodys) {
        store->locked = false;
        return error_set(error, ERROR_REFUSED, "another rebuild or load of %s has begun (key %s)", store->city, store->lock_key);
    }
    result = redis_callf(store->redis, &reply, error, "SET %s %s PX %d", store->lock_key, store->id, REBUILD_LEASE_MS);
    if (result < 0)
        return failed(store, result);
    freeReplyObject(reply);
    store->kept_ms = now_ms;
    return 0;
}

int rebuild_store_look(struct rebuild_store *store, const char *cluster_id, struct rebuild_state *ret_state, struct error *error)
{
    redisReply *reply = NULL;
    struct rebuild_state state = {0};
    int result = connected(store, error);
    if (result >= 0)
        result = redis_callf(store->redis, &reply, error, "HMGET %s epoch cluster_id", store->live_meta_key);
    if (result < 0)
        return failed(store, result);
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        state.live = reply->element[0]->type == REDIS_REPLY_STRING;
        if (reply->element[1]->type == REDIS_REPLY_STRING)
            snprintf(state.live_cluster, sizeof state.live_cluster, "%s", reply->element[1]->str);
    }
    freeReplyObject(reply);
    if ((result = redis_callf(store->redis, &reply, error, "HMGET %s epoch cluster_id built_by", store->meta_key)) < 0)
        return failed(store, result);
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3) {
        bool begun = reply->element[0]->type == REDIS_REPLY_STRING;
        state.left = begun || reply->element[2]->type == REDIS_REPLY_STRING;
        state.left_is_usable = redis_reply_is(reply->element[2], store->built_by) && (!begun || redis_reply_is(reply->element[1], cluster_id));
    }
    freeReplyObject(reply);
    *ret_state = state;
    return 0;
}

int rebuild_store_drop(struct rebuild_store *store, struct error *error)
{
    redisReply *reply = NULL;
    int result = connected(store, error);
    if (result >= 0)
        result = redis_callf(store->redis, &reply, error, "FCALL %s 1 %s %s", citytotals_function_drop, store->totals_key,
                             GENERATION_REBUILD);
    if (result < 0)
        return failed(store, result);
    freeReplyObject(reply);
    return 0;
}

int rebuild_store_begin(struct rebuild_store *store, struct error *error)
{
    redisReply *reply = NULL;
    int result = connected(store, error);
    if (result >= 0)
        result = redis_callf(store->redis, &reply, error, "HSET %s built_by %s", store->meta_key, store->built_by);
    if (result < 0)
        return failed(store, result);
    freeReplyObject(reply);
    return 0;
}

int rebuild_store_hold(struct rebuild_store *store, struct error *error)
{
    redisReply *reply = NULL;
    int result = connected(store, error);
    if (result >= 0)
        result = redis_callf(store->redis, &reply, error, "FCALL %s 1 %s %d", citytotals_function_hold, store->totals_key,
                             REBUILD_HOLD_S);
    if (result < 0)
        return failed(store, result);
    freeReplyObject(reply);
    return 0;
}

static int epoch_of(struct rebuild_store *store, const char *key, char epoch[ID_SIZE + 8], struct error *error)
{
    redisReply *reply = NULL;
    int result = connected(store, error);
    if (result >= 0)
        result = redis_callf(store->redis, &reply, error, "HGET %s epoch", key);
    if (result < 0)
        return failed(store, result);
    snprintf(epoch, ID_SIZE + 8, "%s", reply->type == REDIS_REPLY_STRING ? reply->str : "");
    freeReplyObject(reply);
    return 0;
}

static int call_swap(struct rebuild_store *store, const char *epoch, const char *new_epoch, const char *first_day,
                     const struct rebuild_end *ends, size_t count, redisReply **ret_reply, struct error *error)
{
    size_t most = SWAP_HEAD + 2 * count;
    const char **argv = calloc(most, sizeof *argv);
    size_t *sizes = calloc(most, sizeof *sizes);
    char(*numbers)[24] = calloc(count + 1, sizeof *numbers);
    int argc = 0, result;
    if (!argv || !sizes || !numbers) {
        result = error_set(error, ERROR_MEMORY, "out of memory");
        goto finish;
    }
    const char *const head[SWAP_HEAD] = {"FCALL", citytotals_function_swap, "1", store->totals_key, GENERATION_REBUILD,
                                         epoch, new_epoch, first_day};
    for (; argc < SWAP_HEAD; argc++)
        argv[argc] = head[argc];
    for (size_t i = 0; i < count; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%" PRId64, ends[i].end);
        argv[argc++] = ends[i].field;
        argv[argc++] = numbers[i];
    }
    for (int i = 0; i < argc; i++)
        sizes[i] = strlen(argv[i]);
    result = redis_call(store->redis, argc, argv, sizes, ret_reply, error);
finish:
    free(argv);
    free(sizes);
    free(numbers);
    return result;
}

int rebuild_store_swap(struct rebuild_store *store, const char *first_day, const struct rebuild_end *ends, size_t count,
                       struct rebuild_swapped *ret_swapped, struct error *error)
{
    char epoch[ID_SIZE + 8], new_epoch[ID_SIZE], now[ID_SIZE + 8];
    struct rebuild_swapped swapped = {0};
    redisReply *reply = NULL;
    int result = store_random_text(new_epoch, error);
    if (result >= 0)
        result = epoch_of(store, store->meta_key, epoch, error);
    if (result < 0)
        return result;
    result = call_swap(store, epoch, new_epoch, first_day, ends, count, &reply, error);
    if (result < 0) {
        /* No answer does not mean that it was not done. */
        failed(store, result);
        if (epoch_of(store, store->live_meta_key, now, NULL) < 0 || strcmp(now, new_epoch) != 0)
            return error_wrap(error, "put the rebuilt state in its place");
        *ret_swapped = swapped;
        return 0;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1) {
        result = error_set(error, ERROR_REDIS, "swap: Redis answered something unexpected");
    } else if (redis_reply_is(reply->element[0], "OK") && reply->elements == 2) {
        swapped.version = strtoll(reply->element[1]->str, NULL, 10);
    } else if (redis_reply_is(reply->element[0], "BEHIND") && reply->elements >= 3) {
        swapped.outcome = SWAP_BEHIND;
        snprintf(swapped.behind, sizeof swapped.behind, "%s", reply->element[1]->str);
    } else {
        swapped.outcome = SWAP_GONE;
    }
    freeReplyObject(reply);
    if (result >= 0)
        *ret_swapped = swapped;
    return result;
}
