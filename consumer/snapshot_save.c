/* Saves a snapshot. Everything but the lanes and the streams comes from one call of the read-only Function, and so is of one moment;
 * lanes and streams only grow, so what they held at that moment is read after it, piece by piece. */
#include "consumer/snapshot_save.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "consumer/proof_state.h"
#include "consumer/store_proof.h"

enum { TRIES = 3, PROGRESS_EVERY_MS = 500, HEAD_MOST = 4096 };

struct save {
    const struct snapshot_options *options;
    const volatile sig_atomic_t *stop;
    struct proof_store *store;
    struct snapshot_writer *writer;
    struct proof_state state;
    struct snapshot_head head;
    struct buffer content; /* of the block that is being made */
    int64_t lane_total, lane_done;
    int64_t shown_ms;
};

static int put(struct save *save, enum snapshot_kind kind, struct error *error)
{
    if (buffer_failed(&save->content))
        return error_set(error, ERROR_MEMORY, "out of memory for a block of the snapshot");
    int result = snapshot_put(save->writer, kind, (struct slice){save->content.data, save->content.size}, error);
    buffer_reset(&save->content);
    if (result >= 0 && *save->stop)
        result = error_set(error, ERROR_INTERRUPTED, "stopped; there is no snapshot");
    return result;
}

static int unreadable(const struct save *save, struct slice key, struct slice fault, struct error *error)
{
    return error_set(error, ERROR_HALTED, "key {%s}:%.*s can't be saved: %.*s; citytotals-consumer rebuild mends the state",
                     save->options->common.city, SLICE_ARG(key), SLICE_ARG(fault));
}

static int64_t number_of(const struct save *save, const char *field)
{
    int64_t number = 0;
    integer_parse(proof_state_value(&save->state, "totals", field), &number);
    return number;
}

static void copy_text(char to[SNAPSHOT_TEXT_SIZE], struct slice text)
{
    snprintf(to, SNAPSHOT_TEXT_SIZE, "%.*s", text.size < SNAPSHOT_TEXT_SIZE ? (int)text.size : 0, text.data ? text.data : "");
}

static int put_head(struct save *save, struct error *error)
{
    struct snapshot_head *head = &save->head;
    *head = (struct snapshot_head){.version = number_of(save, "version"), .events = number_of(save, "events")};
    snprintf(head->city, sizeof head->city, "%s", save->options->common.city);
    copy_text(head->cluster, proof_state_value(&save->state, "meta", "cluster_id"));
    copy_text(head->epoch, proof_state_value(&save->state, "meta", "epoch"));
    copy_text(head->updated_at, proof_state_value(&save->state, "totals", "updated_at"));
    timestamp_format(save->state.now_ms, head->saved_at);
    snapshot_head_text(head, proof_state_value(&save->state, "meta", "layout"), &save->content);
    return put(save, SNAPSHOT_HEAD, error);
}

static int put_visitors(struct save *save, const struct state_hash *hash, struct slice day, struct error *error)
{
    int result = 0;
    for (size_t i = 0; i < hash->count && result >= 0;) {
        snapshot_block_name(&save->content, day);
        for (; i < hash->count && save->content.size < SNAPSHOT_CONTENT && result >= 0; i++) {
            char time[24], *end;
            struct slice score = hash->fields[i].value, visitor = hash->fields[i].field;
            snprintf(time, sizeof time, "%.*s", score.size < sizeof time ? (int)score.size : 0, score.data ? score.data : "");
            long long latest = strtoll(time, &end, 10);
            if (visitor.size != 16 || end == time || *end)
                return unreadable(save, hash->name, slice_of("a member of it is no visitor"), error);
            snapshot_block_visitor(&save->content, (const uint8_t *)visitor.data, latest);
        }
        result = put(save, SNAPSHOT_VISITORS, error);
    }
    return result;
}

static int put_pairs(struct save *save, const struct state_hash *hash, struct error *error)
{
    int result = 0;
    for (size_t i = 0; i < hash->count && result >= 0;) {
        snapshot_block_name(&save->content, hash->name);
        for (; i < hash->count && save->content.size < SNAPSHOT_CONTENT; i++)
            snapshot_block_pair(&save->content, hash->fields[i].field, hash->fields[i].value);
        result = put(save, SNAPSHOT_HASH, error);
    }
    return result;
}

static int put_string(struct save *save, const struct state_hash *hash, struct error *error)
{
    snapshot_block_name(&save->content, hash->name);
    buffer_slice_append(&save->content, hash->fields[0].value);
    return put(save, SNAPSHOT_STRING, error);
}

static int put_hashes(struct save *save, struct error *error)
{
    static const char visitors[] = "visitors:";
    const size_t prefix = sizeof visitors - 1;
    int result = 0;
    for (size_t i = 0; i < save->state.count && result >= 0; i++) {
        const struct state_hash *hash = &save->state.hashes[i];
        if (hash->fault.data)
            return unreadable(save, hash->name, hash->fault, error);
        if (hash->name.size > prefix && memcmp(hash->name.data, visitors, prefix) == 0)
            result = put_visitors(save, hash, (struct slice){hash->name.data + prefix, hash->name.size - prefix}, error);
        else if (slice_equal(hash->name, slice_of("repeats")) && hash->count == 1)
            result = put_string(save, hash, error);
        else
            result = put_pairs(save, hash, error);
    }
    return result;
}

static void show_progress(struct save *save)
{
    int64_t now_ms = clock_monotonic_ms();
    if (!isatty(STDERR_FILENO) || now_ms - save->shown_ms < PROGRESS_EVERY_MS || save->lane_total == 0)
        return;
    save->shown_ms = now_ms;
    fprintf(stderr, "\r\033[Ksnapshot save %s: %d %%", save->options->common.city, (int)(save->lane_done * 100 / save->lane_total));
    fflush(stderr);
}

static int put_lane(void *context, uint32_t lane, const uint8_t *records, size_t count, struct error *error)
{
    struct save *save = context;
    snapshot_block_lane(&save->content, lane);
    buffer_append(&save->content, records, count * SEEN_RECORD_SIZE);
    save->lane_done += (int64_t)count * SEEN_RECORD_SIZE;
    show_progress(save);
    return put(save, SNAPSHOT_LANE, error);
}

static int put_lanes(struct save *save, struct error *error)
{
    int result = 0;
    save->lane_total = save->lane_done = 0;
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++)
        save->lane_total += save->state.lane_bytes[lane];
    for (uint32_t lane = 0; lane < SEEN_LANES && result >= 0; lane++) {
        if (save->state.lane_fault[lane].data)
            return unreadable(save, slice_of("seen:*"), save->state.lane_fault[lane], error);
        result = proof_store_lane(save->store, lane, save->state.lane_bytes[lane], put_lane, save, error);
    }
    return result;
}

static int put_entry(void *context, const char *suffix, struct slice id, const struct slice *words, size_t count, struct error *error)
{
    struct save *save = context;
    snapshot_block_name(&save->content, slice_of(suffix));
    snapshot_block_name(&save->content, id);
    for (size_t i = 0; i < count; i += 2)
        snapshot_block_pair(&save->content, words[i], words[i + 1]);
    return put(save, SNAPSHOT_ENTRY, error);
}

static int put_streams(struct save *save, struct error *error)
{
    char suffix[32];
    int result = proof_store_entries(save->store, "changes", save->head.version, put_entry, save, error);
    for (unsigned lane = 0; lane < SEEN_LANES && result >= 0; lane++) {
        snprintf(suffix, sizeof suffix, "refused:%u", lane);
        result = proof_store_entries(save->store, suffix, save->head.version, put_entry, save, error);
    }
    return result;
}

/* A state that was begun anew or replaced while it was read is read again. */
static int write_moment(struct save *save, struct error *error)
{
    for (int tried = 1;; tried++) {
        bool same = false;
        proof_state_free(&save->state);
        buffer_reset(&save->content);
        int result = proof_store_state(save->store, &save->state, error);
        if (result < 0 || (tried > 1 && (result = snapshot_restart(save->writer, error)) < 0) ||
            (result = put_head(save, error)) < 0 || (result = put_hashes(save, error)) < 0 || (result = put_lanes(save, error)) < 0 ||
            (result = put_streams(save, error)) < 0 ||
            (result = proof_store_same_epoch(save->store, &save->state, &same, error)) < 0)
            return result;
        if (same)
            return snapshot_end(save->writer, error);
        if (tried == TRIES)
            return error_set(error, ERROR_REDIS, "the state of %s is begun anew again and again", save->options->common.city);
    }
}

/* What was written is read again before it takes the name: a damaged state makes no snapshot. */
static int read_back(struct save *save, struct error *error)
{
    struct snapshot_reader *reader = NULL;
    int result = snapshot_open(snapshot_part_path(save->writer), &reader, error);
    if (result >= 0)
        result = snapshot_check(reader, &save->head, error);
    snapshot_reader_free(reader);
    return result < 0 ? error_wrap(error, "the state can't be saved as it is (citytotals-consumer verify tells more)") : 0;
}

int snapshot_save(const struct snapshot_options *options, const char *path, const volatile sig_atomic_t *stop,
                  struct snapshot_head *ret_head, int64_t *ret_size, struct error *error)
{
    struct save save = {.options = options, .stop = stop, .content = BUFFER_BOUNDED(SNAPSHOT_BLOCK_MOST)};
    int result = proof_store_open(&options->common.redis, options->common.city, &save.store, error);
    if (result >= 0)
        result = snapshot_create(path, &save.writer, error);
    if (result >= 0)
        result = write_moment(&save, error);
    if (save.shown_ms > 0)
        fprintf(stderr, "\r\033[K");
    if (result >= 0 && (result = read_back(&save, error)) >= 0)
        result = snapshot_take_name(save.writer, error);
    if (result >= 0) {
        *ret_head = save.head;
        *ret_size = snapshot_size(save.writer);
    }
    snapshot_writer_free(save.writer);
    proof_state_free(&save.state);
    proof_store_close(save.store);
    buffer_free(&save.content);
    return result;
}
