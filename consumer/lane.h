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
 * over LANE_RECORDS_MOST. On failure the lane is as it was, or dropped. */
int lane_append(struct lanes *lanes, uint32_t lane, const uint8_t *records, size_t count, struct error *error);
/* What the store told of a lane that it refused as behind: it has `stored` records, of which these follow those known. A
 * lane that the store has fewer records of is dropped; one whose tail was cut is loading again, from where it is known. */
int lanes_take_tail(struct lanes *lanes, uint32_t lane, int64_t stored, const uint8_t *records, size_t count,
                    struct error *error);
void lane_loaded(struct lanes *lanes, uint32_t lane);
void lane_drop(struct lanes *lanes, uint32_t lane);
void lanes_drop_all(struct lanes *lanes);

/* The window being folded adds its new ids as pending records: they are found like the others, and no length counts them
 * until lanes_keep_pending. Nobody may look at a lane's place in memory in between: a lane that is dropped, or gets
 * records by lane_append, loses its pending ones. */

/* Forget what is pending, and make place for up to `counts[lane]` pending records of each lane (loaded where that is not
 * 0). Bound as in lane_append. ERROR_MEMORY, ERROR_LIMIT. */
int lanes_reserve(struct lanes *lanes, const uint32_t counts[SEEN_LANES], struct error *error);

enum seen {
    SEEN_NEW,       /* it is pending now */
    SEEN_DUPLICATE, /* 64 bits of the identity and 32 of the meaning are equal; of a pending record, all */
    SEEN_CONFLICT,  /* a pending record has the identity and another meaning */
    SEEN_MAYBE,     /* the identity looks equal, the meaning differs: read the lane's record to know */
};
/* The hash of an id, which finds its place: computed once, given to the calls below. */
uint64_t lanes_hash(const struct lanes *lanes, const struct identity *identity);
/* Look an id up in a loaded lane with place reserved, and add it where it is new. SEEN_MAYBE gives the number of the
 * first record to read and adds nothing. Where that record has another identity, lane_add_after goes on. */
enum seen lane_add(struct lanes *lanes, uint32_t lane, uint64_t hash, const struct identity *identity, uint64_t digest,
                   uint32_t *ret_index);
/* The record `*index` that lane_add or this gave last is another id's: the same with those after it. */
enum seen lane_add_after(struct lanes *lanes, uint32_t lane, uint64_t hash, const struct identity *identity, uint64_t digest,
                         uint32_t *index);
/* The pending records, SEEN_RECORD_SIZE bytes each, in the order they were added. Valid until the next lanes_reserve. */
size_t lane_pending(const struct lanes *lanes, uint32_t lane, const uint8_t **ret_records);
/* Redis has them: they count from now on. */
void lanes_keep_pending(struct lanes *lanes);
void lanes_forget_pending(struct lanes *lanes);
/* Bring the place of an id into the processor's cache; does nothing for a lane without a table. */
void lane_prefetch(const struct lanes *lanes, uint32_t lane, uint64_t hash);

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
