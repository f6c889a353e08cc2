/* Log lines: text and JSON, thresholds, and messages that would break a line, a terminal or a JSON string. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static char got[16384];

/* What `log_write` put on standard error. */
static const char *logged(enum log_level level, const char *message)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    log_write(level, "%s", message);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    size_t size = fread(got, 1, sizeof got - 1, file);
    got[size] = '\0';
    fclose(file);
    return got;
}

/* The message of a text line: after the time and the level. */
static const char *message_of(const char *message)
{
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    logged(LOG_LEVEL_INFO, message);
    got[strcspn(got, "\n")] = '\0';
    const char *at = strstr(got, " info ");
    assert_non_null(at);
    return at + 6;
}

static const char *json_of(const char *message)
{
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    logged(LOG_LEVEL_INFO, message);
    const char *at = strstr(got, "\"message\":\"");
    assert_non_null(at);
    assert_string_equal(got + strlen(got) - 3, "\"}\n");
    got[strlen(got) - 3] = '\0';
    return at + 11;
}

static void test_a_line_has_time_level_and_message(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    const char *line = logged(LOG_LEVEL_WARNING, "hello");
    assert_int_equal(strspn(line, "0123456789-:.TZ"), 24);
    assert_string_equal(line + 24, " warning hello\n");
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    line = logged(LOG_LEVEL_ERROR, "hello");
    assert_memory_equal(line, "{\"time\":\"20", 11);
    assert_string_equal(strchr(line, ','), ",\"level\":\"error\",\"message\":\"hello\"}\n");
}

static void test_lines_below_the_threshold_are_left_out(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
    assert_string_equal(logged(LOG_LEVEL_INFO, "x"), "");
    assert_string_equal(logged(LOG_LEVEL_DEBUG, "x"), "");
    assert_non_null(strstr(logged(LOG_LEVEL_WARNING, "x"), "warning x"));
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    assert_non_null(strstr(logged(LOG_LEVEL_DEBUG, "x"), "debug x"));
}

static void test_control_characters_are_escaped(void **state)
{
    (void)state;
    assert_string_equal(message_of("a\nb\rc\x1b[31m\x7f\t"), "a\\u000ab\\u000dc\\u001b[31m\\u007f\\u0009");
    assert_string_equal(message_of("\xC2\x9B" "31m \xC2\x80 \xC2\xA0."), "\\u009b31m \\u0080 \xC2\xA0.");
    assert_string_equal(json_of("a\nb\x01"), "a\\u000ab\\u0001");
}

static void test_json_strings_are_escaped(void **state)
{
    (void)state;
    assert_string_equal(json_of("say \"x\" \\ y"), "say \\\"x\\\" \\\\ y");
    assert_string_equal(message_of("say \"x\" \\ y"), "say \"x\" \\ y");
    assert_string_equal(json_of("Hồng Bàng 😀"), "Hồng Bàng 😀");
}

static void test_bytes_that_are_no_utf8_become_a_replacement(void **state)
{
    (void)state;
#define FFFD "\xEF\xBF\xBD"
    static const char *const table[][2] = {
        {"\xFF.", FFFD "."},           {"\x80", FFFD},
        {"\xC0\x80", FFFD FFFD},       {"\xC1\xBF", FFFD FFFD},
        {"\xC3", FFFD},                {"\xC3(", FFFD "("},
        {"\xE2\x82", FFFD FFFD},       {"\xE0\x80\x80", FFFD FFFD FFFD},
        {"\xED\xA0\x80", FFFD FFFD FFFD}, {"\xF0\x80\x80\x80", FFFD FFFD FFFD FFFD},
        {"\xF4\x90\x80\x80", FFFD FFFD FFFD FFFD}, {"\xF5\x80\x80\x80", FFFD FFFD FFFD FFFD},
        {"\xED\x9F\xBF", "\xED\x9F\xBF"}, {"\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_string_equal(message_of(table[i][0]), table[i][1]);
        assert_string_equal(json_of(table[i][0]), table[i][1]);
    }
}

static void test_a_long_message_is_cut_to_a_whole_line(void **state)
{
    (void)state;
    char text[8192];
    for (int fill = 0; fill < 3; fill++) {
        memset(text, "x\n\""[fill], sizeof text - 1);
        text[sizeof text - 1] = '\0';
        const char *json = json_of(text);
        size_t size = strlen(json);
        assert_true(size > 1000 && size < 8192);
        assert_null(strchr(json, '\n'));
        if (fill == 1)
            assert_int_equal(size % 6, 0);
        if (fill == 2)
            assert_int_equal(size % 2, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_has_time_level_and_message),
        cmocka_unit_test(test_lines_below_the_threshold_are_left_out),
        cmocka_unit_test(test_control_characters_are_escaped),
        cmocka_unit_test(test_json_strings_are_escaped),
        cmocka_unit_test(test_bytes_that_are_no_utf8_become_a_replacement),
        cmocka_unit_test(test_a_long_message_is_cut_to_a_whole_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
