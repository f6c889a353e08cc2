/* An organisational event as JSON, in the public contract's names. */
#ifndef CITYTOTALS_SCHEMAS_EVENT_JSON_H
#define CITYTOTALS_SCHEMAS_EVENT_JSON_H

#include "base/buffer.h"
#include "schemas/event.h"

/* Append the members without the braces, nulls and empty lists left out: "type":…,"event_id":…,…,"reverses":…. The ids are
 * UUIDs of 36 characters. */
void event_json_append(struct buffer *out, const struct event *event);
/* The same for a reversal as `citytotals-producer send` takes it: "reverses_event_id" and no "event_id". */
void event_json_append_reversal(struct buffer *out, const struct event *event);

#endif
