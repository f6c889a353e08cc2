/* What was replayed, in Redis: {city}:replayed, so that a dead letter is not sent again by mistake. */
#ifndef CITYTOTALS_CONSUMER_STORE_REPLAYED_H
#define CITYTOTALS_CONSUMER_STORE_REPLAYED_H

#include "base/error.h"
#include "base/redis_place.h"
#include "schemas/event.h"

struct replayed_store;
int replayed_store_open(const struct redis_place *place, const char *city, struct replayed_store **ret_store, struct error *error);
struct replayed_store *replayed_store_close(struct replayed_store *store); /* NULL */
/* Was this record sent again before? */
int replayed_store_has(struct replayed_store *store, const struct dead_letter *letter, bool *ret_has, struct error *error);
/* It was, and lies there now. */
int replayed_store_add(struct replayed_store *store, const struct dead_letter *letter, int32_t partition, int64_t offset,
                       struct error *error);

#endif
