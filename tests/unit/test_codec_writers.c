/* Writers with another schema than ours: what resolves by the specification's rules is read, the rest is
 * unknown_schema, no schema makes the compiler or the walk run long or deep. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/clock.h"
#include "schemas/codec_internal.h"

#define TEXT(literal) ((struct slice){literal, sizeof(literal) - 1})
#define OCCURRED      "{\"name\":\"occurred_at\",\"type\":\"long\"}"
#define VISITOR       "{\"name\":\"visitor\",\"type\":{\"type\":\"fixed\",\"name\":\"Visitor\",\"size\":16}}"
#define VISIT(fields)                                                                                                  \
    "{\"type\":\"record\",\"name\":\"PageVisit\",\"namespace\":\"citytotals\",\"fields\":[" fields "]}"
#define BYTES_16 "0123456789abcdef"

static struct unit_storage storage;
static struct event got;
static struct decode_failure failure;

static struct decode_plan *plan_of(const char *writer, enum record_type reader)
{
    struct decode_plan *plan = NULL;
    struct error error = {0};
    if (decode_plan_new(writer, strlen(writer), reader, &plan, &error) != 0)
        fail_msg("%.300s: %s", writer, error.text);
    return plan;
}

static void expect_refused(const char *writer, enum record_type reader, const char *part_of_sentence)
{
    struct decode_plan *plan = NULL;
    struct error error = {0};
    int64_t began = clock_monotonic_ms();
    if (decode_plan_new(writer, strlen(writer), reader, &plan, &error) != -ERROR_INPUT)
        fail_msg("taken: %.300s", writer);
    assert_null(plan);
    if (!strstr(error.text, part_of_sentence))
        fail_msg("\"%s\" without \"%s\"", error.text, part_of_sentence);
    assert_true(clock_monotonic_ms() - began < 20000);
}

static enum dead_letter_reason run_visit(const char *fields, const void *bytes, size_t size)
{
    struct decode_plan *plan = plan_of(fields, RECORD_PAGE_VISIT);
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    enum dead_letter_reason reason = decode_plan_run(plan, (const uint8_t *)copy, size, &got, &storage, &failure);
    if (reason == LETTER_NONE) {
        assert_int_equal(got.occurred_at_ms, 1);
        assert_memory_equal(got.visit.visitor, BYTES_16, 16);
    }
    free(copy);
    decode_plan_free(plan);
    return reason;
}
/* `bytes` (a literal) hold occurred_at 1 and visitor BYTES_16 in the way of the fields. */
#define EXPECT_VISIT(fields, bytes) assert_int_equal(run_visit(VISIT(fields), bytes, sizeof(bytes) - 1), LETTER_NONE)
#define EXPECT_BAD(fields, bytes)                                                                                      \
    assert_int_equal(run_visit(VISIT(fields), bytes, sizeof(bytes) - 1), LETTER_BAD_ENCODING)
#define EXPECT_NOT_OURS(fields, bytes)                                                                                 \
    assert_int_equal(run_visit(VISIT(fields), bytes, sizeof(bytes) - 1), LETTER_UNKNOWN_SCHEMA)
#define ADDED(type) OCCURRED ",{\"name\":\"added\",\"type\":" type "}," VISITOR

static void fields_go_by_name_whatever_their_order(void **state)
{
    (void)state;
    EXPECT_VISIT(OCCURRED "," VISITOR, "\x02" BYTES_16);
    EXPECT_VISIT(VISITOR "," OCCURRED, BYTES_16 "\x02");
    /* records, enums and fixeds resolve by their names without the namespace */
    assert_int_equal(run_visit("{\"type\":\"record\",\"name\":\"com.example.PageVisit\",\"fields\":[" OCCURRED
                               "," VISITOR "]}",
                               "\x02" BYTES_16, 17),
                     LETTER_NONE);
}

static void fields_of_any_type_that_are_not_ours_are_skipped(void **state)
{
    (void)state;
    EXPECT_VISIT(ADDED("\"null\""), "\x02" BYTES_16);
    EXPECT_VISIT(ADDED("\"boolean\""), "\x02\x01" BYTES_16);
    EXPECT_BAD(ADDED("\"boolean\""), "\x02\x02" BYTES_16);
    EXPECT_VISIT(ADDED("\"int\""), "\x02\xff\xff\xff\xff\x0f" BYTES_16);
    EXPECT_BAD(ADDED("\"int\""), "\x02\xff\xff\xff\xff\x1f" BYTES_16);
    EXPECT_VISIT(ADDED("\"long\""), "\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" BYTES_16);
    EXPECT_VISIT(ADDED("\"float\""), "\x02"
                                     "1234" BYTES_16);
    EXPECT_VISIT(ADDED("\"double\""), "\x02"
                                      "12345678" BYTES_16);
    EXPECT_VISIT(ADDED("\"bytes\""), "\x02\x06"
                                     "abc" BYTES_16);
    EXPECT_VISIT(ADDED("\"string\""), "\x02\x06"
                                      "abc" BYTES_16);
    EXPECT_BAD(ADDED("\"string\""), "\x02\x01"
                                    "abc" BYTES_16);
    EXPECT_VISIT(ADDED("{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}"), "\x02"
                                                                          "abc" BYTES_16);
    EXPECT_VISIT(ADDED("{\"type\":\"fixed\",\"name\":\"F\",\"size\":0}"), "\x02" BYTES_16);
    EXPECT_VISIT(ADDED("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}"), "\x02\x02" BYTES_16);
    EXPECT_BAD(ADDED("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}"), "\x02\x04" BYTES_16);
    EXPECT_VISIT(ADDED("[\"null\",\"int\",\"string\"]"), "\x02\x04\x02z" BYTES_16);
    EXPECT_VISIT(ADDED("[\"null\",\"int\",\"string\"]"), "\x02\x00" BYTES_16);
    EXPECT_BAD(ADDED("[\"null\",\"int\",\"string\"]"), "\x02\x06" BYTES_16);
    EXPECT_VISIT(ADDED("{\"type\":\"array\",\"items\":\"string\"}"), "\x02\x04\x02"
                                                                     "a\x02"
                                                                     "b\x01\x04\x02"
                                                                     "c\x00" BYTES_16);
    EXPECT_VISIT(ADDED("{\"type\":\"map\",\"values\":[\"null\",\"int\"]}"), "\x02\x03\x0e\x02"
                                                                            "a\x00\x02"
                                                                            "b\x02\x07\x00" BYTES_16);
    EXPECT_BAD(ADDED("{\"type\":\"map\",\"values\":[\"null\",\"int\"]}"), "\x02\x03\x0c\x02"
                                                                          "a\x00\x02"
                                                                          "b\x02\x07\x00" BYTES_16);
    EXPECT_VISIT(ADDED("{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":\"int\"}}"),
                 "\x02\x04\x02\x02\x00\x00\x00" BYTES_16);
    EXPECT_VISIT(ADDED("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"visitor\",\"type\":\"int\"},{"
                       "\"name\":\"x\",\"type\":\"string\"}]}"),
                 "\x02\x05\x02q" BYTES_16);
}

/* A long array of items without bytes is a few bytes long: its blocks are one turn each. */
static void arrays_of_nothing_cost_nothing(void **state)
{
    (void)state;
    EXPECT_VISIT(ADDED("{\"type\":\"array\",\"items\":\"null\"}"),
                 "\x02\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00" BYTES_16);
    EXPECT_VISIT(ADDED("{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"n\","
                       "\"type\":\"null\"}]}}"),
                 "\x02\x05\x00\x02\x00" BYTES_16);
    EXPECT_BAD(ADDED("{\"type\":\"array\",\"items\":\"null\"}"), "\x02\x05\x02\x00" BYTES_16);
    enum { BLOCKS = 60000 };
    size_t size = 1 + 3 * BLOCKS + 1 + 16;
    char *bytes = malloc(size);
    assert_non_null(bytes);
    bytes[0] = 2;
    for (int i = 0; i < BLOCKS; i++)
        memcpy(bytes + 1 + 3 * i, "\xfe\xff\x1f", 3);
    memcpy(bytes + 1 + 3 * BLOCKS, "\0" BYTES_16, 17);
    int64_t began = clock_monotonic_ms();
    assert_int_equal(run_visit(VISIT(ADDED("{\"type\":\"array\",\"items\":\"null\"}")), bytes, size), LETTER_NONE);
    assert_true(clock_monotonic_ms() - began < 5000);
    free(bytes);
}

static void numbers_are_promoted_and_unions_resolved(void **state)
{
    (void)state;
#define OCCURRED_AS(type) "{\"name\":\"occurred_at\",\"type\":" type "}," VISITOR
    EXPECT_VISIT(OCCURRED_AS("\"int\""), "\x02" BYTES_16);
    EXPECT_BAD(OCCURRED_AS("\"int\""), "\x80\x80\x80\x80\x10" BYTES_16);
    EXPECT_VISIT(OCCURRED_AS("[\"null\",\"long\"]"), "\x02\x02" BYTES_16);
    EXPECT_NOT_OURS(OCCURRED_AS("[\"null\",\"long\"]"), "\x00" BYTES_16);
    assert_string_equal(failure.what, "a union branch that our schema has no place for");
    EXPECT_VISIT(OCCURRED_AS("[\"string\",\"int\",\"long\"]"), "\x02\x02" BYTES_16);
    EXPECT_VISIT(OCCURRED_AS("[\"string\",\"int\",\"long\"]"), "\x04\x02" BYTES_16);
    EXPECT_NOT_OURS(OCCURRED_AS("[\"string\",\"int\",\"long\"]"), "\x00\x02"
                                                                  "1" BYTES_16);
    EXPECT_BAD(OCCURRED_AS("[\"null\",\"long\"]"), "\x04" BYTES_16);
    static const char *const never[] = {"\"float\"",
                                        "\"double\"",
                                        "\"string\"",
                                        "\"null\"",
                                        "\"boolean\"",
                                        "[\"null\",\"string\"]",
                                        "{\"type\":\"array\",\"items\":\"long\"}",
                                        "{\"type\":\"map\",\"values\":\"long\"}",
                                        "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}",
                                        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}",
                                        "[]"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        char writer[512];
        snprintf(writer, sizeof writer, VISIT("{\"name\":\"occurred_at\",\"type\":%s}," VISITOR), never[i]);
        expect_refused(writer, RECORD_PAGE_VISIT, "field occurred_at");
    }
}

static void a_field_that_is_missing_needs_our_default(void **state)
{
    (void)state;
    expect_refused(VISIT(OCCURRED), RECORD_PAGE_VISIT, "it has no field visitor");
    expect_refused(VISIT(VISITOR), RECORD_PAGE_VISIT, "it has no field occurred_at");
    expect_refused(VISIT(OCCURRED
                         ","
                         "{\"name\":\"visitor\",\"type\":{\"type\":\"fixed\",\"name\":\"Visitor\",\"size\":15}}"),
                   RECORD_PAGE_VISIT, "field visitor");
    expect_refused(VISIT(OCCURRED
                         ","
                         "{\"name\":\"visitor\",\"type\":{\"type\":\"fixed\",\"name\":\"Other\",\"size\":16}}"),
                   RECORD_PAGE_VISIT, "field visitor");
    expect_refused(VISIT(OCCURRED ","
                                  "{\"name\":\"visitor\",\"type\":\"bytes\"}"),
                   RECORD_PAGE_VISIT, "field visitor");
    expect_refused("{\"type\":\"record\",\"name\":\"PageVisits\",\"fields\":[" OCCURRED "," VISITOR "]}",
                   RECORD_PAGE_VISIT, "not a record PageVisit");
    expect_refused("\"long\"", RECORD_PAGE_VISIT, "not a record PageVisit");
    expect_refused("{\"type\":\"enum\",\"name\":\"PageVisit\",\"symbols\":[\"A\"]}", RECORD_PAGE_VISIT,
                   "not a record PageVisit");
    expect_refused("{", RECORD_PAGE_VISIT, "line 1");
}

/* Nothing nullable, no lists, its enums in another order and with symbols more. */
static const char other_headcount[] =
    "{\"type\":\"record\",\"name\":\"HeadcountChange\",\"fields\":["
    "{\"name\":\"delta\",\"type\":\"int\"},"
    "{\"name\":\"reason\",\"type\":{\"type\":\"enum\",\"name\":\"x.HeadcountReason\",\"symbols\":[\"sabbatical\","
    "\"retired\",\"baseline\"]}},"
    "{\"name\":\"sector\",\"type\":[\"null\",{\"type\":\"enum\",\"name\":\"Sector\",\"symbols\":[\"commune\"]}]},"
    "{\"name\":\"agency\",\"type\":\"bytes\"},"
    "{\"name\":\"effective_date\",\"type\":\"int\"},"
    "{\"name\":\"occurred_at\",\"type\":{\"type\":\"int\"}},"
    "{\"name\":\"source\",\"type\":[\"string\",\"bytes\"]},"
    "{\"name\":\"event_id\",\"type\":{\"type\":\"fixed\",\"name\":\"EventId\",\"size\":16}},"
    "{\"name\":\"reverses\",\"type\":\"EventId\"}]}";

static void enums_go_by_symbol_and_defaults_fill_what_is_missing(void **state)
{
    (void)state;
    struct decode_plan *plan = plan_of(other_headcount, RECORD_HEADCOUNT_CHANGE);
    char bytes[] = "\x05\x02\x02\x00\x02"
                   "a\x06\x08\x02\x02"
                   "s"
                   "0123456789abcdef"
                   "ABCDEFGHIJKLMNOP";
    assert_int_equal(decode_plan_run(plan, (const uint8_t *)bytes, sizeof bytes - 1, &got, &storage, &failure),
                     LETTER_NONE);
    assert_int_equal(got.headcount.delta, -3);
    assert_int_equal(got.headcount.reason, REASON_RETIRED);
    assert_int_equal(got.headcount.sector, SECTOR_COMMUNE);
    assert_true(slice_equal(got.agency, TEXT("a")) && slice_equal(got.source, TEXT("s")));
    assert_int_equal(got.effective_date, 3);
    assert_int_equal(got.occurred_at_ms, 4);
    assert_null(got.decision.data);
    assert_true(got.has_reverses);
    assert_memory_equal(got.reverses.bytes, "ABCDEFGHIJKLMNOP", 16);
    bytes[1] = 0; /* a symbol that we do not have, and no default for it */
    assert_int_equal(decode_plan_run(plan, (const uint8_t *)bytes, sizeof bytes - 1, &got, &storage, &failure),
                     LETTER_UNKNOWN_SCHEMA);
    assert_string_equal(failure.what, "an enum symbol that is not ours");
    assert_string_equal(failure.field, "reason");
    decode_plan_free(plan);
    expect_refused(other_headcount, RECORD_UNIT_MERGER, "not a record UnitMerger");
}

#define MERGER_FIELDS                                                                                                  \
    "{\"name\":\"event_id\",\"type\":{\"type\":\"fixed\",\"name\":\"EventId\",\"size\":16}},"                          \
    "{\"name\":\"source\",\"type\":\"string\"},{\"name\":\"occurred_at\",\"type\":\"long\"},"                          \
    "{\"name\":\"effective_date\",\"type\":\"int\"},{\"name\":\"agency\",\"type\":\"string\"},"                        \
    "{\"name\":\"category\",\"type\":{\"type\":\"enum\",\"name\":\"UnitCategory\",\"symbols\":[\"commune\"]}},"        \
    "{\"name\":\"kind\",\"type\":{\"type\":\"enum\",\"name\":\"MergerKind\",\"symbols\":[\"merger\"]}},"               \
    "{\"name\":\"units_before\",\"type\":\"int\"},{\"name\":\"units_after\",\"type\":\"int\"}"
#define MERGER_BYTES                                                                                                   \
    BYTES_16 "\x02s\x02\x02\x02"                                                                                       \
             "a\x00\x00\x12\x06"

/* Units whose record has fields more, in another order, and lists of its own. */
static void lists_of_units_resolve_within(void **state)
{
    (void)state;
    struct decode_plan *plan = plan_of(
        "{\"type\":\"record\",\"name\":\"UnitMerger\",\"fields\":[" MERGER_FIELDS
        ",{\"name\":\"resulting_units\",\"type\":"
        "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"Unit\",\"fields\":[{\"name\":\"tags\",\"type\":"
        "{\"type\":\"array\",\"items\":\"int\"}},{\"name\":\"name\",\"type\":\"bytes\"},{\"name\":\"id\",\"type\":"
        "\"string\"}]}}}]}",
        RECORD_UNIT_MERGER);
    static const char bytes[] = MERGER_BYTES "\x04"
                                             "\x04\x02\x02\x00\x02N\x04"
                                             "i1"
                                             "\x00\x02M\x04"
                                             "i2"
                                             "\x00";
    assert_int_equal(decode_plan_run(plan, (const uint8_t *)bytes, sizeof bytes - 1, &got, &storage, &failure),
                     LETTER_NONE);
    assert_int_equal(got.merger.category, CATEGORY_COMMUNE);
    assert_int_equal(got.merger.kind, KIND_MERGER);
    assert_int_equal(got.merger.merged_count, 0);
    assert_null(got.merger.pilot_model.data);
    assert_int_equal(got.merger.resulting_count, 2);
    assert_true(slice_equal(got.merger.resulting_units[0].id, TEXT("i1")) &&
                slice_equal(got.merger.resulting_units[0].name, TEXT("N")));
    assert_true(slice_equal(got.merger.resulting_units[1].id, TEXT("i2")) &&
                slice_equal(got.merger.resulting_units[1].name, TEXT("M")));
    decode_plan_free(plan);
    expect_refused("{\"type\":\"record\",\"name\":\"UnitMerger\",\"fields\":[" MERGER_FIELDS
                   ",{\"name\":\"merged_units\",\"type\":{\"type\":\"array\",\"items\":\"string\"}}]}",
                   RECORD_UNIT_MERGER, "field merged_units");
    expect_refused(
        "{\"type\":\"record\",\"name\":\"UnitMerger\",\"fields\":[" MERGER_FIELDS
        ",{\"name\":\"merged_units\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"Unit\","
        "\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}}}]}",
        RECORD_UNIT_MERGER, "it has no field name");
}

/* A unit in a union, a record in a union at the top: what resolves is read, what does not is not ours. */
static void unions_around_records_resolve(void **state)
{
    (void)state;
    struct decode_plan *plan = plan_of(
        "[\"null\",{\"type\":\"record\",\"name\":\"UnitMerger\",\"fields\":[" MERGER_FIELDS
        ",{\"name\":\"merged_units\",\"type\":[\"null\",{\"type\":\"array\",\"items\":[\"string\",{\"type\":\"record\","
        "\"name\":\"Unit\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"},{\"name\":\"name\",\"type\":\"string\"}]}]}]}]}]",
        RECORD_UNIT_MERGER);
    static const char bytes[] = "\x02" MERGER_BYTES "\x02\x02\x02\x04"
                                "i1\x02N\x00";
    assert_int_equal(decode_plan_run(plan, (const uint8_t *)bytes, sizeof bytes - 1, &got, &storage, &failure), LETTER_NONE);
    assert_int_equal(got.merger.merged_count, 1);
    assert_true(slice_equal(got.merger.merged_units[0].id, TEXT("i1")) && slice_equal(got.merger.merged_units[0].name, TEXT("N")));
    static const char text[] = "\x02" MERGER_BYTES "\x02\x02\x00\x04"
                               "i1\x00", null[] = "\x02" MERGER_BYTES "\x00", nothing[] = "\x00";
    const struct slice not_ours[] = {TEXT(text), TEXT(null), TEXT(nothing)};
    for (size_t i = 0; i < sizeof not_ours / sizeof *not_ours; i++) {
        assert_int_equal(decode_plan_run(plan, (const uint8_t *)not_ours[i].data, not_ours[i].size, &got, &storage, &failure),
                         LETTER_UNKNOWN_SCHEMA);
        assert_string_equal(failure.what, "a union branch that our schema has no place for");
    }
    decode_plan_free(plan);
}

/* Passed over, however they hold themselves, as deep as the bound says and no deeper. */
static void records_that_hold_themselves_are_passed_over(void **state)
{
    (void)state;
#define CHAIN "{\"type\":\"record\",\"name\":\"L\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"L\"]},{\"name\":\"n\",\"type\":\"int\"}]}"
    EXPECT_VISIT(ADDED(CHAIN), "\x02\x00\x05" BYTES_16);
    EXPECT_VISIT(ADDED(CHAIN), "\x02\x02\x02\x00\x05\x06\x07" BYTES_16);
    EXPECT_BAD(ADDED(CHAIN), "\x02\x02\x02\x02\x02\x02\x02");
    EXPECT_VISIT(OCCURRED "," VISITOR ",{\"name\":\"again\",\"type\":[\"null\",\"PageVisit\"]}",
                 "\x02" BYTES_16 "\x02\x08" BYTES_16 "\x00");
    EXPECT_VISIT(ADDED("{\"type\":\"record\",\"name\":\"T\",\"fields\":[{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":"
                       "\"T\"}},{\"name\":\"t\",\"type\":{\"type\":\"array\",\"items\":\"T\"}}]}"),
                 "\x02\x02\x02k\x00\x00\x00\x04\x00\x00\x00\x00\x00" BYTES_16);
    /* two records that hold each other */
    EXPECT_VISIT(ADDED("{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"b\",\"type\":[\"null\",{\"type\":\"record\","
                       "\"name\":\"B\",\"fields\":[{\"name\":\"a\",\"type\":\"A\"}]}]}]}"),
                 "\x02\x02\x02\x00" BYTES_16);
    /* no value is so long that it ends */
    EXPECT_BAD(ADDED("{\"type\":\"record\",\"name\":\"E\",\"fields\":[{\"name\":\"e\",\"type\":\"E\"},{\"name\":\"f\",\"type\":\"E\"}]}"),
               "\x02" BYTES_16);
    assert_string_equal(failure.what, "records in records nested too deeply");
    for (int deep = 64; deep <= 65; deep++) { /* 64 calls within the first */
        char bytes[256] = {2};
        memset(bytes + 1, 2, (size_t)deep);
        memset(bytes + 1 + deep, 0, (size_t)deep + 2);
        memcpy(bytes + 2 * deep + 3, BYTES_16, 16);
        assert_int_equal(run_visit(VISIT(ADDED(CHAIN)), bytes, (size_t)(2 * deep + 19)),
                         deep == 64 ? LETTER_NONE : LETTER_BAD_ENCODING);
    }
    EXPECT_BAD(ADDED("{\"type\":\"record\",\"name\":\"T\",\"fields\":[{\"name\":\"t\",\"type\":{\"type\":\"array\",\"items\":{"
                     "\"type\":\"array\",\"items\":\"T\"}}}]}"),
               "\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02"
               "\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02"
               "\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02");
    assert_string_equal(failure.what, "lists in lists nested too deeply");
}

/* What our own schema may come to say: other names of records, enums, fixeds and fields; a symbol for unknown ones. */
static void aliases_and_enum_defaults_of_ours_are_heeded(void **state)
{
    (void)state;
    static const char reader[] =
        "{\"type\":\"record\",\"name\":\"PageVisit\",\"namespace\":\"citytotals\",\"aliases\":[\"Hit\",\"old.Call\"],\"fields\":["
        "{\"name\":\"occurred_at\",\"aliases\":[\"when\",\"at\"],\"type\":\"long\"},{\"name\":\"visitor\",\"type\":"
        "{\"type\":\"fixed\",\"name\":\"Visitor\",\"aliases\":[\"Person\"],\"size\":16}}]}";
    static const struct {
        const char *record, *fixed, *field;
        bool taken;
    } cases[] = {{"citytotals.Hit", "citytotals.Person", "when", true}, {"old.Call", "Visitor", "at", true},
                 {"PageVisit", "other.Visitor", "occurred_at", true},   {"other.Hit", "Visitor", "at", false},
                 {"PageVisit", "other.Person", "at", false},            {"PageVisit", "Visitor", "then", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char writer[512];
        struct decode_plan *plan = NULL;
        snprintf(writer, sizeof writer,
                 "{\"type\":\"record\",\"name\":\"%s\",\"fields\":[{\"name\":\"%s\",\"type\":\"long\"},{\"name\":\"visitor\",\"type\":"
                 "{\"type\":\"fixed\",\"name\":\"%s\",\"size\":16}}]}",
                 cases[i].record, cases[i].field, cases[i].fixed);
        int result = decode_plan_resolve(writer, strlen(writer), reader, strlen(reader), RECORD_PAGE_VISIT, &plan, NULL);
        assert_int_equal(result, cases[i].taken ? 0 : -ERROR_INPUT);
        if (plan) {
            assert_int_equal(decode_plan_run(plan, (const uint8_t *)"\x02" BYTES_16, 17, &got, &storage, &failure), LETTER_NONE);
            assert_int_equal(got.occurred_at_ms, 1);
        }
        decode_plan_free(plan);
    }
    char *ours = strdup(schema_text(RECORD_HEADCOUNT_CHANGE)), *symbols = strstr(ours, "\"symbols\": [\n          \"baseline\"");
    assert_non_null(symbols);
    char with_default[16384];
    snprintf(with_default, sizeof with_default, "%.*s\"default\": \"correction\", %s", (int)(symbols - ours), ours, symbols);
    struct decode_plan *plan = NULL;
    assert_int_equal(decode_plan_resolve(other_headcount, strlen(other_headcount), with_default, strlen(with_default),
                                         RECORD_HEADCOUNT_CHANGE, &plan, NULL), 0);
    static const char bytes[] = "\x05\x00\x02\x00\x02"
                                "a\x06\x08\x02\x02"
                                "s"
                                "0123456789abcdef"
                                "ABCDEFGHIJKLMNOP";
    assert_int_equal(decode_plan_run(plan, (const uint8_t *)bytes, sizeof bytes - 1, &got, &storage, &failure), LETTER_NONE);
    assert_int_equal(got.headcount.reason, REASON_CORRECTION);
    decode_plan_free(plan);
    free(ours);
}

/* A value of a schema that was released before is read by its fingerprint; another's topic does not take it. */
static void a_released_schema_is_read_by_its_fingerprint(void **state)
{
    (void)state;
    static const char before[] = VISIT(VISITOR "," OCCURRED);
    struct decoder *decoder;
    struct buffer form = BUFFER_BOUNDED(4096);
    char value[27] = "\xc3\x01";
    bool away;
    assert_int_equal(schema_canonical_form(before, strlen(before), &form, NULL), 0);
    uint64_t fingerprint = htole64(crc64_avro(form.data, form.size));
    buffer_free(&form);
    memcpy(value + 2, &fingerprint, 8);
    memcpy(value + 10, BYTES_16 "\x02", 17);
    assert_int_equal(decoder_new(NULL, NULL, &decoder, NULL), 0);
    assert_int_equal(decoder_decode(decoder, EVENT_PAGE_VISIT, (struct slice){value, 27}, &got, &storage, &failure, &away),
                     LETTER_UNKNOWN_SCHEMA);
    for (int twice = 0; twice < 2; twice++)
        assert_int_equal(decoder_know(decoder, RECORD_PAGE_VISIT, before, NULL), 0);
    assert_int_equal(decoder_decode(decoder, EVENT_PAGE_VISIT, (struct slice){value, 27}, &got, &storage, &failure, &away),
                     LETTER_NONE);
    assert_int_equal(got.occurred_at_ms, 1);
    assert_int_equal(decoder_decode(decoder, EVENT_UNIT_MERGER, (struct slice){value, 27}, &got, &storage, &failure, &away),
                     LETTER_UNKNOWN_SCHEMA);
    decoder_free(decoder);
    assert_true(released_schema_count >= 4);
}

/* Two types of the same last name: a reference means the one of its own namespace. */
static void names_resolve_in_their_namespace(void **state)
{
    (void)state;
    static const char writer[] =
        "{\"type\":\"record\",\"name\":\"citytotals.PageVisit\",\"fields\":[" OCCURRED "," VISITOR ","
        "{\"name\":\"x\",\"type\":{\"type\":\"fixed\",\"name\":\"other.Visitor\",\"size\":2}},"
        "{\"name\":\"y\",\"type\":\"Visitor\"}]}";
    assert_int_equal(run_visit(writer, "\x02" BYTES_16 "xx" BYTES_16, 35), LETTER_NONE);
}

static void bounds_hold_for_every_schema(void **state)
{
    (void)state;
    expect_refused(VISIT(ADDED("{\"type\":\"fixed\",\"name\":\"F\",\"size\":3},{\"name\":\"added\",\"type\":\"F\"}")),
                   RECORD_PAGE_VISIT, "");
    char *text = malloc(SCHEMA_TEXT_MOST * 2);
    assert_non_null(text);
    /* lists eight deep are read, nine are not */
    for (int deep = 8; deep <= 9; deep++) {
        size_t at = (size_t)sprintf(text, "{\"type\":\"record\",\"name\":\"PageVisit\",\"fields\":[" OCCURRED
                                          "," VISITOR ",{\"name\":\"a\",\"type\":");
        for (int i = 0; i < deep; i++)
            at += (size_t)sprintf(text + at, "{\"type\":\"array\",\"items\":");
        at += (size_t)sprintf(text + at, "\"int\"");
        for (int i = 0; i < deep; i++)
            text[at++] = '}';
        sprintf(text + at, "}]}");
        if (deep == 8)
            assert_int_equal(
                run_visit(text, "\x02" BYTES_16 "\x02\x02\x02\x02\x02\x02\x02\x02\x05\0\0\0\0\0\0\0\0", 34),
                LETTER_NONE);
        else
            expect_refused(text, RECORD_PAGE_VISIT, "nested deeper than 8");
    }
    /* records that hold twenty of the next: 20^k fields, with a null at the end, in unions or not */
    for (int unions = 0; unions < 2; unions++) {
        size_t at =
            (size_t)sprintf(text, "{\"type\":\"record\",\"name\":\"PageVisit\",\"fields\":[" OCCURRED "," VISITOR);
        for (int level = 0; level < 8; level++) {
            at += (size_t)sprintf(text + at,
                                  ",{\"name\":\"l%d\",\"type\":{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[",
                                  level, level);
            for (int i = 0; i < 20; i++) {
                const char *format = level == 0 ? "%s{\"name\":\"f%d\",\"type\":\"null\"}"
                                     : unions   ? "%s{\"name\":\"f%d\",\"type\":[\"null\",\"R%d\"]}"
                                                : "%s{\"name\":\"f%d\",\"type\":\"R%d\"}";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                at += (size_t)sprintf(text + at, format, i ? "," : "", i, level - 1);
#pragma GCC diagnostic pop
            }
            at += (size_t)sprintf(text + at, "]}}");
        }
        sprintf(text + at, "]}");
        expect_refused(text, RECORD_PAGE_VISIT, "it ");
    }
    size_t at = (size_t)sprintf(text, "{\"type\":\"record\",\"name\":\"PageVisit\",\"fields\":[" OCCURRED "," VISITOR
                                      ",{\"name\":\"u\",\"type\":[\"null\"");
    for (int i = 0; i < 64; i++)
        at += (size_t)sprintf(text + at, ",{\"type\":\"fixed\",\"name\":\"F%d\",\"size\":1}", i);
    sprintf(text + at, "]}]}");
    expect_refused(text, RECORD_PAGE_VISIT, "a union of 65 branches");
    free(text);
}

/* A record of 250 fields, 46 times: more steps than a plan may have; 16 times is not. */
static void a_plan_has_at_most_10000_steps(void **state)
{
    (void)state;
    char *text = malloc(SCHEMA_TEXT_MOST);
    assert_non_null(text);
    for (int times = 45; times >= 15; times -= 30) {
        size_t at =
            (size_t)sprintf(text, "{\"type\":\"record\",\"name\":\"PageVisit\",\"fields\":[" OCCURRED "," VISITOR
                                  ",{\"name\":\"r\",\"type\":{\"type\":\"record\",\"name\":\"R\",\"fields\":[");
        for (int i = 0; i < 250; i++)
            at += (size_t)sprintf(text + at, "%s{\"name\":\"f%d\",\"type\":\"int\"}", i ? "," : "", i);
        at += (size_t)sprintf(text + at, "]}}");
        for (int i = 0; i < times; i++)
            at += (size_t)sprintf(text + at, ",{\"name\":\"again%d\",\"type\":\"R\"}", i);
        sprintf(text + at, "]}");
        if (times == 45)
            expect_refused(text, RECORD_PAGE_VISIT, "more than 10000 steps");
        else
            decode_plan_free(plan_of(text, RECORD_PAGE_VISIT));
    }
    free(text);
}

struct registry {
    const char *json;
    enum schema_lookup found;
    int calls;
};
static enum schema_lookup look_up(void *context, uint32_t id, const char **ret_json, size_t *ret_size)
{
    struct registry *registry = context;
    registry->calls++;
    if (id == 0)
        return SCHEMA_LOOKUP_UNKNOWN;
    *ret_json = registry->json;
    *ret_size = strlen(registry->json);
    return registry->found;
}

static enum dead_letter_reason decode_id(struct decoder *decoder, enum event_type type, uint32_t id, bool *ret_away)
{
    char value[] = "\0\0\0\0\0"
                   "\x02" BYTES_16;
    value[1] = (char)(id >> 24);
    value[2] = (char)(id >> 16);
    value[3] = (char)(id >> 8);
    value[4] = (char)id;
    return decoder_decode(decoder, type, (struct slice){value, sizeof value - 1}, &got, &storage, &failure, ret_away);
}

static void an_undecided_id_says_why_and_is_forgotten_on_request(void **state)
{
    (void)state;
    struct registry registry = {"the registry sleeps", SCHEMA_LOOKUP_AWAY, 0};
    struct decoder *decoder;
    bool away;
    assert_int_equal(decoder_new(look_up, &registry, &decoder, NULL), 0);
    assert_int_equal(decode_id(decoder, EVENT_PAGE_VISIT, 5, &away), LETTER_NONE);
    assert_true(away);
    assert_string_equal(failure.what, "the registry sleeps");
    assert_false(failure.changed);
    registry = (struct registry){VISIT(OCCURRED "," VISITOR), SCHEMA_LOOKUP_FOUND, 0};
    assert_int_equal(decode_id(decoder, EVENT_PAGE_VISIT, 5, &away), LETTER_NONE);
    assert_false(away);
    registry = (struct registry){"it means something else", SCHEMA_LOOKUP_CHANGED, 0};
    assert_int_equal(decode_id(decoder, EVENT_PAGE_VISIT, 5, &away), LETTER_NONE);
    assert_false(away);
    decoder_forget_ids(decoder);
    assert_int_equal(decode_id(decoder, EVENT_PAGE_VISIT, 5, &away), LETTER_NONE);
    assert_true(away);
    assert_true(failure.changed);
    assert_string_equal(failure.what, "it means something else");
    decoder_free(decoder);
}

static void a_registrys_ids_are_asked_once_and_waited_for(void **state)
{
    (void)state;
    struct registry registry = {VISIT(OCCURRED "," VISITOR), SCHEMA_LOOKUP_AWAY, 0};
    struct decoder *decoder;
    bool away;
    assert_int_equal(decoder_new(look_up, &registry, &decoder, NULL), 0);
    assert_int_equal(decode_id(decoder, EVENT_PAGE_VISIT, 0x01020304, &away), LETTER_NONE);
    assert_true(away);
    registry.found = SCHEMA_LOOKUP_FOUND;
    assert_int_equal(decode_id(decoder, EVENT_PAGE_VISIT, 0x01020304, &away), LETTER_NONE);
    assert_false(away);
    assert_int_equal(got.occurred_at_ms, 1);
    registry.found = SCHEMA_LOOKUP_AWAY;
    assert_int_equal(decode_id(decoder, EVENT_PAGE_VISIT, 0x01020304, &away), LETTER_NONE);
    assert_false(away);
    assert_int_equal(registry.calls, 2);
    /* known, but not for this topic */
    assert_int_equal(decode_id(decoder, EVENT_UNIT_MERGER, 0x01020304, &away), LETTER_UNKNOWN_SCHEMA);
    assert_int_equal(registry.calls, 2);
    assert_int_equal(decode_id(decoder, EVENT_PAGE_VISIT, 0, &away), LETTER_UNKNOWN_SCHEMA);
    assert_false(away);
    registry.found = SCHEMA_LOOKUP_FOUND;
    registry.json = "{\"type\":";
    assert_int_equal(decode_id(decoder, EVENT_PAGE_VISIT, 9, &away), LETTER_UNKNOWN_SCHEMA);
    registry.json = VISIT(OCCURRED "," VISITOR);
    for (uint32_t id = 100; id < 900; id++) { /* more than are kept */
        assert_int_equal(decode_id(decoder, EVENT_PAGE_VISIT, id, &away), LETTER_NONE);
        assert_int_equal(decode_id(decoder, EVENT_PAGE_VISIT, id, &away), LETTER_NONE);
    }
    assert_int_equal(registry.calls, 4 + 800);
    decoder_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_go_by_name_whatever_their_order),
        cmocka_unit_test(fields_of_any_type_that_are_not_ours_are_skipped),
        cmocka_unit_test(arrays_of_nothing_cost_nothing),
        cmocka_unit_test(numbers_are_promoted_and_unions_resolved),
        cmocka_unit_test(a_field_that_is_missing_needs_our_default),
        cmocka_unit_test(enums_go_by_symbol_and_defaults_fill_what_is_missing),
        cmocka_unit_test(lists_of_units_resolve_within),
        cmocka_unit_test(unions_around_records_resolve),
        cmocka_unit_test(records_that_hold_themselves_are_passed_over),
        cmocka_unit_test(aliases_and_enum_defaults_of_ours_are_heeded),
        cmocka_unit_test(a_released_schema_is_read_by_its_fingerprint),
        cmocka_unit_test(names_resolve_in_their_namespace),
        cmocka_unit_test(bounds_hold_for_every_schema),
        cmocka_unit_test(an_undecided_id_says_why_and_is_forgotten_on_request),
        cmocka_unit_test(a_plan_has_at_most_10000_steps),
        cmocka_unit_test(a_registrys_ids_are_asked_once_and_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
