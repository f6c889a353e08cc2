/* Which events count in a listing: those that the lanes hold, with their meaning, once; the latest are kept. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "query/ledger.h"
#include "schemas/identity.h"

static const struct ledger_filter everything = {.from = INT32_MIN, .to = INT32_MAX, .limit = 1000};

static struct event headcount(const char *agency, const char *id, int32_t delta, int32_t date)
{
    struct event event = {.type = EVENT_HEADCOUNT_CHANGE, .source = slice_of("s"), .agency = slice_of(agency), .effective_date = date};
    event.event_id = event_id_from(event.type, event.source, event.agency, slice_of(id));
    event.headcount.reason = delta > 0 ? REASON_BASELINE : REASON_RETIRED;
    event.headcount.delta = delta;
    return event;
}

static void expect(struct ledger *ledger, const struct event *event)
{
    uint8_t record[SEEN_RECORD_SIZE];
    struct identity_salt salt = identity_salt_of(event->type, event->agency);
    struct identity identity = identity_of(event->event_id, &salt);
    uint64_t digest = htole64(event_meaning_digest(event));
    memcpy(record, identity.bytes, 16);
    memcpy(record + 16, &digest, 8);
    assert_int_equal(ledger_expect(ledger, record, 1, NULL), 0);
}
static void add(struct ledger *ledger, const struct event *event, int64_t offset, int64_t time)
{
    assert_int_equal(ledger_add(ledger, event, "headcount-changes", 3, offset, time, NULL), 0);
}

static void only_what_the_lanes_hold_counts_and_once(void **state)
{
    (void)state;
    struct ledger *ledger;
    struct event a = headcount("x", "a", 10, 5), b = headcount("x", "b", -3, 6), other = headcount("x", "b", -4, 6);
    struct event undo = headcount("x", "c", -3, 6), stranger = headcount("y", "a", 7, 5);
    undo.has_reverses = true;
    undo.reverses = b.event_id;
    assert_int_equal(ledger_new(&everything, 3, 1 << 20, &ledger, NULL), 0);
    expect(ledger, &a);
    expect(ledger, &b);
    expect(ledger, &undo);
    add(ledger, &other, 0, 1); /* a conflict that lost, though it comes first here */
    add(ledger, &b, 1, 2);
    add(ledger, &b, 2, 3); /* a repeat */
    add(ledger, &a, 3, 4);
    add(ledger, &stranger, 4, 5);
    add(ledger, &undo, 5, 6);
    const struct ledger_sums *sums = ledger_sums(ledger);
    assert_int_equal(sums->events, 3);
    assert_int_equal(sums->headcount_current, 10);
    assert_int_equal(sums->headcount_baseline, 10);
    assert_int_equal(sums->by_reason[REASON_RETIRED], 0);
    assert_int_equal(ledger_met(ledger), 3);
    assert_int_equal(ledger_uncounted(ledger), 3);
    size_t count;
    const struct ledger_entry *entries = ledger_entries(ledger, &count);
    assert_int_equal(count, 3);
    assert_true(entries[0].offset == 5 && entries[1].offset == 3 && entries[2].offset == 1);
    ledger_free(ledger);
}

static void the_filter_chooses_what_is_summed_not_what_is_told_apart(void **state)
{
    (void)state;
    struct ledger *ledger;
    struct ledger_filter filter = {.agency = slice_of("x"), .category = slice_of("administrative"), .from = 5, .to = 6,
                                   .part = LEDGER_HEADCOUNT_BASELINE, .limit = 10};
    struct event events[] = {headcount("x", "a", 1, 4), headcount("x", "b", 2, 5), headcount("x", "c", 4, 6), headcount("x", "d", 8, 7),
                             headcount("x", "e", -1, 5), headcount("y", "f", 16, 5), headcount("x", "g", 32, 5)};
    size_t count = sizeof events / sizeof *events;
    events[6].headcount.sector = SECTOR_COMMUNE;
    assert_int_equal(ledger_new(&filter, (int64_t)count, 1 << 20, &ledger, NULL), 0);
    for (size_t i = 0; i < count; i++)
        expect(ledger, &events[i]);
    for (size_t i = 0; i < count; i++)
        add(ledger, &events[i], (int64_t)i, (int64_t)i);
    assert_int_equal(ledger_sums(ledger)->headcount_current, 2 + 4);
    assert_int_equal(ledger_met(ledger), 6);
    ledger_free(ledger);
}

static void the_latest_are_kept_whatever_their_order(void **state)
{
    (void)state;
    enum { ALL = 500, KEPT = 7 };
    static struct event events[ALL];
    static char ids[ALL][16];
    struct ledger_filter filter = everything;
    struct ledger *ledger;
    filter.limit = KEPT;
    assert_int_equal(ledger_new(&filter, ALL, 1 << 20, &ledger, NULL), 0);
    for (int i = 0; i < ALL; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i);
        events[i] = headcount("x", ids[i], 1, i);
        expect(ledger, &events[i]);
    }
    for (int i = 0; i < ALL; i++)
        add(ledger, &events[i], i, (i * 263) % ALL / 2); /* a walk through all times, each met twice */
    size_t count;
    const struct ledger_entry *entries = ledger_entries(ledger, &count);
    assert_int_equal(count, KEPT);
    assert_int_equal(entries[0].timestamp_ms, ALL / 2 - 1);
    for (size_t i = 1; i < count; i++)
        assert_true(entries[i - 1].timestamp_ms > entries[i].timestamp_ms ||
                    (entries[i - 1].timestamp_ms == entries[i].timestamp_ms && entries[i - 1].offset > entries[i].offset));
    assert_int_equal(entries[KEPT - 1].timestamp_ms, ALL / 2 - 1 - (KEPT - 1) / 2);
    assert_int_equal(ledger_sums(ledger)->events, ALL);
    ledger_free(ledger);
}

/* Lists what is kept of `order`, records of events a to e, in two passes where they are wanted. */
struct record {
    char id[2];
    int64_t offset, time;
};
static void expect_listed(const struct record *records, const int *order, size_t count, size_t limit, const int64_t *offsets)
{
    struct ledger_filter filter = everything;
    struct ledger *ledger;
    char copies[16][2];
    struct event events[16];
    filter.limit = limit;
    assert_int_equal(ledger_new(&filter, (int64_t)count, 1 << 20, &ledger, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        memcpy(copies[i], records[i].id, 2);
        events[i] = headcount("x", copies[i], 1, 5);
        expect(ledger, &events[i]);
    }
    for (size_t i = 0; i < count; i++)
        add(ledger, &events[order[i]], records[order[i]].offset, records[order[i]].time);
    struct ledger_sums sums = *ledger_sums(ledger);
    int64_t uncounted = ledger_uncounted(ledger);
    if (ledger_begin_again(ledger))
        for (size_t i = count; i-- > 0;)
            add(ledger, &events[order[i]], records[order[i]].offset, records[order[i]].time);
    assert_false(ledger_begin_again(ledger));
    assert_memory_equal(&sums, ledger_sums(ledger), sizeof sums);
    assert_int_equal(uncounted, ledger_uncounted(ledger));
    size_t listed;
    const struct ledger_entry *entries = ledger_entries(ledger, &listed);
    assert_int_equal(listed, limit);
    for (size_t i = 0; i < listed; i++)
        assert_int_equal(entries[i].offset, offsets[i]);
    ledger_free(ledger);
}

static void the_earliest_record_is_listed_whatever_the_order_of_reading(void **state)
{
    (void)state;
    enum { RECORDS = 7 };
    /* By their earliest: d 40, c 30, b 20, a 10; of b and c there are later copies, and of c one at the same time. */
    static const struct record records[RECORDS] = {{"a", 1, 10}, {"b", 2, 20}, {"c", 3, 30}, {"d", 4, 40}, {"b", 5, 50}, {"c", 6, 30}, {"b", 7, 60}};
    static const int64_t newest_first[] = {4, 3, 2, 1};
    int order[RECORDS] = {0, 1, 2, 3, 4, 5, 6}, used[RECORDS] = {0};
    for (size_t limit = 1; limit <= 4; limit++) /* all orders, by Heap's way */ {
        memset(used, 0, sizeof used);
        expect_listed(records, order, RECORDS, limit, newest_first);
        for (int i = 0; i < RECORDS;) {
            if (used[i] >= i) {
                used[i++] = 0;
                continue;
            }
            int other = i % 2 ? used[i] : 0, swap = order[i];
            order[i] = order[other];
            order[other] = swap;
            used[i]++;
            i = 0;
            expect_listed(records, order, RECORDS, limit, newest_first);
        }
    }
}

static void bounds_are_said(void **state)
{
    (void)state;
    struct ledger *ledger = NULL;
    struct error error = {0};
    struct event a = headcount("x", "a", 1, 1);
    assert_int_equal(ledger_new(&everything, 1000000, 1 << 20, &ledger, &error), -ERROR_LIMIT);
    assert_non_null(strstr(error.text, "more --memory"));
    assert_null(ledger);
    assert_int_equal(ledger_new(&everything, 0, 1 << 20, &ledger, NULL), 0);
    assert_int_equal(ledger_expect(ledger, (const uint8_t[SEEN_RECORD_SIZE]){0}, 1, &error), -ERROR_LIMIT);
    add(ledger, &a, 0, 0);
    assert_int_equal(ledger_sums(ledger)->events, 0);
    ledger_free(ledger);
}

/* The longest texts that the rules allow. */
static void an_entry_reads_as_a_change_of_the_stream(void **state)
{
    (void)state;
    char id[65], decision[129];
    memset(id, 'a', 64);
    memset(decision, 'd', 128);
    id[64] = decision[128] = '\0';
    struct event event = {.type = EVENT_UNIT_MERGER, .source = slice_of(id), .agency = slice_of(id), .decision = slice_of(decision),
                          .effective_date = 18000, .has_reverses = true};
    event.merger.units_before = event.merger.units_after = 100000;
    event.merger.pilot_model = event.merger.district = slice_of(id);
    struct ledger_entry entry = {&event, "unit-mergers", INT32_MAX, INT64_MAX, 0};
    struct snapshot_change *change = ledger_change("a-city-of-thirty-two-characters-", &entry);
    assert_non_null(change);
    assert_int_equal(change->fields.count, 16);
    assert_null(change->id.data);
    static const char *const names[] = {"type", "event_id", "source", "agency", "effective_date", "occurred_at", "category", "kind",
                                        "units_before", "units_after", "pilot_model", "district", "decision", "reverses", "at", "offset"};
    for (size_t i = 0; i < change->fields.count; i++)
        assert_true(slice_equal(change->fields.cells[i].field, slice_of(names[i])));
    free(change);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_the_lanes_hold_counts_and_once),
        cmocka_unit_test(the_filter_chooses_what_is_summed_not_what_is_told_apart),
        cmocka_unit_test(the_latest_are_kept_whatever_their_order),
        cmocka_unit_test(the_earliest_record_is_listed_whatever_the_order_of_reading),
        cmocka_unit_test(bounds_are_said),
        cmocka_unit_test(an_entry_reads_as_a_change_of_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
