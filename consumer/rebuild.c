/* Runs the ordinary fold into keys of another generation, then swaps. Whatever happens on the way, the live state is whole:
 * the new one takes its place by one call, and a rebuild that was killed goes on where it was. */
#include "consumer/rebuild.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/program.h"
#include "consumer/day_visits.h"
#include "consumer/letters_log.h"
#include "consumer/places.h"
#include "consumer/run.h"
#include "consumer/source.h"
#include "consumer/store_rebuild.h"
#include "consumer/verify.h"
#include "schemas/layout.h"

enum {
    EXIT_DIFFERENCE = 4,
    BOUNDS_MS = 10000,
    FIRST_RECORD_MS = 30000,
    TRY_EVERY_MS = 20, /* the swap, while consumers are held */
    PROGRESS_EVERY_MS = 500,
    AHEAD_MS = 5 * 60 * 1000, /* a page visit may say to be so long after its Kafka time */
};

struct rebuild {
    const struct rebuild_options *options;
    struct rebuild_store *store;
    struct source *probe; /* for what the fold's source is not asked */
    struct places *letters;
    struct rebuild_end *ends;
    size_t end_count;
    int64_t started_ms, shown_ms, try_at_ms, held_at_ms, swapped_ms;
    int64_t first_total; /* offsets to be folded, as first seen */
    bool held, swapped, days_known;
    int64_t version;
    char first_day[DATE_TEXT_SIZE];
};

static int stopped(void)
{
    return program_stop != 0;
}

/* The letters that were written before: a rebuild adds only those that are missing. */
static int take_letter(void *context, const struct dead_letter *letter, const struct letter_place *place, struct error *error)
{
    struct rebuild *rebuild = context;
    (void)place;
    char topic[128];
    for (int type = 0; letter && type < EVENT_TYPES; type++) {
        snprintf(topic, sizeof topic, "%s.%s", rebuild->options->run.common.city, event_topic_suffix((enum event_type)type));
        if (!slice_equal(letter->topic, slice_of(topic)) || letter->partition >= PARTITIONS_MOST || letter->offset < 0 ||
            letter->offset >= INT64_C(1) << 48)
            continue;
        uint8_t *reasons = places_get(rebuild->letters, (uint8_t)type, letter->partition, letter->offset);
        if (!reasons)
            return error_set(error, ERROR_MEMORY, "out of memory for the dead letters");
        *reasons |= (uint8_t)(1u << letter->reason);
    }
    return 0;
}

static bool wants_letter(void *context, const struct dead_letter *letter)
{
    const struct rebuild *rebuild = context;
    char topic[128];
    for (int type = 0; type < EVENT_TYPES; type++) {
        snprintf(topic, sizeof topic, "%s.%s", rebuild->options->run.common.city, event_topic_suffix((enum event_type)type));
        if (slice_equal(letter->topic, slice_of(topic)))
            return !(places_find(rebuild->letters, (uint8_t)type, letter->partition, letter->offset) & 1u << letter->reason);
    }
    return true;
}

/* Kafka's time of the first record that a partition's log still has; of none: now. */
static int first_time(struct rebuild *rebuild, const struct topic_partition *part, int64_t low, int64_t high, int64_t *ret_ms,
                      struct error *error)
{
    struct source_record record;
    struct buffer bytes = {0};
    bool rebalanced;
    int64_t deadline = clock_monotonic_ms() + FIRST_RECORD_MS;
    *ret_ms = clock_wall_ms();
    int result = low < high ? source_assign(rebuild->probe, part, &low, 1, error) : 0;
    for (bool found = low >= high; result >= 0 && !found;) {
        ssize_t count = source_fetch(rebuild->probe, &record, 1, &bytes, 100, &rebalanced);
        if (count > 0) {
            found = record.kind != RECORD_ERROR;
            if (record.kind == RECORD_MESSAGE)
                *ret_ms = record.timestamp_ms;
        }
        if (!found && clock_monotonic_ms() >= deadline)
            result = error_set(error, ERROR_KAFKA, "read the first record of a page-visit partition: nothing came");
    }
    buffer_free(&bytes);
    return result;
}

/* The first day whose page visits Kafka has all of: earlier ones are carried over. */
static int find_first_day(struct rebuild *rebuild, const struct partitions *partitions, struct error *error)
{
    int64_t first = INT64_MIN;
    for (size_t i = 0; i < partitions->count; i++) {
        const struct partition *partition = &partitions->items[i];
        const struct topic_partition part = {(uint8_t)partition->type, partition->id};
        int64_t low, high, ms;
        if (partition->type != EVENT_PAGE_VISIT)
            continue;
        int result = source_watermarks(rebuild->probe, part.topic, part.partition, BOUNDS_MS, &low, &high, error);
        if (result >= 0 && low > 0)
            result = first_time(rebuild, &part, low, high, &ms, error);
        if (result < 0)
            return result;
        if (low > 0 && visits_city_day(ms + AHEAD_MS) + 1 > first)
            first = visits_city_day(ms + AHEAD_MS) + 1;
    }
    if (first != INT64_MIN) {
        date_format((int32_t)first, rebuild->first_day);
        log_info("the visits of days before %s are carried over: Kafka no longer has all of their page visits", rebuild->first_day);
    }
    rebuild->days_known = true;
    return 0;
}

static int find_ends(struct rebuild *rebuild, const struct partitions *partitions, struct error *error)
{
    struct rebuild_end *ends = realloc(rebuild->ends, (partitions->count + 1) * sizeof *ends);
    if (!ends)
        return error_set(error, ERROR_MEMORY, "out of memory");
    rebuild->ends = ends;
    rebuild->end_count = partitions->count;
    for (size_t i = 0; i < partitions->count; i++) {
        const struct partition *partition = &partitions->items[i];
        int64_t low;
        int result = source_watermarks(rebuild->probe, (uint8_t)partition->type, partition->id, BOUNDS_MS, &low, &ends[i].end, error);
        if (result < 0)
            return result;
        snprintf(ends[i].field, sizeof ends[i].field, "%s", partition->field);
    }
    return 0;
}

static void show_progress(struct rebuild *rebuild, int64_t left, int64_t now_ms)
{
    if (left > rebuild->first_total)
        rebuild->first_total = left;
    if (!isatty(STDERR_FILENO) || now_ms - rebuild->shown_ms < PROGRESS_EVERY_MS)
        return;
    rebuild->shown_ms = now_ms;
    int64_t done = rebuild->first_total - left;
    fprintf(stderr, "\r\033[Krebuild %s: %" PRId64 " of %" PRId64 " offsets", rebuild->options->run.common.city, done, rebuild->first_total);
    if (done > 0)
        fprintf(stderr, ", %" PRId64 " s left", left * (now_ms - rebuild->started_ms) / done / 1000);
    fflush(stderr);
}

/* Have the topics got more partitions than are being folded? */
static int find_added(struct rebuild *rebuild, const struct partitions *partitions, bool *ret_added, struct error *error)
{
    size_t total = 0;
    for (int type = 0; type < EVENT_TYPES; type++) {
        int32_t count = 0;
        int result = source_topic_partition_count(rebuild->probe, (enum event_type)type, &count, error);
        if (result < 0)
            return result;
        total += (size_t)(count < PARTITIONS_MOST ? count : PARTITIONS_MOST);
    }
    *ret_added = total > partitions->count;
    return 0;
}

/* The fold has reached the end that the log had: put it in the live state's place, or hold the consumers that are ahead. */
static int try_swap(struct rebuild *rebuild, const struct partitions *partitions, enum run_turn *ret_turn, struct error *error)
{
    struct rebuild_swapped swapped;
    bool added = false;
    int result = find_added(rebuild, partitions, &added, error);
    if (result >= 0 && added) {
        *ret_turn = RUN_PARTITIONS;
        return 0;
    }
    if (result >= 0 && !rebuild->days_known)
        result = find_first_day(rebuild, partitions, error);
    if (result >= 0)
        result = find_ends(rebuild, partitions, error);
    if (result >= 0)
        result = rebuild_store_swap(rebuild->store, rebuild->first_day, rebuild->ends, rebuild->end_count, &swapped, error);
    if (result < 0)
        return result;
    switch (swapped.outcome) {
    case SWAP_DONE:
        rebuild->swapped = true;
        rebuild->version = swapped.version;
        rebuild->swapped_ms = clock_monotonic_ms();
        *ret_turn = RUN_DONE;
        return 0;
    case SWAP_GONE:
        return error_set(error, ERROR_REDIS, "the rebuilt state is gone from Redis; run rebuild again");
    case SWAP_BEHIND:
        break;
    }
    int64_t now_ms = clock_monotonic_ms();
    if (rebuild->held && now_ms - rebuild->held_at_ms < REBUILD_HOLD_S * 1000)
        return 0;
    log_info("%s is ahead: consumers are held for up to %d s", swapped.behind, REBUILD_HOLD_S);
    rebuild->held = true;
    rebuild->held_at_ms = now_ms;
    return rebuild_store_hold(rebuild->store, error);
}

static int turn(void *context, const struct partitions *partitions, enum run_turn *ret_turn, struct error *error)
{
    struct rebuild *rebuild = context;
    int64_t left = 0, now_ms = clock_monotonic_ms();
    bool ready = partitions->count > 0;
    int result = rebuild_store_keep(rebuild->store, error);
    if (result < 0 && error->code == ERROR_REFUSED)
        return result;
    for (size_t i = 0; i < partitions->count; i++) {
        const struct partition *partition = &partitions->items[i];
        if (partition->state == PARTITION_HALTED)
            return error_set(error, ERROR_HALTED, "%s is halted: %s (rebuild --restart begins anew)", partition->field,
                             partition->reason);
        ready = ready && partition->state == PARTITION_ACTIVE && partition->end >= 0;
        if (partition->end > partition->position)
            left += partition->end - partition->position;
    }
    show_progress(rebuild, left, now_ms);
    if (!ready || left > 0 || now_ms < rebuild->try_at_ms)
        return 0;
    rebuild->try_at_ms = now_ms + TRY_EVERY_MS;
    struct error failure = {0};
    result = try_swap(rebuild, partitions, ret_turn, &failure);
    if (result >= 0 || failure.class == ERROR_CLASS_FATAL) {
        if (result < 0 && error)
            *error = failure;
        return result;
    }
    log_warning("%s; trying again", failure.text);
    rebuild->try_at_ms = now_ms + 1000;
    return 0;
}

/* What an earlier rebuild left is gone on with where it can be. */
static int prepare(struct rebuild *rebuild, const char *cluster_id, struct error *error)
{
    const struct rebuild_options *options = rebuild->options;
    struct rebuild_state state;
    int result = rebuild_store_look(rebuild->store, cluster_id, &state, error);
    if (result < 0)
        return result;
    if (state.live && strcmp(state.live_cluster, cluster_id) != 0 &&
        (!options->run.accept_cluster || strcmp(options->run.accept_cluster, cluster_id) != 0))
        return error_set(error, ERROR_HALTED,
                         "the totals of %s were folded from Kafka cluster %s, and this is cluster %s: give the right --brokers, "
                         "or --accept-cluster %s to put totals of this cluster in their place",
                         options->run.common.city, state.live_cluster, cluster_id, cluster_id);
    if (state.left && (options->restart || !state.left_is_usable)) {
        log_info("what an earlier rebuild left is dropped%s",
                 options->restart ? "" : ": it was made by another version or from another cluster");
        if ((result = rebuild_store_drop(rebuild->store, error)) < 0)
            return result;
    } else if (state.left) {
        log_info("going on with what an earlier rebuild left");
    }
    return rebuild_store_begin(rebuild->store, error);
}

static int rebuild_city(struct rebuild *rebuild, struct error *error)
{
    const struct rebuild_options *options = rebuild->options;
    const struct common_options *common = &options->run.common;
    struct run_options run = options->run;
    run.accept_cluster = NULL; /* for the totals whose place is taken, not for those that are made */
    const struct run_mode mode = {GENERATION_REBUILD, rebuild, turn, wants_letter};
    struct letters_log log;
    char *cluster_id = NULL;
    rebuild->started_ms = clock_monotonic_ms();
    int result = rebuild_store_open(&common->redis, common->city, &rebuild->store, error);
    if (result >= 0)
        result = rebuild_store_lock(rebuild->store, stopped, error);
    if (result >= 0 && options->abandon) {
        result = rebuild_store_drop(rebuild->store, error);
        if (result >= 0)
            log_info("what an earlier rebuild left is dropped");
        return result;
    }
    if (result < 0 || (result = source_open(common, common->city, &rebuild->probe, error)) < 0 ||
        (result = source_wait(rebuild->probe, run.connect_timeout_ms, &program_stop, NULL, error)) < 0 ||
        (result = source_cluster_id(rebuild->probe, run.connect_timeout_ms, &cluster_id, error)) < 0)
        return result;
    result = prepare(rebuild, cluster_id, error);
    free(cluster_id);
    if (result >= 0)
        result = letters_log_read(common, run.connect_timeout_ms, &program_stop, take_letter, rebuild, &log, error);
    if (result >= 0)
        result = run_in_mode(&run, &mode, &program_stop, error);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    if (result >= 0 && !rebuild->swapped)
        result = error_set(error, ERROR_INTERRUPTED, "stopped; rebuild goes on where it was when it is run again");
    if (result >= 0)
        log_info("the rebuilt state is in place, at version %" PRId64 ", after %" PRId64 " ms", rebuild->version,
                 rebuild->swapped_ms - rebuild->started_ms);
    return result;
}

int consumer_rebuild(int argc, char **argv)
{
    struct rebuild_options options = {0};
    struct rebuild rebuild = {.options = &options, .letters = places_new()};
    struct program_run frame;
    bool differs = false;
    int result = program_begin(&frame, &consumer_command_rebuild, argc, argv, &options);
    if (result > 0) {
        program_catch_stop(false);
        const struct verify_options verify = {.common = options.run.common,
                                              .connect_timeout_ms = options.run.connect_timeout_ms};
        if (!rebuild.letters)
            result = error_set(&frame.error, ERROR_MEMORY, "out of memory");
        else if (options.dry_run)
            result = verify_city(&verify, "rebuild --dry-run", &program_stop, &differs, &frame.error);
        else
            result = rebuild_city(&rebuild, &frame.error);
    }
    rebuild_store_close(rebuild.store);
    source_close(rebuild.probe);
    places_free(rebuild.letters);
    free(rebuild.ends);
    int status = program_end(&frame, result);
    return result >= 0 && differs ? EXIT_DIFFERENCE : status;
}
