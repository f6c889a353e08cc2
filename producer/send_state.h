/* What the files of `send` share. */
#ifndef CITYTOTALS_PRODUCER_SEND_STATE_H
#define CITYTOTALS_PRODUCER_SEND_STATE_H

#include <signal.h>

#include "producer/input.h"
#include "producer/marks.h"
#include "producer/outcomes.h"
#include "producer/rejects.h"
#include "producer/repeats.h"
#include "producer/report.h"
#include "producer/sender.h"
#include "producer/settings.h"

enum { FAILURES_SHOWN_MOST = 10 };

/* Where an event comes from, kept in its context: the input's number above, its type, the line below. */
enum { PLACE_LINE_BITS = 42, PLACE_TYPE_BITS = 2 };
_Static_assert(EVENT_TYPES <= 1 << PLACE_TYPE_BITS, "a type fits its bits");
_Static_assert(sizeof(void *) == 8, "an event's place is kept in a pointer");
static inline void *place_of(size_t input, enum event_type type, uint64_t line)
{
    return (void *)(uintptr_t)(((uint64_t)input << PLACE_TYPE_BITS | (uint64_t)type) << PLACE_LINE_BITS | line);
}
static inline size_t place_input(const void *place)
{
    return (size_t)((uintptr_t)place >> (PLACE_LINE_BITS + PLACE_TYPE_BITS));
}
static inline enum event_type place_type(const void *place)
{
    return (enum event_type)((uintptr_t)place >> PLACE_LINE_BITS & ((1 << PLACE_TYPE_BITS) - 1));
}
static inline uint64_t place_line(const void *place)
{
    return (uintptr_t)place & ((UINT64_C(1) << PLACE_LINE_BITS) - 1);
}

struct send {
    struct send_options options;
    const volatile sig_atomic_t *stop;
    char **names; /* the inputs in order */
    size_t name_count, current;
    struct parser *parser;
    struct parser_defaults defaults;
    struct problems problems;
    struct repeats *repeats;
    struct marks marks;
    struct rejects *rejects; /* NULL without --rejects */
    struct report report;
    struct sender *sender; /* NULL when dry */
    int64_t schema_ids[EVENT_TYPES];
    struct message_maker *maker; /* NULL when dry */
    struct buffer bytes;
    struct waiting *waiting; /* NULL without --wait */
    bool kafka_answered;
    unsigned types_wanted, types_there; /* bits of event types: in the input, with a topic */
    uint64_t refused_files; /* as a whole: another encoding, a bad header */
    uint64_t no_objects;    /* lines of this input that do not begin as a JSON object */
    bool closing;      /* events that are given up now are no failures to tell */
    uint64_t lines, good, repeated, refused, submitted, acknowledged, failed;
    uint64_t counted, counted_before, conflicts, dead_letters, not_folded; /* with --wait */
};

/* One input from beginning to end. Refused lines are told and counted: no error. Errors are run-time failures or the
 * interruption; their sentence names the file. */
int send_input(struct send *send, struct input *input, struct error *error);
/* Wait for Kafka and see that the wanted types have topics, once. */
int send_ready(struct send *send, struct error *error);

/* send_wait.c; without --wait they do nothing. Before the first event: what Redis has now. */
int send_wait_open(struct send *send, struct error *error);
void send_wait_close(struct send *send);
/* This event is submitted; memory for so many that it waits for those before is bounded by --check-memory. */
int send_wait_add(struct send *send, const struct event *event, void *place, struct error *error);
void send_wait_delivered(struct send *send, const void *place, const struct sender_verdict *verdict);
/* Wait until all that were added are folded, count what became of them, tell the refused. ERROR_TIMEOUT: not all are. */
int send_wait_settle(struct send *send, struct error *error);

#endif
