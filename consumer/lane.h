/* The seen lanes held in memory: for each id seen, half of it and half of its meaning, and where the lane's full record
 * is. Pure: the caller reads the lanes from Redis.
 *
 * A lane is absent, loading (begun, not complete) or loaded. Its length is the number of records that Redis was last
 * known to have. */
#ifndef CITYTOTALS_CONSUMER_LANE_H
#define CITYTOTALS_CONSUMER_LANE_H

#include "base/error.h"
#include "schemas/identity.h"
#include "schemas/layout.h"

#define LANE_RECORDS_MOST INT64_C(4294967294) /* 2^32 - 2, so that a record's number fits 32 bits */

struct lanes;
struct lanes *lanes_new(int64_t memory_most); /* bytes of tables; NULL when memory ran out */
struct lanes *lanes_free(struct lanes *lanes); /* NULL */

bool lane_is_loaded(const struct lanes *lanes, uint32_t lane);
int64_t lane_length(const struct lanes *lanes, uint32_t lane); /* records; 0 when absent */

/* Begin (again) with no records. */
void lane_begin(struct lanes *lanes, uint32_t lane);
/* The records that follow those known: a chunk of the first load, the tail after STALE, or our own committed ones. The
 * lane is loading or loaded. Where a larger table would pass the bound, lanes are let go first that the last
 * lanes_make_room did not name as needed; a needed lane grows past the bound all the same. ERROR_MEMORY; ERROR_LIMIT
 * over LANE_RECORDS_MOST. On failure the lane is as it was. */
int lane_append(struct lanes *lanes, uint32_t lane, const uint8_t *records, size_t count, struct error *error);
/* What the store told of a lane that it refused as behind: it has `stored` records, of which these follow those known. A
 * lane that the store has fewer records of is dropped; one whose tail was cut is loading again, from where it is known. */
int lanes_take_tail(struct lanes *lanes, uint32_t lane, int64_t stored, const uint8_t *records, size_t count,
                    struct error *error);
void lane_loaded(struct lanes *lanes, uint32_t lane);
void lane_drop(struct lanes *lanes, uint32_t lane);
void lanes_drop_all(struct lanes *lanes);

enum seen {
    SEEN_NEW,
    SEEN_DUPLICATE, /* 64 bits of the identity and 32 of the meaning are equal */
    SEEN_MAYBE,     /* the identity looks equal, the meaning differs: read the lane's record to know */
};
/* Look an id up in a loaded lane. SEEN_MAYBE gives the number of the first record to read. Where that record has
 * another identity, lane_find_next gives the next one. */
enum seen lane_find(const struct lanes *lanes, uint32_t lane, const struct identity *identity, uint64_t digest,
                    uint32_t *ret_index);
/* `*index` is the record that lane_find or this gave last; false when there is none after it: the id is new. The lane
 * must not have changed in between. */
bool lane_find_next(const struct lanes *lanes, uint32_t lane, const struct identity *identity, uint32_t *index);
/* Bring the place of an id into the processor's cache; does nothing for a lane without a table. */
void lane_prefetch(const struct lanes *lanes, uint32_t lane, const struct identity *identity);

/* Bytes that the tables take now. */
int64_t lanes_memory(const struct lanes *lanes);
/* An upper bound of the bytes of a lane of so many records, while it does not grow. */
int64_t lane_memory_of(int64_t records);
/* Let go of lanes that are not needed, least recently touched first, until `bytes` more fit the bound. False when they
 * do not fit even so. Remembers `needed` for lane_append. */
bool lanes_make_room(struct lanes *lanes, const bool needed[SEEN_LANES], int64_t bytes);
void lanes_touch(struct lanes *lanes, uint32_t lane);

/* For tests: make different ids look equal, by keeping only so many bits of what is compared (1..64). Before the first
 * append. */
void lanes_weaken(struct lanes *lanes, unsigned bits);
/* For tests that are run again: the key of the hash. Before the first append. */
void lanes_set_seed(struct lanes *lanes, uint64_t seed);

#endif
