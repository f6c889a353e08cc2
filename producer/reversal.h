/* Finds in a log the events that are to be taken away, and makes their reversals. Pure. */
#ifndef CITYTOTALS_PRODUCER_REVERSAL_H
#define CITYTOTALS_PRODUCER_REVERSAL_H

#include "base/error.h"
#include "schemas/event.h"

/* Where a record is. */
struct found_at {
    enum event_type type;
    int32_t partition;
    int64_t offset, timestamp_ms;
};

/* What is known of one event id, all partitions together. */
struct reversal {
    struct event_id id; /* the original's */
    struct event *original;     /* the first that passed the rules; owned; NULL = none */
    struct found_at at;
    bool other_identity; /* another agency's or type's event has the same id */
    bool unsure;         /* another partition has it with another meaning: the log alone does not tell which counted */
    enum dead_letter_reason refused; /* of a record with the id that broke the rules, or LETTER_NONE */
    struct found_at refused_at;
    struct event *earlier; /* a reversal of it that is there already; owned */
    struct found_at earlier_at;
};

/* Compare a record's event, decoded and judged, with each wanted one. Records of a partition come in order.
 * ERROR_MEMORY. */
int reversals_meet(struct reversal *reversals, size_t count, const struct event *event, enum dead_letter_reason reason,
                   struct found_at at, struct error *error);
void reversals_free(struct reversal *reversals, size_t count);

enum reversal_state {
    REVERSAL_WANTED,      /* it may be sent */
    REVERSAL_THERE,       /* it was sent before: nothing to do */
    REVERSAL_THERE_WRONG, /* something else was sent in its name, which counts: corrections put it right */
    REVERSAL_NOT_FOUND,
    REVERSAL_NOT_COUNTED, /* there are only dead letters of it */
    REVERSAL_OF_REVERSAL,
    REVERSAL_AMBIGUOUS,   /* other_identity or unsure */
};
enum reversal_state reversal_state(const struct reversal *reversal);

/* The reversal of an original: a copy with its own event id and occurred_at, and its own decision where one is given. It points
 * into the original and the decision. */
struct event reversal_make(const struct event *original, struct slice decision, int64_t now_ms);

#endif
