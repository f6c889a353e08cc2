/* The percentage: exact to the last digit, halves away from zero, and the goal by integers. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "query/totals.h"

static void expect(int64_t reduction, int64_t baseline, const char *expected)
{
    char text[PERCENT_TEXT_SIZE];
    assert_string_equal(percent_format(reduction, baseline, text), expected);
}

static void percentages_have_four_decimals(void **state)
{
    (void)state;
    expect(425, 10000, "4.2500");
    expect(0, 10000, "0.0000");
    expect(10000, 10000, "100.0000");
    expect(1, 3, "33.3333");
    expect(2, 3, "66.6667");
    expect(-1, 3, "-33.3333");
    expect(20001, 10000, "200.0100");
}

static void halves_go_away_from_zero(void **state)
{
    (void)state;
    expect(1, 2000000, "0.0001");   /* 0.00005 */
    expect(-1, 2000000, "-0.0001");
    expect(3, 2000000, "0.0002");   /* 0.00015 */
    expect(1, 2000001, "0.0000");   /* just under */
    expect(1, 1999999, "0.0001");   /* just over */
    expect(1, 32, "3.1250");
    expect(1, 320000, "0.0003");    /* 0.0003125 */
    expect(7, 160000, "0.0044");    /* 0.004375 */
    expect(12345, 20000000, "0.0617"); /* 0.061725 */
    expect(12347, 20000000, "0.0617"); /* 0.061735 */
    expect(12349, 2000000, "0.6175"); /* 0.61745 */
    expect(-12349, 2000000, "-0.6175");
    expect(1999999, 2000000, "100.0000"); /* 99.99995: carries through */
}

static void zero_has_no_sign(void **state)
{
    (void)state;
    expect(-1, 2000001, "0.0000");
    expect(-1, INT64_C(900000000000000), "0.0000");
    expect(-1, 2000000, "-0.0001");
}

static void there_is_none_without_a_baseline(void **state)
{
    (void)state;
    expect(5, 0, "");
    expect(5, -3, "");
    expect(0, 0, "");
    expect(0, INT64_MIN, "");
}

static void nothing_overflows(void **state)
{
    (void)state;
    expect(COUNTER_MOST * 2, COUNTER_MOST, "200.0000");
    expect(COUNTER_MOST - 1, COUNTER_MOST, "100.0000");
    expect(SUM_MOST * 2, 1, "800000000000000000000.0000");
    expect(-SUM_MOST * 2, 1, "-800000000000000000000.0000");
    expect(SUM_MOST * 2 + 1, 3, "266666666666666666700.0000");
    expect(INT64_MIN, 1, "-922337203685477580800.0000");
    expect(INT64_MAX, INT64_MAX, "100.0000");
}

/* By long division in decimal digits: another way than the program's. */
static void reference(int64_t reduction, int64_t baseline, char *text, size_t size)
{
    uint64_t rest = (uint64_t)llabs(reduction), divisor = (uint64_t)baseline, digits = rest / divisor;
    rest %= divisor;
    for (int i = 0; i < 6; i++) {
        rest *= 10;
        digits = digits * 10 + rest / divisor;
        rest %= divisor;
    }
    digits += rest * 2 >= divisor;
    snprintf(text, size, "%s%" PRIu64 ".%04" PRIu64, reduction < 0 && digits ? "-" : "", digits / 10000, digits % 10000);
}

static void it_agrees_with_long_division(void **state)
{
    (void)state;
    uint64_t seed = 20201030;
    for (int i = 0; i < 200000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        int64_t baseline = (int64_t)(seed >> 33) % (INT64_C(1) << (1 + i % 30)) + 1;
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        int64_t reduction = (int64_t)(seed >> 33) % (2 * baseline + 1) - baseline;
        char text[64];
        reference(reduction, baseline, text, sizeof text);
        expect(reduction, baseline, text);
    }
}

static void the_goal_compares_integers(void **state)
{
    (void)state;
    assert_true(target_is_met(1000, 10000));
    assert_false(target_is_met(999, 10000));
    assert_false(target_is_met(INT64_C(99999999), INT64_C(1000000000))); /* 10.0000 when rounded */
    expect(INT64_C(99999999), INT64_C(1000000000), "10.0000");
    assert_false(target_is_met(0, 0));
    assert_false(target_is_met(5, 0));
    assert_false(target_is_met(5, -10));
    assert_false(target_is_met(-5, 10));
    assert_true(target_is_met(SUM_MOST * 2, SUM_MOST));
    assert_int_equal(target_missing(425, 10000), 575);
    assert_int_equal(target_missing(1000, 10000), 0);
    assert_int_equal(target_missing(0, 1), 1);
    assert_int_equal(target_missing(1, 11), 1);
    assert_int_equal(target_missing(-3, 10), 4);
    assert_int_equal(target_missing(3, 0), 0);
    for (int64_t baseline = 1; baseline < 500; baseline++) {
        for (int64_t reduction = -20; reduction < 60; reduction++) {
            int64_t missing = target_missing(reduction, baseline);
            assert_true(missing >= 0 && target_is_met(reduction + missing, baseline));
            assert_true(missing == 0 || !target_is_met(reduction + missing - 1, baseline));
        }
    }
}

static void integers_are_read_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "--1", "9223372036854775808",
                                      "-9223372036854775809", "12a", "1-"};
    int64_t number = 77;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(integer_parse(slice_of(bad[i]), &number));
    assert_false(integer_parse((struct slice){0}, &number));
    assert_int_equal(number, 77);
    assert_true(integer_parse(slice_of("9223372036854775807"), &number) && number == INT64_MAX);
    assert_true(integer_parse(slice_of("-9223372036854775808"), &number) && number == INT64_MIN);
    assert_true(integer_parse(slice_of("-0"), &number) && number == 0);
    assert_true(integer_parse((struct slice){"123", 2}, &number) && number == 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentages_have_four_decimals), cmocka_unit_test(halves_go_away_from_zero),
        cmocka_unit_test(zero_has_no_sign),               cmocka_unit_test(there_is_none_without_a_baseline),
        cmocka_unit_test(nothing_overflows),              cmocka_unit_test(it_agrees_with_long_division),
        cmocka_unit_test(the_goal_compares_integers),     cmocka_unit_test(integers_are_read_strictly),
    };
    return cmocka_run_group_tests_name("percent", tests, NULL, NULL);
}
