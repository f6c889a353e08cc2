/* Repeats, conflicts and reversals of reversals within one file, within a bound of memory; and the marks of its records. */
#include "producer_lines.h"

#include "producer/marks.h"
#include "producer/repeats.h"

static struct repeats *repeats;
static struct seen seen;
static uint64_t next_line;

static int make(void **state)
{
    next_line = 0;
    return make_parser(state) + repeats_new(64 << 20, &repeats, NULL);
}

static int unmake(void **state)
{
    repeats = repeats_free(repeats);
    return free_parser(state);
}

/* The next line of the file; its number is 10 above its ordinal. */
static enum seen_kind add_at(struct slice line, int at)
{
    struct error error = {0};
    expect_good_at(line, at);
    if (repeats_add(repeats, &event, parser_space(parser, &event), next_line + 10, next_line, &seen, &error) < 0)
        fail_msg("line %d: %s", at, error.text);
    next_line++;
    return seen.kind;
}
#define ADD(...) add_at(WITH(headcount_line, __VA_ARGS__), __LINE__)

static void repeats_and_conflicts(void **state)
{
    (void)state;
    assert_int_equal(ADD({"id", "\"1\""}), SEEN_NEW);
    assert_int_equal(ADD({"id", "\"2\""}), SEEN_NEW);
    assert_int_equal(ADD({"id", "\"1\""}), SEEN_REPEAT);
    assert_int_equal(seen.line, 10);
    assert_int_equal(ADD({"id", "\"1\""}, {"occurred_at", "\"2020-01-01T00:00:00Z\""}), SEEN_REPEAT);
    assert_int_equal(ADD({"id", "\"2\""}, {"delta", "-4"}), SEEN_CONFLICT);
    assert_int_equal(seen.line, 11);
    assert_int_equal(ADD({"id", "\"2\""}, {"decision", "\"x\""}), SEEN_CONFLICT);
    assert_int_equal(ADD({"id", "\"2\""}), SEEN_REPEAT); /* a conflict takes no id */
    assert_int_equal(ADD({"id", "\"1\""}, {"agency", "\"other\""}), SEEN_NEW);
    assert_int_equal(ADD({"id", "\"1\""}, {"source", "\"other\""}), SEEN_NEW);
    repeats_reset(repeats);
    assert_int_equal(ADD({"id", "\"1\""}), SEEN_NEW);
}

static void reversals_of_reversals(void **state)
{
    (void)state;
    char text[EVENT_ID_TEXT_SIZE], value[EVENT_ID_TEXT_SIZE + 2];
    assert_int_equal(ADD({"id", "\"1\""}), SEEN_NEW);
    assert_int_equal(ADD({"id", NULL}, {"reverses", "\"1\""}), SEEN_NEW);
    assert_int_equal(ADD({"id", NULL}, {"reverses", "\"1\""}), SEEN_REPEAT);
    assert_int_equal(ADD({"id", NULL}, {"reverses", "\"1\""}, {"delta", "-9"}), SEEN_CONFLICT);
    snprintf(value, sizeof value, "\"%s\"", event_id_format(event.event_id, text));
    assert_int_equal(ADD({"id", NULL}, {"reverses_event_id", value}), SEEN_DOUBLE_REVERSAL);
    assert_int_equal(seen.line, 11);
    assert_false(seen.refuses_earlier);

    /* the other way round: the earlier line is the wrong one */
    repeats_reset(repeats);
    assert_int_equal(ADD({"id", "\"1\""}), SEEN_NEW);
    assert_int_equal(ADD({"id", NULL}, {"reverses_event_id", value}), SEEN_NEW);
    uint64_t wrong = next_line - 1;
    assert_int_equal(ADD({"id", "\"2\""}), SEEN_NEW);
    assert_false(seen.refuses_earlier);
    assert_int_equal(ADD({"id", NULL}, {"reverses", "\"1\""}), SEEN_NEW);
    assert_true(seen.refuses_earlier);
    assert_int_equal(seen.earlier_line, wrong + 10);
    assert_int_equal(seen.earlier_ordinal, wrong);

    /* the same target of another agency is another event */
    repeats_reset(repeats);
    assert_int_equal(ADD({"id", NULL}, {"reverses", "\"1\""}), SEEN_NEW);
    assert_int_equal(ADD({"id", NULL}, {"reverses_event_id", value}, {"agency", "\"other\""}), SEEN_NEW);
}

static void many_events_within_the_bound(void **state)
{
    (void)state;
    char id[32];
    struct error error = {0};
    struct repeats *small;
    assert_int_equal(repeats_new(8 << 20, &small, NULL), 0);
    expect_good_at(line_with(headcount_line, NULL), __LINE__);
    int result = 0;
    uint64_t count = 0;
    for (; result == 0; count++) {
        int size = snprintf(id, sizeof id, "%u", (unsigned)count);
        event.event_id = event_id_in_namespace(parser_space(parser, &event)->namespace, (struct slice){id, (size_t)size});
        result = repeats_add(small, &event, parser_space(parser, &event), count, count, &seen, &error);
        if (result == 0)
            assert_int_equal(seen.kind, SEEN_NEW);
    }
    assert_int_equal(result, -ERROR_LIMIT);
    assert_non_null(strstr(error.text, "--check-memory"));
    assert_true(count > (8 << 20) / 60 && count < (8 << 20) / 28);
    /* what it knows it still knows */
    event.event_id = event_id_in_namespace(parser_space(parser, &event)->namespace, TEXT("77"));
    assert_int_equal(repeats_add(small, &event, parser_space(parser, &event), 1, 1, &seen, &error), 0);
    assert_int_equal(seen.kind, SEEN_REPEAT);
    assert_int_equal(seen.line, 77);
    repeats_free(small);
}

static void marks_are_kept_by_record(void **state)
{
    (void)state;
    struct marks marks = {0};
    struct error error = {0};
    marks_reset(&marks, 1000);
    assert_int_equal(marks_get(&marks, 1000), MARK_SEND);
    for (uint64_t i = 0; i < 100000; i++)
        assert_int_equal(marks_set(&marks, 1000 + i, (enum mark)(i % 3), &error), 0);
    for (uint64_t i = 0; i < 100000; i++)
        assert_int_equal(marks_get(&marks, 1000 + i), (int)(i % 3));
    assert_int_equal(marks_set(&marks, 1000, MARK_REFUSED, &error), 0);
    assert_int_equal(marks_get(&marks, 1000), MARK_REFUSED);
    assert_int_equal(marks_get(&marks, 1001), MARK_REPEAT);
    static const uint64_t ordinals[] = {1005, 1009, 1002, 1020, 1001};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(marks_add_reason(&marks, (struct reason){ordinals[i], i, REASON_CONFLICT}, &error), 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(marks_reason(&marks, ordinals[i])->other_line, i);
    assert_null(marks_reason(&marks, 1006));
    marks_reset(&marks, 0);
    assert_int_equal(marks_get(&marks, 5), MARK_SEND);
    assert_null(marks_reason(&marks, 1005));
    marks_free(&marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(repeats_and_conflicts, make, unmake),
        cmocka_unit_test_setup_teardown(reversals_of_reversals, make, unmake),
        cmocka_unit_test_setup_teardown(many_events_within_the_bound, make, unmake),
        cmocka_unit_test(marks_are_kept_by_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
