/* The hiredis driver of the proof: it only reads. */
#include "consumer/store_proof.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumer/store_connect.h"
#include "schemas/seen_lane.h"

enum {
    STATE_TIMEOUT_MS = 120000, /* a state with many visitors is a large answer */
    LANE_PIECE = 4 * 1024 * 1024 / SEEN_RECORD_SIZE, /* records */
    ENTRIES_AT_ONCE = 200,
    ENTRY_ID_SIZE = 64,
    FIELDS_MOST = 128, /* strings of one entry */
};

struct proof_store {
    struct redis *redis;
    char city[CITY_SIZE_MOST + 1];
    char totals_key[REDIS_KEY_SIZE];
};

int proof_store_open(const struct redis_place *place, const char *city, struct proof_store **ret_store, struct error *error)
{
    struct proof_store *store = calloc(1, sizeof *store);
    if (!store)
        return error_set(error, ERROR_MEMORY, "out of memory");
    snprintf(store->city, sizeof store->city, "%s", city);
    redis_key(store->totals_key, city, "totals");
    int result = store_connect(place, store->totals_key, false, STATE_TIMEOUT_MS, &store->redis, error);
    if (result < 0) {
        proof_store_close(store);
        return result;
    }
    *ret_store = store;
    return 0;
}

struct proof_store *proof_store_close(struct proof_store *store)
{
    if (store)
        redis_free(store->redis);
    free(store);
    return NULL;
}

void proof_state_free(struct proof_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        free(state->hashes[i].fields);
        free(state->hashes[i].texts);
    }
    free(state->hashes);
    if (state->answer)
        freeReplyObject(state->answer);
    *state = (struct proof_state){0};
}

static bool take_lanes(const redisReply *reply, struct proof_state *state)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != SEEN_LANES)
        return false;
    for (size_t lane = 0; lane < SEEN_LANES; lane++)
        if (!integer_parse(redis_reply_text(reply->element[lane]), &state->lane_bytes[lane]))
            state->lane_fault[lane] = redis_reply_text(reply->element[lane]);
    return true;
}

/* A length of a dump, and what is left; false for the encodings that no visitor has. */
static bool take_length(struct slice *rest, size_t *ret_length)
{
    const uint8_t *at = (const uint8_t *)rest->data;
    size_t used = rest->size == 0 ? 0 : at[0] < 0x40 ? 1 : at[0] < 0x80 ? 2 : at[0] == 0x80 ? 5 : 0;
    if (used == 0 || rest->size < used)
        return false;
    if (used == 1)
        *ret_length = at[0];
    else if (used == 2)
        *ret_length = (size_t)(at[0] & 0x3F) << 8 | at[1];
    else
        *ret_length = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
    *rest = (struct slice){rest->data + used, rest->size - used};
    return true;
}

static void score_text(char text[STATE_SCORE_SIZE], const char bytes[8])
{
    uint64_t bits;
    double score;
    memcpy(&bits, bytes, sizeof bits);
    bits = le64toh(bits);
    memcpy(&score, &bits, sizeof score);
    bool whole = score > -1e15 && score < 1e15 && score == (double)(int64_t)score;
    snprintf(text, STATE_SCORE_SIZE, "%.*g", whole ? 16 : 17, score);
}

/* A sorted set as DUMP has it: a byte for its kind, its size, then a length, the member and a little-endian double each, then
 * ten bytes of version and checksum. */
static bool take_dump(struct slice dump, struct state_hash *hash)
{
    size_t count = 0, length;
    struct slice rest = {dump.data + 1, dump.size < 11 ? 0 : dump.size - 11};
    if (!take_length(&rest, &count) || count > rest.size / 9)
        return false;
    hash->fields = calloc(count + 1, sizeof *hash->fields);
    hash->texts = calloc(count + 1, sizeof *hash->texts);
    while (hash->fields && hash->texts && hash->count < count) {
        if (!take_length(&rest, &length) || length > rest.size || rest.size - length < 8)
            return false;
        char *text = hash->texts[hash->count];
        score_text(text, rest.data + length);
        hash->fields[hash->count++] = (struct state_field){{rest.data, length}, slice_of(text)};
        rest = (struct slice){rest.data + length + 8, rest.size - length - 8};
    }
    return hash->count == count && rest.size == 0;
}

static bool is_dump(struct slice name, const redisReply *reply)
{
    return name.size > 9 && memcmp(name.data, "visitors:", 9) == 0 && reply->elements == 2 && reply->element[0]->len == 0;
}

static bool take_hash(struct slice name, const redisReply *reply, struct proof_state *state)
{
    struct state_hash *hash = &state->hashes[state->count++];
    hash->name = name;
    if (redis_reply_text(reply).data) {
        hash->fault = redis_reply_text(reply);
        return true;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0)
        return false;
    if (is_dump(name, reply))
        return take_dump(redis_reply_text(reply->element[1]), hash);
    hash->fields = calloc(reply->elements / 2 + 1, sizeof *hash->fields);
    if (!hash->fields)
        return false;
    for (size_t i = 0; i < reply->elements; i += 2)
        hash->fields[hash->count++] = (struct state_field){redis_reply_text(reply->element[i]), redis_reply_text(reply->element[i + 1])};
    return true;
}

static int take_state(redisReply *reply, struct proof_state *state, struct error *error)
{
    bool ok = reply->type == REDIS_REPLY_ARRAY && reply->elements % 2 == 0;
    state->hashes = ok ? calloc(reply->elements / 2 + 1, sizeof *state->hashes) : NULL;
    for (size_t i = 0; ok && state->hashes && i < reply->elements; i += 2) {
        struct slice name = redis_reply_text(reply->element[i]);
        const redisReply *value = reply->element[i + 1];
        if (slice_equal(name, slice_of("now_ms")))
            ok = integer_parse(redis_reply_text(value), &state->now_ms);
        else if (slice_equal(name, slice_of("lanes")))
            ok = take_lanes(value, state);
        else
            ok = take_hash(name, value, state);
    }
    if (!ok || !state->hashes)
        return error_set(error, ERROR_REDIS, "read the state: Redis answered something unexpected, or memory is out");
    return 0;
}

/* A large set that holds what no visitor's set should is asked for again without DUMP. */
static int ask_state(struct proof_store *store, const char *how, struct proof_state *state, struct error *error)
{
    redisReply *reply = NULL;
    int result = redis_callf(store->redis, &reply, error, "FCALL_RO %s 1 %s %s", citytotals_function_proof, store->totals_key, how);
    if (result < 0)
        return error_wrap(error, "read the state of %s", store->city);
    state->answer = reply;
    return take_state(reply, state, error);
}

int proof_store_state(struct proof_store *store, struct proof_state *ret_state, struct error *error)
{
    struct proof_state state = {0};
    int result = ask_state(store, "", &state, error);
    if (result < 0 && state.answer) {
        proof_state_free(&state);
        result = ask_state(store, "plain", &state, error);
    }
    if (result >= 0 && !proof_state_value(&state, "meta", "epoch").data)
        result = error_set(error, ERROR_HALTED, "redis has no state of %s: there is nothing to verify or save; citytotals-consumer run "
                           "or rebuild makes it from the log", store->city);
    if (result < 0)
        proof_state_free(&state);
    else
        *ret_state = state;
    return result;
}

struct taking {
    lane_records_fn take;
    void *context;
    uint32_t lane;
};

static int take_records(void *context, const uint8_t *records, size_t count, int64_t index, struct error *error)
{
    (void)index;
    const struct taking *taking = context;
    return taking->take(taking->context, taking->lane, records, count, error);
}

int proof_store_lane(struct proof_store *store, uint32_t lane, int64_t bytes, lane_records_fn take, void *context,
                     struct error *error)
{
    char key[REDIS_KEY_SIZE];
    int64_t end; /* where it became shorter the epoch will tell, or the proof that ids are missing */
    const struct seen_range range = {.to = bytes / SEEN_RECORD_SIZE, .piece = LANE_PIECE};
    return seen_lane_read(store->redis, seen_lane_key(key, store->city, GENERATION_LIVE, lane), range, take_records,
                          &(struct taking){take, context, lane}, &end, error);
}

int proof_store_same_epoch(struct proof_store *store, const struct proof_state *state, bool *ret_same, struct error *error)
{
    char key[REDIS_KEY_SIZE];
    redisReply *reply = NULL;
    int result = redis_callf(store->redis, &reply, error, "HGET %s epoch", redis_key(key, store->city, "meta"));
    if (result < 0)
        return error_wrap(error, "read the epoch of %s", store->city);
    *ret_same = slice_equal(redis_reply_text(reply), proof_state_value(state, "meta", "epoch"));
    freeReplyObject(reply);
    return 0;
}

/* One page of a stream; `from` becomes the id after which the next begins, "" at the end. */
static int entries_page(struct proof_store *store, const char *suffix, char from[ENTRY_ID_SIZE], const char *to, entry_fn take,
                        void *context, struct error *error)
{
    char key[REDIS_KEY_SIZE];
    redisReply *reply = NULL;
    int result = redis_callf(store->redis, &reply, error, "XRANGE %s %s %s COUNT %d", redis_key(key, store->city, suffix), from, to,
                             ENTRIES_AT_ONCE);
    if (result < 0)
        return error_wrap(error, "read %s", key);
    size_t count = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
    from[0] = '\0';
    for (size_t i = 0; i < count && result >= 0; i++) {
        const redisReply *entry = reply->element[i];
        if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 || entry->element[1]->type != REDIS_REPLY_ARRAY ||
            entry->element[1]->elements > FIELDS_MOST) {
            result = error_set(error, ERROR_REDIS, "read %s: Redis answered something unexpected", key);
            break;
        }
        struct slice id = redis_reply_text(entry->element[0]), words[FIELDS_MOST];
        for (size_t j = 0; j < entry->element[1]->elements; j++)
            words[j] = redis_reply_text(entry->element[1]->element[j]);
        result = take(context, suffix, id, words, entry->element[1]->elements / 2 * 2, error);
        if (i + 1 == count && count == ENTRIES_AT_ONCE)
            snprintf(from, ENTRY_ID_SIZE, "(%.*s", (int)(id.size < 48 ? id.size : 48), id.data);
    }
    freeReplyObject(reply);
    return result;
}

int proof_store_entries(struct proof_store *store, const char *suffix, int64_t version, entry_fn take, void *context,
                        struct error *error)
{
    char from[ENTRY_ID_SIZE] = "-", to[ENTRY_ID_SIZE];
    int result = 0;
    snprintf(to, sizeof to, "%" PRId64, version); /* whatever its place in the commit */
    while (result >= 0 && from[0])
        result = entries_page(store, suffix, from, to, take, context, error);
    return result;
}
