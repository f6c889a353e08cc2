/* One line of JSON, one CSV record, or values as they are become one event, or a list of what is wrong with it. The one way from foreign text
 * to an event: files, the gateway and the library go through here. Pure: opens nothing, reads no clock. */
#ifndef CITYTOTALS_PRODUCER_PARSER_H
#define CITYTOTALS_PRODUCER_PARSER_H

#include "base/error.h"
#include "producer/csv.h"
#include "producer/field.h"
#include "producer/problem.h"
#include "producer/spaces.h"

struct parser; /* scratch memory, about half a MiB; one for each thread */

/* What stands for a field that a line leaves out, or should agree with it. */
struct parser_stand_in {
    enum field field;
    struct slice text;
    const char *from; /* "the envelope": a line with another value is refused, naming this; NULL: the line's value wins */
};

/* What a line may leave out. */
struct parser_defaults {
    struct slice source; /* data NULL: a line must name its source; else a valid id */
    int csv_type;        /* an enum event_type for CSV records without a type, or -1 */
    int64_t now_ms;      /* for occurred_at, and what the time windows are judged by */
    /* In any order; used where the event's type has the field, and an id where it is no reversal. */
    const struct parser_stand_in *stand_ins;
    size_t stand_in_count;
};

int parser_new(struct parser **ret_parser, struct error *error);
struct parser *parser_free(struct parser *parser);

/* True and an event that passes every rule of schemas/rules.h and has its event id; or false and at least one problem (of
 * a broken form the first, else all, to PROBLEMS_MOST kept). `problems` is emptied first. The event points into `line` and
 * the parser: it is valid until the next call. A line over LINE_MOST, or not UTF-8, is a problem too. */
bool parser_json(struct parser *parser, struct slice line, const struct parser_defaults *defaults, struct event *ret_event,
                 struct problems *ret_problems);
bool parser_csv(struct parser *parser, const struct csv_header *header, struct slice record,
                const struct parser_defaults *defaults, struct event *ret_event, struct problems *ret_problems);

/* Values that no text holds; `fields` is copied. The texts live as long as the event is used. */
bool parser_fields(struct parser *parser, const struct fields *fields, const struct parser_defaults *defaults, struct event *ret_event,
                   struct problems *ret_problems);

/* The id namespace and identity salt of a good event of an organisational type. Valid until the next call. */
const struct space *parser_space(struct parser *parser, const struct event *event);

#endif
