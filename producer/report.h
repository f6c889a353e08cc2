/* What `send` tells a person on standard error: refused lines by place, notes, and a progress line on a terminal. */
#ifndef CITYTOTALS_PRODUCER_REPORT_H
#define CITYTOTALS_PRODUCER_REPORT_H

#include "base/log.h"
#include "producer/problem.h"

enum { PROBLEMS_SHOWN_MOST = 100, REPEATS_SHOWN_MOST = 20 }; /* of one file */

struct report {
    bool json;     /* everything as log lines */
    bool terminal; /* a progress line may be drawn */
    bool drawn;
    int64_t next_draw_ms, begun_ms;
    uint64_t problems_hidden, repeats_hidden;
    size_t problems_shown, repeats_shown;
};

void report_begin(struct report *report, enum log_format format);
/* A line of its own: "NAME: line N: [column C: ]TEXT". Those past the bound are counted only. */
void report_problem(struct report *report, const char *name, uint64_t line, const struct problem *problem);
void report_problems(struct report *report, const char *name, uint64_t line, const struct problems *problems);
void report_repeat(struct report *report, const char *name, uint64_t line, uint64_t earlier_line);
/* "and N more", then counting begins anew. */
void report_file_end(struct report *report, const char *name);
void report_note(struct report *report, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Draw the progress at most ten times a second; `total` < 0: unknown. */
void report_progress(struct report *report, const char *what, const char *name, int64_t done, int64_t total, uint64_t lines);
/* Take the progress line away. */
void report_clear(struct report *report);

#endif
