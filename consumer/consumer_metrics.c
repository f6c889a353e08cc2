/* The consumer's metrics, as a table. */
#include "consumer/consumer_metrics.h"

const struct metric consumer_metrics[] = {CONSUMER_METRIC_TABLE(METRIC_ROW)};
