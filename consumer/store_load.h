/* Writes a snapshot's blocks beside the live keys, then puts them in their place by one call. */
#ifndef CITYTOTALS_CONSUMER_STORE_LOAD_H
#define CITYTOTALS_CONSUMER_STORE_LOAD_H

#include "base/redis_place.h"
#include "consumer/snapshot_file.h"

struct load_store;
int load_store_open(const struct redis_place *place, const char *city, struct load_store **ret_store, struct error *error);
struct load_store *load_store_close(struct load_store *store); /* NULL */
/* Before the first block: whatever is there was dropped, and what is begun is no rebuild's. */
int load_store_begin(struct load_store *store, struct error *error);
int load_store_block(struct load_store *store, const struct snapshot_block *block, struct error *error);
/* The state is to go on with another Kafka cluster than it was folded from; recorded. */
int load_store_accept_cluster(struct load_store *store, const char *cluster, const char *instead_of, struct error *error);
/* ERROR_REFUSED where the city has totals and `replace` was not given. An unanswered call is looked into. */
int load_store_place(struct load_store *store, bool replace, int64_t *ret_version, struct error *error);

#endif
