/* Metrics: one table makes the storage, the exposition text (OpenMetrics/Prometheus 0.0.4) and docs/metrics.md.
 * Values are atomics: any thread may set or add, the management listener reads. */
#ifndef CITYTOTALS_BASE_METRICS_H
#define CITYTOTALS_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
    const char *name; /* snake_case, without the prefix citytotals_; counters end in _total */
    enum metric_type type;
    const char *help;
    const char *label; /* NULL, or the label's name: then the series are children, made on first use */
};

/* A program's table is a macro TABLE(X) with rows X(enumerator, name, type, label, help). In its header:
 *   enum consumer_metric { TABLE(METRIC_ENUMERATOR) CONSUMER_METRICS };
 *   extern const struct metric consumer_metrics[];
 * and in its file: const struct metric consumer_metrics[] = {TABLE(METRIC_ROW)}; */
#define METRIC_ENUMERATOR(enumerator, name, type, label, help) enumerator,
#define METRIC_ROW(enumerator, name, type, label, help) {name, type, help, label},

#define METRIC_CHILDREN_MOST 1024 /* label values of one metric; changes of later ones are dropped and counted */

struct metrics; /* a set made from a table */
struct metrics *metrics_new(const struct metric *table, size_t count);
struct metrics *metrics_free(struct metrics *metrics);
/* `index` is the metric's place in the table; `label_value` NULL where it has no label. */
void metrics_add(struct metrics *metrics, size_t index, const char *label_value, int64_t amount);
void metrics_set(struct metrics *metrics, size_t index, const char *label_value, int64_t value);
int64_t metrics_get(struct metrics *metrics, size_t index, const char *label_value);
/* Forget a child (a partition that went away). */
void metrics_remove(struct metrics *metrics, size_t index, const char *label_value);
void metrics_render(struct metrics *metrics, struct buffer *out);
void metrics_document(FILE *file, const char *program, const struct metric *table, size_t count);

#endif
