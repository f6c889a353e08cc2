/* Reads one line of JSON, an event's object, into fields. Pure, without allocation. */
#ifndef CITYTOTALS_PRODUCER_JSON_LINE_H
#define CITYTOTALS_PRODUCER_JSON_LINE_H

#include "producer/field.h"
#include "producer/problem.h"
#include "producer/text.h"

/* RFC 8259, one object and nothing after it. `line` is UTF-8 of at most LINE_MOST bytes. Unknown and repeated fields and
 * values of a wrong type are problems, and reading goes on; at a mistake in the form it stops. The texts point into the
 * line or the arena. */
void json_line_read(struct slice line, struct arena *arena, struct fields *ret_fields, struct problems *problems);

#endif
