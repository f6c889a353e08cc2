/* Calendar days against a table and against a count day by day; RFC 3339 in every allowed and refused form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/clock.h"

static const struct {
    const char *text;
    int32_t days;
} dates[] = {
    {"1970-01-01", 0},      {"1969-12-31", -1},     {"2000-01-01", 10957},  {"2000-02-29", 11016},  {"2000-03-01", 11017},
    {"2015-01-01", 16436},  {"2020-02-29", 18321},  {"2020-10-30", 18565},  {"2021-12-31", 18992},  {"2024-02-29", 19782},
    {"2024-12-31", 20088},  {"2099-12-31", 47481},  {"2100-03-01", 47541},  {"1900-02-28", -25509}, {"1900-03-01", -25508},
    {"0001-01-01", -719162}, {"9999-12-31", 2932896}, {"1600-02-29", -135081},
};

static void test_dates_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        int32_t days = 12345;
        char text[DATE_TEXT_SIZE];
        assert_true(date_parse(slice_of(dates[i].text), &days));
        assert_int_equal(days, dates[i].days);
        assert_string_equal(date_format(days, text), dates[i].text);
    }
}

static void test_every_day_of_four_hundred_years(void **state)
{
    (void)state;
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int32_t days = date_from_civil(1850, 1, 1);
    for (int year = 1850; year < 2250; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (int month = 1; month <= 12; month++) {
            for (int day = 1; day <= lengths[month - 1] + (month == 2 && leap); day++, days++) {
                int y, m, d;
                assert_int_equal(date_from_civil(year, month, day), days);
                date_to_civil(days, &y, &m, &d);
                assert_true(y == year && m == month && d == day);
            }
        }
    }
    assert_int_equal(days, date_from_civil(2250, 1, 1));
}

static void test_the_farthest_days_have_a_year(void **state)
{
    (void)state;
    char text[DATE_TEXT_SIZE];
    for (int i = 0; i < 2; i++) {
        int year, month, day;
        int32_t days = i ? INT32_MAX : INT32_MIN;
        date_to_civil(days, &year, &month, &day);
        assert_true(month >= 1 && month <= 12 && day >= 1 && day <= 31);
        assert_true(strlen(date_format(days, text)) < sizeof text);
    }
}

static void test_dates_that_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "2020",        "2020-1-01",  "2020-01-1",   "2020-13-01", "2020-00-01",  "2020-01-00",
        "2020-01-32", "2020-02-30",  "2021-02-29", "1900-02-29",  "2100-02-29", "2020-04-31",  "2020-06-31",
        "2020-09-31", "2020-11-31",  "2020/01/01", "20200101",    "2020-01-01 ", " 2020-01-01", "+2020-01-01",
        "-2020-01-01", "12020-01-01", "2020-01-01T", "20a0-01-01", "2020-0x-01",
    };
    int32_t days = 77;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(date_parse(slice_of(bad[i]), &days));
    assert_false(date_parse((struct slice){0}, &days));
    assert_false(date_parse((struct slice){"2020-01-01\0", 11}, &days));
    assert_int_equal(days, 77);
}

static const struct {
    const char *text;
    int64_t ms;
} times[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01T00:00:00.001z", 1},
    {"1969-12-31T23:59:59.999Z", -1},
    {"2020-11-20T02:00:00.000Z", INT64_C(1605837600000)},
    {"2020-11-20t09:00:00+07:00", INT64_C(1605837600000)},
    {"2020-11-19T21:30:00-04:30", INT64_C(1605837600000)},
    {"2020-11-20T02:00:00-00:00", INT64_C(1605837600000)},
    {"2020-11-21T01:59:00+23:59", INT64_C(1605837600000)},
    {"2020-11-20T02:00:00.1Z", INT64_C(1605837600100)},
    {"2020-11-20T02:00:00.12Z", INT64_C(1605837600120)},
    {"2020-11-20T02:00:00.1239999999999999999999Z", INT64_C(1605837600123)},
    {"2020-02-29T23:59:59.999+07:00", INT64_C(1582995599999)},
};

static void test_timestamps_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t ms = 99, again = 99;
        char text[TIMESTAMP_TEXT_SIZE];
        assert_true(timestamp_parse(slice_of(times[i].text), &ms));
        assert_true(ms == times[i].ms);
        assert_true(timestamp_parse(slice_of(timestamp_format(ms, text)), &again));
        assert_true(again == ms);
    }
    char text[TIMESTAMP_TEXT_SIZE];
    assert_string_equal(timestamp_format(INT64_C(1605837600000), text), "2020-11-20T02:00:00.000Z");
    assert_string_equal(timestamp_format(-1, text), "1969-12-31T23:59:59.999Z");
    assert_true(strlen(timestamp_format(INT64_MAX, text)) < sizeof text);
    assert_true(strlen(timestamp_format(INT64_MIN, text)) < sizeof text);
}

static void test_timestamps_that_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "2020-11-20", "2020-11-20T02:00:00", "2020-11-20 02:00:00Z", "2020-11-20T02:00Z", "2020-11-20T24:00:00Z",
        "2020-11-20T02:60:00Z", "2020-11-20T02:00:60Z", "2020-11-20T02:00:00.Z", "2020-11-20T02:00:00,5Z",
        "2020-11-20T02:00:00+7:00", "2020-11-20T02:00:00+0700", "2020-11-20T02:00:00+07", "2020-11-20T02:00:00+24:00",
        "2020-11-20T02:00:00+07:60", "2020-11-20T02:00:00Zx", "2020-11-20T02:00:00+07:00 ", "2020-02-30T02:00:00Z",
        "2021-02-29T02:00:00Z", "2020-11-20T2:00:00Z", "2020-11-20T-1:00:00Z", "2020-11-20T02:00:00.-1Z", "T02:00:00Z",
    };
    int64_t ms = 77;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(timestamp_parse(slice_of(bad[i]), &ms));
    assert_false(timestamp_parse((struct slice){0}, &ms));
    assert_true(ms == 77);
}

static void test_the_day_in_the_city_begins_at_seventeen_utc(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_true(timestamp_parse(slice_of("2020-11-19T17:00:00.000Z"), &ms));
    char text[DATE_TEXT_SIZE];
    assert_string_equal(date_format(date_in_city(ms - 1), text), "2020-11-19");
    assert_string_equal(date_format(date_in_city(ms), text), "2020-11-20");
    assert_int_equal(date_in_city(-CITY_UTC_OFFSET_MS - 1), -1);
    assert_int_equal(date_in_city(-CITY_UTC_OFFSET_MS), 0);
}

static void test_clocks_go_forward(void **state)
{
    (void)state;
    int64_t ns = clock_monotonic_ns();
    assert_true(clock_monotonic_ns() >= ns);
    assert_true(clock_monotonic_ms() >= ns / 1000000);
    assert_true(clock_wall_ms() > INT64_C(1577836800000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates_of_the_table),
        cmocka_unit_test(test_every_day_of_four_hundred_years),
        cmocka_unit_test(test_the_farthest_days_have_a_year),
        cmocka_unit_test(test_dates_that_are_refused),
        cmocka_unit_test(test_timestamps_of_the_table),
        cmocka_unit_test(test_timestamps_that_are_refused),
        cmocka_unit_test(test_the_day_in_the_city_begins_at_seventeen_utc),
        cmocka_unit_test(test_clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
