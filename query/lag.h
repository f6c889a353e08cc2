/* How many records Kafka holds that the stored offsets have not reached. */
#ifndef CITYTOTALS_QUERY_LAG_H
#define CITYTOTALS_QUERY_LAG_H

#include <signal.h>

#include "base/settings.h"
#include "query/snapshot.h"

struct lag; /* owns a Kafka handle */
/* Connects to nothing yet. ERROR_CONFIG for bad properties. */
int lag_open(const struct common_options *common, struct lag **ret_lag, struct error *error);
/* The sum over all partitions of the city's topics of end − stored offset, where a log that starts later counts from its
 * start. The ends are those that a read_committed reader can reach, asked after the snapshot was taken. ERROR_KAFKA when
 * no full answer came within timeout_ms, a topic is missing, or a stored offset is beyond its log's end; ends early
 * when *stop becomes set (may be NULL). */
int lag_read(struct lag *lag, const struct snapshot *snapshot, const char *city, int64_t timeout_ms,
             const volatile sig_atomic_t *stop, int64_t *ret_lag, struct error *error);
struct lag *lag_close(struct lag *lag); /* NULL; accepts NULL */

#endif
