/* The growing buffer: it holds what was appended, never more than its bound, and an error sticks. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/buffer.h"

static void test_appends_follow_one_another(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_BOUNDED(100);
    buffer_append(&buffer, "a\0b", 3);
    buffer_text_append(&buffer, "cd");
    buffer_slice_append(&buffer, (struct slice){"efgh", 2});
    buffer_slice_append(&buffer, (struct slice){0});
    buffer_printf(&buffer, "%d-%s", 42, "x");
    assert_false(buffer_failed(&buffer));
    assert_int_equal(buffer.size, 11);
    assert_memory_equal(buffer.data, "a\0bcdef42-x", 11);
    buffer_free(&buffer);
}

static void test_text_is_terminated_and_not_counted(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 1030; size++) {
        struct buffer buffer = BUFFER_BOUNDED(size);
        for (size_t i = 0; i < size; i++)
            buffer_append(&buffer, "x", 1);
        const char *text = buffer_text(&buffer);
        assert_non_null(text);
        assert_int_equal(strlen(text), size);
        assert_int_equal(buffer.size, size);
        assert_int_equal(buffer.bound, size);
        buffer_free(&buffer);
    }
}

static void test_an_append_over_the_bound_fails_and_sticks(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_BOUNDED(4);
    buffer_append(&buffer, "abc", 3);
    buffer_append(&buffer, "de", 2);
    assert_true(buffer_failed(&buffer));
    buffer_append(&buffer, "f", 1);
    assert_true(buffer_failed(&buffer));
    assert_int_equal(buffer.size, 3);
    assert_null(buffer_text(&buffer));
    buffer_reset(&buffer);
    assert_false(buffer_failed(&buffer));
    buffer_append(&buffer, "abcd", 4);
    assert_string_equal(buffer_text(&buffer), "abcd");
    buffer_append(&buffer, "", 0);
    assert_false(buffer_failed(&buffer));
    buffer_append(&buffer, "", SIZE_MAX);
    assert_true(buffer_failed(&buffer));
    buffer_free(&buffer);
}

static void test_printf_may_fill_the_bound_exactly(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_BOUNDED(5);
    buffer_printf(&buffer, "%s", "12345");
    assert_string_equal(buffer_text(&buffer), "12345");
    buffer_reset(&buffer);
    buffer_printf(&buffer, "%s", "123456");
    assert_true(buffer_failed(&buffer));
    assert_int_equal(buffer.bound, 5);
    buffer_free(&buffer);
}

static void test_printf_grows_as_needed(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct buffer buffer = BUFFER_BOUNDED(20000);
    for (int i = 0; i < 4; i++)
        buffer_printf(&buffer, "%s", text);
    assert_int_equal(buffer.size, 4 * (sizeof text - 1));
    assert_int_equal(strspn(buffer_text(&buffer), "y"), buffer.size);
    buffer_free(&buffer);
}

static void test_numbers_are_decimal(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0, 7, -7, 10, 1234567890, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct buffer got = BUFFER_BOUNDED(20), want = BUFFER_BOUNDED(20);
        buffer_number_append(&got, numbers[i]);
        buffer_printf(&want, "%" PRId64, numbers[i]);
        assert_string_equal(buffer_text(&got), buffer_text(&want));
        buffer_free(&got);
        buffer_free(&want);
    }
}

static void test_free_is_safe_twice(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_BOUNDED(10);
    buffer_free(&buffer);
    buffer_append(&buffer, "abc", 3);
    buffer_free(&buffer);
    buffer_free(&buffer);
    assert_int_equal(buffer.size, 0);
    buffer_append(&buffer, "0123456789", 10);
    assert_false(buffer_failed(&buffer));
    buffer_free(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_follow_one_another),
        cmocka_unit_test(test_text_is_terminated_and_not_counted),
        cmocka_unit_test(test_an_append_over_the_bound_fails_and_sticks),
        cmocka_unit_test(test_printf_may_fill_the_bound_exactly),
        cmocka_unit_test(test_printf_grows_as_needed),
        cmocka_unit_test(test_numbers_are_decimal),
        cmocka_unit_test(test_free_is_safe_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
