/* Reads what a number is made of, from Redis and from Kafka. */
#include "query/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/program.h"
#include "base/redis.h"
#include "query/documents.h"
#include "schemas/event_log.h"
#include "schemas/rules.h"
#include "schemas/seen_lane.h"

enum { CONNECT_MS = 5000, COMMAND_MS = 30000, DRAW_EVERY_MS = 100, DIFFERENCE_STATUS = 4, FIELD_SIZE = 160, LANE_PIECE = 40000 };

int trace_begin(struct trace *trace, const struct trace_options *options, struct error *error)
{
    trace->options = options;
    trace->filter = (struct ledger_filter){.agency = slice_of(options->agency), .category = slice_of(options->category),
                                           .from = options->from, .to = options->to == INT32_MIN ? INT32_MAX : options->to,
                                           .limit = (size_t)options->limit};
    trace->terminal = isatty(STDERR_FILENO) && options->common.log_format == LOG_FORMAT_TEXT;
    if (options->agency && !id_is_valid(trace->filter.agency))
        return error_set(error, ERROR_USAGE, "option --agency: \"%s\"; allowed: 1 to 64 of a-z, 0-9 and -, the first not -",
                         options->agency);
    if (options->category && !change_category_is_known(trace->filter.category))
        return error_set(error, ERROR_USAGE, "option --category: \"%s\"; allowed: a unit category or a sector", options->category);
    if (trace->filter.from > trace->filter.to)
        return error_set(error, ERROR_USAGE, "option --from: it is after --to");
    program_catch_stop(true);
    return 0;
}

int trace_redis(struct trace *trace, struct error *error)
{
    const struct common_options *common = &trace->options->common;
    char key[REDIS_KEY_SIZE];
    redis_key(key, common->city, snapshot_hash_suffix(SNAPSHOT_TOTALS));
    int result = redis_connect(&(struct redis_options){.place = common->redis, .route_key = key, .connect_timeout_ms = CONNECT_MS,
                                                       .command_timeout_ms = COMMAND_MS, .socket = &program_stop_socket},
                               &trace->redis, error);
    if (result >= 0)
        result = snapshot_read(trace->redis, common->city, SNAPSHOT_EVERYTHING, &trace->snapshot, error);
    if (result >= 0)
        result = totals_make(&trace->snapshot, common->city, INT32_MIN, &trace->totals, error);
    return program_stop && result < 0 ? error_set(error, ERROR_INTERRUPTED, "interrupted") : result;
}

static int expect(void *context, const uint8_t *records, size_t count, int64_t index, struct error *error)
{
    (void)index;
    return ledger_expect(context, records, count, error);
}

/* Which events count: what the lanes hold, read after the snapshot, so they hold all that it counts. */
static int read_lanes(struct trace *trace, struct error *error)
{
    const char *city = trace->options->common.city;
    char key[REDIS_KEY_SIZE];
    int64_t records[SEEN_LANES], all = 0;
    struct snapshot after = {0};
    int result = seen_lane_lengths(trace->redis, city, records, error);
    for (uint32_t lane = 0; lane < SEEN_LANES && result >= 0; lane++) {
        if (trace->filter.agency.data && lane != lane_of_agency(trace->filter.agency))
            records[lane] = 0;
        all += records[lane];
    }
    if (result >= 0)
        result = ledger_new(&trace->filter, all, trace->options->memory, &trace->ledger, error);
    for (uint32_t lane = 0; lane < SEEN_LANES && result >= 0; lane++)
        result = program_stop ? error_set(error, ERROR_INTERRUPTED, "interrupted")
                             : seen_lane_read(trace->redis, seen_lane_key(key, city, GENERATION_LIVE, lane),
                                              (struct seen_range){.to = records[lane], .piece = LANE_PIECE}, expect, trace->ledger,
                                              NULL, error);
    if (result >= 0)
        result = snapshot_read(trace->redis, city, 0, &after, error);
    if (result >= 0 && !slice_equal(after.epoch, trace->snapshot.epoch))
        result = error_set(error, ERROR_REDIS, "the state of %s was begun anew meanwhile; run this again", city);
    snapshot_free(&after);
    return result;
}

static int on_event_again(void *context, const struct logged_event *logged, struct error *error)
{
    struct trace *trace = context;
    return logged->reason != LETTER_NONE ? 0
                                         : ledger_add(trace->ledger, &logged->event, event_topic_suffix(logged->event.type), logged->partition,
                                                      logged->offset, logged->timestamp_ms, error);
}

static int on_event(void *context, const struct logged_event *logged, struct error *error)
{
    struct trace *trace = context;
    trace->refused += logged->reason != LETTER_NONE;
    return on_event_again(context, logged, error);
}

static void on_progress(void *context, int64_t done, int64_t total)
{
    struct trace *trace = context;
    int64_t now = clock_monotonic_ms();
    if (!trace->terminal || now < trace->next_draw_ms)
        return;
    trace->next_draw_ms = now + DRAW_EVERY_MS;
    fprintf(stderr, "\r\033[Kreading the log: %" PRId64 " of %" PRId64 " (%d %%)", done, total,
            total > 0 ? (int)(done * 100 / total) : 100);
}

/* Only up to the stored offsets: what comes after is not in the totals. */
static int bound(struct trace *trace, struct event_log *log, struct error *error)
{
    size_t count;
    struct kafka_log_part *parts = event_log_parts(log, &count);
    for (size_t i = 0; i < count; i++) {
        char field[FIELD_SIZE];
        int64_t stored;
        snprintf(field, sizeof field, "%s/%" PRId32, parts[i].topic, parts[i].partition);
        int result = counter_find(&trace->snapshot, SNAPSHOT_OFFSETS, trace->options->common.city, field, &stored, NULL, error);
        if (result < 0)
            return result;
        if (stored > parts[i].end)
            return error_set(error, ERROR_KAFKA, "the stored offset %" PRId64 " of %s is beyond the log's end %" PRId64
                             ": is it another Kafka cluster?", stored, field, parts[i].end);
        parts[i].end = stored;
        if (parts[i].begin > 0 && !*trace->cut)
            snprintf(trace->cut, sizeof trace->cut, "the log of %s begins at offset %" PRId64 ": what was before can't be listed", field,
                     parts[i].begin);
    }
    return 0;
}

static int read_log(struct trace *trace, logged_event_fn take, struct error *error)
{
    const struct trace_options *options = trace->options;
    struct event_log *log = NULL;
    int result = event_log_open(&(struct event_log_options){.common = &options->common, .registry = &options->registry,
                                                            .client_id = "citytotals-query", .stop = &program_stop,
                                                            .connect_timeout_ms = options->connect_timeout_ms,
                                                            .types = 1u << EVENT_HEADCOUNT_CHANGE | 1u << EVENT_UNIT_MERGER},
                                &log, error);
    if (result >= 0)
        result = bound(trace, log, error);
    if (result >= 0)
        result = event_log_read(log, take, on_progress, trace, error);
    if (trace->terminal)
        fputs("\r\033[K", stderr);
    event_log_close(log);
    return result;
}

int trace_log(struct trace *trace, struct error *error)
{
    int result = read_lanes(trace, error);
    if (result >= 0)
        result = read_log(trace, on_event, error);
    if (result >= 0 && ledger_begin_again(trace->ledger))
        result = read_log(trace, on_event_again, error);
    return result;
}

static bool differs(const char *name, int64_t shown, int64_t sum, char why[256])
{
    if (shown != sum && !*why)
        snprintf(why, 256, "%s is %" PRId64 ", and its events in the log add up to %" PRId64, name, shown, sum);
    return shown != sum;
}

static int compare_agency(const struct trace *trace, bool *ret_differs, char why[256], struct error *error)
{
    const struct ledger_sums *sums = ledger_sums(trace->ledger);
    int64_t baseline, current;
    int result = counter_find(&trace->snapshot, SNAPSHOT_AGENCY_BASELINE, trace->totals.city, trace->options->agency, &baseline, NULL, error);
    if (result >= 0)
        result = counter_find(&trace->snapshot, SNAPSHOT_AGENCY_CURRENT, trace->totals.city, trace->options->agency, &current, NULL, error);
    if (result >= 0)
        *ret_differs = differs("the agency's headcount baseline", baseline, sums->headcount_baseline, why) |
                       differs("the agency's headcount", current, sums->headcount_current, why);
    return result;
}

/* The city's numbers, those of one sector, or of one category. */
static bool city_differs(const struct trace *trace, const struct totals *totals, char why[256])
{
    const struct ledger_sums *sums = ledger_sums(trace->ledger);
    struct slice category = trace->filter.category;
    bool different = false;
    const struct headcount *headcount = category.data ? NULL : &totals->headcount;
    for (int i = 0; i < SECTORS; i++)
        if (slice_equal(category, slice_of(sector_name((enum sector)i))))
            headcount = &totals->by_sector[i];
    if (headcount)
        different = differs("the headcount baseline", headcount->baseline, sums->headcount_baseline, why) |
                    differs("the headcount", headcount->current, sums->headcount_current, why);
    for (int i = 0; i < CATEGORIES; i++) {
        const struct units *units = &totals->units[i];
        const struct ledger_units *found = &sums->units[i];
        if (category.data && !slice_equal(category, slice_of(unit_category_name((enum unit_category)i))))
            continue;
        different |= differs("the unit change", units->change, found->change, why) | differs("the merged units", units->merged, found->merged, why) |
                     differs("the number of mergers", units->mergers, found->mergers, why) |
                     (units->has_baseline && differs("the unit baseline", units->baseline, found->baseline, why)) |
                     differs("whether there is a unit baseline", units->has_baseline, found->baselines > 0, why);
    }
    if (!category.data && !totals->by_date)
        different |= differs("the number of events", totals->events, sums->events, why);
    return different;
}

int trace_compare(const struct trace *trace, enum trace_verdict *ret_verdict, char why[256], struct error *error)
{
    const struct trace_options *options = trace->options;
    bool different = false, dated = trace->filter.to != INT32_MAX;
    *why = '\0';
    *ret_verdict = TRACE_NO_TOTAL;
    if (options->from != INT32_MIN || trace->filter.part != LEDGER_ALL || (options->agency && (options->category || dated)))
        return 0;
    int result = 0;
    if (options->agency) {
        result = compare_agency(trace, &different, why, error);
    } else if (dated) {
        struct totals then = {0};
        result = totals_make(&trace->snapshot, trace->totals.city, trace->filter.to, &then, error);
        different = result >= 0 && city_differs(trace, &then, why);
        totals_free(&then);
    } else {
        different = city_differs(trace, &trace->totals, why);
    }
    if (result >= 0)
        *ret_verdict = different ? TRACE_DIFFERS : TRACE_AGREES;
    return result;
}

int trace_finish(struct trace *trace, struct program_run *run, int result, enum trace_verdict verdict)
{
    ledger_free(trace->ledger);
    totals_free(&trace->totals);
    snapshot_free(&trace->snapshot);
    redis_free(trace->redis);
    int status = program_end(run, result);
    return result >= 0 && verdict == TRACE_DIFFERS ? DIFFERENCE_STATUS : status;
}
