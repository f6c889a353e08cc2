/* A question what became of events, as the handlers take it and the thread that asks Redis answers it. */
#ifndef CITYTOTALS_PRODUCER_QUESTION_H
#define CITYTOTALS_PRODUCER_QUESTION_H

#include <signal.h>

#include "base/http.h"
#include "producer/gateway_metrics.h"
#include "producer/outcomes.h"
#include "producer/settings.h"

enum {
    ASKED_AGENCIES_MOST = 16, /* whose events are looked for at once; a token for more names the agency */
    REFUSED_LIMIT_MOST = 500,
    REFUSED_LIMIT_DEFAULT = 100,
    AGENCY_SIZE = 65,
};

struct question {
    struct question *next;
    struct http_request *request;
    bool listing; /* refused events; else one event */
    bool every_agency;
    size_t agency_count;
    char (*agencies)[AGENCY_SIZE]; /* sorted; owned */

    /* one event */
    struct event_id event_id;
    bool placed;            /* the record that is meant is known: */
    struct log_point place; /* its own offset */

    /* refused events */
    size_t limit;
    uint32_t lane; /* where to go on: */
    char before[OUTCOMES_ID_SIZE]; /* "" = at the newest */
};

/* What the one thread has that answers them. */
struct answers {
    const struct gateway_options *options;
    struct metrics *metrics;
    const volatile sig_atomic_t *stop;
    struct outcomes *outcomes; /* NULL until used, and after a failure */
    void *kafka;               /* likewise: a client that only asks for the ends of logs */
    int64_t away_until_ms;     /* so long no other try is made, for `away` */
    struct error away;
    int64_t kafka_away_until_ms;
};
/* Never NULL but without memory. */
struct http_response *answers_give(struct answers *answers, const struct question *question);
void answers_close(struct answers *answers);

#endif
