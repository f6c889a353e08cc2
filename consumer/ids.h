/* Every event id that the lanes hold or the log has, with the meaning that was counted: what `verify` decides by, in its
 * own memory. Exact: 16 bytes of identity, 8 of meaning. Grows with distinct ids, some 56 bytes each. Pure. */
#ifndef CITYTOTALS_CONSUMER_IDS_H
#define CITYTOTALS_CONSUMER_IDS_H

#include "schemas/identity.h"

enum {
    ID_STORED = 1,    /* a lane holds it */
    ID_COUNTED = 2,   /* the log has it, with the meaning here */
    ID_CONTESTED = 4, /* the log has another meaning too */
    ID_FIRST = 8,     /* the counted one came first in its partition */
    ID_REVERSAL = 16,
    ID_SEALED = 64, /* a report that is proved too counted it */
    ID_BASE = 32, /* counted before the snapshot from which the proof begins: what it said is not known */
};

struct id {
    struct identity identity;
    uint64_t digest;    /* the meaning: the lane's where it is stored */
    uint64_t content;   /* of a counted one: the meaning without decision and reverses */
    uint32_t contested; /* the caller's */
    uint8_t lane;
    uint8_t flags;
};

struct ids;
struct ids *ids_new(void); /* NULL when memory ran out */
struct ids *ids_free(struct ids *ids); /* NULL */
/* Make room for so many at once; without it the table grows as it fills. False when memory ran out. */
bool ids_reserve(struct ids *ids, size_t count);
/* Finds or adds (with flags 0). NULL when memory ran out. Valid until the next call. */
struct id *ids_get(struct ids *ids, const struct identity *identity);
struct id *ids_find(const struct ids *ids, const struct identity *identity); /* NULL when it is not there */
size_t ids_count(const struct ids *ids);
struct id *ids_at(const struct ids *ids, size_t index); /* in order of addition */
void ids_prefetch(const struct ids *ids, const struct identity *identity);

#endif
