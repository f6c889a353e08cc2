/* The gateway's metrics, as a table. */
#include "producer/gateway_metrics.h"

const struct metric gateway_metrics[] = {
#define X(symbol, name_, type_, label_, help_) {.name = name_, .type = type_, .help = help_, .label = label_},
    GATEWAY_METRIC_TABLE(X)
#undef X
};
