/* The proof's own memory: ids, places, visits by day, and its report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "consumer/day_visits.h"
#include "consumer/ids.h"
#include "consumer/places.h"
#include "consumer/report.h"

static struct identity identity_at(uint32_t number)
{
    struct identity identity = {{0}};
    memcpy(identity.bytes, &number, sizeof number);
    return identity;
}

static void every_id_is_found_again(void **state)
{
    (void)state;
    struct ids *ids = ids_new();
    for (uint32_t i = 0; i < 5000; i++) {
        struct identity identity = identity_at(i);
        if (i == 3000)
            assert_true(ids_reserve(ids, 4000));
        assert_null(ids_find(ids, &identity));
        struct id *id = ids_get(ids, &identity);
        assert_int_equal(id->flags, 0);
        id->digest = i * UINT64_C(7);
    }
    assert_int_equal(ids_count(ids), 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        struct identity identity = identity_at(i);
        assert_ptr_equal(ids_get(ids, &identity), ids_at(ids, i));
        assert_int_equal(ids_find(ids, &identity)->digest, i * UINT64_C(7));
    }
    ids_free(ids);
}

static void places_tell_topic_partition_and_offset_apart(void **state)
{
    (void)state;
    struct places *places = places_new();
    for (int64_t offset = 0; offset < 1000; offset++)
        *places_get(places, (uint8_t)(offset % 3), (int32_t)(offset % 7), offset) = (uint8_t)(offset % 200 + 1);
    assert_int_equal(places_count(places), 1000);
    for (int64_t offset = 0; offset < 1000; offset++) {
        assert_int_equal(places_find(places, (uint8_t)(offset % 3), (int32_t)(offset % 7), offset), offset % 200 + 1);
        assert_int_equal(places_find(places, (uint8_t)((offset + 1) % 3), (int32_t)(offset % 7), offset), 0);
        assert_int_equal(places_find(places, (uint8_t)(offset % 3), (int32_t)(offset % 7) + 7, offset), 0);
    }
    places_free(places);
}

enum { MINUTE = 60000 };

static void visits_begin_after_thirty_minutes(void **state)
{
    (void)state;
    static const uint8_t visitor[16] = {1};
    int64_t noon = INT64_C(18566) * MILLISECONDS_PER_DAY;
    struct visits *visits = visits_new(1);
    static const int minutes[] = {0, 29, 58, 88, 40};
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        assert_true(visits_take(visits, 0, visitor, noon + minutes[i] * MINUTE, noon + 90 * MINUTE));
        visits_pass(visits, 0, noon + 90 * MINUTE);
    }
    size_t count;
    const struct day_visits *days = visits_days(visits, &count);
    assert_int_equal(count, 1);
    assert_int_equal(days[0].visits, 2);
    assert_int_equal(days[0].uncertain, 0);
    assert_int_equal(day_visits_find(&days[0], visitor)->latest_ms, noon + 88 * MINUTE);
    visits_free(visits);
}

static void a_time_ahead_of_kafka_is_kept_as_kafkas(void **state)
{
    (void)state;
    static const uint8_t visitor[16] = {2};
    struct visits *visits = visits_new(1);
    assert_true(visits_take(visits, 0, visitor, 5 * MINUTE, MINUTE));
    size_t count;
    assert_int_equal(day_visits_find(visits_days(visits, &count), visitor)->latest_ms, MINUTE);
    visits_free(visits);
}

static void a_page_visit_after_its_day_was_final_is_uncertain(void **state)
{
    (void)state;
    static const uint8_t visitor[16] = {3};
    struct visits *visits = visits_new(1);
    visits_pass(visits, 0, 3 * MILLISECONDS_PER_DAY);
    assert_true(visits_take(visits, 0, visitor, MINUTE, MINUTE));
    size_t count;
    const struct day_visits *days = visits_days(visits, &count);
    assert_int_equal(days[0].visits, 0);
    assert_int_equal(days[0].uncertain, 1);
    visits_let_go(visits, days[0].day);
    assert_null(day_visits_find(visits_days(visits, &count), visitor));
    visits_free(visits);
}

static void the_report_steers_no_terminal_and_is_bounded(void **state)
{
    (void)state;
    struct report report;
    struct buffer out = BUFFER_BOUNDED(1 << 20);
    report_init(&report, "haiphong");
    report_difference(&report, "totals", slice_of("a\033[2J\"b"), slice_of("1"), (struct slice){0});
    report_unproved(&report, "%s", "some");
    report_text(&report, &out);
    assert_string_equal(buffer_text(&out), "differs: {haiphong}:totals a\\x1b[2J\"b: expected 1, found (absent)\nnot proved: some\n");
    for (int i = 0; i < REPORT_LISTED_MOST; i++)
        report_remark(&report, "%d", i);
    report_remark(&report, "one more");
    buffer_reset(&out);
    report_json(&report, &out);
    const char *text = buffer_text(&out);
    assert_non_null(strstr(text, "{\"key\":\"{haiphong}:totals\",\"field\":\"a\\\\x1b[2J\\\"b\",\"expected\":\"1\",\"found\":\"(absent)\"}"));
    assert_non_null(strstr(text, "\"remarks_count\":1001"));
    assert_null(strstr(text, "one more"));
    buffer_free(&out);
    report_free(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_id_is_found_again),
        cmocka_unit_test(places_tell_topic_partition_and_offset_apart),
        cmocka_unit_test(visits_begin_after_thirty_minutes),
        cmocka_unit_test(a_time_ahead_of_kafka_is_kept_as_kafkas),
        cmocka_unit_test(a_page_visit_after_its_day_was_final_is_uncertain),
        cmocka_unit_test(the_report_steers_no_terminal_and_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
