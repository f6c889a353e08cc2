/* Seen lanes, as Redis has them. */
#include "schemas/seen_lane.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/redis.h"

char *seen_lane_key(char key[REDIS_KEY_SIZE], const char *city, const char *generation, uint32_t lane)
{
    char suffix[GENERATION_SIZE + 16];
    snprintf(suffix, sizeof suffix, "%sseen:%" PRIu32, generation, lane);
    return redis_key(key, city, suffix);
}

static int odd_reply(const char *key, struct error *error)
{
    return error_set(error, ERROR_REDIS, "key %s: Redis answered something unexpected", key);
}

int seen_lane_length(struct redis *redis, const char *key, int64_t *ret_records, struct error *error)
{
    redisReply *reply = NULL;
    int result = redis_callf(redis, &reply, error, "STRLEN %s", key);
    if (result < 0)
        return error_wrap(error, "read the length of lane %s", key);
    if (reply->type == REDIS_REPLY_INTEGER)
        *ret_records = reply->integer / SEEN_RECORD_SIZE;
    else
        result = odd_reply(key, error);
    freeReplyObject(reply);
    return result;
}

int seen_lane_lengths(struct redis *redis, const char *city, int64_t ret_records[SEEN_LANES], struct error *error)
{
    char key[REDIS_KEY_SIZE];
    int result = 0;
    for (uint32_t lane = 0; lane < SEEN_LANES && result >= 0; lane++)
        result = seen_lane_length(redis, seen_lane_key(key, city, GENERATION_LIVE, lane), &ret_records[lane], error);
    return result;
}

/* At most `count` records; fewer, or none, at the lane's end. */
static int ask(struct redis *redis, const char *key, int64_t from, int64_t count, redisReply **ret_reply, struct error *error)
{
    redisReply *reply = NULL;
    int result = redis_callf(redis, &reply, error, "GETRANGE %s %lld %lld", key, (long long)(from * SEEN_RECORD_SIZE),
                             (long long)((from + count) * SEEN_RECORD_SIZE - 1));
    if (result < 0)
        return error_wrap(error, "read lane %s", key);
    if (reply->type != REDIS_REPLY_STRING || (int64_t)reply->len > count * SEEN_RECORD_SIZE)
        result = odd_reply(key, error);
    else if (reply->len % SEEN_RECORD_SIZE != 0)
        result = error_set(error, ERROR_HALTED, "key %s: its length is not a multiple of %d bytes", key, SEEN_RECORD_SIZE);
    if (result < 0)
        freeReplyObject(reply);
    else
        *ret_reply = reply;
    return result;
}

int seen_lane_read(struct redis *redis, const char *key, struct seen_range range, seen_records_fn on_records, void *context,
                   int64_t *ret_end, struct error *error)
{
    assert(range.piece > 0);
    int64_t at = range.from;
    bool ended = false;
    while (at < range.to && !ended) {
        redisReply *reply = NULL;
        int64_t count = range.to - at < range.piece ? range.to - at : range.piece;
        int result = ask(redis, key, at, count, &reply, error);
        if (result < 0)
            return result;
        int64_t come = (int64_t)reply->len / SEEN_RECORD_SIZE;
        if (come > 0)
            result = on_records(context, (const uint8_t *)reply->str, (size_t)come, at, error);
        freeReplyObject(reply);
        if (result < 0)
            return result;
        ended = come < count;
        at += come;
    }
    if (ended && range.to != SEEN_LANE_END && !ret_end)
        return error_set(error, ERROR_REDIS, "key %s has become shorter: the state was begun anew meanwhile; read it again", key);
    if (ret_end)
        *ret_end = at;
    return 0;
}
