/* What is wrong with one line: every problem found, to a bound, each a sentence with its field. Pure. */
#ifndef CITYTOTALS_PRODUCER_PROBLEM_H
#define CITYTOTALS_PRODUCER_PROBLEM_H

#include "base/slice.h"

enum {
    PROBLEMS_MOST = 32,      /* kept of one line; more are counted only */
    PROBLEM_FIELD_SIZE = 64,
    PROBLEM_TEXT_SIZE = 448,
    QUOTED_MOST = 80,        /* bytes of a found value that a sentence repeats */
    QUOTED_SIZE = 6 * QUOTED_MOST + 8,
};

struct problem {
    char field[PROBLEM_FIELD_SIZE]; /* as in JSON, "merged_units[3].name"; "" when it is the line's form */
    uint32_t column;                /* 1-based character where the reader stopped; 0 where a field says it */
    char text[PROBLEM_TEXT_SIZE];   /* one sentence, with the field, what was found, what is allowed; ends clean UTF-8 */
};

struct problems {
    size_t count; /* all; those past PROBLEMS_MOST are not kept */
    struct problem items[PROBLEMS_MOST];
};

/* `field` is copied (cut to its size). */
void problem_add(struct problems *problems, const char *field, uint32_t column, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static inline size_t problems_kept(const struct problems *problems)
{
    return problems->count < PROBLEMS_MOST ? problems->count : PROBLEMS_MOST;
}

/* UTF-8 text in double quotes, fit for a terminal or a log: control characters are shown as \u00XX, a long text is cut with
 * "…". Returns `out`. */
const char *quoted(struct slice text, char out[QUOTED_SIZE]);

#endif
