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
    X(G_WAVES, "gateway_waves_total", METRIC_COUNTER, NULL,                                                                  \
      "Times that the events that had come were pushed out to Kafka, together.")                                            \
    X(G_VISITS, "gateway_visits_total", METRIC_COUNTER, NULL, "Page visits handed to Kafka.")                               \
    X(G_VISITS_OPTED_OUT, "gateway_visits_opted_out_total", METRIC_COUNTER, NULL,                                            \
      "Page visits not taken because the browser said Global Privacy Control or Do Not Track.")                              \
    X(G_VISITS_BOTS, "gateway_visits_bots_total", METRIC_COUNTER, NULL, "Page visits not taken because a program read the page.") \
    X(G_VISITS_FOREIGN, "gateway_visits_other_origins_total", METRIC_COUNTER, NULL,                                          \
      "Page visits not taken because the page is of none of the allowed origins.")                                           \
    X(G_VISITS_LIMITED, "gateway_visits_over_rate_total", METRIC_COUNTER, NULL,                                              \
      "Page visits not taken because their address came too often.")                                                         \
    X(G_VISITS_LOST, "gateway_visits_lost_total", METRIC_COUNTER, NULL,                                                      \
      "Page visits that Kafka could not take.")                                                                              \
    X(G_QUESTIONS, "gateway_questions_total", METRIC_COUNTER, "answer",                                                      \
      "Questions what became of an event, by answer: a status, unknown, refused_list, or unavailable.")                      \
    X(G_PENDING, "gateway_events_pending", METRIC_GAUGE, NULL, "Events without Kafka's verdict now.")                        \
    X(G_CONNECTIONS, "gateway_connections", METRIC_GAUGE, NULL, "Connections open now.")                                     \
    X(G_CERTIFICATE_EXPIRES, "gateway_certificate_expires_timestamp_seconds", METRIC_GAUGE, NULL,                            \
      "When the certificate in force expires, as Unix time; 0 without TLS.")                                                 \
    X(G_TOKENS, "gateway_tokens", METRIC_GAUGE, NULL, "Tokens in force.")                                                    \
    X(G_RELOADS, "gateway_token_reloads_total", METRIC_COUNTER, "result", "Times the tokens file was read again: taken or refused.")

enum gateway_metric { GATEWAY_METRIC_TABLE(METRIC_ENUMERATOR) GATEWAY_METRICS };
extern const struct metric gateway_metrics[];

#endif
