/* The gateway's metrics, as a table. */
#include "producer/gateway_metrics.h"

const struct metric gateway_metrics[] = {GATEWAY_METRIC_TABLE(METRIC_ROW)};
