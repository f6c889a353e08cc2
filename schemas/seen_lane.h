/* Reads the seen lanes of a city from Redis: which events count (docs/redis-keys.md). A lane is counted in records of
 * SEEN_RECORD_SIZE bytes, and only grows until its state is begun anew. Blocking, by the caller's connection, which is freed
 * after an error. */
#ifndef CITYTOTALS_SCHEMAS_SEEN_LANE_H
#define CITYTOTALS_SCHEMAS_SEEN_LANE_H

#include "base/error.h"
#include "schemas/identity.h"
#include "schemas/layout.h"

struct redis;
/* Writes "{<city>}:<generation>seen:<lane>"; returns `key`. `generation`: GENERATION_LIVE or another (layout.h). */
char *seen_lane_key(char key[REDIS_KEY_SIZE], const char *city, const char *generation, uint32_t lane);
/* Whole records of the lane; 0 where there is none. */
int seen_lane_length(struct redis *redis, const char *key, int64_t *ret_records, struct error *error);
/* Of each lane of the live state. */
int seen_lane_lengths(struct redis *redis, const char *city, int64_t ret_records[SEEN_LANES], struct error *error);

struct seen_range {
    int64_t from, to; /* records, `to` not included; SEEN_LANE_END: all that there are */
    int64_t piece;    /* records asked for at once, 1 or more: while Redis copies them it serves nobody else */
};
#define SEEN_LANE_END INT64_MAX
/* `index` is that of the first; `records` are valid during the call. Negative: an error, with which the reading ends. */
typedef int (*seen_records_fn)(void *context, const uint8_t *records, size_t count, int64_t index, struct error *error);
/* The lane's records, in order, piece by piece. A lane that ends before `to` has become shorter: ERROR_REDIS, after what
 * there was; where *ret_end is asked for it is no error, and tells where the lane ended. ERROR_HALTED: the lane ends within
 * a record. */
int seen_lane_read(struct redis *redis, const char *key, struct seen_range range, seen_records_fn on_records, void *context,
                   int64_t *ret_end, struct error *error);

#endif
