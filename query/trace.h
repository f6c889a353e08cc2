/* From a number back to its events: one snapshot of Redis, and the log's events that count in it. */
#ifndef CITYTOTALS_QUERY_TRACE_H
#define CITYTOTALS_QUERY_TRACE_H

#include "base/program.h"
#include "query/ledger.h"
#include "query/settings.h"
#include "query/totals.h"

struct redis;
struct trace {
    const struct trace_options *options;
    struct ledger_filter filter;
    struct redis *redis;
    struct snapshot snapshot;
    struct totals totals;  /* now */
    struct ledger *ledger; /* after trace_log */
    int64_t refused;       /* dead letters of the log that were met */
    char cut[200];         /* a sentence where a log begins after its first record; "" else */
    bool terminal;
    int64_t next_draw_ms;
};

/* Catches the stop signals, takes the options over into a filter. ERROR_USAGE. */
int trace_begin(struct trace *trace, const struct trace_options *options, struct error *error);
/* Everything in Redis that is asked for, in one consistent view. */
int trace_redis(struct trace *trace, struct error *error);
/* The events of Kafka's log that the snapshot counts. Its filter may be changed before. */
int trace_log(struct trace *trace, struct error *error);

/* How the sums compare with what Redis has under the same filter. */
enum trace_verdict {
    TRACE_AGREES,
    TRACE_DIFFERS,
    TRACE_NO_TOTAL, /* Redis keeps no such sum */
};
/* *ret_why: the first number that differs, as a sentence. */
int trace_compare(const struct trace *trace, enum trace_verdict *ret_verdict, char why[256], struct error *error);
/* The end of both commands: frees `trace`, ends the run. Returns the exit status. */
int trace_finish(struct trace *trace, struct program_run *run, int result, enum trace_verdict verdict);

#endif
