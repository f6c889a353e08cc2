/* What the files of `send` share. */
#ifndef CITYTOTALS_PRODUCER_SEND_STATE_H
#define CITYTOTALS_PRODUCER_SEND_STATE_H

#include <signal.h>

#include "producer/input.h"
#include "producer/marks.h"
#include "producer/rejects.h"
#include "producer/repeats.h"
#include "producer/report.h"
#include "producer/sender.h"
#include "producer/settings.h"

enum { FAILURES_SHOWN_MOST = 10 };

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
    int64_t schema_ids[EVENT_TYPES]; /* with a schema registry */
    bool kafka_answered;
    unsigned types_wanted, types_there; /* bits of event types: in the input, with a topic */
    bool refused_file; /* a file was refused as a whole */
    bool closing;      /* events that are given up now are no failures to tell */
    uint64_t lines, good, repeated, refused, submitted, acknowledged, failed;
};

/* One input from beginning to end. Refused lines are told and counted: no error. Errors are run-time failures or the
 * interruption; their sentence names the file. */
int send_input(struct send *send, struct input *input, struct error *error);
/* Wait for Kafka and see that the wanted types have topics, once. */
int send_ready(struct send *send, struct error *error);

#endif
