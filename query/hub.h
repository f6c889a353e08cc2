/* Server-sent events: messages in a bounded ring, which any number of clients read at their own pace. */
#ifndef CITYTOTALS_QUERY_HUB_H
#define CITYTOTALS_QUERY_HUB_H

#include "base/http.h"

#define HUB_RING 256 /* messages that a client may have missed */
#define HUB_ID_SIZE 80

struct hub;
struct hub *hub_new(void); /* NULL without memory */
struct hub *hub_free(struct hub *hub); /* no client may be left; NULL */
/* A new latest message: `data` is one line of JSON, without its end. `id` is the state's, "<epoch>-<version>". False
 * without memory. Wake the server's streams afterwards. */
bool hub_publish(struct hub *hub, const char *id, struct slice data);
void hub_beat(struct hub *hub);   /* every client is to hear something */
void hub_end(struct hub *hub);    /* every client gets a goodbye and ends */
size_t hub_clients(struct hub *hub);

/* The response that streams to one client. `last_id` (may be NULL) is its Last-Event-ID: what came after it is sent, or
 * `resync` and the latest where it is not known. Without it: the latest, then updates. NULL without memory. */
struct http_response *hub_stream(struct hub *hub, const char *last_id);

#endif
