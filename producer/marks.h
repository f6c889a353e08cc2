/* Which records of a file are not sent, and why those that the parser finds nothing wrong with. Pure. */
#ifndef CITYTOTALS_PRODUCER_MARKS_H
#define CITYTOTALS_PRODUCER_MARKS_H

#include "base/error.h"
#include "base/slice.h"
#include "producer/problem.h"

enum mark { MARK_SEND, MARK_REPEAT, MARK_REFUSED };

/* Refused for what another line says. */
struct reason {
    uint64_t ordinal, other_line;
    enum reason_kind { REASON_CONFLICT, REASON_DOUBLE_REVERSAL, REASON_REVERSED_LATER } kind;
};
enum { REASONS_MOST = 1000000 };

struct marks {
    uint64_t base; /* ordinal of the first */
    uint8_t *pairs; /* two bits a record */
    size_t capacity;
    struct reason *reasons;
    size_t reason_count, reason_capacity;
    bool unsorted;
};

void marks_reset(struct marks *marks, uint64_t base);
void marks_free(struct marks *marks);
/* Records come in order from `base` on, an earlier one may be set again. ERROR_MEMORY. */
int marks_set(struct marks *marks, uint64_t ordinal, enum mark mark, struct error *error);
enum mark marks_get(const struct marks *marks, uint64_t ordinal);
/* ERROR_LIMIT past REASONS_MOST. */
int marks_add_reason(struct marks *marks, struct reason reason, struct error *error);
const struct reason *marks_reason(struct marks *marks, uint64_t ordinal); /* NULL */
/* What is told of a record refused for such a reason; `place` is what is counted: "line", "record". ret_problems is emptied
 * first. */
void reason_say(const struct reason *reason, const char *place, struct problems *ret_problems);

#endif
