/* Request targets and patterns of routes: what is well formed, and what it means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/http_internal.h"
#include "base/json_text.h"

static char text[4096], problem[256];

static bool parse(const char *target, struct http_request *request)
{
    static struct http_parameter *parameters; /* exactly as many as there is said to be room for */
    free(parameters);
    parameters = calloc(http_target_parameters(target, HTTP_PARAMETERS_MOST), sizeof *parameters);
    *request = (struct http_request){.parameters = parameters};
    snprintf(text, sizeof text, "%s", target);
    return http_target_parse(text, request, problem, sizeof problem);
}

static void expect_parameter(const struct http_request *request, const char *name, const char *value)
{
    struct slice found = http_parameter(request, name);
    assert_true(slice_equal(found, slice_of(value)));
}

static void test_parameters(void **state)
{
    (void)state;
    struct http_request request;
    assert_true(parse("/v1/history?measure=reduction&from=2020-01-01&empty=&bare&q=%C4%90+%2b%26", &request));
    assert_string_equal(request.path, "/v1/history");
    assert_int_equal(request.parameter_count, 5);
    expect_parameter(&request, "measure", "reduction");
    expect_parameter(&request, "empty", "");
    expect_parameter(&request, "bare", "");
    expect_parameter(&request, "q", "\xC4\x90 +&");
    assert_null(http_parameter(&request, "absent").data);
    assert_true(parse("/?&&a=1&", &request));
    assert_int_equal(request.parameter_count, 1);
    assert_true(parse("http://host.example:80/x?a=1", &request));
    assert_string_equal(request.path, "/x");
}

static void test_targets_that_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "*",         "x",         "?a=1",      "/?a=%",       "/?a=%4",      "/?a=%zz",      "/?%00=1",
        "/?a=%00", "/?a=%0A",   "/?a=%7f",   "/?a=%FF",   "/?a=%C3",     "/?a=%ED%A0%80", "/?a=%F4%90%80%80", "/?a=%C0%AF",
        "/?a=1&a=2", "/?a=1&%61=2", "http://host", "/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct http_request request;
        *problem = '\0';
        if (parse(bad[i], &request))
            fail_msg("%s is taken", bad[i]);
        assert_string_not_equal(problem, "");
    }
}

static void test_patterns(void **state)
{
    (void)state;
    char room[256];
    struct http_request request = {0};
    assert_true(http_path_match("/v1/agencies/{id}", "/v1/agencies/hong-bang", room, &request));
    assert_int_equal(request.part_count, 1);
    assert_true(slice_equal(request.parts[0], slice_of("hong-bang")));
    assert_true(http_path_match("/{a}/x/{b}", "/1/x/a%2Fb%20c", room, &request));
    assert_true(slice_equal(request.parts[0], slice_of("1")) && slice_equal(request.parts[1], slice_of("a/b c")));
    assert_true(http_path_match("/", "/", room, &request));
    static const char *const other[][2] = {
        {"/v1/agencies/{id}", "/v1/agencies/"},     {"/v1/agencies/{id}", "/v1/agencies"}, {"/v1/agencies/{id}", "/v1/agencies/a/b"},
        {"/v1/agencies/{id}", "/v1/agencies/%00"},  {"/v1/agencies/{id}", "/v1/agencies/%C3"}, {"/v1/totals", "/v1/totals/"},
        {"/v1/totals", "/v1/total"},                {"/v1/totals", "/v1/Totals"},          {"/v1/totals", "//v1/totals"},
        {"/", ""},                                  {"/a", "/%61"},
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_false(http_path_match(other[i][0], other[i][1], room, &request));
}

static void test_media_types(void **state)
{
    (void)state;
    assert_true(http_media_type_is("application/json", "application/json"));
    assert_true(http_media_type_is("Application/JSON; charset=utf-8", "application/json"));
    assert_false(http_media_type_is("application/jsonx", "application/json"));
    assert_false(http_media_type_is("", "application/json"));
}

static void expect_json(struct slice given, const char *expected)
{
    struct buffer out = BUFFER_BOUNDED(1024);
    json_text_append(&out, given);
    assert_string_equal(buffer_text(&out), expected);
    buffer_free(&out);
}

static void test_json_text(void **state)
{
    (void)state;
    expect_json(slice_of("Hồng Bàng"), "\"Hồng Bàng\"");
    expect_json(slice_of("a\"b\\c\n\x7F"), "\"a\\\"b\\\\c\\u000a\\u007f\"");
    expect_json((struct slice){"a\xFF" "b\xE1\xBB", 5}, "\"a\xEF\xBF\xBD" "b\xEF\xBF\xBD\xEF\xBF\xBD\"");
    expect_json((struct slice){"a\0b", 3}, "\"a\\u0000b\"");
    expect_json((struct slice){0}, "null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters), cmocka_unit_test(test_targets_that_are_refused), cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_media_types), cmocka_unit_test(test_json_text),
    };
    return cmocka_run_group_tests_name("http_target", tests, NULL, NULL);
}
