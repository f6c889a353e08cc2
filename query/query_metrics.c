/* The query server's metrics table, filled. */
#include "query/query_metrics.h"

const struct metric query_metrics[] = {
#define X(symbol, name, type, label, help) {name, type, help, label},
    QUERY_METRIC_TABLE(X)
#undef X
};
