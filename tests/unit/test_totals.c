/* Totals from a snapshot: now and by date, nulls, pilots, and refusals that name key and field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "tests/unit/snapshots.h"

#define NOW_MS INT64_C(1605837600000) /* 2020-11-20T02:00:00Z, 09:00 in the city */

static int32_t date_of(const char *text)
{
    int32_t date = 0;
    assert_true(date_parse(slice_of(text), &date));
    return date;
}

static struct totals totals_of(struct snapshot *snapshot, const char *as_of)
{
    struct totals totals;
    struct error error = {0};
    if (totals_make(snapshot, "haiphong", as_of ? date_of(as_of) : INT32_MIN, &totals, &error) < 0)
        fail_msg("%s", error.text);
    return totals;
}

static void expect_refused(struct snapshot *snapshot, const char *as_of, const char *sentence)
{
    struct totals totals = {.version = 4711};
    struct error error = {0};
    assert_int_equal(totals_make(snapshot, "haiphong", as_of ? date_of(as_of) : INT32_MIN, &totals, &error), -ERROR_REDIS);
    assert_string_equal(error.text, sentence);
    assert_int_equal(error.class, ERROR_CLASS_FATAL);
    assert_int_equal(totals.version, 4711);
    snapshot_drop(snapshot);
}

static void an_empty_city_has_zeros(void **state)
{
    (void)state;
    struct snapshot snapshot = {.now_ms = NOW_MS};
    for (int by_date = 0; by_date < 2; by_date++) {
        struct totals totals = totals_of(&snapshot, by_date ? "2020-10-30" : NULL);
        assert_string_equal(totals.city, "haiphong");
        assert_int_equal(totals.by_date, by_date);
        assert_false(totals.has_updated_at || totals.has_lag || totals.stale || totals.target_met);
        assert_int_equal(totals.headcount.baseline, 0);
        assert_string_equal(totals.headcount.percent, "");
        assert_string_equal(totals.by_sector[SECTOR_COMMUNE].percent, "");
        for (int i = 0; i < CATEGORIES; i++)
            assert_false(totals.units[i].has_baseline);
        assert_int_equal(totals.pilot_count, 0);
        totals_free(&totals);
        totals_free(&totals);
    }
}

static void live_totals_are_what_redis_sums(void **state)
{
    (void)state;
    struct snapshot snapshot = {.now_ms = NOW_MS, .visitors = {1, 2, 3, 4, 5}};
    GIVEN(&snapshot, SNAPSHOT_TOTALS, "headcount_baseline", "10000", "headcount_current", "9575", "headcount_reduction",
          "425", "reduction_percent", "4.2500", "headcount_baseline:commune", "3000", "headcount_current:commune", "3100",
          "units_baseline:commune", "223", "units_change:commune", "-6", "units_merged:commune", "9", "mergers:commune", "3",
          "units_change:city_division", "-19", "events", "31", "dead_letters", "2", "version", "42", "updated_at",
          "2020-11-20T02:00:00.000Z");
    struct totals totals = totals_of(&snapshot, NULL);
    assert_int_equal(totals.headcount.reduction, 425);
    assert_string_equal(totals.headcount.percent, "4.2500");
    assert_false(totals.target_met);
    assert_int_equal(totals.by_sector[SECTOR_COMMUNE].reduction, -100);
    assert_string_equal(totals.by_sector[SECTOR_COMMUNE].percent, "-3.3333");
    const struct units *communes = &totals.units[CATEGORY_COMMUNE], *divisions = &totals.units[CATEGORY_CITY_DIVISION];
    assert_true(communes->has_baseline);
    assert_int_equal(communes->current, 217);
    assert_int_equal(communes->merged, 9);
    assert_int_equal(communes->mergers, 3);
    assert_false(divisions->has_baseline);
    assert_int_equal(divisions->change, -19);
    assert_int_equal(totals.events, 31);
    assert_int_equal(totals.dead_letters, 2);
    assert_int_equal(totals.version, 42);
    assert_true(totals.has_updated_at);
    assert_int_equal(totals.updated_at_ms, NOW_MS);
    assert_int_equal(totals.visitors.today_visitors, 5);
    totals_free(&totals);
    snapshot_drop(&snapshot);
}

static void later_is_after_today_in_the_city(void **state)
{
    (void)state;
    struct snapshot snapshot = {.now_ms = NOW_MS};
    GIVEN(&snapshot, SNAPSHOT_HEADCOUNT_BY_DAY, "2020-11-20:current:commune", "1", "2020-11-21:current:commune", "20",
          "2020-11-21:baseline:commune", "20", "2021-12-31:current:administrative", "-300");
    struct totals totals = totals_of(&snapshot, NULL);
    assert_int_equal(totals.effective_later, -280);
    totals_free(&totals);
    snapshot.now_ms = NOW_MS + INT64_C(15) * 3600000 - 1; /* 23:59:59.999 there */
    totals = totals_of(&snapshot, NULL);
    assert_int_equal(totals.effective_later, -280);
    totals_free(&totals);
    snapshot.now_ms++; /* the 21st there, still the 20th in UTC */
    totals = totals_of(&snapshot, NULL);
    assert_int_equal(totals.effective_later, -300);
    totals_free(&totals);
    snapshot_drop(&snapshot);
}

static void by_date_counts_what_had_taken_effect(void **state)
{
    (void)state;
    struct snapshot snapshot = {.now_ms = NOW_MS, .visitors = {1, 2, 3, 4, 5}};
    GIVEN(&snapshot, SNAPSHOT_TOTALS, "headcount_baseline", "999999", "version", "7", "pilots", "1");
    GIVEN(&snapshot, SNAPSHOT_HEADCOUNT_BY_DAY, "2015-01-01:baseline:commune", "1000", "2015-01-01:current:commune", "1000",
          "2020-10-29:current:commune", "-10", "2020-10-30:current:administrative", "-5", "2020-10-31:current:commune", "-99");
    GIVEN(&snapshot, SNAPSHOT_UNITS_BY_DAY, "2015-01-01:baselines:commune", "1", "2015-01-01:baseline:commune", "223",
          "2020-10-30:change:commune", "-6", "2020-10-30:merged:commune", "9", "2020-10-30:mergers:commune", "3",
          "2020-10-31:baselines:commune", "-1", "2020-10-31:baseline:commune", "-223");
    GIVEN(&snapshot, SNAPSHOT_PILOTS_BY_DAY, "2020-01-01:m-1/hong-bang", "1", "2020-10-30:m-1/an-lao", "2",
          "2020-10-31:m-1/hong-bang", "-1", "2020-10-31:m-2/an-lao", "1");
    struct totals totals = totals_of(&snapshot, "2020-10-30");
    assert_int_equal(totals.version, 7);
    assert_int_equal(totals.headcount.baseline, 1000);
    assert_int_equal(totals.headcount.current, 985);
    assert_string_equal(totals.headcount.percent, "1.5000");
    assert_int_equal(totals.by_sector[SECTOR_ADMINISTRATIVE].current, -5);
    assert_string_equal(totals.by_sector[SECTOR_ADMINISTRATIVE].percent, "");
    assert_true(totals.units[CATEGORY_COMMUNE].has_baseline);
    assert_int_equal(totals.units[CATEGORY_COMMUNE].current, 217);
    assert_int_equal(totals.pilot_count, 2);
    assert_int_equal(totals.models, 1);
    assert_int_equal(totals.districts, 2);
    assert_int_equal(totals.visitors.all, 0);
    totals_free(&totals);

    totals = totals_of(&snapshot, "2020-10-31");
    assert_false(totals.units[CATEGORY_COMMUNE].has_baseline);
    assert_int_equal(totals.units[CATEGORY_COMMUNE].baseline, 0);
    assert_int_equal(totals.units[CATEGORY_COMMUNE].change, -6);
    assert_int_equal(totals.pilot_count, 2);
    assert_string_equal(totals.pilots[0].model, "m-1");
    assert_string_equal(totals.pilots[1].model, "m-2");
    assert_int_equal(totals.districts, 1);
    totals_free(&totals);

    totals = totals_of(&snapshot, "2014-12-31");
    assert_int_equal(totals.headcount.baseline, 0);
    assert_int_equal(totals.pilot_count, 0);
    totals_free(&totals);
    snapshot_drop(&snapshot);
}

static void pairs_are_live_while_their_count_is_positive(void **state)
{
    (void)state;
    struct snapshot snapshot = {.now_ms = NOW_MS};
    GIVEN(&snapshot, SNAPSHOT_PILOTS, "b/kien-an", "1", "a-b/x", "1", "a/hong-bang", "2", "a/x", "0", "a/y", "-1", "b/hong-bang", "1");
    struct totals totals = totals_of(&snapshot, NULL);
    assert_int_equal(totals.pilot_count, 4);
    assert_int_equal(totals.models, 3);
    assert_int_equal(totals.districts, 3);
    static const char *const order[][2] = {{"a", "hong-bang"}, {"a-b", "x"}, {"b", "hong-bang"}, {"b", "kien-an"}};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(totals.pilots[i].model, order[i][0]);
        assert_string_equal(totals.pilots[i].district, order[i][1]);
    }
    totals_free(&totals);
    snapshot_drop(&snapshot);
}

static void a_bad_counter_is_named(void **state)
{
    (void)state;
    struct snapshot snapshot = {.now_ms = NOW_MS};
    GIVEN(&snapshot, SNAPSHOT_TOTALS, "headcount_current", "12x");
    expect_refused(&snapshot, NULL,
                   "key {haiphong}:totals field headcount_current holds \"12x\"; allowed: a whole number within 9e14");
    snapshot.now_ms = NOW_MS;
    GIVEN(&snapshot, SNAPSHOT_TOTALS, "version", "");
    expect_refused(&snapshot, "2020-01-01", "key {haiphong}:totals field version holds \"\"; allowed: a whole number within 9e14");
    GIVEN(&snapshot, SNAPSHOT_TOTALS, "units_merged:commune", "900000000000001");
    expect_refused(&snapshot, NULL,
                   "key {haiphong}:totals field units_merged:commune holds \"900000000000001\"; allowed: a whole number within "
                   "9e14");
    GIVEN(&snapshot, SNAPSHOT_TOTALS, "updated_at", "yesterday");
    expect_refused(&snapshot, NULL, "key {haiphong}:totals field updated_at holds \"yesterday\"; allowed: an RFC 3339 time");
    GIVEN(&snapshot, SNAPSHOT_HEADCOUNT_BY_DAY, "2020-01-01:current:commune", "1.5");
    expect_refused(&snapshot, NULL,
                   "key {haiphong}:headcount:by-day field 2020-01-01:current:commune holds \"1.5\"; allowed: a whole number "
                   "within 9e14");
}

static void a_bad_field_is_named(void **state)
{
    (void)state;
    static const struct {
        enum snapshot_hash hash;
        const char *key, *field;
    } bad[] = {
        {SNAPSHOT_HEADCOUNT_BY_DAY, "headcount:by-day", "2020-02-30:current:commune"},
        {SNAPSHOT_HEADCOUNT_BY_DAY, "headcount:by-day", "2020-01-01:current:village"},
        {SNAPSHOT_HEADCOUNT_BY_DAY, "headcount:by-day", "2020-01-01:currents:commune"},
        {SNAPSHOT_HEADCOUNT_BY_DAY, "headcount:by-day", "2020-01-01"},
        {SNAPSHOT_HEADCOUNT_BY_DAY, "headcount:by-day", "2020-01-01:commune"},
        {SNAPSHOT_UNITS_BY_DAY, "units:by-day", "2020-01-01:merged:"},
        {SNAPSHOT_UNITS_BY_DAY, "units:by-day", ""},
        {SNAPSHOT_PILOTS_BY_DAY, "pilots:by-day", "2020-01-01:model"},
        {SNAPSHOT_PILOTS_BY_DAY, "pilots:by-day", "2020-01-01:Model/x"},
        {SNAPSHOT_PILOTS_BY_DAY, "pilots:by-day", "2020-01-01:a/b/c"},
        {SNAPSHOT_PILOTS_BY_DAY, "pilots:by-day", "2020-01-01:/b"},
        {SNAPSHOT_PILOTS_BY_DAY, "pilots:by-day", "2020-01-01:a/b\"c"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct snapshot snapshot = {.now_ms = NOW_MS};
        char sentence[ERROR_TEXT_SIZE];
        GIVEN(&snapshot, bad[i].hash, bad[i].field, "1");
        snprintf(sentence, sizeof sentence,
                 "key {haiphong}:%s field %s holds \"1\"; allowed: a field that this version knows (docs/redis-keys.md)",
                 bad[i].key, bad[i].field);
        expect_refused(&snapshot, "2020-06-01", sentence);
    }
}

static void sums_that_leave_the_range_are_refused(void **state)
{
    (void)state;
    struct snapshot snapshot = {.now_ms = NOW_MS};
    enum { DAYS = 4445 }; /* × 9e14 > 4e18 */
    static char fields[DAYS][40];
    for (int i = 0; i < DAYS; i++) {
        char day[DATE_TEXT_SIZE];
        snprintf(fields[i], sizeof fields[i], "%s:current:commune", date_format(date_of("2000-01-01") + i, day));
        GIVEN(&snapshot, SNAPSHOT_HEADCOUNT_BY_DAY, fields[i], "900000000000000");
    }
    struct totals totals;
    struct error error = {0};
    assert_int_equal(totals_make(&snapshot, "haiphong", date_of("2099-12-31"), &totals, &error), -ERROR_REDIS);
    assert_non_null(strstr(error.text, "numbers whose sum is within 4e18"));
    assert_int_equal(totals_make(&snapshot, "haiphong", date_of("2005-01-01"), &totals, &error), 0);
    assert_int_equal(totals.headcount.current, INT64_C(900000000000000) * 1828);
    totals_free(&totals);
    snapshot_drop(&snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_city_has_zeros),
        cmocka_unit_test(live_totals_are_what_redis_sums),
        cmocka_unit_test(later_is_after_today_in_the_city),
        cmocka_unit_test(by_date_counts_what_had_taken_effect),
        cmocka_unit_test(pairs_are_live_while_their_count_is_positive),
        cmocka_unit_test(a_bad_counter_is_named),
        cmocka_unit_test(a_bad_field_is_named),
        cmocka_unit_test(sums_that_leave_the_range_are_refused),
    };
    return cmocka_run_group_tests_name("totals", tests, NULL, NULL);
}
