/* The gateway's metrics table. */
#ifndef CITYTOTALS_PRODUCER_GATEWAY_METRICS_H
#define CITYTOTALS_PRODUCER_GATEWAY_METRICS_H

#include "base/metrics.h"

/* enumerator, name, type, label, help */
#define GATEWAY_METRIC_TABLE(X)                                                                                              \
    X(G_RESPONSES, "http_responses_total", METRIC_COUNTER, "status", "Answers given, by status.")                            \
    X(G_ACCEPTED, "gateway_events_accepted_total", METRIC_COUNTER, NULL, "Events that Kafka acknowledged and a client was told so.") \
    X(G_REPEATS, "gateway_events_repeated_total", METRIC_COUNTER, NULL, "Records that repeat another of the same request.")  \
    X(G_REFUSED, "gateway_events_refused_total", METRIC_COUNTER, NULL, "Records of a batch that break a rule.")              \
    X(G_UNACKNOWLEDGED, "gateway_events_unacknowledged_total", METRIC_COUNTER, NULL,                                         \
      "Events that Kafka did not acknowledge in time or at all; their clients were told to repeat.")                         \
    X(G_PENDING, "gateway_events_pending", METRIC_GAUGE, NULL, "Events without Kafka's verdict now.")                        \
    X(G_CONNECTIONS, "gateway_connections", METRIC_GAUGE, NULL, "Connections open now.")                                     \
    X(G_TOKENS, "gateway_tokens", METRIC_GAUGE, NULL, "Tokens in force.")                                                    \
    X(G_RELOADS, "gateway_token_reloads_total", METRIC_COUNTER, "result", "Times the tokens file was read again: taken or refused.")

enum gateway_metric {
#define X(symbol, name, type, label, help) symbol,
    GATEWAY_METRIC_TABLE(X)
#undef X
    GATEWAY_METRICS
};
extern const struct metric gateway_metrics[];

#endif
