/* The query server's metrics table, filled. */
#include "query/query_metrics.h"

const struct metric query_metrics[] = {QUERY_METRIC_TABLE(METRIC_ROW)};
