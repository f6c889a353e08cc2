/* What the handlers of `citytotals-query serve` share. They run on the HTTP server's threads and wait for nothing. */
#ifndef CITYTOTALS_QUERY_SERVE_ANSWER_H
#define CITYTOTALS_QUERY_SERVE_ANSWER_H

#include "query/serve_state.h"

/* The view, with a reference; NULL: there is none yet, and that was answered. */
struct view *serve_view_or_refuse(struct serve *serve, struct http_request *request);
/* By the path, else by Accept. */
bool serve_wants_csv(const struct http_request *request);

/* Parameters; false when one was refused. */
bool serve_take_date(struct http_request *request, const char *name, int32_t otherwise, int32_t *ret_date);
/* The place of the parameter's word among `count`; `otherwise` -1: it must be there. */
bool serve_take_word(struct http_request *request, const char *name, const char *(*word)(int), int count, int otherwise,
                     int *ret_place);
const char *serve_language_word(int place); /* for serve_take_word */

/* One of the view's documents. */
void serve_reply_of_view(struct http_request *request, struct serve *serve, enum view_document json, enum view_document csv);
/* An answer of its own for this request. Fills in the rendering's type, view and kind: 1 for CSV. */
void serve_reply_rendered(struct http_request *request, struct view *view, struct rendering *rendering,
                          const struct totals *totals, bool csv);
/* Takes the document over. */
void serve_reply_document(struct http_request *request, struct document *document);
/* When and how well Redis was read is the view's. */
void serve_take_reading(struct totals *totals, const struct view *view);

#endif
