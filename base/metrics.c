/* Metrics made from a table: atomic values, labelled children to a bound, and their exposition text. */
#include "base/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define DROPPED_NAME "metric_changes_dropped_total"
#define DROPPED_HELP "Changes of metrics that were dropped because a metric has its most label values."

struct series {
    char *label_value; /* NULL for a metric without label */
    _Atomic int64_t value;
    struct series *_Atomic next;
    _Atomic bool gone;
};

struct metrics {
    const struct metric *table;
    size_t count;
    struct series *_Atomic *series; /* a list per metric; entries are added, never taken out before the end */
    size_t *children;
    _Atomic int64_t dropped; /* changes of children that there was no room for */
    pthread_mutex_t lock;    /* for adding children */
};

struct metrics *metrics_new(const struct metric *table, size_t count)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return NULL;
    metrics->table = table;
    metrics->count = count;
    pthread_mutex_init(&metrics->lock, NULL);
    metrics->series = calloc(count, sizeof *metrics->series);
    metrics->children = calloc(count, sizeof *metrics->children);
    if (!metrics->series || !metrics->children)
        return metrics_free(metrics);
    for (size_t i = 0; i < count; i++) {
        if (table[i].label)
            continue;
        struct series *series = calloc(1, sizeof *series);
        if (!series)
            return metrics_free(metrics);
        atomic_store(&metrics->series[i], series);
    }
    return metrics;
}

struct metrics *metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return NULL;
    for (size_t i = 0; metrics->series && i < metrics->count; i++) {
        struct series *series = atomic_load(&metrics->series[i]);
        while (series) {
            struct series *next = atomic_load(&series->next);
            free(series->label_value);
            free(series);
            series = next;
        }
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics->series);
    free(metrics->children);
    free(metrics);
    return NULL;
}

static struct series *find(struct metrics *metrics, size_t index, const char *label_value)
{
    struct series *series = atomic_load(&metrics->series[index]);
    if (!metrics->table[index].label)
        return series;
    while (series && strcmp(series->label_value, label_value) != 0)
        series = atomic_load(&series->next);
    return series;
}

static struct series *get(struct metrics *metrics, size_t index, const char *label_value)
{
    struct series *series = find(metrics, index, label_value);
    if (series) {
        atomic_store(&series->gone, false);
        return series;
    }
    pthread_mutex_lock(&metrics->lock);
    series = find(metrics, index, label_value);
    if (!series && metrics->children[index] < METRIC_CHILDREN_MOST && (series = calloc(1, sizeof *series))) {
        series->label_value = strdup(label_value);
        if (series->label_value) {
            atomic_store(&series->next, atomic_load(&metrics->series[index]));
            atomic_store(&metrics->series[index], series);
            metrics->children[index]++;
        } else {
            free(series);
            series = NULL;
        }
    }
    pthread_mutex_unlock(&metrics->lock);
    if (!series)
        atomic_fetch_add(&metrics->dropped, 1);
    return series;
}

void metrics_add(struct metrics *metrics, size_t index, const char *label_value, int64_t amount)
{
    struct series *series = get(metrics, index, label_value);
    if (series)
        atomic_fetch_add(&series->value, amount);
}

void metrics_set(struct metrics *metrics, size_t index, const char *label_value, int64_t value)
{
    struct series *series = get(metrics, index, label_value);
    if (series)
        atomic_store(&series->value, value);
}

int64_t metrics_get(struct metrics *metrics, size_t index, const char *label_value)
{
    struct series *series = find(metrics, index, label_value);
    return series ? atomic_load(&series->value) : 0;
}

void metrics_remove(struct metrics *metrics, size_t index, const char *label_value)
{
    struct series *series = find(metrics, index, label_value);
    if (series) {
        atomic_store(&series->value, 0);
        atomic_store(&series->gone, true);
    }
}

static void render_label(struct buffer *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buffer_append(out, "\\", 1);
        if (*value == '\n')
            buffer_text_append(out, "\\n");
        else
            buffer_append(out, value, 1);
    }
}

void metrics_render(struct metrics *metrics, struct buffer *out)
{
    for (size_t i = 0; i < metrics->count; i++) {
        const struct metric *metric = &metrics->table[i];
        buffer_printf(out, "# HELP citytotals_%s %s\n# TYPE citytotals_%s %s\n", metric->name, metric->help, metric->name,
                      metric->type == METRIC_COUNTER ? "counter" : "gauge");
        for (struct series *series = atomic_load(&metrics->series[i]); series; series = atomic_load(&series->next)) {
            if (atomic_load(&series->gone))
                continue;
            buffer_printf(out, "citytotals_%s", metric->name);
            if (metric->label) {
                buffer_printf(out, "{%s=\"", metric->label);
                render_label(out, series->label_value);
                buffer_text_append(out, "\"}");
            }
            buffer_printf(out, " %" PRId64 "\n", atomic_load(&series->value));
        }
    }
    buffer_printf(out, "# HELP citytotals_%s %s\n# TYPE citytotals_%s counter\ncitytotals_%s %" PRId64 "\n", DROPPED_NAME,
                  DROPPED_HELP, DROPPED_NAME, DROPPED_NAME, atomic_load(&metrics->dropped));
}

void metrics_document(FILE *file, const char *program, const struct metric *table, size_t count)
{
    fprintf(file, "## %s\n\n| metric | type | label | meaning |\n|---|---|---|---|\n", program);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "| `citytotals_%s` | %s | %s | %s |\n", table[i].name,
                table[i].type == METRIC_COUNTER ? "counter" : "gauge", table[i].label ? table[i].label : "", table[i].help);
    fprintf(file, "| `citytotals_%s` | counter |  | %s |\n\n", DROPPED_NAME, DROPPED_HELP);
}
