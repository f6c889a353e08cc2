/* Reads a city's state for the proof and for snapshots: one consistent view by one call of the read-only Function, then the seen lanes up to
 * the lengths that they had in it. A lane only grows, so its first bytes are what they were; a state that was begun anew
 * meanwhile is told by its epoch. Writes nothing but the Function library, where it is missing. */
#ifndef CITYTOTALS_CONSUMER_STORE_PROOF_H
#define CITYTOTALS_CONSUMER_STORE_PROOF_H

#include "base/error.h"
#include "base/redis_place.h"
#include "consumer/proof_state.h"

struct proof_store;
int proof_store_open(const struct redis_place *place, const char *city, struct proof_store **ret_store, struct error *error);
struct proof_store *proof_store_close(struct proof_store *store); /* NULL */
/* ERROR_HALTED when the city has no state. Freed by proof_state_free. */
int proof_store_state(struct proof_store *store, struct proof_state *ret_state, struct error *error);
void proof_state_free(struct proof_state *state);

typedef int (*lane_records_fn)(void *context, uint32_t lane, const uint8_t *records, size_t count, struct error *error);
/* The lane's first `bytes`, whole records only, piece by piece. Fewer come where the lane became shorter. */
int proof_store_lane(struct proof_store *store, uint32_t lane, int64_t bytes, lane_records_fn take, void *context,
                     struct error *error);
/* The entries of a stream up to a version, in order, page by page: id, then field, value, …. */
typedef int (*entry_fn)(void *context, const char *suffix, struct slice id, const struct slice *words, size_t count,
                        struct error *error);
int proof_store_entries(struct proof_store *store, const char *suffix, int64_t version, entry_fn take, void *context,
                        struct error *error);
/* Is it still the state that was read? */
int proof_store_same_epoch(struct proof_store *store, const struct proof_state *state, bool *ret_same, struct error *error);

#endif
