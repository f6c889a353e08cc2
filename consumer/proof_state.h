/* What Redis held at one moment, as `verify` reads it by one call. Views into the answer, which the state owns. */
#ifndef CITYTOTALS_CONSUMER_PROOF_STATE_H
#define CITYTOTALS_CONSUMER_PROOF_STATE_H

#include "base/slice.h"
#include "schemas/identity.h"

#define STATE_SCORE_SIZE 32
struct state_field {
    struct slice field, value; /* of a sorted set: member and score */
};
struct state_hash {
    struct slice name;  /* the key without "{<city>}:" */
    struct slice fault; /* data NULL, or why the key can't be read */
    struct state_field *fields;
    size_t count;
    char (*texts)[STATE_SCORE_SIZE]; /* of scores that came as numbers; NULL */
};
struct proof_state {
    int64_t now_ms; /* Redis's clock */
    struct state_hash *hashes;
    size_t count;
    int64_t lane_bytes[SEEN_LANES];
    struct slice lane_fault[SEEN_LANES];
    void *answer; /* the driver's */
};

/* NULL when there is no such key. */
const struct state_hash *proof_state_hash(const struct proof_state *state, const char *name);
/* data NULL when there is no such key or field. */
struct slice proof_state_value(const struct proof_state *state, const char *name, const char *field);

#endif
