/* The parsing canonical form and its CRC-64, against the specification's and other libraries' values; schemas that are
 * none; bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "schemas/codec.h"

static void expect_form(const char *schema, const char *form)
{
    struct buffer out = BUFFER_BOUNDED(1 << 20);
    struct error error = {0};
    if (schema_canonical_form(schema, strlen(schema), &out, &error) != 0)
        fail_msg("%s: %s", schema, error.text);
    assert_string_equal(buffer_text(&out), form);
    buffer_free(&out);
}

static void expect_none(const char *schema, const char *part_of_sentence)
{
    struct buffer out = BUFFER_BOUNDED(1 << 20);
    struct error error = {0};
    if (schema_canonical_form(schema, strlen(schema), &out, &error) != -ERROR_INPUT)
        fail_msg("%s is taken: %s", schema, buffer_text(&out));
    assert_int_equal(out.size, 0);
    if (!strstr(error.text, part_of_sentence))
        fail_msg("%s: \"%s\" without \"%s\"", schema, error.text, part_of_sentence);
    buffer_free(&out);
}

static void the_specifications_fingerprints(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        int64_t fingerprint;
    } table[] = {
        {"\"null\"", INT64_C(7195948357588979594)},  {"\"boolean\"", INT64_C(-6970731678124411036)},
        {"\"int\"", INT64_C(8247732601305521295)},   {"\"long\"", INT64_C(-3434872931120570953)},
        {"\"float\"", INT64_C(5583340709985441680)}, {"\"double\"", INT64_C(-8181574048448539266)},
        {"\"bytes\"", INT64_C(5746618253357095269)}, {"\"string\"", INT64_C(-8142146995180207161)},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(crc64_avro(table[i].schema, strlen(table[i].schema)), (uint64_t)table[i].fingerprint);
    assert_int_equal(crc64_avro("", 0), UINT64_C(0xc15d213aa4d7a795));
}

static void our_fingerprints_are_those_on_the_wire_for_ever(void **state)
{
    (void)state;
    assert_int_equal(schema_fingerprint(RECORD_HEADCOUNT_CHANGE), UINT64_C(0x4ed99dd48cc8158e));
    assert_int_equal(schema_fingerprint(RECORD_UNIT_MERGER), UINT64_C(0x2e48ccbfe96cc62c));
    assert_int_equal(schema_fingerprint(RECORD_PAGE_VISIT), UINT64_C(0x4d9d09d0df4c3088));
    assert_int_equal(schema_fingerprint(RECORD_DEAD_LETTER), UINT64_C(0x4a2f77ef9691cca3));
    expect_form(schema_text(RECORD_PAGE_VISIT),
                "{\"name\":\"citytotals.PageVisit\",\"type\":\"record\",\"fields\":[{\"name\":\"occurred_at\",\"type\":"
                "\"long\"},"
                "{\"name\":\"visitor\",\"type\":{\"name\":\"citytotals.Visitor\",\"type\":\"fixed\",\"size\":16}}]}");
}

static void forms_by_the_rules_of_the_specification(void **state)
{
    (void)state;
    expect_form(" \"int\" ", "\"int\"");
    expect_form("{\"type\":\"int\",\"logicalType\":\"date\"}", "\"int\"");
    expect_form("{\"type\":{\"type\":\"string\"}}", "\"string\"");
    expect_form("[ \"int\" , {\"type\":\"boolean\"} ]", "[\"int\",\"boolean\"]");
    expect_form("[]", "[]");
    expect_form("{\"items\":\"long\",\"type\":\"array\",\"default\":[]}", "{\"type\":\"array\",\"items\":\"long\"}");
    expect_form("{\"values\":{\"type\":\"map\",\"values\":\"bytes\"},\"type\":\"map\"}",
                "{\"type\":\"map\",\"values\":{\"type\":\"map\",\"values\":\"bytes\"}}");
    expect_form("{\"type\":\"fixed\",\"size\":15,\"namespace\":\"x.y\",\"name\":\"foo\",\"aliases\":[\"b\"]}",
                "{\"name\":\"x.y.foo\",\"type\":\"fixed\",\"size\":15}");
    expect_form("{\"type\":\"fixed\",\"name\":\"a.b.foo\",\"namespace\":\"x.y\",\"size\":0}",
                "{\"name\":\"a.b.foo\",\"type\":\"fixed\",\"size\":0}");
    expect_form("{\"doc\":\"d\",\"symbols\":[\"A\",\"B_2\"],\"default\":\"A\",\"type\":\"enum\",\"name\":\"E\","
                "\"namespace\":\"\"}",
                "{\"name\":\"E\",\"type\":\"enum\",\"symbols\":[\"A\",\"B_2\"]}");
    expect_form("{\"name\":\"\\u0045\",\"type\":\"\\u0065num\",\"symbols\":[\"\\u0041\"]}",
                "{\"name\":\"E\",\"type\":\"enum\",\"symbols\":[\"A\"]}");
    expect_form("{\"type\":\"error\",\"name\":\"R\",\"fields\":[]}",
                "{\"name\":\"R\",\"type\":\"record\",\"fields\":[]}");
}

/* A name without dots belongs to the namespace around it; a namespace given with "" ends it; references are full. */
static void names_take_the_namespace_around_them(void **state)
{
    (void)state;
    expect_form("{\"type\":\"record\",\"name\":\"a.R\",\"fields\":["
                "{\"name\":\"f\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":1}},"
                "{\"name\":\"g\",\"type\":{\"type\":\"enum\",\"name\":\"b.E\",\"symbols\":[\"X\"]}},"
                "{\"name\":\"h\",\"type\":\"F\"},{\"name\":\"i\",\"type\":\"b.E\"},"
                "{\"name\":\"j\",\"type\":{\"type\":\"record\",\"name\":\"S\",\"namespace\":\"c.d\",\"fields\":["
                "{\"name\":\"k\",\"type\":[\"null\",\"S\",\"a.R\"]}]}},"
                "{\"name\":\"l\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"namespace\":\"c\",\"size\":2}}]}",
                "{\"name\":\"a.R\",\"type\":\"record\",\"fields\":["
                "{\"name\":\"f\",\"type\":{\"name\":\"a.F\",\"type\":\"fixed\",\"size\":1}},"
                "{\"name\":\"g\",\"type\":{\"name\":\"b.E\",\"type\":\"enum\",\"symbols\":[\"X\"]}},"
                "{\"name\":\"h\",\"type\":\"a.F\"},{\"name\":\"i\",\"type\":\"b.E\"},"
                "{\"name\":\"j\",\"type\":{\"name\":\"c.d.S\",\"type\":\"record\",\"fields\":["
                "{\"name\":\"k\",\"type\":[\"null\",\"c.d.S\",\"a.R\"]}]}},"
                "{\"name\":\"l\",\"type\":{\"name\":\"c.F\",\"type\":\"fixed\",\"size\":2}}]}");
}

static void what_is_no_schema_is_refused_with_the_reason(void **state)
{
    (void)state;
    expect_none("", "line 1");
    expect_none("{\"type\":\"int\"", "line 1");
    expect_none("\"int\" \"int\"", "line 1");
    expect_none("{\"type\":\"int\",\"type\":\"int\"}", "line 1");
    expect_none("1", "a type is missing");
    expect_none("null", "a type is missing");
    expect_none("{}", "a type is missing");
    expect_none("\"Foo\"", "type Foo is not defined");
    expect_none("\"union\"", "type union is not defined");
    expect_none("[\"int\",\"int\"]", "two branches int");
    expect_none("[{\"type\":\"array\",\"items\":\"int\"},{\"type\":\"array\",\"items\":\"long\"}]",
                "two branches array");
    expect_none("[\"null\",[\"int\"]]", "union right inside a union");
    expect_none("[{\"type\":\"fixed\",\"name\":\"F\",\"size\":1},\"F\"]", "two branches F");
    expect_none("{\"type\":\"array\"}", "a type is missing");
    expect_none("{\"type\":\"record\",\"name\":\"R\"}", "no fields");
    expect_none("{\"type\":\"record\",\"fields\":[]}", "without a good name");
    expect_none("{\"type\":\"record\",\"name\":\"int\",\"fields\":[]}", "without a good name");
    expect_none("{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a..b\",\"fields\":[]}", "namespace");
    expect_none("{\"type\":\"record\",\"name\":\"R.\",\"fields\":[]}", "without a good name");
    expect_none("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a-b\",\"type\":\"int\"}]}", "good name");
    expect_none("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"type\":\"int\"}]}", "good name");
    expect_none("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\"}]}", "a type is missing");
    expect_none("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"a\","
                "\"type\":\"int\"}]}",
                "two fields a");
    expect_none("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[]}", "no symbol");
    expect_none("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"A\"]}", "two symbols A");
    expect_none("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",1]}", "not a name");
    expect_none("{\"type\":\"enum\",\"name\":\"E\"}", "no symbols");
    expect_none("{\"type\":\"fixed\",\"name\":\"F\"}", "no good size");
    expect_none("{\"type\":\"fixed\",\"name\":\"F\",\"size\":\"16\"}", "no good size");
    expect_none("{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}", "no good size");
    expect_none("{\"type\":\"fixed\",\"name\":\"F\",\"size\":2147483648}", "no good size");
    expect_none("[{\"type\":\"fixed\",\"name\":\"F\",\"size\":1},{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}]",
                "defined twice");
    expect_none("\"\xff\"", "line 1");
    expect_none("\"a\\u0000\"", "line 1");
}

static void bounds_of_size_depth_and_number(void **state)
{
    (void)state;
    char *text = malloc(SCHEMA_TEXT_MOST * 2);
    assert_non_null(text);
    for (int deep = SCHEMA_DEPTH_MOST; deep <= SCHEMA_DEPTH_MOST + 1; deep++) {
        size_t at = 0;
        for (int i = 0; i < deep; i++)
            at += (size_t)sprintf(text + at, "{\"type\":\"array\",\"items\":");
        at += (size_t)sprintf(text + at, "\"int\"");
        for (int i = 0; i < deep; i++)
            text[at++] = '}';
        text[at] = '\0';
        struct buffer out = BUFFER_BOUNDED(1 << 20);
        assert_int_equal(schema_canonical_form(text, at, &out, NULL), deep <= SCHEMA_DEPTH_MOST ? 0 : -ERROR_INPUT);
        buffer_free(&out);
    }
    memset(text, ' ', SCHEMA_TEXT_MOST + 1);
    memcpy(text, "\"int\"", 5);
    struct buffer out = BUFFER_BOUNDED(1 << 20);
    assert_int_equal(schema_canonical_form(text, SCHEMA_TEXT_MOST, &out, NULL), 0);
    assert_int_equal(schema_canonical_form(text, SCHEMA_TEXT_MOST + 1, &out, NULL), -ERROR_INPUT);
    buffer_free(&out);
    memset(text, '[', SCHEMA_TEXT_MOST);
    text[SCHEMA_TEXT_MOST] = '\0';
    expect_none(text, "line 1");
    size_t at = (size_t)sprintf(text, "[");
    for (int i = 0; i < 257; i++)
        at += (size_t)sprintf(text + at, "%s{\"type\":\"fixed\",\"name\":\"F%d\",\"size\":1}", i ? "," : "", i);
    sprintf(text + at, "]");
    expect_none(text, "more than 256 named types");
    at = (size_t)sprintf(text, "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[");
    for (int i = 0; i < 2001; i++)
        at += (size_t)sprintf(text + at, "%s\"S%d\"", i ? "," : "", i);
    sprintf(text + at, "]}");
    expect_none(text, "2001 parts");
    sprintf(text, "{\"type\":\"fixed\",\"size\":1,\"name\":\"");
    at = strlen(text);
    memset(text + at, 'n', 512);
    sprintf(text + at + 512, "\"}");
    expect_none(text, "more than 511 bytes");
    free(text);
}

/* Only a name that takes the namespace around it grows. */
static void a_full_name_of_511_bytes_is_a_good_reference_in_a_long_namespace(void **state)
{
    (void)state;
    char full[512], schema[2048], form[2048];
    memset(full, 'n', 511);
    full[250] = '.';
    full[511] = '\0';
    snprintf(schema, sizeof schema,
             "{\"type\":\"record\",\"name\":\"%s\",\"fields\":[{\"name\":\"f\",\"type\":[\"null\",\"%s\"]}]}", full,
             full);
    snprintf(form, sizeof form,
             "{\"name\":\"%s\",\"type\":\"record\",\"fields\":[{\"name\":\"f\",\"type\":[\"null\",\"%s\"]}]}", full,
             full);
    expect_form(schema, form);
    expect_form(form, form);
}

static void a_result_that_does_not_fit_is_an_error(void **state)
{
    (void)state;
    struct buffer out = BUFFER_BOUNDED(4);
    assert_int_equal(schema_canonical_form("\"int\"", 5, &out, NULL), -ERROR_LIMIT);
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_specifications_fingerprints),
        cmocka_unit_test(our_fingerprints_are_those_on_the_wire_for_ever),
        cmocka_unit_test(forms_by_the_rules_of_the_specification),
        cmocka_unit_test(names_take_the_namespace_around_them),
        cmocka_unit_test(what_is_no_schema_is_refused_with_the_reason),
        cmocka_unit_test(bounds_of_size_depth_and_number),
        cmocka_unit_test(a_full_name_of_511_bytes_is_a_good_reference_in_a_long_namespace),
        cmocka_unit_test(a_result_that_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
