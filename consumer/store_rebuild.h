/* What a rebuild asks of Redis besides folding: its lock, what an earlier one left, the swap. */
#ifndef CITYTOTALS_CONSUMER_STORE_REBUILD_H
#define CITYTOTALS_CONSUMER_STORE_REBUILD_H

#include "base/error.h"
#include "base/redis_place.h"
#include "schemas/event.h"

#define REBUILD_LEASE_MS   4000  /* a rebuild that does not show itself for so long is dead */
#define REBUILD_HOLD_S     10    /* consumers are held for at most so long while the rebuild catches up with them */
#define REBUILD_BEHIND_MOST 64

struct rebuild_store;
int rebuild_store_open(const struct redis_place *place, const char *city, struct rebuild_store **ret_store, struct error *error);
struct rebuild_store *rebuild_store_close(struct rebuild_store *store); /* NULL; gives the lock back */

/* Take the lock, waiting out a dead holder's lease. ERROR_REFUSED when another rebuild is at work; ERROR_INTERRUPTED. */
int rebuild_store_lock(struct rebuild_store *store, int (*stopped)(void), struct error *error);
/* Keep it; when less than a second has passed since the last time, does nothing. ERROR_REFUSED when somebody has taken it. */
int rebuild_store_keep(struct rebuild_store *store, struct error *error);

struct rebuild_state {
    bool live, left;     /* is there a live state; did an earlier rebuild leave one? */
    bool left_is_usable; /* made by this version, from this cluster */
    char live_cluster[128];
};
int rebuild_store_look(struct rebuild_store *store, const char *cluster_id, struct rebuild_state *ret_state, struct error *error);
/* Remove what an earlier rebuild left. */
int rebuild_store_drop(struct rebuild_store *store, struct error *error);
/* Before the first record is folded: who folds here. */
int rebuild_store_begin(struct rebuild_store *store, struct error *error);
/* Let no consumer commit for REBUILD_HOLD_S. */
int rebuild_store_hold(struct rebuild_store *store, struct error *error);

struct rebuild_end {
    char field[96]; /* of `offsets` */
    int64_t end;    /* of its log */
};
enum rebuild_swap { SWAP_DONE, SWAP_BEHIND, SWAP_GONE /* the new generation is no longer there */ };
struct rebuild_swapped {
    enum rebuild_swap outcome;
    int64_t version;
    char behind[96]; /* the field of one partition that is behind */
};
/* Put the new generation in the place of the live one. `first_day`: "" or the first date whose visits the log has. An
 * unanswered call is looked into: SWAP_DONE where it went through. */
int rebuild_store_swap(struct rebuild_store *store, const char *first_day, const struct rebuild_end *ends, size_t count,
                       struct rebuild_swapped *ret_swapped, struct error *error);

#endif
