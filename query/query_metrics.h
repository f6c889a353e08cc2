/* The query server's metrics table. */
#ifndef CITYTOTALS_QUERY_METRICS_H
#define CITYTOTALS_QUERY_METRICS_H

#include "base/metrics.h"

/* enumerator, name, type, label, help */
#define QUERY_METRIC_TABLE(X)                                                                                            \
    X(M_REQUESTS, "http_requests_total", METRIC_COUNTER, "status", "Requests answered, by status.")                      \
    X(M_STREAMS, "streams", METRIC_GAUGE, NULL, "Clients of /v1/stream connected now.")                                  \
    X(M_CONNECTIONS, "http_connections", METRIC_GAUGE, NULL, "Connections open now.")                                    \
    X(M_MESSAGES, "stream_messages_total", METRIC_COUNTER, NULL, "Updates published to the streams.")                    \
    X(M_SNAPSHOTS, "snapshots_total", METRIC_COUNTER, NULL, "Whole snapshots read from Redis, one a state version.")     \
    X(M_REDIS_ERRORS, "redis_errors_total", METRIC_COUNTER, NULL, "Reads of Redis that failed.")                         \
    X(M_STATE_VERSION, "served_version", METRIC_GAUGE, NULL, "State version that is served.")                            \
    X(M_STALE_MS, "stale_ms", METRIC_GAUGE, NULL, "For how long Redis could not be read; 0 when it can.")

enum query_metric { QUERY_METRIC_TABLE(METRIC_ENUMERATOR) QUERY_METRICS };
extern const struct metric query_metrics[];

#endif
