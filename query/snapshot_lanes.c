/* Reads seen lanes from Redis. */
#include "query/snapshot_lanes.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/redis.h"
#include "schemas/layout.h"

enum { PIECE_RECORDS = 40000 };

static char *lane_key(char key[REDIS_KEY_SIZE], const char *city, uint32_t lane)
{
    char suffix[32];
    snprintf(suffix, sizeof suffix, "seen:%" PRIu32, lane);
    return redis_key(key, city, suffix);
}

int snapshot_lanes_measure(struct redis *redis, const char *city, int64_t ret_records[SEEN_LANES], struct error *error)
{
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++) {
        char key[REDIS_KEY_SIZE];
        redisReply *reply = NULL;
        int result = redis_callf(redis, &reply, error, "STRLEN %s", lane_key(key, city, lane));
        if (result < 0)
            return error_wrap(error, "read the seen ids of %s", city);
        ret_records[lane] = reply->type == REDIS_REPLY_INTEGER ? reply->integer / SEEN_RECORD_SIZE : 0;
        freeReplyObject(reply);
    }
    return 0;
}

int snapshot_lane_read(struct redis *redis, const char *city, uint32_t lane, int64_t records, lane_records_fn on_records,
                       void *context, struct error *error)
{
    char key[REDIS_KEY_SIZE];
    lane_key(key, city, lane);
    for (int64_t done = 0; done < records;) {
        int64_t count = records - done < PIECE_RECORDS ? records - done : PIECE_RECORDS;
        redisReply *reply = NULL;
        int result = redis_callf(redis, &reply, error, "GETRANGE %s %lld %lld", key, (long long)(done * SEEN_RECORD_SIZE),
                                 (long long)((done + count) * SEEN_RECORD_SIZE - 1));
        if (result < 0)
            return error_wrap(error, "read the seen ids of %s", city);
        if (reply->type != REDIS_REPLY_STRING || reply->len != (size_t)count * SEEN_RECORD_SIZE)
            result = error_set(error, ERROR_REDIS, "key %s has become shorter: the state was begun anew meanwhile; run this again", key);
        else
            result = on_records(context, (const uint8_t *)reply->str, (size_t)count, error);
        freeReplyObject(reply);
        if (result < 0)
            return result;
        done += count;
    }
    return 0;
}
