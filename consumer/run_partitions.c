/* The partitions of `run`: taking an assignment, meeting the logs, halts, waiting, lag. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "consumer/run_state.h"

enum { WATERMARK_TIMEOUT_MS = 10000 };

void run_halt(struct run *run, struct partition *partition, const char *text)
{
    size_t at = (size_t)(partition - run->partitions.items);
    if (text)
        snprintf(partition->reason, sizeof partition->reason, "%s", text);
    partition->state = PARTITION_HALTED;
    metrics_set(run->metrics, M_HALTED, partition->field, 1);
    if (!run->halt_logged[at])
        log_error("%s is halted: %s", partition->field, partition->reason);
    run->halt_logged[at] = true;
}

bool run_any_halted(const struct run *run)
{
    for (size_t i = 0; i < run->partitions.count; i++)
        if (run->partitions.items[i].state == PARTITION_HALTED)
            return true;
    return false;
}

void run_take_assignment(struct run *run)
{
    const struct topic_partition *parts;
    size_t count;
    source_assignment(run->source, &parts, &count);
    struct partition *items = calloc(count ? count : 1, sizeof *items);
    bool *logged = calloc(count ? count : 1, sizeof *logged);
    if (!items || !logged) {
        free(items);
        free(logged);
        return; /* tried again in the next turn */
    }
    for (size_t i = 0; i < run->partitions.count; i++) {
        metrics_remove(run->metrics, M_LAG, run->partitions.items[i].field);
        metrics_remove(run->metrics, M_HALTED, run->partitions.items[i].field);
        metrics_remove(run->metrics, M_WAITING, run->partitions.items[i].field);
    }
    struct partitions *partitions = &run->partitions;
    free(partitions->items);
    free(run->halt_logged);
    *partitions = (struct partitions){.items = items};
    run->halt_logged = logged;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].topic >= EVENT_TYPES || parts[i].partition < 0 || parts[i].partition >= PARTITIONS_MOST) {
            log_error("partition %" PRId32 " is beyond the %d that one topic may have; it is left out", parts[i].partition,
                      PARTITIONS_MOST);
            continue;
        }
        struct partition *partition = &items[partitions->count++];
        partition->type = (enum event_type)parts[i].topic;
        partition->id = parts[i].partition;
        partition->end = -1;
        partition->last = partition->read_last = LAST_RECORD_NONE;
        snprintf(partition->field, sizeof partition->field, "%s.%s/%" PRId32, run->options.common.city,
                 event_topic_suffix(partition->type), partition->id);
        partitions->index[partition->type][partition->id] = (uint16_t)partitions->count;
    }
    metrics_set(run->metrics, M_PARTITIONS, NULL, (int64_t)partitions->count);
    log_info("assigned %zu partitions", partitions->count);
    run->assigned = true;
    run->new_assignment = false;
    run->replan = true;
}

/* Ask for the log's bounds and decide. Adds to the lists when the partition may go on. */
static int plan_one(struct run *run, struct partition *partition, struct topic_partition *parts, int64_t *offsets,
                    size_t *count, struct error *error)
{
    int64_t low = 0, high = 0, start = 0;
    int result = source_watermarks(run->source, (uint8_t)partition->type, partition->id, WATERMARK_TIMEOUT_MS, &low, &high,
                                   error);
    if (result < 0) {
        partition->state = PARTITION_WAITING;
        partition->retry_at_ms = clock_monotonic_ms() + run->options.retry_ms;
        snprintf(partition->reason, sizeof partition->reason, "kafka does not tell where its log begins and ends: %s",
                 error ? error->text : "");
        log_warning("%s waits: %s", partition->field, partition->reason);
        metrics_set(run->metrics, M_WAITING, partition->field, 1);
        return 0;
    }
    metrics_set(run->metrics, M_WAITING, partition->field, 0);
    metrics_set(run->metrics, M_HALTED, partition->field, 0);
    if (partition->end < 0)
        partition->end = high;
    switch (partition_meet_log(partition, low, high, run->options.accept_log_start, &start)) {
    case PARTITION_HALT:
        run_halt(run, partition, NULL);
        return 0;
    case PARTITION_SKIP:
        result = store_skip(run->store, partition, low,
                            run->options.accept_log_start ? "accepted by --accept-log-start" : "page visits are kept for a time",
                            error);
        if (result < 0)
            return result;
        log_warning("%s: the log starts at offset %" PRId64 ", after the stored %" PRId64 "; the gap is recorded",
                    partition->field, low, partition->position);
        partition->position = partition->read_position = low;
        partition->last.offset = partition->read_last.offset = -1;
        partition->state = PARTITION_ACTIVE;
        start = low;
        break;
    case PARTITION_START:
        break;
    }
    parts[*count] = (struct topic_partition){.topic = (uint8_t)partition->type, .partition = partition->id};
    offsets[(*count)++] = start;
    return 0;
}

int run_plan(struct run *run, struct error *error)
{
    struct partitions *partitions = &run->partitions;
    int result = source_assign(run->source, NULL, NULL, 0, error);
    if (result < 0 || (result = store_positions(run->store, partitions, error)) < 0)
        return result;
    struct topic_partition *parts = calloc(partitions->count + 1, sizeof *parts);
    int64_t *offsets = calloc(partitions->count + 1, sizeof *offsets);
    size_t count = 0;
    if (!parts || !offsets)
        result = error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; result >= 0 && i < partitions->count; i++) {
        struct partition *partition = &partitions->items[i];
        if (partition->state == PARTITION_HALTED && run->halt_logged[i])
            continue;
        if (partition->state == PARTITION_WAITING && clock_monotonic_ms() < partition->retry_at_ms)
            continue;
        result = plan_one(run, partition, parts, offsets, &count, error);
    }
    if (result >= 0)
        result = source_assign(run->source, parts, offsets, count, error);
    free(parts);
    free(offsets);
    if (result >= 0)
        run->replan = false;
    return result;
}

void run_retry_waiting(struct run *run)
{
    for (size_t i = 0; i < run->partitions.count; i++) {
        struct partition *partition = &run->partitions.items[i];
        if (partition->state == PARTITION_WAITING && clock_monotonic_ms() >= partition->retry_at_ms)
            run->replan = true;
    }
}

void run_report_progress(struct run *run)
{
    int64_t now = clock_monotonic_ms();
    if (now < run->progress_at_ms || run->partitions.count == 0)
        return;
    run->progress_at_ms = now + PROGRESS_EVERY_MS;
    struct topic_partition *parts = calloc(run->partitions.count, sizeof *parts);
    int64_t *offsets = calloc(run->partitions.count, sizeof *offsets);
    for (size_t i = 0; parts && offsets && i < run->partitions.count; i++) {
        const struct partition *partition = &run->partitions.items[i];
        parts[i] = (struct topic_partition){.topic = (uint8_t)partition->type, .partition = partition->id};
        offsets[i] = partition->position;
        int64_t high = source_known_end(run->source, (uint8_t)partition->type, partition->id);
        if (high >= 0)
            metrics_set(run->metrics, M_LAG, partition->field, high > partition->position ? high - partition->position : 0);
        metrics_set(run->metrics, M_WAITING, partition->field, partition->state == PARTITION_WAITING);
    }
    if (parts && offsets)
        source_commit_offsets(run->source, parts, offsets, run->partitions.count);
    free(parts);
    free(offsets);
}
