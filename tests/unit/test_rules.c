/* The contract's rules for one event: each sentence of its tables with good events at the bounds and bad ones beyond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/clock.h"
#include "schemas/identity.h"
#include "schemas/rules.h"

#define TEXT(literal) ((struct slice){literal, sizeof(literal) - 1})
#define KAFKA_MS      INT64_C(1605837600000) /* 2020-11-20T02:00:00Z */
#define ID_64         "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij1234"

static struct event headcount(enum headcount_reason reason, int32_t delta)
{
    struct event event = {.type = EVENT_HEADCOUNT_CHANGE,
                          .occurred_at_ms = KAFKA_MS,
                          .event_id = {{1}},
                          .source = TEXT("hong-bang"),
                          .agency = TEXT("hong-bang"),
                          .effective_date = date_from_civil(2020, 10, 30)};
    event.headcount.sector = SECTOR_ADMINISTRATIVE;
    event.headcount.reason = reason;
    event.headcount.delta = delta;
    return event;
}

static struct event merger(enum merger_kind kind, int32_t before, int32_t after)
{
    struct event event = headcount(REASON_BASELINE, 1);
    event.type = EVENT_UNIT_MERGER;
    memset(&event.merger, 0, sizeof event.merger);
    event.merger.category = CATEGORY_COMMUNE;
    event.merger.kind = kind;
    event.merger.units_before = before;
    event.merger.units_after = after;
    return event;
}

static struct event good(void)
{
    return headcount(REASON_RETIRED, -3);
}

static void expect_good_at(const struct event *event, int line)
{
    struct rule_violation violation = {.text = ""};
    if (event_check(event, KAFKA_MS, &violation) != LETTER_NONE)
        fail_msg("line %d: refused: %s", line, violation.text);
    assert_int_equal(event_check(event, KAFKA_MS, NULL), LETTER_NONE);
    assert_int_equal(event_check_all(event, KAFKA_MS, &violation, 1), 0);
}

static void expect_bad_at(const struct event *event, enum dead_letter_reason reason, const char *field,
                          const char *text, int line)
{
    struct rule_violation violation = {.text = ""};
    if (event_check(event, KAFKA_MS, &violation) == LETTER_NONE)
        fail_msg("line %d: taken", line);
    if (violation.reason != reason || strcmp(violation.field, field) != 0 ||
        (text && strcmp(violation.text, text) != 0))
        fail_msg("line %d: %s %s: %s", line, dead_letter_reason_name(violation.reason), violation.field,
                 violation.text);
    assert_int_equal(event_check(event, KAFKA_MS, NULL), reason);
}
#define EXPECT_GOOD(event)                expect_good_at(&(event), __LINE__)
#define EXPECT_BAD(event, field, text)    expect_bad_at(&(event), LETTER_RULE_VIOLATION, field, text, __LINE__)
#define EXPECT_OUT_OF_WINDOW(event, text) expect_bad_at(&(event), LETTER_OUT_OF_WINDOW, "occurred_at", text, __LINE__)
/* good() with one statement done to it, in which it is called `e` */
#define WITH(statement)                                                                                                \
    ({                                                                                                                 \
        struct event e = good();                                                                                       \
        statement;                                                                                                     \
        e;                                                                                                             \
    })

static void signs_of_delta_go_by_reason(void **state)
{
    (void)state;
    static const int8_t sign[REASONS] = {
        [REASON_BASELINE] = 1,       [REASON_STREAMLINED] = -1,     [REASON_RETIRED] = -1,  [REASON_RESIGNED] = -1,
        [REASON_TRANSFERRED_IN] = 1, [REASON_TRANSFERRED_OUT] = -1, [REASON_RECRUITED] = 1, [REASON_CORRECTION] = 0};
    for (enum headcount_reason reason = 0; reason < REASONS; reason++) {
        static const int32_t sizes[] = {1, 2, 999999, 1000000};
        for (size_t i = 0; i < 4; i++) {
            struct event up = headcount(reason, sizes[i]), down = headcount(reason, -sizes[i]);
            if (sign[reason] >= 0)
                EXPECT_GOOD(up);
            else
                EXPECT_BAD(up, "delta", NULL);
            if (sign[reason] <= 0)
                EXPECT_GOOD(down);
            else
                EXPECT_BAD(down, "delta", NULL);
        }
        static const int32_t never[] = {0, 1000001, -1000001, INT32_MAX, INT32_MIN};
        for (size_t i = 0; i < 5; i++) {
            struct event event = headcount(reason, never[i]);
            EXPECT_BAD(event, "delta", NULL);
        }
    }
    struct event zero = headcount(REASON_CORRECTION, 0), wrong = headcount(REASON_RECRUITED, -2),
                 up = headcount(REASON_RETIRED, 2);
    EXPECT_BAD(zero, "delta", "delta is 0; allowed: 1 to 1,000,000 either way, not 0");
    EXPECT_BAD(wrong, "delta", "delta is -2 with reason recruited; allowed: above 0");
    EXPECT_BAD(up, "delta", "delta is 2 with reason retired; allowed: below 0");
}

static void numbers_of_units_go_by_kind(void **state)
{
    (void)state;
    static const struct {
        enum merger_kind kind;
        int32_t before, after;
        bool good;
    } table[] = {
        {KIND_BASELINE, 0, 1, true},
        {KIND_BASELINE, 0, 100000, true},
        {KIND_BASELINE, 0, 0, false},
        {KIND_BASELINE, 1, 2, false},
        {KIND_MERGER, 2, 1, true},
        {KIND_MERGER, 100000, 99999, true},
        {KIND_MERGER, 1, 0, false},
        {KIND_MERGER, 2, 0, false},
        {KIND_MERGER, 2, 2, false},
        {KIND_MERGER, 1, 1, false},
        {KIND_MERGER, 2, 3, false},
        {KIND_DISSOLUTION, 1, 0, true},
        {KIND_DISSOLUTION, 3, 2, true},
        {KIND_DISSOLUTION, 0, 0, false},
        {KIND_DISSOLUTION, 2, 2, false},
        {KIND_DISSOLUTION, 1, 2, false},
        {KIND_ESTABLISHMENT, 0, 1, true},
        {KIND_ESTABLISHMENT, 5, 6, true},
        {KIND_ESTABLISHMENT, 5, 5, false},
        {KIND_ESTABLISHMENT, 5, 4, false},
        {KIND_REARRANGEMENT, 5, 4, true},
        {KIND_REARRANGEMENT, 4, 5, true},
        {KIND_REARRANGEMENT, 5, 5, false},
        {KIND_REARRANGEMENT, 0, 0, false},
        {KIND_CORRECTION, 0, 1, true},
        {KIND_CORRECTION, 1, 0, true},
        {KIND_CORRECTION, 7, 7, false},
        {KIND_CORRECTION, -1, 0, false},
        {KIND_CORRECTION, 0, 100001, false},
        {KIND_CORRECTION, 100001, 0, false},
        {KIND_CORRECTION, 0, -1, false},
        {KIND_CORRECTION, 0, 100000, true},
        {KIND_DISSOLUTION, INT32_MAX, INT32_MIN, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct event event = merger(table[i].kind, table[i].before, table[i].after);
        if ((event_check(&event, KAFKA_MS, NULL) == LETTER_NONE) != table[i].good)
            fail_msg("%s %d to %d", merger_kind_name(table[i].kind), table[i].before, table[i].after);
    }
    struct event event = merger(KIND_MERGER, 1, 1);
    EXPECT_BAD(event, "units_after",
               "kind merger has units_before 1 and units_after 1; allowed: before 2 or more, after 1 or more and below "
               "before");
    event = merger(KIND_CORRECTION, -1, 0);
    EXPECT_BAD(event, "units_before", "units_before is -1; allowed: 0 to 100,000");
}

static void a_pilot_has_a_model_and_a_district(void **state)
{
    (void)state;
    struct event event = merger(KIND_REARRANGEMENT, 5, 5);
    event.merger.pilot_model = TEXT("mo-hinh");
    EXPECT_BAD(event, "district", "district is missing; allowed: pilot_model and district, both or neither");
    event.merger.district = TEXT("hong-bang");
    EXPECT_GOOD(event); /* a rearrangement that carries a pilot may change no number */
    event.merger.kind = KIND_CORRECTION;
    EXPECT_BAD(event, "units_after", NULL);
    event = merger(KIND_MERGER, 2, 1);
    event.merger.district = TEXT("hong-bang");
    EXPECT_BAD(event, "pilot_model", NULL);
    event.merger.pilot_model = TEXT("Mo-hinh");
    EXPECT_BAD(event, "pilot_model", "pilot_model is \"Mo-hinh\"; allowed: 1 to 64 of a-z, 0-9 and -, the first not -");
    event.merger.pilot_model = TEXT("mo-hinh");
    event.merger.district = TEXT("");
    EXPECT_BAD(event, "district", NULL);
}

static void lists_are_empty_or_as_long_as_their_counts(void **state)
{
    (void)state;
    static struct unit units[257];
    for (int i = 0; i < 257; i++)
        units[i] = (struct unit){TEXT("xa-1"), TEXT("Xã số 1")};
    struct event event = merger(KIND_MERGER, 3, 2);
    event.merger.merged_units = event.merger.resulting_units = units;
    event.merger.merged_count = 3;
    EXPECT_GOOD(event);
    event.merger.resulting_count = 2;
    EXPECT_GOOD(event);
    event.merger.resulting_count = 1;
    EXPECT_BAD(event, "resulting_units", "resulting_units has 1 units; allowed: none, or exactly 2 and at most 256");
    event.merger.resulting_count = 0;
    event.merger.merged_count = 4;
    EXPECT_BAD(event, "merged_units", NULL);
    event = merger(KIND_MERGER, 256, 1);
    event.merger.merged_units = units;
    event.merger.merged_count = 256;
    EXPECT_GOOD(event);
    event.merger.units_before = 257;
    event.merger.merged_count = 257;
    EXPECT_BAD(event, "merged_units", NULL);
}

static void units_have_an_id_of_1_to_64_and_a_name_of_1_to_256_bytes(void **state)
{
    (void)state;
    static char name[257];
    memset(name, 'n', sizeof name);
    struct unit units[2] = {{TEXT("a"), TEXT("A")}, {TEXT("b"), TEXT("B")}};
    struct event event = merger(KIND_MERGER, 2, 1);
    event.merger.merged_units = units;
    event.merger.merged_count = 2;
    units[1] = (struct unit){TEXT(ID_64), {name, 256}};
    EXPECT_GOOD(event);
    units[1].id = TEXT("Số 1/QĐ"); /* a unit's id is any text */
    EXPECT_GOOD(event);
    units[1].id = TEXT(ID_64 "5");
    EXPECT_BAD(event, "merged_units", "merged_units[1].id has 65 bytes; allowed: 1 to 64");
    units[1].id = TEXT("");
    EXPECT_BAD(event, "merged_units", "merged_units[1].id has 0 bytes; allowed: 1 to 64");
    units[1] = (struct unit){TEXT("b"), {name, 257}};
    EXPECT_BAD(event, "merged_units", "merged_units[1].name has 257 bytes; allowed: 1 to 256");
    units[1].name = TEXT("");
    EXPECT_BAD(event, "merged_units", NULL);
    units[1].name = TEXT("  ");
    EXPECT_BAD(event, "merged_units", "merged_units[1].name is blank; allowed: text with more than spaces");
    units[1].name = TEXT("a\tb");
    EXPECT_BAD(event, "merged_units",
               "merged_units[1].name is 3 bytes with a control character; allowed: UTF-8 without control characters");
    units[1].name = TEXT("\xff");
    EXPECT_BAD(event, "merged_units",
               "merged_units[1].name is 1 bytes that are not UTF-8; allowed: UTF-8 without control characters");
    units[1].name = TEXT("B");
    units[0].id = TEXT("\n");
    EXPECT_BAD(event, "merged_units", NULL);
}

static void ids_match_their_pattern(void **state)
{
    (void)state;
    static const char *const right[] = {"a", "0", "a-", "0-9-z", ID_64};
    static const char *const wrong[] = {"", "-a", "A", "a_b", "a b", "a.b", "hải-phòng", "a\n", ID_64 "5"};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        struct event event = WITH(e.agency = e.source = slice_of(right[i]));
        EXPECT_GOOD(event);
        assert_true(id_is_valid(slice_of(right[i])));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct event agency = WITH(e.agency = slice_of(wrong[i])), source = WITH(e.source = slice_of(wrong[i]));
        EXPECT_BAD(agency, "agency", NULL);
        EXPECT_BAD(source, "source", NULL);
    }
    struct event missing = WITH(e.source = (struct slice){0}), nul = WITH(e.agency = TEXT("a\0b"));
    EXPECT_BAD(missing, "source", "source is missing; allowed: 1 to 64 of a-z, 0-9 and -, the first not -");
    EXPECT_BAD(nul, "agency",
               "agency is 3 bytes with a control character; allowed: 1 to 64 of a-z, 0-9 and -, the first not -");
}

static void a_decision_is_text_of_1_to_128_bytes(void **state)
{
    (void)state;
    static char text[129];
    memset(text, 'd', sizeof text);
    struct event event = WITH(e.decision = ((struct slice){text, 128}));
    EXPECT_GOOD(event);
    event.decision.size = 129;
    EXPECT_BAD(event, "decision", "decision has 129 bytes; allowed: 1 to 128");
    static const struct slice wrong[] = {TEXT(""),
                                         TEXT(" "),
                                         TEXT("\u3000\u00a0"),
                                         TEXT("a\0b"),
                                         TEXT("a\x1f"),
                                         TEXT("\x7f"),
                                         TEXT("\xc2\x80"),
                                         TEXT("\xc2\x9f"),
                                         TEXT("\xc0\x80"),
                                         TEXT("\xed\xa0\x80"),
                                         TEXT("\xf4\x90\x80\x80"),
                                         TEXT("\xc3"),
                                         TEXT("abcdefgh\x80"),
                                         TEXT("\xe0\x9f\xbf"),
                                         TEXT("\xf0\x8f\xbf\xbf")};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        event.decision = wrong[i];
        EXPECT_BAD(event, "decision", NULL);
    }
    static const struct slice right[] = {
        TEXT("1234/QĐ-UBND"), TEXT(" a "),          TEXT("\u00a0x"),
        TEXT("\U0010FFFF"),   TEXT("\ud7ff\ue000"), TEXT("D\u0323")}; /* not NFC: only the producer normalises */
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        event.decision = right[i];
        EXPECT_GOOD(event);
    }
}

static void effective_dates_are_of_this_century(void **state)
{
    (void)state;
    struct event event = WITH(e.effective_date = date_from_civil(2000, 1, 1));
    EXPECT_GOOD(event);
    event.effective_date = date_from_civil(2099, 12, 31);
    EXPECT_GOOD(event);
    event.effective_date = date_from_civil(1999, 12, 31);
    EXPECT_BAD(event, "effective_date", "effective_date is 1999-12-31; allowed: 2000-01-01 to 2099-12-31");
    event.effective_date = date_from_civil(2100, 1, 1);
    EXPECT_BAD(event, "effective_date", NULL);
    event.effective_date = INT32_MAX;
    EXPECT_BAD(event, "effective_date",
               "effective_date is 2147483647 days from 1970; allowed: 2000-01-01 to 2099-12-31");
    event.effective_date = INT32_MIN;
    EXPECT_BAD(event, "effective_date", NULL);
}

static void occurred_at_is_from_2000_to_a_day_after_kafkas_time(void **state)
{
    (void)state;
    struct event event = WITH(e.occurred_at_ms = INT64_C(946684800000));
    EXPECT_GOOD(event);
    event.occurred_at_ms--;
    EXPECT_OUT_OF_WINDOW(
        event, "occurred_at is 1999-12-31T23:59:59.999Z; allowed: from 2000-01-01T00:00:00.000Z to 24 h after "
               "the Kafka timestamp 2020-11-20T02:00:00.000Z");
    event.occurred_at_ms = KAFKA_MS + 86400000;
    EXPECT_GOOD(event);
    event.occurred_at_ms++;
    EXPECT_OUT_OF_WINDOW(event, NULL);
    event.occurred_at_ms = INT64_MAX;
    EXPECT_OUT_OF_WINDOW(event, NULL);
    event.occurred_at_ms = INT64_MIN;
    EXPECT_OUT_OF_WINDOW(event, NULL);
    assert_int_equal(event_check(&event, INT64_MAX, NULL), LETTER_OUT_OF_WINDOW);
    event.occurred_at_ms = INT64_MAX;
    assert_int_equal(event_check(&event, INT64_MAX, NULL), LETTER_NONE); /* no overflow */
    assert_int_equal(event_check(&event, INT64_MIN, NULL), LETTER_OUT_OF_WINDOW);
}

static void a_visit_is_within_a_day_before_and_5_minutes_after_kafkas_time(void **state)
{
    (void)state;
    struct event event = {.type = EVENT_PAGE_VISIT, .occurred_at_ms = KAFKA_MS - 86400000};
    EXPECT_GOOD(event); /* nothing else of it is looked at */
    event.occurred_at_ms--;
    EXPECT_OUT_OF_WINDOW(event,
                         "occurred_at is 2020-11-19T01:59:59.999Z; allowed: from 24 h before to 5 min after the Kafka "
                         "timestamp 2020-11-20T02:00:00.000Z");
    event.occurred_at_ms = KAFKA_MS + 300000;
    EXPECT_GOOD(event);
    event.occurred_at_ms++;
    EXPECT_OUT_OF_WINDOW(event, NULL);
    event.occurred_at_ms = 0;
    assert_int_equal(event_check(&event, 0, NULL), LETTER_NONE); /* no bound but the window */
    event.occurred_at_ms = INT64_MIN;
    assert_int_equal(event_check(&event, INT64_MIN, NULL), LETTER_NONE);
    assert_int_equal(event_check(&event, INT64_MAX, NULL), LETTER_OUT_OF_WINDOW);
}

static void ids_are_not_nil_and_a_reversals_id_comes_from_its_original(void **state)
{
    (void)state;
    struct event event = WITH(e.event_id = (struct event_id){{0}});
    EXPECT_BAD(event, "id", "the event id is the nil UUID; allowed: any other");
    struct event_id original =
        event_id_from(EVENT_HEADCOUNT_CHANGE, TEXT("hong-bang"), TEXT("hong-bang"), TEXT("HB-2020-0017"));
    event = WITH((e.has_reverses = true, e.reverses = original, e.event_id = event_id_reversal(original)));
    EXPECT_GOOD(event);
    event.event_id.bytes[15] ^= 1;
    EXPECT_BAD(event, "id",
               "the event id is 189e7a18-7ac9-5484-93b5-cfcbfaa7a6cc; allowed for a reversal: "
               "189e7a18-7ac9-5484-93b5-cfcbfaa7a6cd, the uuid5 of reverses and \"reversal\"");
    event.reverses = (struct event_id){{0}};
    event.event_id = event_id_reversal(event.reverses);
    EXPECT_BAD(event, "reverses", "reverses is the nil UUID; allowed: the event id of an event");
    event = WITH(
        (e.has_reverses = true, e.reverses = event_id_reversal(original), e.event_id = event_id_reversal(e.reverses)));
    EXPECT_GOOD(event); /* a reversal of a reversal is folded as it stands */
    event = headcount(REASON_RETIRED, 3);
    event.has_reverses = true;
    event.reverses = original;
    event.event_id = event_id_reversal(original);
    EXPECT_BAD(event, "delta", NULL); /* the copied fields keep their signs */
}

static void all_violations_come_in_the_tables_order_and_rules_before_the_window(void **state)
{
    (void)state;
    struct event event = merger(KIND_MERGER, -1, 100001);
    struct rule_violation list[16];
    event.event_id = (struct event_id){{0}};
    event.source = TEXT("S");
    event.occurred_at_ms = INT64_MAX;
    event.effective_date = 0;
    event.agency = TEXT("A");
    event.merger.merged_count = 1;
    event.merger.resulting_count = 1;
    event.merger.pilot_model = TEXT("P");
    event.decision = TEXT("");
    event.has_reverses = true;
    static const char *const fields[] = {
        "id",          "source",      "effective_date", "agency",          "units_before",
        "units_after", "units_after", "merged_units",   "resulting_units", "district",
        "pilot_model", "decision",    "reverses",       "occurred_at"};
    size_t count = event_check_all(&event, KAFKA_MS, list, 16);
    assert_int_equal(count, sizeof fields / sizeof *fields);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(list[i].field, fields[i]);
        assert_int_equal(list[i].reason, i + 1 == count ? LETTER_OUT_OF_WINDOW : LETTER_RULE_VIOLATION);
    }
    memset(list, 0, sizeof list);
    assert_int_equal(event_check_all(&event, KAFKA_MS, list, 2), count); /* `most` bounds what is written */
    assert_null(list[2].field);
    assert_int_equal(event_check_all(&event, KAFKA_MS, NULL, 0), count);
    assert_int_equal(event_check(&event, KAFKA_MS, list), LETTER_RULE_VIOLATION);
    assert_string_equal(list[0].field, "id");
    struct event late = WITH((e.occurred_at_ms = INT64_MAX, e.headcount.delta = 0));
    EXPECT_BAD(late, "delta", NULL);
}

static void texts_repeat_foreign_bytes_only_where_they_are_harmless(void **state)
{
    (void)state;
    struct rule_violation violation;
    static char long_id[300];
    memset(long_id, 'A', sizeof long_id);
    struct event event = WITH(e.agency = TEXT("\x1b[31mred"));
    event_check(&event, KAFKA_MS, &violation);
    assert_null(strchr(violation.text, 0x1b));
    event = WITH(e.agency = ((struct slice){long_id, sizeof long_id}));
    EXPECT_BAD(event, "agency", "agency is 300 bytes long; allowed: 1 to 64 of a-z, 0-9 and -, the first not -");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_of_delta_go_by_reason),
        cmocka_unit_test(numbers_of_units_go_by_kind),
        cmocka_unit_test(a_pilot_has_a_model_and_a_district),
        cmocka_unit_test(lists_are_empty_or_as_long_as_their_counts),
        cmocka_unit_test(units_have_an_id_of_1_to_64_and_a_name_of_1_to_256_bytes),
        cmocka_unit_test(ids_match_their_pattern),
        cmocka_unit_test(a_decision_is_text_of_1_to_128_bytes),
        cmocka_unit_test(effective_dates_are_of_this_century),
        cmocka_unit_test(occurred_at_is_from_2000_to_a_day_after_kafkas_time),
        cmocka_unit_test(a_visit_is_within_a_day_before_and_5_minutes_after_kafkas_time),
        cmocka_unit_test(ids_are_not_nil_and_a_reversals_id_comes_from_its_original),
        cmocka_unit_test(all_violations_come_in_the_tables_order_and_rules_before_the_window),
        cmocka_unit_test(texts_repeat_foreign_bytes_only_where_they_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
