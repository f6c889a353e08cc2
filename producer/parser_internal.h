/* What the parser's files share. */
#ifndef CITYTOTALS_PRODUCER_PARSER_INTERNAL_H
#define CITYTOTALS_PRODUCER_PARSER_INTERNAL_H

#include "producer/parser.h"
#include "schemas/rules.h"

enum { VIOLATIONS_MOST = 16 };

struct parser {
    struct arena arena;
    struct unit_storage units;
    struct spaces spaces;
    struct fields fields;
    struct rule_violation violations[VIOLATIONS_MOST];
};

/* The values as an event. Problems that the reader found are in `problems` already; their fields are VALUE_BAD. */
bool event_from_fields(struct parser *parser, const struct parser_defaults *defaults, int default_type,
                       struct event *ret_event, struct problems *problems);

#endif
