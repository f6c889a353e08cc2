/* The model of Redis and of the Functions: reads the same arguments as schemas/citytotals.lua, in the same order. */
#include "tests/simulation/redis_model.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

static void append(struct bytes *bytes, const void *data, size_t size)
{
    if (size == 0)
        return;
    bytes->data = realloc(bytes->data, bytes->size + size);
    assert(bytes->data);
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void state_free(struct redis_state *state)
{
    for (int lane = 0; lane < SEEN_LANES; lane++)
        free(state->lanes[lane].data);
    map_free(&state->cells);
    map_free(&state->visitors);
    *state = (struct redis_state){0};
}

static struct redis_state state_copy(const struct redis_state *state)
{
    struct redis_state copy = *state;
    for (int lane = 0; lane < SEEN_LANES; lane++) {
        copy.lanes[lane] = (struct bytes){0};
        append(&copy.lanes[lane], state->lanes[lane].data, state->lanes[lane].size);
    }
    copy.cells = map_copy(&state->cells);
    copy.visitors = map_copy(&state->visitors);
    return copy;
}

void redis_model_free(struct redis_model *redis)
{
    state_free(&redis->state);
    for (size_t i = 0; i < redis->older_count; i++)
        state_free(&redis->older[i]);
    redis->older_count = 0;
}

void redis_model_open(struct redis_model *redis, char ret_epoch[EPOCH_SIZE])
{
    if (!redis->state.epoch[0])
        snprintf(redis->state.epoch, EPOCH_SIZE, "epoch-%" PRIu64, ++redis->epochs);
    memcpy(ret_epoch, redis->state.epoch, EPOCH_SIZE);
}

static void keep_version(struct redis_model *redis)
{
    if (redis->older_count == MODEL_VERSIONS)
        state_free(&redis->older[--redis->older_count]);
    memmove(&redis->older[1], &redis->older[0], redis->older_count * sizeof redis->older[0]);
    redis->older[0] = state_copy(&redis->state);
    redis->older_count++;
}

bool redis_model_lose_tail(struct redis_model *redis)
{
    if (redis->older_count == 0)
        return false;
    size_t back = random_below(redis->random, (uint32_t)redis->older_count);
    state_free(&redis->state);
    for (size_t i = 0; i < back; i++)
        state_free(&redis->older[i]);
    redis->state = redis->older[back];
    redis->older_count -= back + 1;
    memmove(&redis->older[0], &redis->older[back + 1], redis->older_count * sizeof redis->older[0]);
    return true;
}

void redis_model_wipe(struct redis_model *redis)
{
    redis_model_free(redis);
}

void reply_free(struct reply *reply)
{
    for (size_t i = 0; i < reply->tail_count; i++)
        free(reply->tails[i].records.data);
    reply->tail_count = 0;
}

/* --- the arguments --- */

struct arguments_reader {
    const struct arguments *arguments;
    int at;
};

static struct slice take(struct arguments_reader *reader)
{
    assert(reader->at < reader->arguments->count);
    struct slice value = {reader->arguments->values[reader->at], reader->arguments->sizes[reader->at]};
    reader->at++;
    return value;
}

static int64_t take_number(struct arguments_reader *reader)
{
    struct slice text = take(reader);
    char copy[24], *end;
    assert(text.size > 0 && text.size < sizeof copy);
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    int64_t number = strtoll(copy, &end, 10);
    assert(*end == '\0');
    return number;
}

/* "<city>.<topic>/<partition>" */
static void parse_field(const struct redis_model *redis, struct slice field, uint8_t *ret_topic, int32_t *ret_partition)
{
    for (int topic = 0; topic < EVENT_TYPES; topic++) {
        for (int partition = 0; partition < MODEL_PARTITIONS; partition++) {
            char text[PARTITION_FIELD_SIZE];
            snprintf(text, sizeof text, "%s.%s/%d", redis->city, event_topic_suffix((enum event_type)topic), partition);
            if (slice_equal(field, slice_of(text))) {
                *ret_topic = (uint8_t)topic;
                *ret_partition = partition;
                return;
            }
        }
    }
    assert(!"a partition that the model does not have");
}

/* --- the commit --- */

struct moved {
    uint8_t topic;
    int32_t partition;
    int64_t from, to;
    struct slice last;
};

static bool refuse_stale(struct redis_model *redis, uint32_t lane, size_t expected, struct reply *reply)
{
    const struct bytes *stored = &redis->state.lanes[lane];
    if (stored->size == expected || redis->without_lane_length)
        return false;
    struct tail *tail = &reply->tails[reply->tail_count++];
    *tail = (struct tail){.lane = lane, .stored = (int64_t)(stored->size / SEEN_RECORD_SIZE)};
    if (stored->size > expected) {
        size_t most = random_below(redis->random, TAIL_RECORDS_MOST + 1) * SEEN_RECORD_SIZE; /* a tail is cut at a bound */
        size_t size = stored->size - expected;
        append(&tail->records, stored->data + expected, size < most ? size : most);
    }
    return true;
}

static void add_visits(struct redis_model *redis, struct slice packed)
{
    assert(packed.size % 32 == 0);
    for (size_t at = 0; at < packed.size; at += 32) {
        const char *record = packed.data + at;
        uint64_t times[2];
        memcpy(times, record + 16, sizeof times);
        int64_t occurred = (int64_t)be64toh(times[0]), kafka = (int64_t)be64toh(times[1]);
        char day[DATE_TEXT_SIZE], suffix[32];
        date_format(date_in_city(occurred), day);
        snprintf(suffix, sizeof suffix, "visitors:%s", day);
        int64_t *latest = map_at(&redis->state.visitors, suffix, record, 4); /* the model's visitors differ in 4 letters */
        if (*latest == 0 || occurred - *latest >= 1800000) {
            ++*map_at(&redis->state.cells, "visits:by-day", day, strlen(day));
            ++*map_at(&redis->state.cells, "totals", "visits", 6);
        }
        int64_t time = occurred < kafka ? occurred : kafka;
        if (time > *latest)
            *latest = time;
    }
}

void redis_model_commit(struct redis_model *redis, const struct arguments *arguments, struct reply *ret_reply)
{
    struct redis_state *state = &redis->state;
    struct arguments_reader reader = {arguments, 4};
    struct moved moved[EVENT_TYPES * MODEL_PARTITIONS];
    *ret_reply = (struct reply){0};
    bool epoch_differs = !slice_equal(take(&reader), slice_of(state->epoch));
    take(&reader); /* updated_at */
    size_t moved_count = (size_t)take_number(&reader);
    assert(moved_count > 0 && moved_count <= sizeof moved / sizeof *moved);
    for (size_t i = 0; i < moved_count; i++) {
        parse_field(redis, take(&reader), &moved[i].topic, &moved[i].partition);
        moved[i].from = take_number(&reader);
        moved[i].to = take_number(&reader);
        moved[i].last = take(&reader);
    }
    if (epoch_differs) {
        ret_reply->commit.outcome = COMMIT_EPOCH;
        return;
    }
    for (size_t i = 0; i < moved_count && !redis->without_fence; i++) {
        int64_t stored = state->offsets[moved[i].topic][moved[i].partition];
        if (stored != moved[i].from) {
            ret_reply->commit.outcome = COMMIT_FENCED;
            snprintf(ret_reply->commit.detail, sizeof ret_reply->commit.detail, "%d/%d stands at %" PRId64, moved[i].topic,
                     moved[i].partition, stored);
            return;
        }
    }
    struct {
        uint32_t lane;
        struct slice records;
    } lanes[SEEN_LANES];
    size_t lane_count = (size_t)take_number(&reader);
    for (size_t i = 0; i < lane_count; i++) {
        lanes[i].lane = (uint32_t)take_number(&reader);
        size_t expected = (size_t)take_number(&reader);
        lanes[i].records = take(&reader);
        refuse_stale(redis, lanes[i].lane, expected, ret_reply);
    }
    if (ret_reply->tail_count > 0) {
        ret_reply->commit.outcome = COMMIT_STALE;
        return;
    }
    keep_version(redis);
    for (size_t i = 0; i < lane_count; i++)
        append(&state->lanes[lanes[i].lane], lanes[i].records.data, lanes[i].records.size);
    for (int64_t hashes = take_number(&reader); hashes > 0; hashes--) {
        struct slice name = take(&reader);
        char suffix[32];
        snprintf(suffix, sizeof suffix, "%.*s", SLICE_ARG(name));
        int64_t count = take_number(&reader);
        struct arguments_reader amounts = {arguments, reader.at + (int)count};
        for (int64_t i = 0; i < count; i++) {
            struct slice field = take(&reader);
            *map_at(&state->cells, suffix, field.data, field.size) += take_number(&amounts);
        }
        reader.at = amounts.at;
    }
    for (int64_t changes = take_number(&reader); changes > 0; changes--)
        reader.at += (int)take_number(&reader);
    for (int64_t refused = take_number(&reader); refused > 0; refused--) {
        take(&reader); /* the lane */
        reader.at += (int)take_number(&reader);
    }
    take(&reader); /* repeats */
    add_visits(redis, take(&reader));
    take(&reader);
    take(&reader);
    assert(reader.at == arguments->count);
    for (size_t i = 0; i < moved_count; i++) {
        state->offsets[moved[i].topic][moved[i].partition] = moved[i].to;
        if (moved[i].last.size > 0)
            snprintf(state->last[moved[i].topic][moved[i].partition], LAST_RECORD_TEXT_SIZE, "%.*s",
                     SLICE_ARG(moved[i].last));
    }
    redis->commits++;
    ret_reply->commit.outcome = COMMIT_OK;
    ret_reply->commit.version = ++state->version;
}

bool redis_model_skip(struct redis_model *redis, const char *epoch, uint8_t topic, int32_t partition, int64_t from, int64_t to)
{
    struct redis_state *state = &redis->state;
    if (strcmp(epoch, state->epoch) != 0 || state->offsets[topic][partition] != from)
        return false;
    keep_version(redis);
    assert(state->gap_count < GAPS_MOST);
    state->gaps[state->gap_count++] = (struct gap){topic, partition, from, to};
    state->offsets[topic][partition] = to;
    struct last_record last;
    char *text = state->last[topic][partition], changed[LAST_RECORD_TEXT_SIZE];
    if (last_record_parse(slice_of(text), &last))
        memcpy(text, last_record_format(&(struct last_record){.offset = -1, .newest_ms = last.newest_ms}, changed), sizeof changed);
    return true;
}
