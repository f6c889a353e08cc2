/* `citytotals-consumer run`: reads Kafka, folds, commits to Redis; any doubt means to drop everything, read the stored
 * offsets and go on from them. */
#include "consumer/run.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/management.h"
#include "consumer/run_state.h"

static volatile sig_atomic_t stop_signal;

static void on_signal(int signal_number)
{
    stop_signal = signal_number;
}

static void pause_ms(int64_t ms)
{
    struct timespec time = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&time, NULL); /* a signal ends it early, as it should */
}

static void set_ready(struct run *run, const char *reason)
{
    atomic_store(&run->health.reason, reason);
    atomic_store(&run->health.ready, reason == NULL);
}

static void turn(struct run *run)
{
    atomic_store(&run->health.turned_at_ms, clock_monotonic_ms());
}

/* Let go of records that are not committed; they will be read again. */
static void drop_batches(struct run *run)
{
    for (int i = 0; i < 2; i++) {
        source_release(run->batches[i]->records, run->batches[i]->count);
        run->batches[i]->count = run->batches[i]->low = run->batches[i]->high = 0;
    }
    run->stale_in_a_row = 0;
    run->replan = true;
}

void run_doubt(struct run *run, const char *sentence)
{
    log_warning("%s; reading the stored offsets again", sentence);
    run->store = store_close(run->store);
    lanes_drop_all(run->lanes);
    drop_batches(run);
    metrics_add(run->metrics, M_RECONNECTS, NULL, 1);
}

/* One try to open the store; on failure the next is due after a growing pause. Fatal only while starting. */
static int open_store(struct run *run, struct error *error)
{
    if (run->store || clock_monotonic_ms() < run->connect_at_ms)
        return 0;
    int result = store_open(&(struct store_options){.url = run->options.common.redis, .city = run->options.common.city,
                                                    .cluster_id = run->cluster_id,
                                                    .accepted_cluster = run->options.accept_cluster},
                            &run->store, error);
    if (result >= 0) {
        run->connect_pause_ms = 0;
        run->replan = true;
        if (run->store_opened)
            log_info("redis is back");
        run->store_opened = true;
        return 0;
    }
    if (!run->store_opened && (error->class == ERROR_CLASS_FATAL || clock_monotonic_ms() >= run->start_deadline_ms))
        return result;
    if (run->connect_pause_ms == 0 || error->class == ERROR_CLASS_FATAL)
        log_warning("%s; trying again", error->text);
    run->connect_pause_ms = run->connect_pause_ms ? run->connect_pause_ms * 2 : 100;
    if (run->connect_pause_ms > 5000)
        run->connect_pause_ms = 5000;
    run->connect_at_ms = clock_monotonic_ms() + run->connect_pause_ms;
    set_ready(run, "redis is away");
    return 0;
}

/* What the needed lanes that are not held would take. */
static int memory_to_load(struct run *run, const bool needed[SEEN_LANES], int64_t *ret_bytes, struct error *error)
{
    int64_t bytes = 0;
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++) {
        int64_t records = 0;
        if (!needed[lane] || lane_is_loaded(run->lanes, lane))
            continue;
        int result = store_lane_length(run->store, lane, &records, error);
        if (result < 0)
            return result;
        bytes += lane_memory_of(records);
    }
    *ret_bytes = bytes;
    return 0;
}

/* Fill the window's lanes, look the events up, read the suspects' records, sum, write the dead letters. */
static int prepare_window(struct run *run, struct batch *batch, struct error *error)
{
    bool needed[SEEN_LANES];
    size_t lanes_most = SEEN_LANES;
    int result;
    for (;;) {
        int64_t bytes = 0;
        fold_lanes(run->fold, batch, lanes_most, needed);
        if ((result = memory_to_load(run, needed, &bytes, error)) < 0)
            return result;
        if (lanes_make_room(run->lanes, needed, bytes) || lanes_most == 1)
            break;
        lanes_most /= 2;
    }
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++) {
        if (!needed[lane] || lane_is_loaded(run->lanes, lane))
            continue;
        if ((result = store_load_lane(run->store, run->lanes, lane, error)) < 0)
            return result;
    }
    const struct suspect *suspects;
    size_t count = fold_prepare(run->fold, batch, &suspects);
    for (size_t i = 0; i < count; i++) {
        uint8_t record[SEEN_RECORD_SIZE];
        struct suspect suspect = suspects[i];
        do {
            if ((result = store_read_record(run->store, suspect.lane, suspect.index, record, error)) < 0)
                return result;
        } while (!fold_settle(run->fold, batch, &suspect, record));
    }
    if ((result = fold_sum(run->fold, batch, &run->counts, error)) < 0)
        return result;
    metrics_set(run->metrics, M_SEEN_MEMORY, NULL, lanes_memory(run->lanes));
    return 0;
}

/* All dead letters of the window, acknowledged. On failure their partitions wait and the rest goes on from what is
 * stored. */
static bool write_letters(struct run *run, struct batch *batch)
{
    enum { LETTERS_AT_ONCE = 256 };
    struct dead_letter letters[LETTERS_AT_ONCE];
    struct error error = {0};
    size_t cursor = batch->low, count;
    while ((count = fold_letters(run->fold, batch, &cursor, letters, LETTERS_AT_ONCE)) > 0) {
        if (letters_send(run->letters, letters, count, LETTERS_TIMEOUT_MS, &error) >= 0)
            continue;
        for (size_t i = batch->low; i < batch->high; i++) {
            const struct item *item = &batch->items[i];
            struct partition *partition = item->partition;
            if ((item->kind != ITEM_LETTER && !(item->kind == ITEM_EVENT && item->seen == ITEM_CONFLICT)) ||
                partition->state == PARTITION_WAITING)
                continue;
            partition->state = PARTITION_WAITING;
            partition->retry_at_ms = clock_monotonic_ms() + run->options.retry_ms;
            snprintf(partition->reason, sizeof partition->reason, "the dead letter of offset %" PRId64 " can't be written: %s",
                     batch->records[i].offset, error.text);
            log_error("%s waits: %s", partition->field, partition->reason);
        }
        drop_batches(run);
        return false;
    }
    return true;
}

static int send_window(struct run *run, struct batch *batch, struct error *error)
{
    struct arguments arguments;
    int result = fold_arguments(run->fold, batch, citytotals_function_commit, store_epoch(run->store),
                                run->visit_partitions, &arguments, error);
    return result < 0 ? result : store_commit_send(run->store, &arguments, error);
}

static void count_commit(struct run *run, const struct batch *batch, const struct commit_result *commit)
{
    int64_t folded = 0;
    for (size_t i = batch->low; i < batch->high; i++)
        folded += batch->items[i].kind != ITEM_NOTHING && batch->items[i].kind != ITEM_END;
    metrics_add(run->metrics, M_FOLDED, NULL, folded);
    metrics_add(run->metrics, M_EVENTS, NULL, run->counts.events);
    metrics_add(run->metrics, M_VISITS, NULL, run->counts.visits);
    metrics_add(run->metrics, M_LATE_VISITS, NULL, commit->late_visits);
    metrics_add(run->metrics, M_DUPLICATES, NULL, run->counts.duplicates);
    metrics_add(run->metrics, M_CONFLICTS, NULL, run->counts.conflicts);
    metrics_add(run->metrics, M_LETTERS, NULL, run->counts.letters);
    metrics_add(run->metrics, M_COMMITS, NULL, 1);
    metrics_set(run->metrics, M_VERSION, NULL, commit->version);
    if (commit->late_visits)
        log_warning("%" PRId64 " page visits of days that are final were not counted: their Kafka timestamps went back",
                    commit->late_visits);
}

/* The reply of the window in flight. False when everything was dropped. */
static bool finish_window(struct run *run, struct batch *batch)
{
    struct error error = {0};
    struct commit_result commit;
    if (store_commit_receive(run->store, run->lanes, &commit, &error) < 0) {
        run_doubt(run, error.text);
        return false;
    }
    switch (commit.outcome) {
    case COMMIT_OK:
        count_commit(run, batch, &commit);
        run->stale_in_a_row = 0;
        if (fold_committed(run->fold, batch, &error) < 0) {
            run_doubt(run, error.text);
            return false;
        }
        return true;
    case COMMIT_STALE:
        metrics_add(run->metrics, M_STALE, NULL, 1);
        run->stale_in_a_row++;
        return true;
    case COMMIT_FENCED:
        metrics_add(run->metrics, M_FENCED, NULL, 1);
        snprintf(error.text, sizeof error.text, "fenced: %s", commit.detail);
        break;
    case COMMIT_EPOCH:
        metrics_add(run->metrics, M_FENCED, NULL, 1);
        snprintf(error.text, sizeof error.text, "fenced: the state in redis was begun anew");
        break;
    }
    run_doubt(run, error.text);
    return false;
}

static void report_errors(struct run *run, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct source_record *record = &batch->records[i];
        if (record->kind != RECORD_ERROR)
            continue;
        struct partition *partition = partition_find(&run->partitions, record->topic, record->partition);
        if (partition && record->offset >= 0 && partition->state != PARTITION_HALTED) {
            run_halt(run, partition, record->error_text);
        } else {
            log_warning("kafka: %s", record->error_text ? record->error_text : "unknown error");
            run->replan = run->replan || partition;
        }
    }
    for (size_t i = 0; i < run->partitions.count; i++) {
        struct partition *partition = &run->partitions.items[i];
        if (partition->state == PARTITION_HALTED && !run->halt_logged[i]) {
            run_halt(run, partition, NULL);
            run->replan = true;
        }
    }
}

/* One turn: a window goes out, the next batch is read and decoded meanwhile, the reply comes in. */
static int step(struct run *run, struct error *error)
{
    struct batch *current = run->batches[0], *next = run->batches[1];
    bool in_flight = false;
    if (current->low < current->count) {
        size_t most = run->stale_in_a_row >= 2 ? current->count >> (run->stale_in_a_row - 1) : current->count;
        current->high = current->low + (most ? most : 1);
        if (current->high > current->count)
            current->high = current->count;
        if (prepare_window(run, current, error) < 0) {
            if (error->code == ERROR_MEMORY || error->code == ERROR_HALTED)
                return -(int)error->code;
            run_doubt(run, error->text);
            return 0;
        }
#ifndef CITYTOTALS_LETTERS_AFTER_COMMIT
        if (!write_letters(run, current))
            return 0;
#endif
        if (send_window(run, current, error) < 0) {
            run_doubt(run, error->text);
            return 0;
        }
        in_flight = true;
    }
    bool rebalanced = false;
    if (next->count == 0 && !fold_is_full(run->fold)) {
        ssize_t count = source_fetch(run->source, next->records, run->batch_most, in_flight ? 0 : IDLE_WAIT_MS, &rebalanced);
        next->count = count > 0 ? (size_t)count : 0;
        fold_decode(run->fold, &run->partitions, next);
    }
    turn(run);
    if (in_flight && !finish_window(run, current))
        return 0;
#ifdef CITYTOTALS_LETTERS_AFTER_COMMIT
    if (in_flight) {
        raise(SIGSTOP); /* a test kills it here */
        current->low = 0;
        write_letters(run, current);
        current->low = current->high;
    }
#endif
    report_errors(run, next);
    if (rebalanced || source_rebalanced(run->source)) {
        drop_batches(run);
        run->new_assignment = true;
        return 0;
    }
    if (run->replan) {
        drop_batches(run);
        return 0;
    }
    if (current->low >= current->count) {
        source_release(current->records, current->count);
        current->count = current->low = current->high = 0;
        run->batches[0] = next;
        run->batches[1] = current;
        if (fold_is_full(run->fold) && next->count == 0)
            fold_forget(run->fold);
    }
    return 0;
}

static bool reached_end(const struct run *run)
{
    if (!run->assigned || run->replan || run->new_assignment || run->batches[0]->count || run->batches[1]->count)
        return false;
    for (size_t i = 0; i < run->partitions.count; i++) {
        const struct partition *partition = &run->partitions.items[i];
        if (partition->state != PARTITION_HALTED &&
            (partition->state != PARTITION_ACTIVE || partition->position < partition->end))
            return false;
    }
    return true;
}

static int loop(struct run *run, struct error *error)
{
    while (!stop_signal) {
        turn(run);
        int result = source_fatal(run->source, error);
        if (result < 0 || (result = open_store(run, error)) < 0)
            return result;
        if (!run->store) {
            bool rebalanced = false;
            source_idle(run->source, 100, &rebalanced);
            run->new_assignment = run->new_assignment || rebalanced;
            continue;
        }
        if (run->new_assignment)
            run_take_assignment(run);
        if (run->replan && run->assigned) {
            if ((result = run_plan(run, error)) < 0) {
                if (error->code == ERROR_HALTED)
                    return result;
                run_doubt(run, error->text);
                pause_ms(100);
                continue;
            }
            set_ready(run, NULL);
        }
        if ((result = step(run, error)) < 0)
            return result;
        run_retry_waiting(run);
        run_report_progress(run);
        if (run->options.until_end && reached_end(run))
            break;
    }
    return 0;
}

static void free_run(struct run *run)
{
    for (int i = 0; i < 2; i++) {
        if (!run->batches[i])
            continue;
        source_release(run->batches[i]->records, run->batches[i]->count);
        run->batches[i]->count = 0;
    }
    run->letters = letters_close(run->letters);
    run->source = source_close(run->source);
    run->store = store_close(run->store);
    for (int i = 0; i < 2; i++)
        run->batches[i] = batch_free(run->batches[i]);
    run->fold = fold_free(run->fold);
    run->decoder = decoder_free(run->decoder);
    run->lanes = lanes_free(run->lanes);
    run->management = management_stop(run->management);
    run->metrics = metrics_free(run->metrics);
    free(run->partitions.items);
    free(run->halt_logged);
    free(run->cluster_id);
}

static int open_run(struct run *run, struct error *error)
{
    const struct run_options *options = &run->options;
    int result;
    run->start_deadline_ms = clock_monotonic_ms() + options->connect_timeout_ms;
    run->batch_most = (size_t)options->batch_events;
    run->health.stuck_after_ms = STUCK_AFTER_MS;
    turn(run);
    set_ready(run, "starting");
    run->metrics = metrics_new(consumer_metrics, CONSUMER_METRICS);
    run->lanes = lanes_new(options->seen_memory);
    run->batches[0] = batch_new(run->batch_most);
    run->batches[1] = batch_new(run->batch_most);
    if (!run->metrics || !run->lanes || !run->batches[0] || !run->batches[1])
        return error_set(error, ERROR_MEMORY, "out of memory");
    if ((result = decoder_new(NULL, NULL, &run->decoder, error)) < 0 ||
        (result = fold_new(options->common.city, run->decoder, run->lanes, run->batch_most, &run->fold, error)) < 0)
        return result;
    if (options->management &&
        (result = management_start(options->management, &run->health, run->metrics, &run->management, error)) < 0)
        return result;
    if ((result = source_open(&options->common, options->common.city, &run->source, error)) < 0 ||
        (result = source_wait(run->source, options->connect_timeout_ms, &stop_signal, error)) < 0 ||
        (result = source_cluster_id(run->source, options->connect_timeout_ms, &run->cluster_id, error)) < 0 ||
        (result = source_check_topics(run->source, error)) < 0 ||
        (result = source_topic_partition_count(run->source, EVENT_PAGE_VISIT, &run->visit_partitions, error)) < 0)
        return result;
    return letters_open(&options->common, options->common.city, &run->letters, error);
}

int consumer_run(int argc, char **argv)
{
    struct run run = {0};
    struct settings *settings = NULL;
    struct error error = {0};
    char **operands;
    int operand_count;
    bool done = false;
    int result = settings_parse(&consumer_command_run, argc, argv, &run.options, &settings, &operands, &operand_count, &done,
                                &error);
    if (result < 0 || done || (result = store_check_url(run.options.common.redis, &error)) < 0)
        goto finish;
    log_configure((enum log_level)run.options.common.log_level, (enum log_format)run.options.common.log_format);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    if ((result = open_run(&run, &error)) < 0)
        goto finish;
    /* Redis first: a wrong one is refused before the group is joined. */
    while (!stop_signal && !run.store) {
        if ((result = open_store(&run, &error)) < 0)
            goto finish;
        if (!run.store)
            pause_ms(50);
    }
    if ((result = source_subscribe(run.source, &error)) < 0)
        goto finish;
    run.replan = false;
    log_info("folding %s from kafka cluster %s into %s", run.options.common.city, run.cluster_id, "redis");
    result = loop(&run, &error);
    if (result >= 0)
        log_info("stopped; %" PRId64 " records folded", metrics_get(run.metrics, M_FOLDED, NULL));
finish:
    if (result >= 0 && !done && run.options.until_end && !stop_signal && run_any_halted(&run))
        result = error_set(&error, ERROR_HALTED, "a partition is halted");
    if (result < 0 && stop_signal && run.store_opened == false)
        result = 0;
    if (result < 0)
        log_error("%s", error.text);
    int status = result < 0 ? error_exit_status(error.code) : 0;
    free_run(&run);
    settings_free(settings);
    return status;
}
