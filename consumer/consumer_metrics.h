/* The consumer's metrics table. */
#ifndef CITYTOTALS_CONSUMER_METRICS_H
#define CITYTOTALS_CONSUMER_METRICS_H

#include "base/metrics.h"

/* enumerator, name, type, label, help */
#define CONSUMER_METRIC_TABLE(X)                                                                                          \
    X(M_FOLDED, "folded_total", METRIC_COUNTER, NULL, "Records folded and committed, dead letters and duplicates included.") \
    X(M_EVENTS, "events_total", METRIC_COUNTER, NULL, "Distinct organisational events counted.")                          \
    X(M_VISITS, "page_visits_total", METRIC_COUNTER, NULL, "Page visit records folded.")                                  \
    X(M_LATE_VISITS, "late_page_visits_total", METRIC_COUNTER, NULL, "Page visits of a day that was final; not counted.") \
    X(M_DUPLICATES, "duplicates_total", METRIC_COUNTER, NULL, "Events seen before, not counted again.")                   \
    X(M_CONFLICTS, "conflicts_total", METRIC_COUNTER, NULL, "Events with a known identity and another meaning; dead letters.") \
    X(M_LETTERS, "dead_letters_total", METRIC_COUNTER, "reason", "Records written to the dead-letter topic and committed.")   \
    X(M_COMMITS, "commits_total", METRIC_COUNTER, NULL, "Commits that went through.")                                     \
    X(M_STALE, "commits_stale_total", METRIC_COUNTER, NULL, "Commits refused because a seen lane had grown; folded again.") \
    X(M_FENCED, "fenced_total", METRIC_COUNTER, NULL, "Commits refused because a position or the epoch had moved.")       \
    X(M_RECONNECTS, "redis_reconnects_total", METRIC_COUNTER, NULL, "Times the Redis connection was given up.")           \
    X(M_GAPS, "offset_gaps_total", METRIC_COUNTER, NULL, "Offsets passed over between records (transaction markers).")    \
    X(M_LAG, "lag_records", METRIC_GAUGE, "partition", "Records of the partition that are not folded yet.")               \
    X(M_HALTED, "halted", METRIC_GAUGE, "partition", "1 while the partition is halted until somebody acts.")              \
    X(M_WAITING, "waiting", METRIC_GAUGE, "partition", "1 while the partition waits to be tried again.")                  \
    X(M_REGISTRY_AWAY, "schema_registry_away", METRIC_GAUGE, NULL, "1 while the schema registry does not answer.")       \
    X(M_PARTITIONS, "assigned_partitions", METRIC_GAUGE, NULL, "Partitions that the group gave this consumer.")           \
    X(M_UNTAKEN, "untaken_partitions", METRIC_GAUGE, NULL, "Partitions that no consumer of the group has had yet.")      \
    X(M_SEEN_MEMORY, "seen_memory_bytes", METRIC_GAUGE, NULL, "Memory of the seen lanes held.")                           \
    X(M_VERSION, "state_version", METRIC_GAUGE, NULL, "State version after the last commit.")

enum consumer_metric { CONSUMER_METRIC_TABLE(METRIC_ENUMERATOR) CONSUMER_METRICS };
extern const struct metric consumer_metrics[];

#endif
