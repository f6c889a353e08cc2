/* CloudEvents 1.0: an envelope's attributes become what stands in for an event's fields. Pure. */
#ifndef CITYTOTALS_PRODUCER_CLOUDEVENT_H
#define CITYTOTALS_PRODUCER_CLOUDEVENT_H

#include "producer/parser.h"

#define CLOUDEVENT_ENVELOPE "the CloudEvent's attributes"

/* Ours of the attributes; the others may be there and say nothing to us. `source` is required by CloudEvents, but who sends is
 * told by the credential alone. */
struct cloudevent {
    struct slice specversion, id, source, type, time, datacontenttype;
    struct slice data; /* JSON text of the object */
};

/* Structured mode: one envelope as JSON (UTF-8), its texts in `arena`, which is not the parser's. */
bool cloudevent_read(struct slice text, struct arena *arena, struct cloudevent *ret_event, struct problems *problems);
/* Binary mode: a header's value, percent-decoded into the arena; false when it is not well formed. */
bool cloudevent_header(struct slice value, struct arena *arena, struct slice *ret_text);
/* What is required is there, and what is there is right. Then ret_stand_ins has *ret_count of 3 for the parser. */
bool cloudevent_check(const struct cloudevent *event, struct parser_stand_in ret_stand_ins[3], size_t *ret_count,
                      struct problems *problems);

#endif
