/* What the files of `citytotals-query serve` share. */
#ifndef CITYTOTALS_QUERY_SERVE_STATE_H
#define CITYTOTALS_QUERY_SERVE_STATE_H

#include <pthread.h>
#include <signal.h>

#include "base/http.h"
#include "base/metrics.h"
#include "query/hub.h"
#include "query/lag.h"
#include "query/names.h"
#include "query/settings.h"
#include "query/view.h"

struct serve {
    struct serve_options options;
    struct names *names;
    struct metrics *metrics;
    struct hub *hub;
    struct http_route *routes; /* the API's, then one a static file */
    struct document *files;    /* beside web_files */
    struct document definitions;
    pthread_mutex_t lock;
    struct view *view; /* the current one; NULL before Redis was read */
    _Atomic int64_t lag; /* -1 = not known */
};

/* serve_routes.c */
int serve_routes_make(struct serve *serve, struct error *error);
void serve_routes_free(struct serve *serve);

/* serve_answer.c */
void serve_answered(const struct http_request *request, unsigned status, void *context);
struct view *serve_view(struct serve *serve); /* with a reference; NULL while there is none */

/* serve_figures.c, serve_report.c: handlers */
void serve_get_totals(struct http_request *request, void *context);
void serve_get_units(struct http_request *request, void *context);
void serve_get_agencies(struct http_request *request, void *context);
void serve_get_visitors(struct http_request *request, void *context);
void serve_get_agency(struct http_request *request, void *context);
void serve_get_changes(struct http_request *request, void *context);
void serve_get_changes_atom(struct http_request *request, void *context);
void serve_get_history(struct http_request *request, void *context);
void serve_get_report(struct http_request *request, void *context);

/* serve_lag.c: a thread of its own, since Kafka may let it wait */
struct lag_watch;
int lag_watch_start(struct serve *serve, struct lag_watch **ret_watch, struct error *error);
struct lag_watch *lag_watch_stop(struct lag_watch *watch); /* NULL; accepts NULL */

/* serve_wake.c: a thread of its own writes a byte into `pipe` when Redis has new changes */
struct wake_watch;
int wake_watch_start(struct serve *serve, int pipe, struct wake_watch **ret_watch, struct error *error);
struct wake_watch *wake_watch_stop(struct wake_watch *watch); /* NULL; accepts NULL */

#endif
