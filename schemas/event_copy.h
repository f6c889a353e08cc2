/* An event that outlives the bytes it was decoded from. */
#ifndef CITYTOTALS_SCHEMAS_EVENT_COPY_H
#define CITYTOTALS_SCHEMAS_EVENT_COPY_H

#include "schemas/event.h"

/* One block with all that the event points to, for free(); NULL when memory ran out. */
struct event *event_copy(const struct event *event);

#endif
