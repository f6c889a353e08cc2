/* The contract's rules for one event, once, for producer and consumer. Pure. */
#ifndef CITYTOTALS_SCHEMAS_RULES_H
#define CITYTOTALS_SCHEMAS_RULES_H

#include "schemas/event.h"

struct rule_violation {
    enum dead_letter_reason reason; /* LETTER_RULE_VIOLATION or LETTER_OUT_OF_WINDOW */
    const char *field;              /* the field's name in JSON and Avro ("id" for the event id), static */
    char text[384];                 /* "delta is 0; allowed: 1 to 1,000,000 either way, not 0" */
};

/* Check every rule but those across events. `kafka_timestamp_ms` is the record's timestamp in Kafka; the producer gives
 * the present time. The first violated rule in the order of the contract's tables is reported (a rule_violation before
 * an out_of_window). Returns LETTER_NONE when the event is good. ret_violation may be NULL: then no text is made.
 * All strings must be UTF-8 without characters of category Cc and not blank; ids match their pattern. */
enum dead_letter_reason event_check(const struct event *event, int64_t kafka_timestamp_ms,
                                    struct rule_violation *ret_violation);

/* Like event_check but gives every violated rule, to `most`. Returns how many there are. */
size_t event_check_all(const struct event *event, int64_t kafka_timestamp_ms, struct rule_violation *ret_violations,
                       size_t most);

bool text_is_utf8(struct slice text);            /* well-formed, no surrogates, at most U+10FFFF */
bool text_has_control(struct slice text);        /* a character of category Cc: U+0000–001F, U+007F–009F; text is UTF-8 */
bool text_is_blank(struct slice text);           /* empty, or white space only; text is UTF-8 */
bool id_is_valid(struct slice id);               /* [a-z0-9][a-z0-9-]{0,63} */

#endif
