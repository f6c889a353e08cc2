/* Where a stored position meets its log, and which records are taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "consumer/partition.h"

static struct slice value_of(const char *text)
{
    return slice_of(text);
}

static struct partition given_partition(enum event_type type, int64_t position, const char *last_value)
{
    struct partition partition;
    partition_init(&partition, "haiphong", type, 3);
    partition.position = partition.read_position = position;
    if (last_value)
        partition.last = (struct last_record){position - 1, 1000, record_crc(value_of(last_value)), 2000};
    return partition;
}

static void expect_reason(const struct partition *partition, const char *part)
{
    assert_int_equal(partition->state, PARTITION_HALTED);
    if (!strstr(partition->reason, part))
        fail_msg("the reason is \"%s\", expected \"%s\" in it", partition->reason, part);
}

static void test_name_is_topic_and_number(void **state)
{
    (void)state;
    struct partition partition = given_partition(EVENT_UNIT_MERGER, 0, NULL);
    assert_string_equal(partition.field, "haiphong.unit-mergers/3");
    assert_int_equal(partition.end, -1);
}

static void test_last_record_goes_through_text_and_back(void **state)
{
    (void)state;
    char text[LAST_RECORD_TEXT_SIZE];
    struct last_record last = {.offset = -1, .timestamp_ms = -5, .crc = UINT32_MAX, .newest_ms = INT64_MAX}, back;
    assert_string_equal(last_record_format(&last, text), "-1 -5 4294967295 9223372036854775807");
    assert_true(last_record_parse(slice_of(text), &back));
    assert_int_equal(back.offset, last.offset);
    assert_int_equal(back.timestamp_ms, last.timestamp_ms);
    assert_int_equal(back.crc, last.crc);
    assert_int_equal(back.newest_ms, last.newest_ms);
    static const char *const bad[] = {"", "1 2 3", "1 2 3 4x", "a 2 3 4", "1 2 3 4 5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(last_record_parse(slice_of(bad[i]), &back));
    assert_false(last_record_parse((struct slice){0}, &back));
}

static void test_null_and_empty_values_have_checksum_0(void **state)
{
    (void)state;
    assert_int_equal(record_crc((struct slice){0}), 0);
    assert_int_equal(record_crc(slice_of("")), 0);
    assert_int_equal(record_crc(slice_of("123456789")), 0xCBF43926);
}

static void test_position_beyond_the_end_halts(void **state)
{
    (void)state;
    int64_t start = -7;
    struct partition partition = given_partition(EVENT_HEADCOUNT_CHANGE, 10, "x");
    assert_int_equal(partition_meet_log(&partition, 0, 9, true, &start), PARTITION_HALT);
    expect_reason(&partition, "stored offset 10 is beyond the end of the log, 9");
    assert_int_equal(start, -7);
}

static void test_position_below_the_start_halts_unless_accepted(void **state)
{
    (void)state;
    int64_t start;
    struct partition partition = given_partition(EVENT_HEADCOUNT_CHANGE, 10, "x");
    assert_int_equal(partition_meet_log(&partition, 11, 20, false, &start), PARTITION_HALT);
    expect_reason(&partition, "--accept-log-start");
    assert_int_equal(partition_meet_log(&partition, 11, 20, true, &start), PARTITION_SKIP);
    partition = given_partition(EVENT_PAGE_VISIT, 10, "x");
    assert_int_equal(partition_meet_log(&partition, 11, 20, false, &start), PARTITION_SKIP);
    partition_skip_to(&partition, 11);
    assert_int_equal(partition.state, PARTITION_ACTIVE);
    assert_true(partition_take(&partition, 11, 5, value_of("y")));
}

static void test_position_within_the_log_starts_at_the_last_record_where_it_is_there(void **state)
{
    (void)state;
    int64_t start;
    struct partition partition = given_partition(EVENT_HEADCOUNT_CHANGE, 10, "x");
    assert_int_equal(partition_meet_log(&partition, 0, 10, false, &start), PARTITION_START);
    assert_int_equal(start, 9);
    assert_int_equal(partition.state, PARTITION_VERIFYING);
    partition = given_partition(EVENT_HEADCOUNT_CHANGE, 10, "x");
    assert_int_equal(partition_meet_log(&partition, 10, 20, false, &start), PARTITION_START);
    assert_int_equal(start, 10); /* the last record was deleted: nothing to compare */
    assert_int_equal(partition.state, PARTITION_ACTIVE);
}

static struct partition given_verifying(void)
{
    int64_t start;
    struct partition partition = given_partition(EVENT_HEADCOUNT_CHANGE, 10, "x");
    partition_meet_log(&partition, 0, 20, false, &start);
    return partition;
}

static void test_same_last_record_is_passed_over_and_the_next_taken(void **state)
{
    (void)state;
    struct partition partition = given_verifying();
    assert_false(partition_take(&partition, 8, 1, value_of("older")));
    assert_false(partition_take(&partition, 9, 1000, value_of("x")));
    assert_int_equal(partition.state, PARTITION_ACTIVE);
    assert_true(partition_take(&partition, 10, 1, value_of("y")));
    assert_int_equal(partition.read_position, 11);
}

static void test_another_last_record_halts(void **state)
{
    (void)state;
    struct partition partition = given_verifying();
    assert_false(partition_take(&partition, 9, 1000, value_of("z")));
    expect_reason(&partition, "differs from the one that was folded there");
    partition = given_verifying();
    assert_false(partition_take(&partition, 9, 1001, value_of("x")));
    expect_reason(&partition, "differs");
    partition = given_verifying();
    assert_false(partition_take(&partition, 12, 1000, value_of("x")));
    expect_reason(&partition, "is gone (the next is at 12)");
}

static void test_end_of_the_log_before_the_last_record_halts(void **state)
{
    (void)state;
    for (int64_t end = 9; end <= 12; end += 3) {
        struct partition partition = given_verifying();
        assert_false(partition_take_end(&partition, end));
        expect_reason(&partition, "is gone (the log ends at");
    }
}

static void test_records_are_taken_once_and_gaps_are_legal(void **state)
{
    (void)state;
    int64_t start;
    struct partition partition = given_partition(EVENT_HEADCOUNT_CHANGE, 0, NULL);
    assert_int_equal(partition_meet_log(&partition, 0, 20, false, &start), PARTITION_START);
    assert_true(partition_take(&partition, 0, 1, value_of("a")));
    assert_false(partition_take(&partition, 0, 1, value_of("a")));
    assert_true(partition_take(&partition, 5, 1, value_of("b")));
    assert_false(partition_take(&partition, 4, 1, value_of("late")));
    assert_false(partition_take_end(&partition, 6));
    assert_true(partition_take_end(&partition, 8)); /* two transaction markers */
    assert_int_equal(partition.read_position, 8);
}

static void test_halted_and_waiting_partitions_take_nothing(void **state)
{
    (void)state;
    struct partition partition = given_partition(EVENT_HEADCOUNT_CHANGE, 0, NULL);
    partition_halt(&partition, "because of %d", 7);
    expect_reason(&partition, "because of 7");
    assert_false(partition_take(&partition, 0, 1, value_of("a")));
    partition.told = true;
    partition_wait(&partition, "a while");
    assert_int_equal(partition.state, PARTITION_WAITING);
    assert_false(partition.told);
    assert_false(partition_take(&partition, 0, 1, value_of("a")));
    assert_false(partition_take_end(&partition, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_is_topic_and_number),
        cmocka_unit_test(test_last_record_goes_through_text_and_back),
        cmocka_unit_test(test_null_and_empty_values_have_checksum_0),
        cmocka_unit_test(test_position_beyond_the_end_halts),
        cmocka_unit_test(test_position_below_the_start_halts_unless_accepted),
        cmocka_unit_test(test_position_within_the_log_starts_at_the_last_record_where_it_is_there),
        cmocka_unit_test(test_same_last_record_is_passed_over_and_the_next_taken),
        cmocka_unit_test(test_another_last_record_halts),
        cmocka_unit_test(test_end_of_the_log_before_the_last_record_halts),
        cmocka_unit_test(test_records_are_taken_once_and_gaps_are_legal),
        cmocka_unit_test(test_halted_and_waiting_partitions_take_nothing),
    };
    return cmocka_run_group_tests_name("partition", tests, NULL, NULL);
}
