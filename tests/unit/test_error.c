/* Errors as values: code, class, exit status, and one wrapped sentence that is cut only between characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include <string.h>

#include "base/error.h"

static void test_a_sentence_with_its_codes_class(void **state)
{
    (void)state;
    struct error error = {0};
    assert_int_equal(error_set(&error, ERROR_REDIS, "port %d", 7), -ERROR_REDIS);
    assert_string_equal(error.text, "port 7");
    assert_int_equal(error.code, ERROR_REDIS);
    assert_int_equal(error.class, ERROR_CLASS_RETRY);
    assert_int_equal(error_set_class(&error, ERROR_REDIS, ERROR_CLASS_FATAL, "no"), -ERROR_REDIS);
    assert_int_equal(error.class, ERROR_CLASS_FATAL);
}

static void test_wrapping_puts_the_outer_words_first(void **state)
{
    (void)state;
    struct error error = {0};
    error_set(&error, ERROR_INPUT, "unknown sector \"%s\"", "phong");
    assert_int_equal(error_wrap(&error, "line %d", 14), -ERROR_INPUT);
    assert_int_equal(error_wrap(&error, "open %s", "agencies.csv"), -ERROR_INPUT);
    assert_string_equal(error.text, "open agencies.csv: line 14: unknown sector \"phong\"");
    assert_int_equal(error.class, ERROR_CLASS_SKIP);
}

static void test_its_own_text_may_be_an_argument(void **state)
{
    (void)state;
    struct error error = {0};
    error_set(&error, ERROR_IO, "inner");
    error_set(&error, ERROR_KAFKA, "outer (%s)", error.text);
    assert_string_equal(error.text, "outer (inner)");
}

static void test_no_error_is_wanted(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, ERROR_LIMIT, "x"), -ERROR_LIMIT);
    assert_int_equal(error_set_class(NULL, ERROR_LIMIT, ERROR_CLASS_RETRY, "x"), -ERROR_LIMIT);
    assert_int_equal(error_wrap(NULL, "x"), -ERROR_IO);
}

static void test_a_long_sentence_is_cut_between_characters(void **state)
{
    (void)state;
    static const char *const letters[] = {"a", "đ", "ệ", "😀"};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        for (size_t pad = 0; pad < 5; pad++) {
            char text[3 * ERROR_TEXT_SIZE] = "";
            memset(text, '.', pad);
            while (strlen(text) < 2 * ERROR_TEXT_SIZE)
                strcat(text, letters[i]);
            struct error error = {0};
            error_set(&error, ERROR_IO, "%s", text);
            size_t size = strlen(error.text), letter = strlen(letters[i]);
            assert_true(size < ERROR_TEXT_SIZE && size + 2 * letter >= ERROR_TEXT_SIZE);
            assert_int_equal((size - pad) % letter, 0);
            assert_memory_equal(error.text, text, size);
            error_wrap(&error, "x");
            assert_memory_equal(error.text, "x: ", 3);
            size = strlen(error.text);
            assert_true(size < ERROR_TEXT_SIZE);
            assert_int_equal((size - pad - 3) % letter, 0);
        }
    }
}

static void test_exit_statuses_are_those_of_the_contract(void **state)
{
    (void)state;
    assert_int_equal(error_exit_status(ERROR_NONE), 0);
    assert_int_equal(error_exit_status(ERROR_USAGE), 2);
    assert_int_equal(error_exit_status(ERROR_CONFIG), 2);
    assert_int_equal(error_exit_status(ERROR_INPUT), 3);
    for (enum error_code code = ERROR_IO; code <= ERROR_INTERRUPTED; code++)
        assert_int_equal(error_exit_status(code), 1);
    assert_string_equal(error_code_name(ERROR_NONE), "none");
    assert_string_equal(error_code_name(ERROR_REDIS), "redis");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sentence_with_its_codes_class),
        cmocka_unit_test(test_wrapping_puts_the_outer_words_first),
        cmocka_unit_test(test_its_own_text_may_be_an_argument),
        cmocka_unit_test(test_no_error_is_wanted),
        cmocka_unit_test(test_a_long_sentence_is_cut_between_characters),
        cmocka_unit_test(test_exit_statuses_are_those_of_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
