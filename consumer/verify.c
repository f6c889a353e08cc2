/* Drives the proof: reads one moment's state from Redis, then the log exactly up to it, and prints what came out. */
#include "consumer/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/program.h"
#include "consumer/letters_log.h"
#include "consumer/proof.h"
#include "consumer/snapshot_check.h"
#include "consumer/source.h"
#include "consumer/store_proof.h"
#include "consumer/verify_report.h"

enum {
    BATCH = 10000,
    WAIT_MS = 200,
    BOUNDS_MS = 10000,
    PROGRESS_EVERY_MS = 500,
    EXIT_DIFFERENCE = 4,
    TRIES = 3, /* a state that is begun anew while it is read is read again */
    REPORT_BYTES_MOST = 64 * 1024 * 1024,
};

struct verify {
    const struct verify_options *options;
    const char *verb;
    const volatile sig_atomic_t *stop;
    struct proof_store *store;
    struct source *source;
    struct proof_state state;
    struct report report;
    struct proof *proof;
    struct partitions *partitions; /* the proof's */
    struct snapshot_reader *snapshot; /* NULL: from the log's start */
    struct snapshot_head head;
    struct report_seal seal; /* where a report is proved too */
    int64_t total, started_ms, shown_ms;
    bool whole;
};

static int read_report(struct verify *verify, struct error *error)
{
    const struct verify_options *options = verify->options;
    if (!options->report)
        return 0;
    if (options->snapshot || options->agencies.count)
        return error_set(error, ERROR_CONFIG, "a report is proved from the whole log; allowed: --report without --%s",
                         options->snapshot ? "snapshot" : "sample-agency");
    return verify_report_read(options->report, options->common.city, &verify->seal, error);
}

static int take_lane(void *context, uint32_t lane, const uint8_t *records, size_t count, struct error *error)
{
    return proof_lane(context, lane, records, count, error);
}

static int open_snapshot(struct verify *verify, struct error *error)
{
    const struct verify_options *options = verify->options;
    if (!options->snapshot)
        return 0;
    int result = snapshot_open(options->snapshot, &verify->snapshot, error);
    if (result >= 0)
        result = snapshot_check(verify->snapshot, &verify->head, error);
    if (result >= 0 && strcmp(verify->head.city, options->common.city) != 0)
        result = error_set(error, ERROR_REFUSED, "%s is of the city %s, and this is %s", options->snapshot, verify->head.city,
                           options->common.city);
    return result;
}

static int take_snapshot_block(struct verify *verify, const struct snapshot_block *block, struct error *error)
{
    struct slice rest = block->bytes, field, value;
    int32_t day;
    int result = 0;
    switch (block->kind) {
    case SNAPSHOT_HASH:
        while (result >= 0 && snapshot_pair(&rest, &field, &value))
            result = proof_base_field(verify->proof, block->name, field, value, error);
        return result;
    case SNAPSHOT_LANE:
        return proof_base_lane(verify->proof, block->lane, (const uint8_t *)rest.data, rest.size / SEEN_RECORD_SIZE, error);
    case SNAPSHOT_VISITORS:
        for (size_t at = 0; result >= 0 && at < rest.size && date_parse(block->name, &day); at += SNAPSHOT_VISITOR_SIZE)
            result = proof_base_visitor(verify->proof, day, (const uint8_t *)rest.data + at,
                                        snapshot_visitor_time((const uint8_t *)rest.data + at), error);
        return result;
    case SNAPSHOT_HEAD:
    case SNAPSHOT_ENTRY:
    case SNAPSHOT_STRING:
    case SNAPSHOT_END:
        break;
    }
    return 0;
}

static int read_snapshot(struct verify *verify, struct error *error)
{
    struct snapshot_block block = {.kind = SNAPSHOT_HEAD};
    int result = verify->snapshot ? snapshot_rewind(verify->snapshot, error) : 0;
    if (!verify->snapshot || result < 0)
        return result;
    while (result >= 0 && (result = snapshot_next(verify->snapshot, &block, error)) >= 0 && block.kind != SNAPSHOT_END)
        result = take_snapshot_block(verify, &block, error);
    if (result >= 0)
        proof_base_is(verify->proof, verify->head.version, verify->head.saved_at);
    return result;
}

static int count_partitions(struct verify *verify, int32_t counts[EVENT_TYPES], struct error *error)
{
    int result = 0;
    for (int type = 0; type < EVENT_TYPES && result >= 0; type++)
        result = source_topic_partition_count(verify->source, (enum event_type)type, &counts[type], error);
    return result;
}

/* One moment of Redis: the state and the lanes up to its lengths. */
static int read_redis(struct verify *verify, struct error *error)
{
    const struct verify_options *options = verify->options;
    int32_t counts[EVENT_TYPES] = {0};
    int counted = count_partitions(verify, counts, error);
    if (counted < 0)
        return counted;
    for (int tried = 1;; tried++) {
        verify->proof = proof_free(verify->proof);
        proof_state_free(&verify->state);
        report_free(&verify->report);
        report_init(&verify->report, options->common.city);
        int result = proof_store_state(verify->store, &verify->state, error);
        if (result >= 0)
            result = proof_new(&(struct proof_options){.city = options->common.city, .batch_most = BATCH,
                                                       .agencies = options->agencies.items,
                                                       .agency_count = options->agencies.count,
                                                       .state = &verify->state, .report = &verify->report,
                                                       .seal = options->report ? &verify->seal : NULL},
                               &verify->proof, error);
        if (result >= 0)
            result = proof_partitions(verify->proof, counts, &verify->partitions, error);
        if (result >= 0)
            result = read_snapshot(verify, error);
        for (uint32_t lane = 0; lane < SEEN_LANES && result >= 0; lane++)
            if (proof_needs_lane(verify->proof, lane) && !verify->state.lane_fault[lane].data)
                result = proof_store_lane(verify->store, lane, verify->state.lane_bytes[lane], take_lane, verify->proof, error);
        bool same = false;
        if (result >= 0)
            result = proof_store_same_epoch(verify->store, &verify->state, &same, error);
        if (result < 0 || same)
            return result;
        if (tried == TRIES)
            return error_set(error, ERROR_REDIS, "the state of %s is begun anew again and again", options->common.city);
    }
}

static int take_letter(void *context, const struct dead_letter *letter, const struct letter_place *place, struct error *error)
{
    (void)place;
    return letter ? proof_letter(context, letter, error) : 0;
}

static int read_letters(struct verify *verify, struct error *error)
{
    struct letters_log log;
    int result = letters_log_read(&verify->options->common, verify->options->connect_timeout_ms, verify->stop, take_letter,
                                  verify->proof, &log, error);
    if (result >= 0 && log.shortened)
        proof_letters_are_partial(verify->proof, "the dead-letter topic no longer begins at offset 0");
    return result;
}

static int check_cluster(struct verify *verify, struct error *error)
{
    char *cluster = NULL;
    int result = source_cluster_id(verify->source, verify->options->connect_timeout_ms, &cluster, error);
    struct slice stored = proof_state_value(&verify->state, "meta", "cluster_id");
    if (result >= 0 && !slice_equal(stored, slice_of(cluster)))
        result = error_set(error, ERROR_HALTED, "the totals of %s were folded from Kafka cluster %.*s, and this is cluster %s",
                           verify->options->common.city, SLICE_ARG(stored), cluster);
    free(cluster);
    return result;
}

/* Read every partition from its start to where Redis stands. */
static int assign_log(struct verify *verify, struct error *error)
{
    struct partitions *partitions = verify->partitions;
    int result = 0;
    struct topic_partition *parts = calloc(partitions->count + 1, sizeof *parts);
    int64_t *offsets = calloc(partitions->count + 1, sizeof *offsets);
    size_t count = 0;
    if (!parts || !offsets)
        result = error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < partitions->count && result >= 0; i++) {
        const struct partition *partition = &partitions->items[i];
        int64_t low = 0, high = 0, from, to;
        result = source_watermarks(verify->source, (uint8_t)partition->type, partition->id, BOUNDS_MS, &low, &high, error);
        if (result < 0)
            break;
        proof_meet(verify->proof, i, low, high, &from, &to);
        verify->total += to - from;
        if (from == to)
            continue;
        parts[count] = (struct topic_partition){.topic = (uint8_t)partition->type, .partition = partition->id};
        offsets[count++] = from;
    }
    if (result >= 0)
        result = source_assign(verify->source, parts, offsets, count, error);
    free(parts);
    free(offsets);
    return result;
}

static void show_progress(struct verify *verify, int64_t now_ms, bool last)
{
    if (!isatty(STDERR_FILENO) || (!last && now_ms - verify->shown_ms < PROGRESS_EVERY_MS))
        return;
    verify->shown_ms = now_ms;
    int64_t done = verify->total - proof_left(verify->proof), took_ms = now_ms - verify->started_ms;
    if (last) {
        fprintf(stderr, "\r\033[K");
        return;
    }
    fprintf(stderr, "\r\033[K%s %s: %" PRId64 " of %" PRId64 " offsets, %d %%", verify->verb, verify->options->common.city, done,
            verify->total, verify->total ? (int)(done * 100 / verify->total) : 100);
    if (done > 0 && took_ms > 0)
        fprintf(stderr, ", %" PRId64 " s left", (verify->total - done) * took_ms / done / 1000);
    fflush(stderr);
}

static int read_log(struct verify *verify, struct error *error)
{
    struct batch *batch = proof_batch(verify->proof);
    int64_t heard_ms = verify->started_ms = clock_monotonic_ms();
    int result = 0;
    while (result >= 0 && !proof_is_read(verify->proof)) {
        bool rebalanced;
        int64_t left = proof_left(verify->proof);
        ssize_t count = source_fetch(verify->source, batch->records, batch->capacity, &batch->bytes, WAIT_MS, &rebalanced);
        result = proof_take(verify->proof, count > 0 ? (size_t)count : 0, error);
        int64_t now_ms = clock_monotonic_ms();
        if (proof_left(verify->proof) < left)
            heard_ms = now_ms;
        if (result >= 0)
            result = source_fatal(verify->source, error);
        if (result >= 0 && *verify->stop)
            result = error_set(error, ERROR_INTERRUPTED, "stopped before the log was read");
        else if (result >= 0 && now_ms - heard_ms > verify->options->connect_timeout_ms)
            result = error_set(error, ERROR_KAFKA, "kafka gave nothing for %" PRId64 " ms; %" PRId64 " offsets are still to be read",
                               verify->options->connect_timeout_ms, proof_left(verify->proof));
        show_progress(verify, now_ms, false);
    }
    show_progress(verify, clock_monotonic_ms(), true);
    return result;
}

static int print_report(struct verify *verify, struct error *error)
{
    const struct proof_counts *counts = proof_counts(verify->proof);
    struct buffer out = BUFFER_BOUNDED(REPORT_BYTES_MOST);
    struct slice version = proof_state_value(&verify->state, "totals", "version");
    struct slice epoch = proof_state_value(&verify->state, "meta", "epoch");
    int64_t version_number = 0;
    for (size_t i = 0; version.data && i < version.size && version.data[i] >= '0' && version.data[i] <= '9' && i < 18; i++)
        version_number = version_number * 10 + (version.data[i] - '0');
    char read_at[TIMESTAMP_TEXT_SIZE];
    timestamp_format(verify->state.now_ms, read_at);
    bool differs = verify->report.differences.count > 0;
    int result = 0;
    bool hex_epoch = epoch.size > 0 && epoch.size < 40 && strspn(epoch.data, "0123456789abcdef") >= epoch.size;
    if (verify->options->format == VERIFY_JSON) {
        buffer_printf(&out,
                      "{\"city\":\"%s\",\"version\":%" PRId64 ",\"epoch\":\"%.*s\",\"read_at\":\"%s\",\"records\":%" PRId64
                      ",\"events\":%" PRId64 ",\"duplicates\":%" PRId64 ",\"conflicts\":%" PRId64 ",\"dead_letters\":%" PRId64
                      ",\"page_visits\":%" PRId64 ",\"reversals\":%" PRId64 ",\"sampled\":%s,\"proved\":%s,",
                      verify->options->common.city, version_number, hex_epoch ? (int)epoch.size : 0, epoch.data, read_at,
                      counts->records, counts->events, counts->duplicates, counts->conflicts, counts->letters, counts->visits,
                      counts->reversals, verify->options->agencies.count ? "true" : "false",
                      !differs && verify->whole ? "true" : "false");
        if (verify->options->report)
            result = verify_report_print(verify->proof, &verify->seal, true, &out, error);
        report_json(&verify->report, &out);
        buffer_text_append(&out, "}\n");
    } else {
        report_text(&verify->report, &out);
        if (verify->options->report)
            result = verify_report_print(verify->proof, &verify->seal, false, &out, error);
        buffer_printf(&out,
                      "%s %s at version %" PRId64 ": %" PRId64 " records read, %" PRId64 " events counted, %" PRId64
                      " repeats, %" PRId64 " dead letters, %" PRId64 " page visits: %" PRId64 " %s\n",
                      verify->verb, verify->options->common.city, version_number, counts->records, counts->events,
                      counts->duplicates, counts->letters, counts->visits, verify->report.differences.count,
                      verify->report.differences.count == 1 ? "difference" : "differences");
    }
    if (result >= 0 && (buffer_failed(&out) || verify->report.out_of_memory))
        result = error_set(error, ERROR_MEMORY, "out of memory for the report");
    else if (result >= 0 && (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout) != 0))
        result = error_set(error, ERROR_IO, "write the report to standard output");
    buffer_free(&out);
    return result;
}

int verify_city(const struct verify_options *options, const char *verb, const volatile sig_atomic_t *stop, bool *ret_differs,
                struct error *error)
{
    struct verify verify = {.options = options, .verb = verb, .stop = stop};
    int result;
    if ((result = read_report(&verify, error)) >= 0 && (result = open_snapshot(&verify, error)) >= 0 &&
        (result = source_open(&options->common, options->common.city, &verify.source, error)) >= 0 &&
        (result = source_wait(verify.source, options->connect_timeout_ms, stop, NULL, error)) >= 0 &&
        (result = proof_store_open(&options->common.redis, options->common.city, &verify.store, error)) >= 0 &&
        (result = read_redis(&verify, error)) >= 0 && (result = check_cluster(&verify, error)) >= 0 &&
        (result = read_letters(&verify, error)) >= 0 && (result = assign_log(&verify, error)) >= 0 &&
        (result = read_log(&verify, error)) >= 0 && (result = proof_finish(verify.proof, &verify.whole, error)) >= 0)
        result = print_report(&verify, error);
    if (result >= 0) {
        *ret_differs = verify.report.differences.count > 0;
        if (!*ret_differs && verify.whole && options->report && !proof_seal_is_proved(verify.proof))
            result = error_set(error, ERROR_HALTED, "the totals are proved; the report %s counted more of the log than they do", options->report);
        if (!*ret_differs && !verify.whole)
            result = error_set(error, ERROR_HALTED, "the log does not hold all events that were counted: nothing differs, but the "
                               "totals can't be proved");
    }
    source_close(verify.source);
    snapshot_reader_free(verify.snapshot);
    proof_free(verify.proof);
    proof_state_free(&verify.state);
    proof_store_close(verify.store);
    report_free(&verify.report);
    return result;
}

int consumer_verify(int argc, char **argv)
{
    struct verify_options options = {0};
    struct program_run frame;
    bool differs = false;
    int result = program_begin(&frame, &consumer_command_verify, argc, argv, &options);
    if (result > 0) {
        program_catch_stop(false);
        result = verify_city(&options, "verify", &program_stop, &differs, &frame.error);
    }
    int status = program_end(&frame, result);
    return result >= 0 && differs ? EXIT_DIFFERENCE : status;
}
