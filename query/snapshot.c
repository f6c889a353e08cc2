/* Reads one consistent snapshot of a city from Redis by the read-only Function. */
#include "query/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/redis.h"
#include "query/totals.h"
#include "schemas/layout.h"

static void reply_free(void *reply)
{
    freeReplyObject(reply);
}

static int unexpected(const char *what, struct error *error)
{
    return error_set_class(error, ERROR_REDIS, ERROR_CLASS_FATAL,
                           "the snapshot Function's answer has an unexpected %s; is its library from another program?", what);
}

static int take_cells(const redisReply *reply, const char *what, struct snapshot_cells *cells, struct error *error)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0 || cells->cells)
        return unexpected(what, error);
    cells->cells = calloc(reply->elements / 2 + 1, sizeof *cells->cells);
    if (!cells->cells)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < reply->elements; i += 2) {
        if (!redis_reply_text(reply->element[i]).data || !redis_reply_text(reply->element[i + 1]).data)
            return unexpected(what, error);
        cells->cells[cells->count++] =
            (struct snapshot_cell){redis_reply_text(reply->element[i]), redis_reply_text(reply->element[i + 1])};
    }
    return 0;
}

static int take_changes(const redisReply *reply, struct snapshot *snapshot, struct error *error)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0 || snapshot->changes)
        return unexpected("changes", error);
    snapshot->changes = calloc(reply->elements / 2 + 1, sizeof *snapshot->changes);
    if (!snapshot->changes)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < reply->elements; i += 2) {
        struct snapshot_change *change = &snapshot->changes[snapshot->change_count++];
        if (!redis_reply_text(reply->element[i]).data)
            return unexpected("change", error);
        change->id = redis_reply_text(reply->element[i]);
        int result = take_cells(reply->element[i + 1], "change", &change->fields, error);
        if (result < 0)
            return result;
    }
    return 0;
}

static int take_visitors(const redisReply *reply, struct visitors *visitors, struct error *error)
{
    int64_t *const into[] = {&visitors->online, &visitors->today, &visitors->this_week, &visitors->all,
                             &visitors->today_visitors};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != sizeof into / sizeof *into)
        return unexpected("visitors", error);
    for (size_t i = 0; i < reply->elements; i++) {
        if (reply->element[i]->type != REDIS_REPLY_INTEGER)
            return unexpected("visitors", error);
        *into[i] = reply->element[i]->integer;
    }
    return 0;
}

static int take_pair(const redisReply *name, const redisReply *value, struct snapshot *snapshot, struct error *error)
{
    if (!redis_reply_text(name).data)
        return unexpected("name", error);
    struct slice called = redis_reply_text(name);
    if (slice_equal(called, slice_of("visitors")))
        return take_visitors(value, &snapshot->visitors, error);
    for (int hash = 0; hash < SNAPSHOT_HASHES; hash++)
        if (slice_equal(called, slice_of(snapshot_hash_suffix((enum snapshot_hash)hash))))
            return take_cells(value, snapshot_hash_suffix((enum snapshot_hash)hash), &snapshot->hashes[hash], error);
    if (slice_equal(called, slice_of("changes")))
        return take_changes(value, snapshot, error);
    if (slice_equal(called, slice_of("epoch")) && redis_reply_text(value).data) {
        snapshot->epoch = redis_reply_text(value);
    } else if (slice_equal(called, slice_of("now_ms"))) {
        if (!integer_parse(redis_reply_text(value), &snapshot->now_ms))
            return unexpected("now_ms", error);
    }
    return 0;
}

static int take(redisReply *reply, struct snapshot *snapshot, struct error *error)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0)
        return unexpected("shape", error);
    for (size_t i = 0; i < reply->elements; i += 2) {
        int result = take_pair(reply->element[i], reply->element[i + 1], snapshot, error);
        if (result < 0)
            return result;
    }
    if (!snapshot->epoch.data || snapshot->now_ms == 0 || !snapshot->hashes[SNAPSHOT_TOTALS].cells)
        return unexpected("lack of epoch, now_ms or totals", error);
    return 0;
}

/* Only a missing Function needs a right to load one: a user that may only read gets along where it is there. */
static int load_function(struct redis *redis, struct error *error)
{
    int result = redis_function_ensure(redis, citytotals_library_name, citytotals_library_code, error);
    if (result < 0 && (error->code == ERROR_REFUSED || strstr(error->text, "READONLY") || strstr(error->text, "NOPERM"))) {
        struct error why = *error;
        return error_set(error, ERROR_REFUSED,
                         "the read Functions of this version are not in Redis and can't be loaded here (%.300s); start "
                         "citytotals-consumer run of this version once, or give a user that may FUNCTION LOAD on the master",
                         why.text);
    }
    return result;
}

int snapshot_read(struct redis *redis, const char *city, unsigned hashes, struct snapshot *ret_snapshot,
                  struct error *error)
{
    char key[REDIS_KEY_SIZE];
    const char *argv[5 + SNAPSHOT_HASHES] = {"FCALL_RO", citytotals_function_snapshot, "1",
                                             redis_key(key, city, snapshot_hash_suffix(SNAPSHOT_TOTALS))};
    size_t sizes[5 + SNAPSHOT_HASHES];
    int argc = 4;
    for (int hash = SNAPSHOT_HASHES_ALWAYS; hash < SNAPSHOT_HASHES; hash++)
        if (hashes & 1u << hash)
            argv[argc++] = snapshot_hash_suffix((enum snapshot_hash)hash);
    if (hashes & SNAPSHOT_CHANGES)
        argv[argc++] = "changes";
    for (int i = 0; i < argc; i++)
        sizes[i] = strlen(argv[i]);

    redisReply *reply = NULL;
    struct error local = {0};
    if (!error)
        error = &local;
    int result = redis_call(redis, argc, argv, sizes, &reply, error);
    if (result < 0 && strstr(error->text, "Function not found")) {
        result = load_function(redis, error);
        if (result >= 0)
            result = redis_call(redis, argc, argv, sizes, &reply, error);
    }
    if (result < 0 && (strstr(error->text, "can't run this command") || strstr(error->text, "ACL failure"))) {
        struct error why = *error;
        result = error_set(error, ERROR_REFUSED,
                           "the Redis user's rights are too narrow; allowed: ~{%s}:* +@read +time +fcall_ro and more (%.300s)",
                           city, why.text);
    }
    if (result < 0) {
        error_wrap(error, "read the totals of %s", city);
        return result;
    }
    struct snapshot snapshot = {.reply = reply, .reply_free = reply_free};
    result = take(reply, &snapshot, error);
    if (result < 0) {
        error_wrap(error, "read the totals of %s", city);
        snapshot_free(&snapshot);
        return result;
    }
    *ret_snapshot = snapshot;
    return 0;
}
