/* The cells of a window: summed by hash and field, in order of first use, emptied and used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "consumer/cells.h"

static void expect_cell(const struct cells *cells, size_t place, enum cell_hash hash, const char *field, int64_t amount)
{
    size_t count;
    const struct cell *cell = &cells_all(cells, &count)[place];
    assert_in_range(place, 0, count - 1);
    assert_int_equal(cell->hash, hash);
    assert_string_equal(cell->field, field);
    assert_int_equal(cell->amount, amount);
}

static void test_equal_fields_are_summed_and_hashes_kept_apart(void **state)
{
    (void)state;
    struct cells *cells = cells_new();
    size_t count;
    assert_true(cells_add(cells, CELLS_TOTALS, slice_of("events"), 5));
    assert_true(cells_add(cells, CELLS_UNITS, slice_of("events"), 7));
    assert_true(cells_add(cells, CELLS_TOTALS, slice_of("event"), 1));
    assert_true(cells_add(cells, CELLS_TOTALS, (struct slice){"events!", 6}, -9));
    cells_all(cells, &count);
    assert_int_equal(count, 3);
    expect_cell(cells, 0, CELLS_TOTALS, "events", -4);
    expect_cell(cells, 1, CELLS_UNITS, "events", 7);
    expect_cell(cells, 2, CELLS_TOTALS, "event", 1);
    cells_free(cells);
}

static void test_many_cells_keep_their_text_and_order(void **state)
{
    (void)state;
    struct cells *cells = cells_new();
    for (int round = 0; round < 3; round++) {
        char field[CELL_FIELD_MOST + 1];
        size_t count;
        for (int i = 0; i < 20000; i++) {
            int size = snprintf(field, sizeof field, "%0*d", 1 + i % CELL_FIELD_MOST, i);
            assert_true(cells_add(cells, CELLS_PILOTS, (struct slice){field, (size_t)size}, i));
        }
        const struct cell *all = cells_all(cells, &count);
        int64_t sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += all[i].amount;
        assert_int_equal(sum, INT64_C(20000) * 19999 / 2);
        assert_string_equal(all[0].field, "0");
        cells_reset(cells);
        cells_all(cells, &count);
        assert_int_equal(count, 0);
    }
    cells_free(cells);
}

static void test_suffixes_are_those_of_the_layout(void **state)
{
    (void)state;
    assert_string_equal(cell_hash_suffix(CELLS_TOTALS), "totals");
    assert_string_equal(cell_hash_suffix(CELLS_HEADCOUNT_BY_DAY), "headcount:by-day");
    assert_string_equal(cell_hash_suffix(CELLS_DEAD_LETTERS), "dead-letters");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_fields_are_summed_and_hashes_kept_apart),
        cmocka_unit_test(test_many_cells_keep_their_text_and_order),
        cmocka_unit_test(test_suffixes_are_those_of_the_layout),
    };
    return cmocka_run_group_tests_name("cells", tests, NULL, NULL);
}
