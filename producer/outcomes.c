/* Reads from Redis what became of events. */
#include "producer/outcomes.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/redis.h"
#include "schemas/layout.h"

enum {
    PIECE_RECORDS = 16384, /* of a lane at once: Redis serves others in between */
    MISSES = 1024,         /* identities of which is remembered how far their lane was searched in vain */
    POINTS_AT_ONCE = 512,
    FIELD_SIZE = CITY_SIZE_MOST + 48,
};

struct miss {
    struct identity identity;
    int64_t records;
};

struct outcomes {
    struct redis *redis;
    char city[CITY_SIZE_MOST + 1];
    char epoch[OUTCOMES_EPOCH_SIZE]; /* of the misses */
    struct miss misses[MISSES];
};

int outcomes_open(const struct redis_place *place, const char *city, int64_t timeout_ms, struct outcomes **ret_outcomes, struct error *error)
{
    char key[REDIS_KEY_SIZE];
    struct outcomes *outcomes = calloc(1, sizeof *outcomes);
    if (!outcomes)
        return error_set(error, ERROR_MEMORY, "out of memory");
    snprintf(outcomes->city, sizeof outcomes->city, "%s", city);
    const struct redis_options options = {.place = *place,
                                          .route_key = redis_key(key, city, "totals"),
                                          .connect_timeout_ms = timeout_ms,
                                          .command_timeout_ms = timeout_ms};
    int result = redis_connect(&options, &outcomes->redis, error);
    if (result < 0) {
        free(outcomes);
        return result;
    }
    *ret_outcomes = outcomes;
    return 0;
}

struct outcomes *outcomes_close(struct outcomes *outcomes)
{
    if (!outcomes)
        return NULL;
    redis_free(outcomes->redis);
    free(outcomes);
    return NULL;
}

static int odd_reply(redisReply *reply, const char *key, struct error *error)
{
    freeReplyObject(reply);
    return error_set(error, ERROR_REDIS, "key %s holds something else than it should", key);
}

int outcomes_epoch(struct outcomes *outcomes, char ret_epoch[OUTCOMES_EPOCH_SIZE], struct error *error)
{
    char key[REDIS_KEY_SIZE];
    redisReply *reply = NULL;
    int result = redis_callf(outcomes->redis, &reply, error, "HGET %s epoch", redis_key(key, outcomes->city, "meta"));
    if (result < 0)
        return result;
    snprintf(ret_epoch, OUTCOMES_EPOCH_SIZE, "%s", reply->type == REDIS_REPLY_STRING ? reply->str : "");
    freeReplyObject(reply);
    if (strcmp(outcomes->epoch, ret_epoch) != 0) {
        memset(outcomes->misses, 0, sizeof outcomes->misses);
        snprintf(outcomes->epoch, sizeof outcomes->epoch, "%s", ret_epoch);
    }
    return 0;
}

static int behind_of_some(struct outcomes *outcomes, const struct log_point *points, size_t count, size_t *behind, struct error *error)
{
    char key[REDIS_KEY_SIZE], fields[POINTS_AT_ONCE][FIELD_SIZE];
    const char *argv[2 + POINTS_AT_ONCE] = {"HMGET", redis_key(key, outcomes->city, "offsets")};
    size_t sizes[2 + POINTS_AT_ONCE] = {5, strlen(key)};
    for (size_t i = 0; i < count; i++) {
        int size = snprintf(fields[i], FIELD_SIZE, "%s.%s/%" PRId32, outcomes->city, event_topic_suffix(points[i].type),
                            points[i].partition);
        argv[2 + i] = fields[i];
        sizes[2 + i] = (size_t)size;
    }
    redisReply *reply = NULL;
    int result = redis_call(outcomes->redis, (int)(2 + count), argv, sizes, &reply, error);
    if (result < 0)
        return result;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != count)
        return odd_reply(reply, key, error);
    for (size_t i = 0; i < count; i++) {
        const redisReply *stored = reply->element[i];
        *behind += (stored->type == REDIS_REPLY_STRING ? strtoll(stored->str, NULL, 10) : 0) < points[i].offset;
    }
    freeReplyObject(reply);
    return 0;
}

int outcomes_behind(struct outcomes *outcomes, const struct log_point *points, size_t count, size_t *ret_behind, struct error *error)
{
    size_t behind = 0;
    for (size_t at = 0; at < count; at += POINTS_AT_ONCE) {
        size_t some = count - at < POINTS_AT_ONCE ? count - at : POINTS_AT_ONCE;
        int result = behind_of_some(outcomes, points + at, some, &behind, error);
        if (result < 0)
            return result;
    }
    *ret_behind = behind;
    return 0;
}

int outcomes_lane_lengths(struct outcomes *outcomes, int64_t ret_records[SEEN_LANES], struct error *error)
{
    return seen_lane_lengths(outcomes->redis, outcomes->city, ret_records, error);
}

int outcomes_lane_read(struct outcomes *outcomes, uint32_t lane, int64_t from, int64_t to, seen_records_fn each, void *context,
                       struct error *error)
{
    char key[REDIS_KEY_SIZE];
    return seen_lane_read(outcomes->redis, seen_lane_key(key, outcomes->city, GENERATION_LIVE, lane),
                          (struct seen_range){.from = from, .to = to, .piece = PIECE_RECORDS}, each, context, NULL, error);
}

static struct miss *miss_of(struct outcomes *outcomes, const struct identity *identity)
{
    uint16_t number;
    memcpy(&number, identity->bytes, sizeof number);
    return &outcomes->misses[number % MISSES];
}

/* How many records of the lane are known to hold none of them. */
static int64_t searched(struct outcomes *outcomes, const struct identity *identities, int count)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < count; i++) {
        const struct miss *miss = miss_of(outcomes, &identities[i]);
        int64_t records = memcmp(&miss->identity, &identities[i], sizeof identities[i]) == 0 ? miss->records : 0;
        if (records < least)
            least = records;
    }
    return least;
}

struct search {
    const struct identity *identities;
    int count, found; /* its place in `identities`, or -1 */
};

static int search_in(void *context, const uint8_t *records, size_t count, int64_t index, struct error *error)
{
    (void)index, (void)error;
    struct search *search = context;
    for (size_t at = 0; at < count; at++)
        for (int i = 0; i < search->count; i++)
            if (memcmp(records + at * SEEN_RECORD_SIZE, search->identities[i].bytes, sizeof search->identities[i].bytes) == 0) {
                search->found = i;
                return 0;
            }
    return 0;
}

/* From the end backwards: what is asked for was mostly sent lately. */
int outcomes_find(struct outcomes *outcomes, uint32_t lane, const struct identity *identities, int count, int *ret_found,
                  struct error *error)
{
    char key[REDIS_KEY_SIZE];
    struct search search = {identities, count, -1};
    int64_t length = 0, from = searched(outcomes, identities, count);
    int result = seen_lane_length(outcomes->redis, seen_lane_key(key, outcomes->city, GENERATION_LIVE, lane), &length, error);
    for (int64_t to = length, start; result >= 0 && to > from && search.found < 0; to = start) {
        start = to - from < PIECE_RECORDS ? from : to - PIECE_RECORDS;
        result = outcomes_lane_read(outcomes, lane, start, to, search_in, &search, error);
    }
    if (result < 0)
        return result;
    for (int i = 0; i < count && search.found < 0; i++)
        *miss_of(outcomes, &identities[i]) = (struct miss){identities[i], length};
    *ret_found = search.found;
    return 0;
}

int outcomes_repeated(struct outcomes *outcomes, const struct identity *identity, const struct log_point *at, bool *ret_repeated,
                      int32_t *ret_partition, int64_t *ret_offset, struct error *error)
{
    char key[REDIS_KEY_SIZE];
    redisReply *reply = NULL;
    int result = redis_callf(outcomes->redis, &reply, error, "GETRANGE %s 0 -1", redis_key(key, outcomes->city, "repeats"));
    if (result < 0)
        return result;
    if (reply->type != REDIS_REPLY_STRING)
        return odd_reply(reply, key, error);
    *ret_repeated = false;
    for (size_t end = reply->len / REPEAT_RECORD_SIZE; end > 0 && !*ret_repeated; end--) {
        const char *record = reply->str + (end - 1) * REPEAT_RECORD_SIZE;
        uint64_t place[2];
        if (memcmp(record, identity->bytes, sizeof identity->bytes) != 0)
            continue;
        memcpy(place, record + sizeof identity->bytes, sizeof place);
        *ret_partition = (int32_t)be64toh(place[0]);
        *ret_offset = (int64_t)be64toh(place[1]);
        *ret_repeated = !at || (at->partition == *ret_partition && at->offset == *ret_offset);
    }
    freeReplyObject(reply);
    return 0;
}

/* An entry as Redis gives it: its id, then an array of fields and values. */
static bool refusal_of(const redisReply *entry, struct refusal *ret_refusal)
{
    *ret_refusal = (struct refusal){0};
    const struct {
        const char *name;
        struct slice *value;
    } fields[] = {{"type", &ret_refusal->type},     {"agency", &ret_refusal->agency}, {"event_id", &ret_refusal->event_id},
                  {"source", &ret_refusal->source}, {"reason", &ret_refusal->reason}, {"detail", &ret_refusal->detail},
                  {"at", &ret_refusal->at},         {"offset", &ret_refusal->offset}, {"acknowledged_at", &ret_refusal->acknowledged_at}};
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 || entry->element[1]->type != REDIS_REPLY_ARRAY)
        return false;
    ret_refusal->id = redis_reply_text(entry->element[0]);
    const redisReply *cells = entry->element[1];
    for (size_t i = 0; i + 1 < cells->elements; i += 2)
        for (size_t field = 0; field < sizeof fields / sizeof *fields; field++)
            if (slice_equal(redis_reply_text(cells->element[i]), slice_of(fields[field].name)))
                *fields[field].value = redis_reply_text(cells->element[i + 1]);
    return ret_refusal->id.data && ret_refusal->type.data && ret_refusal->agency.data && ret_refusal->reason.data && ret_refusal->at.data &&
           ret_refusal->offset.data && ret_refusal->acknowledged_at.data;
}

int outcomes_refused(struct outcomes *outcomes, uint32_t lane, const char *before, size_t most, outcomes_refusal_fn each, void *context,
                     struct error *error)
{
    char key[REDIS_KEY_SIZE], suffix[32], from[OUTCOMES_ID_SIZE + 1] = "+";
    redisReply *reply = NULL;
    snprintf(suffix, sizeof suffix, "refused:%" PRIu32, lane);
    if (before)
        snprintf(from, sizeof from, "(%s", before);
    int result = redis_callf(outcomes->redis, &reply, error, "XREVRANGE %s %s - COUNT %lld", redis_key(key, outcomes->city, suffix), from,
                             (long long)most);
    if (result < 0)
        return result;
    if (reply->type != REDIS_REPLY_ARRAY)
        return odd_reply(reply, key, error);
    for (size_t i = 0; i < reply->elements; i++) {
        struct refusal refusal;
        if (!refusal_of(reply->element[i], &refusal))
            return odd_reply(reply, key, error);
        if (!each(context, &refusal))
            break;
    }
    freeReplyObject(reply);
    return 0;
}
