/* From one line of JSON to an event: what is taken, what is refused, and what is said. */
#include "producer_lines.h"

#include <jansson.h>

#include "base/clock.h"
#include "schemas/identity.h"

static void good_lines_become_events(void **state)
{
    (void)state;
    EXPECT_GOOD(WITH(headcount_line, {"occurred_at", "\"2020-10-30T08:15:00+07:00\""}, {"decision", "\"1234/QĐ-UBND\""}));
    assert_int_equal(event.type, EVENT_HEADCOUNT_CHANGE);
    assert_int_equal(event.headcount.delta, -3);
    assert_int_equal(event.headcount.sector, SECTOR_COMMUNE);
    assert_int_equal(event.headcount.reason, REASON_RETIRED);
    assert_int_equal(event.effective_date, date_from_civil(2020, 10, 30));
    assert_int_equal(event.occurred_at_ms, INT64_C(1604020500000));
    assert_true(slice_equal(event.decision, TEXT("1234/QĐ-UBND")));
    assert_true(slice_equal(event.agency, TEXT("hong-bang")));
    assert_false(event.has_reverses);
    struct event_id id = event_id_from(EVENT_HEADCOUNT_CHANGE, TEXT("hong-bang"), TEXT("hong-bang"), TEXT("HB-17"));
    assert_memory_equal(event.event_id.bytes, id.bytes, 16);

    EXPECT_GOOD(WITH(merger_line, {"merged_units", "[{\"id\":\"a\",\"name\":\"A\"},{\"name\":\"B\",\"id\":\"b\"},{\"id\":\"c\",\"name\":\"C\"}]"},
                     {"resulting_units", "[]"}, {"pilot_model", "\"p\""}, {"district", "\"d\""}));
    assert_int_equal(event.merger.merged_count, 3);
    assert_true(slice_equal(event.merger.merged_units[1].id, TEXT("b")));
    assert_true(slice_equal(event.merger.merged_units[1].name, TEXT("B")));
    assert_int_equal(event.merger.resulting_count, 0);
    assert_true(slice_equal(event.merger.district, TEXT("d")));
    assert_int_equal(event.merger.units_before, 3);

    EXPECT_GOOD(WITH(visit_line, {"occurred_at", "\"2020-11-20t01:00:00.1239z\""}));
    assert_int_equal(event.type, EVENT_PAGE_VISIT);
    assert_int_equal(event.visit.visitor[0], 0x00);
    assert_int_equal(event.visit.visitor[15], 0xff);
    assert_int_equal(event.occurred_at_ms, INT64_C(1605834000123));
}

static void what_may_be_left_out(void **state)
{
    (void)state;
    EXPECT_GOOD(line_with(headcount_line, NULL));
    assert_int_equal(event.occurred_at_ms, NOW_MS);
    assert_null(event.decision.data);
    EXPECT_GOOD(WITH(headcount_line, {"decision", "null"}, {"occurred_at", "null"}, {"reverses", "null"}, {"reverses_event_id", "null"}));
    EXPECT_GOOD(WITH(merger_line, {"merged_units", "null"}, {"resulting_units", "null"}, {"pilot_model", "null"}, {"district", "null"}));
    EXPECT_REFUSED(WITH(headcount_line, {"source", NULL}), "source", "missing");
    EXPECT_REFUSED(WITH(headcount_line, {"source", "null"}), "source", "missing");
    defaults.source = TEXT("portal");
    EXPECT_GOOD(WITH(headcount_line, {"source", NULL}));
    assert_true(slice_equal(event.source, TEXT("portal")));
    EXPECT_GOOD(line_with(headcount_line, NULL));
    assert_true(slice_equal(event.source, TEXT("hong-bang")));
    EXPECT_REFUSED(WITH(headcount_line, {"source", "\"\""}), "source", "blank");
    defaults.source = (struct slice){0};
}

static void each_required_field_is_missed(void **state)
{
    (void)state;
    static const struct member *const lines[] = {headcount_line, merger_line, visit_line};
    for (size_t i = 0; i < 3; i++)
        for (const struct member *member = lines[i]; member->name; member++) {
            EXPECT_REFUSED(WITH(lines[i], {member->name, NULL}), member->name, "missing");
            EXPECT_REFUSED(WITH(lines[i], {member->name, "null"}), member->name, "missing");
        }
}

static void each_field_has_its_type(void **state)
{
    (void)state;
    static const char *const texts[] = {"17", "-1", "1.5", "true", "false", "{}", "[]", "{\"a\":[1,{}]}"};
    static const char *const numbers[] = {"\"3\"", "1.0", "1e3", "-3E0", "true", "[]", "{}", "\"\"", "[[[1]]]", "2.5e+7"};
    for (const struct member *member = headcount_line; member->name; member++) {
        bool number = strcmp(member->name, "delta") == 0;
        const char *const *values = number ? numbers : texts;
        for (size_t i = 0; i < (number ? 10 : 8); i++)
            EXPECT_REFUSED(WITH(headcount_line, {member->name, values[i]}), member->name, "allowed: ");
    }
    for (size_t i = 0; i < 10; i++) {
        EXPECT_REFUSED(WITH(merger_line, {"units_before", numbers[i]}), "units_before", "whole number");
        EXPECT_REFUSED(WITH(merger_line, {"units_after", numbers[i]}), "units_after", "whole number");
    }
    EXPECT_REFUSED(WITH(merger_line, {"merged_units", "\"a\""}), "merged_units", "a list");
    EXPECT_REFUSED(WITH(merger_line, {"merged_units", "{}"}), "merged_units", "a list");
    EXPECT_REFUSED(WITH(headcount_line, {"delta", "99999999999999999999999"}), "delta", "1,000,000");
    EXPECT_REFUSED(WITH(headcount_line, {"delta", "-2147483649"}), "delta", "-2147483649");
    EXPECT_REFUSED(WITH(headcount_line, {"delta", "0"}), "delta", "not 0");
    EXPECT_REFUSED(WITH(headcount_line, {"delta", "-0"}), "delta", "not 0");
    EXPECT_REFUSED(WITH(headcount_line, {"delta", "3"}), "delta", "below 0");
}

static void lists_of_units(void **state)
{
    (void)state;
#define UNITS(text) WITH(merger_line, {"units_before", "2"}, {"merged_units", text})
    EXPECT_GOOD(UNITS("[ {\"id\" : \"a\", \"name\":\"A\"} , {\"id\":\"b\",\"name\":\"\\u1ea4p\"} ]"));
    assert_true(slice_equal(event.merger.merged_units[1].name, TEXT("Ấp")));
    EXPECT_REFUSED(UNITS("[{\"id\":\"a\",\"name\":\"A\"}]"), "merged_units", "exactly 2");
    EXPECT_REFUSED(UNITS("[{\"id\":\"a\",\"name\":\"A\"},{\"id\":\"b\"}]"), "merged_units[1].name", "missing");
    EXPECT_REFUSED(UNITS("[{\"id\":\"a\",\"name\":\"A\"},{\"id\":null,\"name\":\"B\"}]"), "merged_units[1].id", "missing");
    EXPECT_REFUSED(UNITS("[{\"id\":\"a\",\"name\":\"A\"},{\"id\":\"b\",\"name\":3}]"), "merged_units[1].name", "allowed: text");
    EXPECT_REFUSED(UNITS("[{\"id\":\"a\",\"name\":\"A\",\"x\":null},{\"id\":\"b\",\"name\":\"B\"}]"), "merged_units[0]", "unknown field");
    EXPECT_REFUSED(UNITS("[{\"id\":\"a\",\"name\":\"A\"},{\"id\":\"b\",\"name\":\"B\",\"id\":\"c\"}]"), "merged_units[1].id", "twice");
    EXPECT_REFUSED(UNITS("[{\"id\":\"a\",\"name\":\"A\"},null]"), "merged_units[1]", "allowed: {");
    EXPECT_REFUSED(UNITS("[{\"id\":\"a\",\"name\":\"A\"},[1,2]]"), "merged_units[1]", "allowed: {");
    EXPECT_REFUSED(UNITS("[{\"id\":\"a\",\"name\":\"A\"},{\"id\":\"b\",\"name\":\"  \"}]"), "merged_units", "blank");
    EXPECT_REFUSED(UNITS("[{\"id\":\"a\",\"name\":\"A\"},{\"id\":\"b\",\"name\":\"B\\n\"}]"), "merged_units", "control");
#undef UNITS
    char many[300 * 24 + 3] = "[";
    for (int i = 0; i < 300; i++)
        sprintf(many + strlen(many), "%s{\"id\":\"a\",\"name\":\"b\"}", i ? "," : "");
    strcat(many, "]");
    EXPECT_REFUSED(WITH(merger_line, {"units_before", "300"}, {"merged_units", many}), "merged_units", "at most 256");
}

static void words_and_dates(void **state)
{
    (void)state;
    EXPECT_REFUSED(WITH(headcount_line, {"type", "\"headcount\""}), "type", "unit-merger");
    EXPECT_REFUSED(WITH(headcount_line, {"sector", "\"phong\""}), "sector", "administrative, public_service, commune");
    EXPECT_REFUSED(WITH(headcount_line, {"sector", "\"Commune\""}), "sector", "allowed");
    EXPECT_REFUSED(WITH(headcount_line, {"reason", "\"fired\""}), "reason", "transferred_out");
    EXPECT_REFUSED(WITH(merger_line, {"category", "\"ward\""}), "category", "commune");
    EXPECT_REFUSED(WITH(merger_line, {"kind", "\"split\""}), "kind", "rearrangement");
    static const char *const dates[] = {"\"2020-02-30\"", "\"30/10/2020\"", "\"2020-1-1\"", "\"20201030\"", "\"2020-10-30T00:00:00Z\"",
                                        "\" 2020-10-30\"", "\"2021-02-29\""};
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++)
        EXPECT_REFUSED(WITH(headcount_line, {"effective_date", dates[i]}), "effective_date", "YYYY-MM-DD");
    EXPECT_REFUSED(WITH(headcount_line, {"effective_date", "\"1999-12-31\""}), "effective_date", "2000-01-01 to 2099-12-31");
    EXPECT_GOOD(WITH(headcount_line, {"effective_date", "\"2099-12-31\""}));
    static const char *const times[] = {"\"2020-10-30T08:15:00\"", "\"2020-10-30\"", "\"2020-10-30T08:15:60Z\"", "\"2020-10-30 08:15:00Z\"",
                                        "\"2020-10-30T24:00:00Z\"", "\"2020-10-30T08:15Z\"", "\"2020-10-30T08:15:00+0700\""};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        EXPECT_REFUSED(WITH(headcount_line, {"occurred_at", times[i]}), "occurred_at", "RFC 3339");
    EXPECT_REFUSED(WITH(headcount_line, {"occurred_at", "\"2020-11-21T02:00:00.001Z\""}), "occurred_at", "24 h after");
    EXPECT_GOOD(WITH(headcount_line, {"occurred_at", "\"2020-11-21T02:00:00Z\""}));
    EXPECT_REFUSED(WITH(visit_line, {"occurred_at", "\"2020-11-19T01:59:59.999Z\""}), "occurred_at", "24 h before");
    EXPECT_REFUSED(WITH(visit_line, {"occurred_at", "\"2020-11-20T02:05:00.001Z\""}), "occurred_at", "5 min after");
}

static void visitors_are_hexadecimal(void **state)
{
    (void)state;
    EXPECT_REFUSED(WITH(visit_line, {"visitor", "\"00112233445566778899AABBCCDDEEFF\""}), "visitor", "lower case");
    EXPECT_REFUSED(WITH(visit_line, {"visitor", "\"00112233445566778899aabbccddeef\""}), "visitor", "32");
    EXPECT_REFUSED(WITH(visit_line, {"visitor", "\"00112233445566778899aabbccddeeff0\""}), "visitor", "32");
    EXPECT_REFUSED(WITH(visit_line, {"visitor", "\"0011223344556677 899aabbccddeeff\""}), "visitor", "32");
    EXPECT_REFUSED(WITH(visit_line, {"visitor", "\"0011223344556677\\u0000899aabbccddeeff\""}), "visitor", "32");
    EXPECT_REFUSED(WITH(visit_line, {"id", "\"x\""}), "id", "not a field of a page-visit");
    EXPECT_REFUSED(WITH(visit_line, {"agency", "\"x\""}), "agency", "not a field of a page-visit");
}

static void blank_texts_are_refused(void **state)
{
    (void)state;
    static const char *const blanks[] = {"\"\"", "\" \"", "\"\\u00a0\"", "\"\\u3000 \""};
    static const char *const names[] = {"id", "source", "agency", "sector", "reason", "effective_date", "occurred_at", "decision"};
    for (size_t i = 0; i < 4; i++)
        for (size_t n = 0; n < 8; n++)
            EXPECT_REFUSED(WITH(headcount_line, {names[n], blanks[i]}), names[n], "blank");
    EXPECT_REFUSED(WITH(headcount_line, {"id", NULL}, {"reverses", "\"\""}), "reverses", "blank");
}

static void strangers_and_repeats(void **state)
{
    (void)state;
    EXPECT_REFUSED(WITH(headcount_line, {"note", "\"x\""}), "note", "unknown field \"note\"");
    EXPECT_REFUSED(WITH(headcount_line, {"note", "null"}), "note", "unknown");
    EXPECT_REFUSED(WITH(headcount_line, {"Delta", "3"}), "Delta", "unknown");
    EXPECT_REFUSED(WITH(headcount_line, {"event_id", "\"x\""}), "event_id", "unknown");
    EXPECT_REFUSED(WITH(headcount_line, {"", "{\"deep\":[[],{\"x\":1e5}]}"}), "", "unknown");
    EXPECT_REFUSED(WITH(headcount_line, {"kind", "\"merger\""}), "kind", "not a field of a headcount-change");
    EXPECT_REFUSED(WITH(merger_line, {"delta", "3"}), "delta", "not a field of a unit-merger");
    EXPECT_GOOD(WITH(headcount_line, {"kind", "null"}));
    EXPECT_REFUSED(TEXT("{\"type\":\"headcount-change\",\"id\":\"1\",\"source\":\"s\",\"agency\":\"a\",\"sector\":\"commune\",\"reason\":"
                        "\"retired\",\"delta\":-3,\"effective_date\":\"2020-10-30\",\"\\u0064elta\":-3}"), "delta", "twice");
}

static void all_that_is_wrong_is_said(void **state)
{
    (void)state;
    struct slice line = WITH(headcount_line, {"id", "7"}, {"sector", "\"x\""}, {"reason", "\"y\""}, {"delta", "5000000"},
                             {"agency", "\"Hồng Bàng\""}, {"effective_date", "\"1990-01-01\""}, {"decision", "\"\""}, {"more", "1"});
    assert_false(parser_json(parser, line, &defaults, &event, &problems));
    static const char *const fields[] = {"id", "sector", "reason", "delta", "agency", "effective_date", "decision", "more"};
    assert_int_equal(problems.count, 8);
    for (size_t i = 0; i < 8; i++) {
        size_t found = 0;
        for (size_t p = 0; p < problems.count; p++)
            found += strcmp(problems.items[p].field, fields[i]) == 0;
        if (found != 1)
            fail_msg("%s is told %zu times", fields[i], found);
    }
    char many[4096] = "{", *at = many + 1;
    for (int i = 0; i < 100; i++)
        at += sprintf(at, "\"unknown-%d\":1,", i);
    sprintf(at, "\"type\":\"page-visit\",\"visitor\":\"00112233445566778899aabbccddeeff\"}");
    assert_false(parser_json(parser, slice_of(many), &defaults, &event, &problems));
    assert_int_equal(problems.count, 100);
    assert_int_equal(problems_kept(&problems), PROBLEMS_MOST);
}

static void nothing_is_said_twice(void **state)
{
    (void)state;
    EXPECT_REFUSED(WITH(merger_line, {"units_before", "\"3\""}, {"merged_units", "[{\"id\":\"a\",\"name\":\"b\"}]"}), "units_before", "");
    EXPECT_REFUSED(WITH(merger_line, {"kind", "\"x\""}, {"units_after", "3"}), "kind", "");
    EXPECT_REFUSED(WITH(merger_line, {"resulting_units", "[{\"id\":\"a\",\"name\":\"b\"}]"}, {"units_after", "null"}), "units_after", "missing");
}

static void ids_are_made_as_the_contract_says(void **state)
{
    (void)state;
    char text[EVENT_ID_TEXT_SIZE], id_128[160], id_129[160];
    EXPECT_GOOD(WITH(headcount_line, {"id", "\"HB-2020-0017\""}));
    assert_string_equal(event_id_format(event.event_id, text), "cce7853e-a464-5c5d-ae40-91ca12cefa2b");
    memset(id_128, 'x', sizeof id_128);
    id_128[0] = id_128[129] = '"';
    id_128[130] = '\0';
    EXPECT_GOOD(WITH(headcount_line, {"id", id_128}));
    memset(id_129, 'x', sizeof id_129);
    id_129[0] = id_129[130] = '"';
    id_129[131] = '\0';
    EXPECT_REFUSED(WITH(headcount_line, {"id", id_129}), "id", "1 to 128 bytes");
    EXPECT_REFUSED(WITH(headcount_line, {"id", "\"a\\nb\""}), "id", "control");
    EXPECT_REFUSED(WITH(headcount_line, {"id", "\"a\\u0000b\""}), "id", "control");
    EXPECT_REFUSED(WITH(headcount_line, {"id", "\"a\\u0085\""}), "id", "control");
    /* case is kept, and outer spaces */
    EXPECT_GOOD(WITH(headcount_line, {"id", "\"a\""}));
    struct event_id lower = event.event_id;
    EXPECT_GOOD(WITH(headcount_line, {"id", "\"A\""}));
    assert_memory_not_equal(lower.bytes, event.event_id.bytes, 16);
    EXPECT_GOOD(WITH(headcount_line, {"id", "\"a \""}));
    assert_memory_not_equal(lower.bytes, event.event_id.bytes, 16);
}

static void texts_are_normalised(void **state)
{
    (void)state;
    static const struct {
        const char *given, *normal;
    } table[] = {
        {"e\\u0301", "é"},
        {"A\\u030a", "Å"},
        {"\\u212b", "Å"},                 /* Angstrom sign */
        {"\\u1e9b\\u0323", "\u1e9b\u0323"}, /* form C leaves it */
        {"q\\u0307\\u0323", "q\u0323\u0307"},
        {"\\u1100\\u1161\\u11a8", "각"},
        {"\\u0958", "\u0915\u093c"},
        {"a\\u0302\\u0301", "ấ"},
        {"\\u00e2\\u0301", "ấ"},
        {"Qu\\u1eadn H\\u00f4\\u0300ng", "Quận Hồng"},
        {"\\ud834\\udd5e", "\U0001d157\U0001d165"}, /* three times as long */
        {"ﬁ", "ﬁ"},                       /* only canonical */
        {"\\ud83d\\ude00", "😀"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char value[128];
        snprintf(value, sizeof value, "\"%s\"", table[i].given);
        EXPECT_GOOD(WITH(headcount_line, {"decision", value}));
        assert_true(slice_equal(event.decision, slice_of(table[i].normal)));
        EXPECT_GOOD(WITH(headcount_line, {"id", value}));
        struct event_id id = event_id_from(EVENT_HEADCOUNT_CHANGE, TEXT("hong-bang"), TEXT("hong-bang"), slice_of(table[i].normal));
        assert_memory_equal(event.event_id.bytes, id.bytes, 16);
    }
    /* the bound holds in normal form: 64 letters of three bytes become 64 of two */
    char shrinking[64 * 3 + 3] = "\"", growing[16 * 4 + 3] = "\"";
    for (int i = 0; i < 64; i++)
        strcat(shrinking, "e\u0301");
    strcat(shrinking, "\"");
    EXPECT_GOOD(WITH(headcount_line, {"id", shrinking}));
    for (int i = 0; i < 16; i++)
        strcat(growing, "\U0001d15e");
    strcat(growing, "\"");
    EXPECT_GOOD(WITH(headcount_line, {"id", growing})); /* 64 bytes to 128 */
}

static void reversals(void **state)
{
    (void)state;
    struct event_id original = event_id_from(EVENT_HEADCOUNT_CHANGE, TEXT("hong-bang"), TEXT("hong-bang"), TEXT("HB-17"));
    struct event_id back = event_id_reversal(original);
    char text[EVENT_ID_TEXT_SIZE + 2];
    EXPECT_GOOD(WITH(headcount_line, {"id", NULL}, {"reverses", "\"HB-17\""}));
    assert_true(event.has_reverses);
    assert_memory_equal(event.reverses.bytes, original.bytes, 16);
    assert_memory_equal(event.event_id.bytes, back.bytes, 16);
    text[0] = '"';
    event_id_format(original, text + 1);
    strcat(text, "\"");
    EXPECT_GOOD(WITH(headcount_line, {"id", "null"}, {"reverses_event_id", text}));
    assert_memory_equal(event.event_id.bytes, back.bytes, 16);
    EXPECT_REFUSED(WITH(headcount_line, {"reverses", "\"HB-17\""}), "id", "none for a reversal");
    EXPECT_REFUSED(WITH(headcount_line, {"id", NULL}, {"reverses", "\"HB-17\""}, {"reverses_event_id", text}), "reverses_event_id", "not both");
    EXPECT_REFUSED(WITH(headcount_line, {"id", NULL}, {"reverses_event_id", "\"HB-17\""}), "reverses_event_id", "36 characters");
    EXPECT_REFUSED(WITH(headcount_line, {"id", NULL}, {"reverses_event_id", "\"00000000-0000-0000-0000-000000000000\""}), "reverses", "nil");
}

static void broken_forms(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint32_t column;
        const char *words;
    } table[] = {
        {"", 1, "the end of the line"},
        {"x", 1, "JSON object"},
        {"[]", 1, "JSON object"},
        {"\"a\"", 1, "JSON object"},
        {"{", 2, "name"},
        {"{}x", 3, "nothing after"},
        {"{} {}", 4, "nothing after"},
        {"{\"type\"}", 8, "a :"},
        {"{\"type\":}", 9, "a value"},
        {"{\"type\":\"x\",}", 13, "name"},
        {"{\"type\":\"x\" \"id\":\"y\"}", 13, ", or }"},
        {"{\"type\":\"x}", 9, "no closing"},
        {"{'type':1}", 2, "name"},
        {"{type:1}", 2, "name"},
        {"{\"Đ\":tru}", 6, "a value"},
        {"{\"delta\":01}", 10, "leading zeros"},
        {"{\"delta\":-}", 11, "a digit"},
        {"{\"delta\":+1}", 10, "a value"},
        {"{\"delta\":1.}", 12, "a digit"},
        {"{\"delta\":.5}", 10, "a value"},
        {"{\"delta\":1e}", 12, "a digit"},
        {"{\"delta\":NaN}", 10, "a value"},
        {"{\"delta\":nul}", 10, "a value"},
        {"{\"id\":\"\\x\"}", 8, "\\"},
        {"{\"id\":\"\\u12g4\"}", 8, "four hexadecimal"},
        {"{\"id\":\"\\ud800\"}", 8, "surrogate"},
        {"{\"id\":\"\\udc00\"}", 8, "surrogate"},
        {"{\"id\":\"\\ud800\\ud800\"}", 8, "surrogate"},
        {"{\"id\":\"\\ud800x\"}", 8, "surrogate"},
        {"{\"id\":\"a\tb\"}", 9, "control"},
        {"{\"merged_units\":[}", 18, "a value"},
        {"{\"merged_units\":[{}", 0, ""},
        {"{\"merged_units\":[{\"id\" 1}]}", 24, "a :"},
        {"{\"x\":[1,]}", 9, "a value"},
        {"{\"x\":{\"a\":1,}}", 13, "name"},
        {"{\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", 38, "32 deep"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_false(parser_json(parser, slice_of(table[i].line), &defaults, &event, &problems));
        const struct problem *last = &problems.items[problems.count - 1];
        if (table[i].column && (last->column != table[i].column || !strstr(last->text, table[i].words)))
            fail_msg("%s: column %u: %s", table[i].line, (unsigned)last->column, last->text);
    }
    static char zero[] = "{\"a\":\0}";
    assert_false(parser_json(parser, (struct slice){zero, sizeof zero - 1}, &defaults, &event, &problems));
    EXPECT_REFUSED(TEXT("{\"id\":\"\xff\"}"), "", "not UTF-8");
    EXPECT_REFUSED(TEXT("{\"id\":\"\xed\xa0\x80\"}"), "", "not UTF-8");
    EXPECT_GOOD(WITH(headcount_line, {"decision", "\"\\\"\\\\\\/x\""}));
    assert_true(slice_equal(event.decision, TEXT("\"\\/x")));
}

static void a_line_has_a_bound(void **state)
{
    (void)state;
    static char line[LINE_MOST + 2];
    struct slice good = line_with(headcount_line, NULL);
    memset(line, ' ', sizeof line);
    memcpy(line, good.data, good.size);
    EXPECT_GOOD(((struct slice){line, LINE_MOST}));
    EXPECT_REFUSED(((struct slice){line, LINE_MOST + 1}), "", "16385 bytes");
    /* the longest texts in many escaped pieces fit the arena */
    char pieces[LINE_MOST] = "";
    for (int i = 0; i < 2000; i++)
        strcat(pieces, "\\u0958");
    char value[LINE_MOST];
    snprintf(value, sizeof value, "\"%s\"", pieces);
    EXPECT_REFUSED(WITH(headcount_line, {"decision", value}), "decision", "allowed: 1 to 128");
}

/* jansson is the reference for what is JSON at all. */
static void json_is_what_jansson_takes(void **state)
{
    (void)state;
    uint64_t random = 20201120;
    static const char signs[] = "{}[]:,\"\\u0d8e19.-+tfn /\x01";
    size_t good = 0, bad = 0;
    for (int round = 0; round < 200000; round++) {
        char line[1024];
        struct slice base = round % 2 ? WITH(headcount_line, {"decision", "\"\\u00e2\\ud834\\udd5e\\n\""}, {"x", "[1,2.5e3,{\"a\":null}]"})
                                      : WITH(merger_line, {"merged_units", "[{\"id\":\"a\",\"name\":\"b\"},{}]"});
        memcpy(line, base.data, base.size);
        size_t size = base.size;
        for (int change = 1 + round % 3; change > 0; change--) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            size_t at = (size_t)(random >> 33) % size;
            char sign = signs[(random >> 20) % (sizeof signs - 1)];
            switch (random >> 60 & 3) {
            case 0:
                line[at] = sign;
                break;
            case 1:
                memmove(line + at, line + at + 1, size - at - 1);
                size--;
                break;
            default:
                memmove(line + at + 1, line + at, size - at);
                line[at] = sign;
                size++;
            }
        }
        json_error_t error;
        json_t *reference = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        enum json_error_code code = reference ? json_error_unknown : json_error_code(&error);
        json_decref(reference);
        if (!reference && (code == json_error_duplicate_key || code == json_error_numeric_overflow || code == json_error_null_byte_in_key))
            continue; /* a matter of meaning here */
        parser_json(parser, (struct slice){line, size}, &defaults, &event, &problems);
        bool form = true;
        for (size_t i = 0; i < problems_kept(&problems); i++)
            form = form && problems.items[i].column == 0;
        bool object = !reference || memchr("{ ", line[0], 2); /* a list is JSON, but no event */
        if (object && form != (reference != NULL))
            fail_msg("round %d: jansson %s: %.*s\n%s", round, reference ? "takes" : error.text, (int)size, line,
                     problems.count ? problems.items[problems.count - 1].text : "taken");
        *(form ? &good : &bad) += 1;
    }
    assert_true(good > 10000 && bad > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines_become_events),
        cmocka_unit_test(what_may_be_left_out),
        cmocka_unit_test(each_required_field_is_missed),
        cmocka_unit_test(each_field_has_its_type),
        cmocka_unit_test(lists_of_units),
        cmocka_unit_test(words_and_dates),
        cmocka_unit_test(visitors_are_hexadecimal),
        cmocka_unit_test(blank_texts_are_refused),
        cmocka_unit_test(strangers_and_repeats),
        cmocka_unit_test(all_that_is_wrong_is_said),
        cmocka_unit_test(nothing_is_said_twice),
        cmocka_unit_test(ids_are_made_as_the_contract_says),
        cmocka_unit_test(texts_are_normalised),
        cmocka_unit_test(reversals),
        cmocka_unit_test(broken_forms),
        cmocka_unit_test(a_line_has_a_bound),
        cmocka_unit_test(json_is_what_jansson_takes),
    };
    return cmocka_run_group_tests(tests, make_parser, free_parser);
}
