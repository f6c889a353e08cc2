/* Metrics: values, labelled children and their bound, escaping, and threads that write at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "base/metrics.h"

static const struct metric table[] = {
    {.name = "folded_total", .type = METRIC_COUNTER, .help = "Records."},
    {.name = "lag_records", .type = METRIC_GAUGE, .help = "Behind.", .label = "partition"},
};
enum { FOLDED, LAG };

static struct metrics *given_metrics(void)
{
    struct metrics *metrics = metrics_new(table, sizeof table / sizeof *table);
    assert_non_null(metrics);
    return metrics;
}

static void expect_text(struct metrics *metrics, const char *expected, bool there)
{
    struct buffer text = BUFFER_BOUNDED(1 << 20);
    metrics_render(metrics, &text);
    assert_non_null(buffer_text(&text));
    if ((strstr(text.data, expected) != NULL) != there)
        fail_msg("%s%s in:\n%s", there ? "no " : "", expected, text.data);
    buffer_free(&text);
}

static void test_values_are_added_and_set(void **state)
{
    (void)state;
    struct metrics *metrics = given_metrics();
    metrics_add(metrics, FOLDED, NULL, 3);
    metrics_add(metrics, FOLDED, NULL, 4);
    metrics_set(metrics, LAG, "t/0", 9);
    metrics_set(metrics, LAG, "t/1", -1);
    metrics_set(metrics, LAG, "t/0", 5);
    assert_int_equal(metrics_get(metrics, FOLDED, NULL), 7);
    assert_int_equal(metrics_get(metrics, LAG, "t/0"), 5);
    assert_int_equal(metrics_get(metrics, LAG, "t/2"), 0);
    expect_text(metrics, "# HELP citytotals_folded_total Records.\n# TYPE citytotals_folded_total counter\ncitytotals_folded_total 7\n",
                true);
    expect_text(metrics, "# TYPE citytotals_lag_records gauge\n", true);
    expect_text(metrics, "citytotals_lag_records{partition=\"t/0\"} 5\n", true);
    expect_text(metrics, "citytotals_lag_records{partition=\"t/1\"} -1\n", true);
    expect_text(metrics, "t/2", false);
    metrics_free(metrics);
}

static void test_a_removed_child_is_not_shown_until_it_comes_back(void **state)
{
    (void)state;
    struct metrics *metrics = given_metrics();
    metrics_set(metrics, LAG, "t/0", 5);
    metrics_remove(metrics, LAG, "t/0");
    metrics_remove(metrics, LAG, "never");
    expect_text(metrics, "t/0", false);
    metrics_add(metrics, LAG, "t/0", 1);
    expect_text(metrics, "citytotals_lag_records{partition=\"t/0\"} 1\n", true);
    metrics_free(metrics);
}

static void test_label_values_are_escaped(void **state)
{
    (void)state;
    struct metrics *metrics = given_metrics();
    metrics_set(metrics, LAG, "a\"b\\c\nd", 1);
    expect_text(metrics, "{partition=\"a\\\"b\\\\c\\nd\"} 1\n", true);
    metrics_free(metrics);
}

static void test_children_have_a_bound_and_what_is_dropped_is_counted(void **state)
{
    (void)state;
    struct metrics *metrics = given_metrics();
    expect_text(metrics, "\ncitytotals_metric_changes_dropped_total 0\n", true);
    for (int i = 0; i < METRIC_CHILDREN_MOST + 3; i++) {
        char label[16];
        snprintf(label, sizeof label, "t/%d", i);
        metrics_set(metrics, LAG, label, i);
    }
    assert_int_equal(metrics_get(metrics, LAG, "t/1023"), 1023);
    assert_int_equal(metrics_get(metrics, LAG, "t/1024"), 0);
    expect_text(metrics, "t/1024", false);
    expect_text(metrics, "\ncitytotals_metric_changes_dropped_total 3\n", true);
    metrics_free(metrics);
}

enum { THREADS = 4, TURNS = 20000 };

static void *write_much(void *context)
{
    struct metrics *metrics = context;
    for (int i = 0; i < TURNS; i++) {
        char label[16];
        snprintf(label, sizeof label, "t/%d", i % 64);
        metrics_add(metrics, FOLDED, NULL, 1);
        metrics_add(metrics, LAG, label, 1);
    }
    return NULL;
}

static void test_threads_lose_nothing(void **state)
{
    (void)state;
    struct metrics *metrics = given_metrics();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_much, metrics), 0);
    expect_text(metrics, "citytotals_folded_total ", true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metrics_get(metrics, FOLDED, NULL), THREADS * TURNS);
    int64_t sum = 0;
    for (int i = 0; i < 64; i++) {
        char label[16];
        snprintf(label, sizeof label, "t/%d", i);
        sum += metrics_get(metrics, LAG, label);
    }
    assert_int_equal(sum, THREADS * TURNS);
    metrics_free(metrics);
}

static void test_the_reference_names_every_metric(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    metrics_document(file, "program", table, sizeof table / sizeof *table);
    fclose(file);
    assert_non_null(strstr(text, "| `citytotals_folded_total` | counter |  | Records. |\n"));
    assert_non_null(strstr(text, "| `citytotals_lag_records` | gauge | partition | Behind. |\n"));
    assert_non_null(strstr(text, "| `citytotals_metric_changes_dropped_total` | counter |"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_added_and_set),
        cmocka_unit_test(test_a_removed_child_is_not_shown_until_it_comes_back),
        cmocka_unit_test(test_label_values_are_escaped),
        cmocka_unit_test(test_children_have_a_bound_and_what_is_dropped_is_counted),
        cmocka_unit_test(test_threads_lose_nothing),
        cmocka_unit_test(test_the_reference_names_every_metric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
