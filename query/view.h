/* One state of the city as all clients see it: made once, shared, never changed. */
#ifndef CITYTOTALS_QUERY_VIEW_H
#define CITYTOTALS_QUERY_VIEW_H

#include <stdatomic.h>

#include "base/http.h"
#include "query/documents.h"

/* Figures shared by the views that differ only in the time of reading. */
struct shared_figures {
    atomic_size_t references;
    struct figures figures;
};
struct shared_figures *shared_figures_ref(struct shared_figures *shared);
struct shared_figures *shared_figures_unref(struct shared_figures *shared); /* NULL; accepts NULL */

#define ETAG_SIZE 24
/* A body with its validator; each of the responses may be NULL but `plain`. */
struct document {
    char etag[ETAG_SIZE]; /* W/"…": a hash of the body without lag, staleness and time of reading */
    struct http_response *plain, *gzip, *brotli, *unchanged;
};

struct view;
struct rendering {
    /* Writes the body; `totals` are the view's, or the same without lag, staleness and time of reading. */
    void (*render)(const struct rendering *rendering, const struct totals *totals, struct buffer *out);
    const char *type;
    const char *cache_control;   /* NULL = a second */
    const char *policy;          /* Content-Security-Policy; NULL = none */
    bool by_language;            /* the answer differs by Accept-Language */
    const struct view *view;
    const struct agency_figures *agency; /* what else the answer is about */
    const struct changes_query *changes;
    const struct history *history;
    const struct definition *definition;
    int kind; /* the renderer's own */
};
/* False without memory, then `document` is empty. A body under 512 bytes is not compressed. */
bool document_make(const struct rendering *rendering, const struct totals *totals, int64_t stale_ms, struct document *document);
void document_free(struct document *document);
/* A document of bytes that never change. */
bool document_make_static(struct slice body, struct slice gzip, const char *type, const char *cache_control,
                          struct document *document);
/* The answer to a request: 304, brotli, gzip or plain, whichever fits. Takes no reference of the document's away. */
struct http_response *document_answer(const struct document *document, const struct http_request *request);

enum view_document {
    VIEW_TOTALS, VIEW_TOTALS_CSV, VIEW_AGENCIES, VIEW_AGENCIES_CSV, VIEW_UNITS, VIEW_UNITS_CSV, VIEW_VISITORS,
    VIEW_VISITORS_CSV, VIEW_CHANGES, VIEW_CHANGES_CSV, VIEW_CHANGES_ATOM,
    VIEW_PAGE_VI, VIEW_PAGE_EN, VIEW_WIDGET_VI, VIEW_WIDGET_EN, VIEW_REDUCTION_VI, VIEW_REDUCTION_EN, VIEW_DOCUMENTS
};

struct view {
    atomic_size_t references;
    struct shared_figures *shared;
    struct totals totals; /* its pilots belong to the figures */
    int64_t stale_ms;     /* how long Redis has not been read; 0 when it was */
    struct document documents[VIEW_DOCUMENTS];
};
/* Takes a reference of `shared` and copies `totals`; NULL without memory. */
struct view *view_new(struct shared_figures *shared, const struct totals *totals, int64_t stale_ms);
struct view *view_ref(struct view *view);
struct view *view_unref(struct view *view); /* NULL; accepts NULL */

#endif
