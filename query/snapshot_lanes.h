/* The seen lanes of a city: which events count. */
#ifndef CITYTOTALS_QUERY_SNAPSHOT_LANES_H
#define CITYTOTALS_QUERY_SNAPSHOT_LANES_H

#include "base/error.h"
#include "schemas/identity.h"

struct redis;
/* How many records each lane has. */
int snapshot_lanes_measure(struct redis *redis, const char *city, int64_t ret_records[SEEN_LANES], struct error *error);
typedef int (*lane_records_fn)(void *context, const uint8_t *records, size_t count, struct error *error);
/* The first `records` of a lane, in pieces. ERROR_REDIS when it has become shorter. */
int snapshot_lane_read(struct redis *redis, const char *city, uint32_t lane, int64_t records, lane_records_fn on_records,
                       void *context, struct error *error);

#endif
