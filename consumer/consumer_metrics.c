/* The consumer's metrics, as a table. */
#include "consumer/consumer_metrics.h"

const struct metric consumer_metrics[] = {
#define X(symbol, name_, type_, label_, help_) {.name = name_, .type = type_, .help = help_, .label = label_},
    CONSUMER_METRIC_TABLE(X)
#undef X
};
