/* CSV cells, names of agencies, markup and histories: what is written and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "query/documents.h"
#include "query/markup.h"

static void expect_cell(const char *text, const char *expected)
{
    struct buffer out = BUFFER_BOUNDED(4096);
    csv_text(&out, slice_of(text));
    assert_string_equal(buffer_text(&out), expected);
    buffer_free(&out);
}

static void test_csv_cells(void **state)
{
    (void)state;
    static const char *const cells[][2] = {
        {"hong-bang", "hong-bang"},   {"", "\"\""},           {"a,b", "\"a,b\""},   {"a\"b", "\"a\"\"b\""}, {"a\r\nb", "\"a\r\nb\""},
        {"=1+1", "\"'=1+1\""},        {"+1", "\"'+1\""},      {"-1", "\"'-1\""},    {"@a", "\"'@a\""},      {"\ta", "\"'\ta\""},
        {"\ra", "\"'\ra\""},          {"a=1", "a=1"},         {"=\"x\"", "\"'=\"\"x\"\"\""}, {"Quận Lê Chân", "\"Quận Lê Chân\""},
    };
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        expect_cell(cells[i][0], cells[i][1]);
    struct buffer out = BUFFER_BOUNDED(4096);
    csv_begin(&out, "a,b,c");
    csv_text(&out, slice_of("x"));
    csv_number(&out, true, -5);
    csv_number(&out, false, 0);
    csv_end_row(&out);
    assert_string_equal(buffer_text(&out), "\xEF\xBB\xBF" "a,b,c\r\nx,-5,\"\"\r\n");
    buffer_free(&out);
}

static void test_markup(void **state)
{
    (void)state;
    struct buffer out = BUFFER_BOUNDED(4096);
    markup_text(&out, slice_of("<b a='1'>&\"é\x01\xFF"));
    assert_string_equal(buffer_text(&out), "&#60;b a=&#39;1&#39;&#62;&#38;&#34;é\xEF\xBF\xBD\xEF\xBF\xBD");
    buffer_free(&out);
}

static void test_names(void **state)
{
    (void)state;
    struct names *names = NULL;
    struct error error = {0};
    assert_int_equal(names_parse("names", slice_of("\xEF\xBB\xBFid,vi,en\r\nb,\"Sở B, \"\"x\"\"\",B\r\n\r\na,Á,A"), &names, &error), 0);
    size_t count;
    const struct agency_name *all = names_all(names, &count);
    assert_int_equal(count, 2);
    assert_true(slice_equal(all[0].id, slice_of("a")) && slice_equal(all[1].name[LANGUAGE_VI], slice_of("Sở B, \"x\"")));
    assert_true(slice_equal(names_find(names, slice_of("a"))->name[LANGUAGE_EN], slice_of("A")));
    assert_null(names_find(names, slice_of("c")));
    assert_null(names_find(NULL, slice_of("a")));
    names_free(names);
    static const char *const bad[] = {
        "", "id\n", "id,vi,en,x\n", "id;vi;en\n", "id,vi,en\nA,x,y\n", "id,vi,en\na,,y\n", "id,vi,en\na,x\n", "id,vi,en\na,x,y,z\n",
        "id,vi,en\na,\"x,y\n", "id,vi,en\na,\"x\"y,z\n", "id,vi,en\na,x,y\na,x,y\n", "id,vi,en\na,x\xFF,y\n", "id,vi,en\na,x\x01,y\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        names = NULL;
        if (names_parse("names", slice_of(bad[i]), &names, &error) != -ERROR_CONFIG)
            fail_msg("%s is taken", bad[i]);
        assert_null(names);
    }
    assert_int_equal(names_parse("names", (struct slice){"id,vi,en\n\0", 10}, &names, &error), -ERROR_CONFIG);
}

static int32_t day(const char *text)
{
    int32_t date = 0;
    assert_true(date_parse(slice_of(text), &date));
    return date;
}

static void test_history(void **state)
{
    (void)state;
    struct day_figure days[] = {
        {day("2019-12-31"), DAY_HEADCOUNT_BASELINE, 0, 100}, {day("2019-12-31"), DAY_HEADCOUNT_CURRENT, 0, 100},
        {day("2020-02-29"), DAY_HEADCOUNT_CURRENT, 1, -4},   {day("2020-03-01"), DAY_VISITS, 0, 7},
        {day("2020-03-02"), DAY_VISITS, 0, 5},               {day("2020-03-02"), DAY_UNITS_CHANGE, CATEGORY_COMMUNE, -6},
    };
    struct figures figures = {.days = days, .day_count = sizeof days / sizeof *days};
    struct history history;
    struct error error = {0};
    assert_int_equal(history_make(&figures, HISTORY_REDUCTION_PERCENT, STEP_MONTH, day("2020-01-15"), day("2020-03-02"), &history, &error), 0);
    assert_int_equal(history.count, 3);
    assert_int_equal(history.points[1].date, day("2020-02-29"));
    assert_string_equal(history.points[0].percent, "0.0000");
    assert_string_equal(history.points[1].percent, "4.0000");
    assert_int_equal(history.points[2].date, day("2020-03-02"));
    free(history.points);
    /* Visits are those within each step, and none from before the first day. */
    assert_int_equal(history_make(&figures, HISTORY_VISITS, STEP_YEAR, day("2020-03-02"), day("2021-01-01"), &history, &error), 0);
    assert_int_equal(history.count, 2);
    assert_int_equal(history.points[0].value, 5);
    assert_int_equal(history.points[1].value, 0);
    free(history.points);
    assert_int_equal(history_make(&figures, HISTORY_UNITS_COMMUNE, STEP_DAY, day("2020-03-02"), day("2020-03-02"), &history, &error), 0);
    assert_false(history.points[0].has_value); /* no baseline was reported */
    free(history.points);
    assert_int_equal(history_make(&figures, HISTORY_CHANGE_COMMUNE, STEP_WEEK, day("2020-03-02"), day("2020-03-02"), &history, &error), 0);
    assert_int_equal(history.points[0].value, -6);
    free(history.points);
    assert_int_equal(history_first_day(&figures, HISTORY_VISITS, 0), day("2020-03-01"));
    assert_int_equal(history_first_day(&figures, HISTORY_UNITS_CITY_AGENCY, 42), 42);
    for (int step = 0; step < STEPS; step++)
        for (int32_t to = day("2020-01-01"); to < day("2020-04-01"); to += 13) {
            assert_int_equal(history_make(&figures, HISTORY_VISITS, (enum history_step)step, day("2019-11-30"), to, &history, &error), 0);
            assert_true((int64_t)history.count <= history_size((enum history_step)step, day("2019-11-30"), to));
            free(history.points);
        }
}

static void test_change_ids(void **state)
{
    (void)state;
    int64_t version, number;
    assert_true(change_id_parse(slice_of("12-3"), &version, &number));
    assert_int_equal(version, 12);
    assert_int_equal(number, 3);
    static const char *const bad[] = {"", "-", "1-", "-1", "1", "1-2-3", "a-b", "1- 2", "99999999999999999999-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(change_id_parse(slice_of(bad[i]), &version, &number));
    assert_false(change_id_parse((struct slice){0}, &version, &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_cells), cmocka_unit_test(test_markup),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_history),   cmocka_unit_test(test_change_ids),
    };
    return cmocka_run_group_tests_name("documents", tests, NULL, NULL);
}
