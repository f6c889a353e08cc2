/* What the handlers of the query server's paths share: the view, the parameters, and an answer in the wanted form. */
#include "query/serve_answer.h"

#include <stdio.h>

#include "query/accept.h"
#include "query/query_metrics.h"

enum { LIST_SIZE = 1024 };

struct view *serve_view(struct serve *serve)
{
    pthread_mutex_lock(&serve->lock);
    struct view *view = view_ref(serve->view);
    pthread_mutex_unlock(&serve->lock);
    return view;
}

void serve_answered(const struct http_request *request, unsigned status, void *context)
{
    (void)request;
    struct serve *serve = context;
    char text[8];
    snprintf(text, sizeof text, "%u", status % 1000);
    metrics_add(serve->metrics, M_REQUESTS, text, 1);
}

struct view *serve_view_or_refuse(struct serve *serve, struct http_request *request)
{
    struct view *view = serve_view(serve);
    if (!view)
        http_reply(request, http_response_later(http_problem(503, "the city's state has not been read from Redis yet", NULL, 0), 1));
    return view;
}

bool serve_wants_csv(const struct http_request *request)
{
    size_t size = strlen(request->path);
    if (size > 4 && strcmp(request->path + size - 4, ".csv") == 0)
        return true;
    const char *accept = http_header(request, "Accept");
    int csv = accept ? accept_wanted(accept, "text/csv") : -1;
    if (csv <= 0)
        return false;
    int json = accept_wanted(accept, "application/json");
    if (json < 0)
        json = accept_wanted(accept, "application/*");
    if (json < 0)
        json = accept_wanted(accept, "*/*");
    return csv > json;
}

void serve_reply_document(struct http_request *request, struct document *document)
{
    http_reply(request, document_answer(document, request));
    document_free(document);
}

void serve_reply_rendered(struct http_request *request, struct view *view, struct rendering *rendering,
                          const struct totals *totals, bool csv)
{
    struct document document;
    rendering->type = csv ? "text/csv; charset=utf-8" : "application/json";
    rendering->view = view;
    rendering->kind = csv;
    if (document_make(rendering, totals, view->stale_ms, &document))
        serve_reply_document(request, &document);
    else
        http_reply(request, NULL);
}

void serve_reply_of_view(struct http_request *request, struct serve *serve, enum view_document json, enum view_document csv)
{
    struct view *view = serve_view_or_refuse(serve, request);
    if (!view)
        return;
    http_reply(request, document_answer(&view->documents[serve_wants_csv(request) ? csv : json], request));
    view_unref(view);
}

bool serve_take_date(struct http_request *request, const char *name, int32_t otherwise, int32_t *ret_date)
{
    struct slice text = http_parameter(request, name);
    *ret_date = otherwise;
    if (!text.data || date_parse(text, ret_date))
        return true;
    http_reply(request, http_problem_parameter(name, "\"%.*s\" is not a day; allowed: YYYY-MM-DD", text.size > 40 ? 40 : (int)text.size,
                                               text.data));
    return false;
}

bool serve_take_word(struct http_request *request, const char *name, const char *(*word)(int), int count, int otherwise,
                     int *ret_place)
{
    struct slice text = http_parameter(request, name);
    char list[LIST_SIZE] = "";
    *ret_place = otherwise;
    for (int i = 0; text.data && i < count; i++)
        if (slice_equal(text, slice_of(word(i)))) {
            *ret_place = i;
            return true;
        }
    if (!text.data && otherwise >= 0)
        return true;
    for (int i = 0; i < count; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", word(i));
    http_reply(request, http_problem_parameter(name, "allowed: %s", list));
    return false;
}

void serve_take_reading(struct totals *totals, const struct view *view)
{
    totals->read_at_ms = view->totals.read_at_ms;
    totals->has_lag = view->totals.has_lag;
    totals->lag = view->totals.lag;
    totals->stale = view->totals.stale;
}

const char *serve_language_word(int place)
{
    return place == LANGUAGE_VI ? "vi" : "en";
}
