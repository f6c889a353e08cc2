/* Names of keys and cities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "schemas/event.h"
#include "schemas/layout.h"

static void a_key_begins_with_the_city_as_hash_tag(void **state)
{
    (void)state;
    char key[REDIS_KEY_SIZE];
    assert_string_equal(redis_key(key, "haiphong", "totals"), "{haiphong}:totals");
    assert_string_equal(redis_key(key, "abcdefghijabcdefghijabcdefghij12", "headcount:by-day"),
                        "{abcdefghijabcdefghijabcdefghij12}:headcount:by-day");
}

static void a_city_is_1_to_32_of_lower_case_digits_and_hyphens(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "-", "9", "hai-phong", "abcdefghijabcdefghijabcdefghij12"};
    static const char *const bad[] = {"",          "Haiphong", "hai phong", "hai_phong",
                                      "hai.phong", "h{a}",     "hải",       "abcdefghijabcdefghijabcdefghij123"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(city_is_valid(slice_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(city_is_valid(slice_of(bad[i])));
    assert_false(city_is_valid((struct slice){0}));
}

static void words_out_of_range_are_question_marks(void **state)
{
    (void)state;
    assert_string_equal(sector_name(SECTOR_COMMUNE), "commune");
    assert_string_equal(sector_name(SECTORS), "?");
    assert_string_equal(headcount_reason_name(REASON_TRANSFERRED_OUT), "transferred_out");
    assert_string_equal(headcount_reason_name((enum headcount_reason) - 1), "?");
    assert_string_equal(unit_category_name(CATEGORY_PUBLIC_SERVICE_UNIT), "public_service_unit");
    assert_string_equal(merger_kind_name(KIND_REARRANGEMENT), "rearrangement");
    assert_string_equal(dead_letter_reason_name(LETTER_OUT_OF_WINDOW), "out_of_window");
    assert_string_equal(dead_letter_reason_name(LETTER_NONE), "?");
    assert_string_equal(event_type_name(EVENT_UNIT_MERGER), "unit-merger");
    assert_string_equal(event_topic_suffix(EVENT_PAGE_VISIT), "page-visits");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_begins_with_the_city_as_hash_tag),
        cmocka_unit_test(a_city_is_1_to_32_of_lower_case_digits_and_hyphens),
        cmocka_unit_test(words_out_of_range_are_question_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
