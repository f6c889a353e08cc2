/* The schema ids that go before each value, asked for once at the start. For files, the gateway and the library alike.
 */
#ifndef CITYTOTALS_PRODUCER_SCHEMA_IDS_H
#define CITYTOTALS_PRODUCER_SCHEMA_IDS_H

#include <signal.h>

#include "schemas/registry.h"

/* The registry's id of our schema of each event type, in the city's subjects; -1 for each where options->url is NULL. A
 * missing one is registered where `may_register`. *stop (may be NULL) ends it: ERROR_INTERRUPTED. ERROR_REFUSED: incompatible, missing, or no rights;
 * ERROR_REGISTRY: it could not be asked. */
int schema_ids_settle(const struct registry_options *options, const char *city, bool may_register,
                      const volatile sig_atomic_t *stop, int64_t ret_ids[EVENT_TYPES], struct error *error);

#endif
