/* The agencies seen lately: each name's lane and salts, and what the present window adds to it. Pure. */
#ifndef CITYTOTALS_CONSUMER_AGENCY_H
#define CITYTOTALS_CONSUMER_AGENCY_H

#include "schemas/identity.h"

#define AGENCY_NAME_MOST 64
#define AGENCIES_MOST 100000

struct agency {
    struct agency *next;
    uint32_t hash; /* murmur2, positive */
    uint8_t lane;
    bool touched;
    uint8_t name_size;
    char name[AGENCY_NAME_MOST];
    struct identity_salt salts[2]; /* by event type */
    int64_t baseline, current;     /* amounts of the window */
};

struct agencies;
struct agencies *agencies_new(void);
struct agencies *agencies_free(struct agencies *agencies);
/* Finds or adds; NULL when memory ran out. `name` is a valid id. The pointer holds until agencies_forget. */
struct agency *agencies_get(struct agencies *agencies, struct slice name);
size_t agencies_count(const struct agencies *agencies);
void agencies_forget(struct agencies *agencies);

#endif
