/* The seen lanes in memory: what is found, what looks alike, what it costs, what is let go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on
#include <endian.h>

#include "consumer/lane.h"

enum { MILLION = 1000000, CHUNK = 10000 };

static uint64_t scramble(uint64_t x)
{
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static struct identity identity_number(uint64_t number)
{
    struct identity identity;
    uint64_t halves[2] = {scramble(number), scramble(~number)};
    memcpy(identity.bytes, halves, sizeof halves);
    return identity;
}

static uint64_t meaning_number(uint64_t number)
{
    return scramble(number * 31 + 7);
}

static void write_record(uint8_t *record, uint64_t number)
{
    struct identity identity = identity_number(number);
    uint64_t digest = htole64(meaning_number(number));
    memcpy(record, identity.bytes, 16);
    memcpy(record + 16, &digest, 8);
}

/* Records first … first + count - 1 join the lane. */
static void given_records(struct lanes *lanes, uint32_t lane, uint64_t first, size_t count)
{
    uint8_t *records = malloc(CHUNK * SEEN_RECORD_SIZE);
    assert_non_null(records);
    for (size_t done = 0; done < count;) {
        size_t size = count - done < CHUNK ? count - done : CHUNK;
        for (size_t i = 0; i < size; i++)
            write_record(records + i * SEEN_RECORD_SIZE, first + done + i);
        struct error error = {0};
        assert_int_equal(lane_append(lanes, lane, records, size, &error), 0);
        done += size;
    }
    free(records);
}

static void given_lane(struct lanes *lanes, uint32_t lane, uint64_t first, size_t count)
{
    lane_begin(lanes, lane);
    given_records(lanes, lane, first, count);
    lane_loaded(lanes, lane);
}

static void given_place(struct lanes *lanes, uint32_t lane, uint32_t count)
{
    uint32_t counts[SEEN_LANES] = {0};
    struct error error = {0};
    counts[lane] = count;
    assert_int_equal(lanes_reserve(lanes, counts, &error), 0);
}

static enum seen add(struct lanes *lanes, uint32_t lane, uint64_t number, uint64_t digest, uint32_t *ret_index)
{
    struct identity identity = identity_number(number);
    return lane_add(lanes, lane, lanes_hash(lanes, &identity), &identity, digest, ret_index);
}

static enum seen add_after(struct lanes *lanes, uint32_t lane, uint64_t number, uint64_t digest, uint32_t *index)
{
    struct identity identity = identity_number(number);
    return lane_add_after(lanes, lane, lanes_hash(lanes, &identity), &identity, digest, index);
}

/* Look it up and leave nothing behind. */
static enum seen find(struct lanes *lanes, uint32_t lane, uint64_t number, uint64_t digest, uint32_t *ret_index)
{
    given_place(lanes, lane, 1);
    enum seen seen = add(lanes, lane, number, digest, ret_index);
    lanes_forget_pending(lanes);
    return seen;
}

static void expect_duplicate(struct lanes *lanes, uint32_t lane, uint64_t number)
{
    uint32_t index;
    assert_int_equal(find(lanes, lane, number, meaning_number(number), &index), SEEN_DUPLICATE);
}

static void expect_new(struct lanes *lanes, uint32_t lane, uint64_t number)
{
    uint32_t index;
    assert_int_equal(find(lanes, lane, number, meaning_number(number), &index), SEEN_NEW);
}

static void a_lane_is_absent_then_loading_then_loaded(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(1 << 20);
    assert_false(lane_is_loaded(lanes, 5));
    assert_int_equal(lane_length(lanes, 5), 0);
    lane_begin(lanes, 5);
    given_records(lanes, 5, 0, 3);
    assert_false(lane_is_loaded(lanes, 5));
    assert_int_equal(lane_length(lanes, 5), 3);
    lane_loaded(lanes, 5);
    assert_true(lane_is_loaded(lanes, 5));
    expect_duplicate(lanes, 5, 2);
    lane_begin(lanes, 5);
    assert_false(lane_is_loaded(lanes, 5));
    assert_int_equal(lane_length(lanes, 5), 0);
    lane_loaded(lanes, 5);
    expect_new(lanes, 5, 2);
    lanes_free(lanes);
}

static void an_empty_lane_holds_nothing_and_costs_nothing(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(1 << 20);
    struct identity identity = identity_number(1);
    lane_prefetch(lanes, 0, lanes_hash(lanes, &identity));
    given_lane(lanes, 0, 0, 0);
    lane_prefetch(lanes, 0, lanes_hash(lanes, &identity));
    given_place(lanes, 0, 0);
    assert_int_equal(lanes_memory(lanes), 0);
    assert_int_equal(lane_memory_of(0), 0);
    expect_new(lanes, 0, 1);
    assert_null(lanes_free(lanes));
    assert_null(lanes_free(NULL));
}

static void lanes_do_not_see_each_other(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(1 << 20);
    given_lane(lanes, 1, 0, 10);
    given_lane(lanes, 63, 10, 10);
    expect_duplicate(lanes, 1, 9);
    expect_new(lanes, 63, 9);
    expect_duplicate(lanes, 63, 10);
    expect_new(lanes, 1, 10);
    lanes_free(lanes);
}

/* Also at every size on the way, so that every growth is met. */
static void the_tail_joins_and_all_stay_found(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(1 << 30);
    given_lane(lanes, 0, 0, 0);
    for (uint64_t i = 0; i < 3000; i++) {
        given_records(lanes, 0, i, 1);
        assert_int_equal(lane_length(lanes, 0), i + 1);
        expect_duplicate(lanes, 0, i);
        expect_duplicate(lanes, 0, i / 2);
        expect_new(lanes, 0, i + 1);
    }
    for (uint64_t i = 0; i < 3000; i++)
        expect_duplicate(lanes, 0, i);
    lanes_free(lanes);
}

/* Hashes of few bits crowd places, at the table's end too: runs that are moved at once, runs that are too long for it. */
static void crowded_lanes_grow_with_all_their_ids(void **state)
{
    (void)state;
    enum { IDS = 9000, STEP = 750 };
    for (unsigned bits = 1; bits <= 12; bits += bits < 3 ? 1 : 3) {
        struct lanes *lanes = lanes_new(1 << 24);
        lanes_set_seed(lanes, bits);
        lanes_weaken(lanes, bits);
        given_lane(lanes, 0, 0, 0);
        for (uint64_t i = 0; i < IDS; i += STEP) {
            given_records(lanes, 0, i, STEP);
            for (uint64_t id = 0; id < i + STEP; id += 23)
                expect_duplicate(lanes, 0, id);
        }
        for (uint64_t id = 0; id < IDS; id += 3)
            expect_duplicate(lanes, 0, id);
        lanes_free(lanes);
    }
}

static void a_million_ids_are_found_at_24_bytes_each_at_most(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(INT64_C(1) << 30);
    given_lane(lanes, 0, 0, 0);
    double worst = 0;
    for (uint64_t i = 0; i < MILLION; i += CHUNK / 10) {
        given_records(lanes, 0, i, CHUNK / 10);
        double each = (double)lanes_memory(lanes) / (double)lane_length(lanes, 0);
        if (lane_length(lanes, 0) >= CHUNK && each > worst)
            worst = each;
        assert_true(lanes_memory(lanes) <= lane_memory_of(lane_length(lanes, 0)));
    }
    print_message("worst %.2f, at last %.2f bytes an id\n", worst, (double)lanes_memory(lanes) / MILLION);
    assert_true(worst <= 24);
    for (uint64_t i = 0; i < MILLION; i++)
        expect_duplicate(lanes, 0, i);
    for (uint64_t i = MILLION; i < 2 * MILLION; i++)
        expect_new(lanes, 0, i);
    lanes_drop_all(lanes);
    assert_int_equal(lanes_memory(lanes), 0);
    lanes_free(lanes);
}

static void another_meaning_gives_the_record_to_read(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(1 << 20);
    given_lane(lanes, 7, 100, 50);
    given_records(lanes, 7, 150, 25); /* a tail is numbered on */
    uint32_t index = 0;
    assert_int_equal(find(lanes, 7, 160, meaning_number(160) ^ 1, &index), SEEN_MAYBE);
    assert_int_equal(index, 60);
    assert_int_equal(find(lanes, 7, 117, meaning_number(117) ^ 1, &index), SEEN_MAYBE);
    assert_int_equal(index, 17);
    given_place(lanes, 7, 1);
    assert_int_equal(add_after(lanes, 7, 117, meaning_number(117) ^ 1, &index), SEEN_NEW);
    lanes_forget_pending(lanes);
    /* The half of the meaning that is not kept can't tell. */
    assert_int_equal(find(lanes, 7, 117, meaning_number(117) ^ (UINT64_C(1) << 40), &index), SEEN_DUPLICATE);
    lanes_free(lanes);
}

/* All 1,000 ids look like one another in two bits: the right record must be among the candidates, each given once. */
static void ids_that_look_alike_are_told_apart_by_their_records(void **state)
{
    (void)state;
    enum { IDS = 1000 };
    struct lanes *lanes = lanes_new(1 << 20);
    lanes_weaken(lanes, 2);
    given_lane(lanes, 0, 0, IDS);
    size_t read = 0;
    for (uint64_t i = 0; i < IDS; i++) {
        expect_duplicate(lanes, 0, i);
        bool given[IDS] = {false};
        uint32_t index;
        given_place(lanes, 0, 1);
        assert_int_equal(add(lanes, 0, i, meaning_number(i) ^ 1, &index), SEEN_MAYBE);
        do {
            assert_true(index < IDS);
            assert_false(given[index]);
            given[index] = true;
            read++;
        } while (add_after(lanes, 0, i, meaning_number(i) ^ 1, &index) == SEEN_MAYBE);
        lanes_forget_pending(lanes);
        assert_true(given[i]);
    }
    assert_true(read > IDS * 100);
    /* An id that is not there has candidates too, none of which is it. */
    uint32_t index;
    given_place(lanes, 0, 1);
    assert_int_equal(add(lanes, 0, IDS, meaning_number(IDS), &index), SEEN_MAYBE);
    size_t candidates = 1;
    while (add_after(lanes, 0, IDS, meaning_number(IDS), &index) == SEEN_MAYBE)
        candidates++;
    assert_true(candidates > 100 && candidates < IDS);
    /* It is pending now, and found before any candidate that was there. */
    assert_int_equal(add(lanes, 0, IDS, meaning_number(IDS), &index), SEEN_DUPLICATE);
    assert_int_equal(add(lanes, 0, IDS, meaning_number(IDS) ^ 1, &index), SEEN_CONFLICT);
    lanes_free(lanes);
}

static void expect_pending(const struct lanes *lanes, uint32_t lane, uint64_t first, size_t count)
{
    const uint8_t *records;
    uint8_t expected[SEEN_RECORD_SIZE];
    assert_int_equal(lane_pending(lanes, lane, &records), count);
    for (size_t i = 0; i < count; i++) {
        write_record(expected, first + i);
        assert_memory_equal(records + i * SEEN_RECORD_SIZE, expected, SEEN_RECORD_SIZE);
    }
}

static void new_ids_are_pending_until_they_are_kept(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(1 << 24);
    struct error error = {0};
    uint32_t index, counts[SEEN_LANES] = {[3] = 1000, [8] = 500};
    given_lane(lanes, 3, 0, 100);
    given_lane(lanes, 8, 5000, 0);
    assert_int_equal(lanes_reserve(lanes, counts, &error), 0);
    for (uint64_t i = 0; i < 500; i++) {
        assert_int_equal(add(lanes, 3, 100 + i, meaning_number(100 + i), &index), SEEN_NEW);
        assert_int_equal(add(lanes, 8, 5000 + i, meaning_number(5000 + i), &index), SEEN_NEW);
        /* All of the meaning counts while it is pending, also the half that no table keeps. */
        assert_int_equal(add(lanes, 3, 100 + i, meaning_number(100 + i), &index), SEEN_DUPLICATE);
        assert_int_equal(add(lanes, 3, 100 + i, meaning_number(100 + i) ^ (UINT64_C(1) << 40), &index), SEEN_CONFLICT);
    }
    assert_int_equal(add(lanes, 3, 42, meaning_number(42), &index), SEEN_DUPLICATE);
    assert_int_equal(lane_length(lanes, 3), 100);
    expect_pending(lanes, 3, 100, 500);
    expect_pending(lanes, 8, 5000, 500);
    lanes_keep_pending(lanes);
    assert_int_equal(lane_length(lanes, 3), 600);
    assert_int_equal(lane_length(lanes, 8), 500);
    expect_pending(lanes, 3, 0, 0);
    for (uint64_t i = 0; i < 600; i++)
        expect_duplicate(lanes, 3, i);
    assert_int_equal(find(lanes, 3, 599, meaning_number(599) ^ 1, &index), SEEN_MAYBE);
    assert_int_equal(index, 599);
    lanes_free(lanes);
}

/* Crowded on purpose, so that pending entries stand in one another's way when they are taken out. */
static void forgotten_ids_leave_the_lane_as_it_was(void **state)
{
    (void)state;
    enum { IDS = 300 };
    for (unsigned bits = 1; bits <= 64; bits += 9) {
        struct lanes *lanes = lanes_new(1 << 24);
        lanes_weaken(lanes, bits);
        given_lane(lanes, 0, 0, IDS);
        for (int round = 0; round < 3; round++) {
            uint32_t index;
            given_place(lanes, 0, IDS);
            for (uint64_t i = IDS; i < 2 * IDS; i++) {
                enum seen seen = add(lanes, 0, i, meaning_number(i), &index);
                while (seen == SEEN_MAYBE)
                    seen = add_after(lanes, 0, i, meaning_number(i), &index);
                assert_int_equal(seen, SEEN_NEW);
            }
            expect_pending(lanes, 0, IDS, IDS);
            if (round == 1) /* records of somebody else come in between */
                given_records(lanes, 0, 3 * IDS, IDS);
            else
                lanes_forget_pending(lanes);
            expect_pending(lanes, 0, 0, 0);
            assert_int_equal(lane_length(lanes, 0), round == 0 ? IDS : 2 * IDS);
            for (uint64_t i = 0; i < IDS; i++)
                expect_duplicate(lanes, 0, i);
            for (uint64_t i = 3 * IDS; i < 4 * IDS && round > 0; i++)
                expect_duplicate(lanes, 0, i);
            for (uint64_t i = IDS; i < 2 * IDS && bits > 40; i++)
                expect_new(lanes, 0, i);
        }
        lanes_free(lanes);
    }
}

static void what_is_pending_goes_with_its_lane(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(1 << 24);
    uint32_t index;
    given_lane(lanes, 0, 0, 10);
    given_place(lanes, 0, 1);
    assert_int_equal(add(lanes, 0, 10, meaning_number(10), &index), SEEN_NEW);
    lane_drop(lanes, 0);
    lanes_keep_pending(lanes);
    assert_int_equal(lane_length(lanes, 0), 0);
    given_lane(lanes, 0, 0, 10);
    expect_new(lanes, 0, 10);
    lanes_free(lanes);
}

static void lanes_touched_longest_ago_are_let_go(void **state)
{
    (void)state;
    int64_t each = lane_memory_of(10000);
    struct lanes *lanes = lanes_new(3 * each);
    bool needed[SEEN_LANES] = {false};
    given_lane(lanes, 1, 0, 10000);
    given_lane(lanes, 2, 0, 10000);
    given_lane(lanes, 3, 0, 10000);
    lanes_touch(lanes, 1);
    needed[2] = true;
    assert_true(lanes_make_room(lanes, needed, 0));
    assert_true(lane_is_loaded(lanes, 1) && lane_is_loaded(lanes, 2) && lane_is_loaded(lanes, 3));
    /* 2 is the oldest but needed, so 3 goes. */
    assert_true(lanes_make_room(lanes, needed, each));
    assert_true(lane_is_loaded(lanes, 1));
    assert_true(lane_is_loaded(lanes, 2));
    assert_false(lane_is_loaded(lanes, 3));
    assert_int_equal(lane_length(lanes, 3), 0);
    /* 1 must go too; and then nothing more can. */
    assert_false(lanes_make_room(lanes, needed, 3 * each));
    assert_false(lane_is_loaded(lanes, 1));
    assert_true(lane_is_loaded(lanes, 2));
    expect_duplicate(lanes, 2, 9999);
    lanes_free(lanes);
}

static void growing_lets_go_of_what_is_not_needed(void **state)
{
    (void)state;
    int64_t each = lane_memory_of(10000);
    struct lanes *lanes = lanes_new(3 * each);
    bool needed[SEEN_LANES] = {[4] = true, [5] = true};
    for (uint32_t lane = 1; lane <= 3; lane++)
        given_lane(lanes, lane, 0, 10000);
    assert_true(lanes_make_room(lanes, needed, 0));
    given_lane(lanes, 4, 0, 10000);
    assert_true(lanes_memory(lanes) <= 3 * each);
    assert_false(lane_is_loaded(lanes, 1));
    given_lane(lanes, 5, 0, 10000);
    assert_false(lane_is_loaded(lanes, 2));
    assert_true(lane_is_loaded(lanes, 3) && lane_is_loaded(lanes, 4) && lane_is_loaded(lanes, 5));
    /* What is needed grows past the bound all the same; the caller hears of it next time. */
    given_records(lanes, 5, 10000, 40000);
    assert_false(lane_is_loaded(lanes, 3));
    assert_true(lane_is_loaded(lanes, 4));
    assert_true(lanes_memory(lanes) > 3 * each);
    expect_duplicate(lanes, 5, 49999);
    expect_duplicate(lanes, 4, 9999);
    assert_false(lanes_make_room(lanes, needed, 0));
    lanes_free(lanes);
}

static void a_lane_without_memory_stays_as_it_was(void **state)
{
    (void)state;
    struct lanes *lanes = lanes_new(1 << 20);
    struct error error = {0};
    uint8_t record[SEEN_RECORD_SIZE];
    given_lane(lanes, 0, 0, 100);
    int64_t memory = lanes_memory(lanes);
    /* Refused before a record is looked at. */
    assert_int_equal(lane_append(lanes, 0, record, (size_t)LANE_RECORDS_MOST, &error), -ERROR_LIMIT);
    assert_non_null(strstr(error.text, "4294967294"));
    assert_int_equal(lane_length(lanes, 0), 100);
    assert_int_equal(lanes_memory(lanes), memory);
    expect_duplicate(lanes, 0, 99);
    lanes_free(lanes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_is_absent_then_loading_then_loaded),
        cmocka_unit_test(an_empty_lane_holds_nothing_and_costs_nothing),
        cmocka_unit_test(lanes_do_not_see_each_other),
        cmocka_unit_test(the_tail_joins_and_all_stay_found),
        cmocka_unit_test(crowded_lanes_grow_with_all_their_ids),
        cmocka_unit_test(a_million_ids_are_found_at_24_bytes_each_at_most),
        cmocka_unit_test(another_meaning_gives_the_record_to_read),
        cmocka_unit_test(ids_that_look_alike_are_told_apart_by_their_records),
        cmocka_unit_test(new_ids_are_pending_until_they_are_kept),
        cmocka_unit_test(forgotten_ids_leave_the_lane_as_it_was),
        cmocka_unit_test(what_is_pending_goes_with_its_lane),
        cmocka_unit_test(lanes_touched_longest_ago_are_let_go),
        cmocka_unit_test(growing_lets_go_of_what_is_not_needed),
        cmocka_unit_test(a_lane_without_memory_stays_as_it_was),
    };
    return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
