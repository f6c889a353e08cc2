/* Remembers what an event's ids are made from: the id namespace and the identity salt, which go by (type, source, agency) and
 * cost several hashes to make. Pure. */
#ifndef CITYTOTALS_PRODUCER_SPACES_H
#define CITYTOTALS_PRODUCER_SPACES_H

#include "schemas/identity.h"

struct space {
    struct event_id namespace;
    struct identity_salt salt;
};

enum { SPACES = 1024, SPACE_ID_MOST = 64 };
struct space_place {
    struct space space;
    uint8_t used, type, source_size, agency_size;
    char source[SPACE_ID_MOST], agency[SPACE_ID_MOST];
};
struct spaces {
    struct space_place places[SPACES]; /* one for each hash: the latest stays */
    uint32_t latest;                   /* the place that was asked for last, and is most often asked for next */
};

/* Source and agency are valid ids (id_is_valid). Valid until the next call. Zeroed spaces are empty. */
const struct space *spaces_get(struct spaces *spaces, enum event_type type, struct slice source, struct slice agency);

#endif
