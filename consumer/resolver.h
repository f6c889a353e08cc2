/* What schema ids mean, for the decoder: a bounded memory of ids, and a thread that asks the schema registry and keeps
 * each answer in Redis ({city}:schemas) for good. Looking an id up never blocks; an id is asked for once at a time,
 * whoever wants it, and again by itself, with growing pauses, while the registry is away.
 *
 *   new id:       found in the registry → kept in Redis, then used. 404 → unknown, and asked again later. Away → away.
 *   id in Redis:  found, the same → used. Another → changed. 404 → away: the registry has lost it. Away → Redis's is
 * used, and compared once the registry is back. */
#ifndef CITYTOTALS_CONSUMER_RESOLVER_H
#define CITYTOTALS_CONSUMER_RESOLVER_H

#include "base/redis_place.h"
#include "consumer/record.h"
#include "schemas/registry.h"

#define RESOLVER_IDS_MOST       256   /* remembered at once */
#define RESOLVER_WANTED_MOST    64    /* asked for on behalf of one batch of records */
#define RESOLVER_UNKNOWN_MS     10000 /* how long a 404 is believed */
#define RESOLVER_PAUSE_FIRST_MS 500   /* before a registry that was away is asked again; doubles, to: */
#define RESOLVER_PAUSE_MOST_MS  10000

struct resolver_options {
    const struct registry_options *registry;
    const struct redis_place *redis;
    const char *city;
};

struct resolver;
/* Starts the thread, which logs when the registry goes and comes. The options must outlive it. ERROR_CONFIG. */
int resolver_start(const struct resolver_options *options, struct resolver **ret_resolver, struct error *error);
/* Ends within a few seconds, whatever is being asked. NULL; accepts NULL. */
struct resolver *resolver_stop(struct resolver *resolver);

/* These are for one thread, the decoder's. */

/* A schema_lookup_fn; the context is the resolver. */
enum schema_lookup resolver_lookup(void *context, uint32_t schema_id, const char **ret_json, size_t *ret_size);
/* Ask for all ids that these records need, and give the answers `wait_ms` to come in: at once when there is nothing
 * new, or while the registry is known to be away. */
void resolver_meet(struct resolver *resolver, const struct source_record *records, size_t count, int64_t wait_ms);
/* Redis has been connected anew, perhaps empty: what is known will be kept there again. */
void resolver_keep_again(struct resolver *resolver);
bool resolver_is_away(struct resolver *resolver); /* did the registry not answer when it was last asked? */
/* True once after an id that was in use has turned out to mean something else: forget what was made of ids. */
bool resolver_take_changed(struct resolver *resolver);
/* The id of our dead-letter schema. ERROR_REGISTRY or ERROR_REFUSED: it is not known (yet), and why. */
int resolver_letter_id(struct resolver *resolver, int64_t wait_ms, int64_t *ret_id, struct error *error);

#endif
