/* Remembers the events of one file, to find repeats, conflicts and reversals of reversals. Pure, bounded, about 30 bytes an
 * event. */
#ifndef CITYTOTALS_PRODUCER_REPEATS_H
#define CITYTOTALS_PRODUCER_REPEATS_H

#include "base/error.h"
#include "producer/spaces.h"

enum seen_kind {
    SEEN_NEW,             /* remembered now */
    SEEN_REPEAT,          /* the same event is in an earlier line */
    SEEN_CONFLICT,        /* an earlier line has the same identity with another meaning */
    SEEN_DOUBLE_REVERSAL, /* it reverses an earlier line that is a reversal itself */
};
struct seen {
    enum seen_kind kind;
    uint64_t line; /* of the earlier one */
    /* An earlier line reverses this event, which is a reversal: that line is to be refused. */
    bool refuses_earlier;
    uint64_t earlier_line, earlier_ordinal;
};

struct repeats;
/* `memory_most` bytes in all; it starts small. */
int repeats_new(int64_t memory_most, struct repeats **ret_repeats, struct error *error);
struct repeats *repeats_free(struct repeats *repeats);
/* Forget everything, keep the memory. */
void repeats_reset(struct repeats *repeats);
/* Look a good organisational event up and remember a new one. ERROR_LIMIT when the bound is reached: nothing is
 * remembered. */
int repeats_add(struct repeats *repeats, const struct event *event, const struct space *space, uint64_t line, uint64_t ordinal,
                struct seen *ret_seen, struct error *error);

#endif
