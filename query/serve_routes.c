/* The query server's paths, and those that answer with what was made beforehand: page, images, files, the live stream. */
#include <stdio.h>
#include <stdlib.h>

#include "query/accept.h"
#include "query/serve_answer.h"
#include "query/web.h"

#define SELDOM "public, max-age=3600"
#define ASSET "public, max-age=300"

static void get_definitions(struct http_request *request, void *context)
{
    struct serve *serve = context;
    http_reply(request, document_answer(&serve->definitions, request));
}

/* By ?lang=, else by what Accept-Language wants most; Vietnamese where it says neither. False when it was refused. */
static bool take_language(struct http_request *request, int *ret_language)
{
    const char *accept = http_header(request, "Accept-Language");
    int vi = accept ? accept_language_wanted(accept, "vi") : -1, en = accept ? accept_language_wanted(accept, "en") : -1;
    return serve_take_word(request, "lang", serve_language_word, LANGUAGES, en > vi ? LANGUAGE_EN : LANGUAGE_VI, ret_language);
}

static void reply_in_language(struct http_request *request, struct serve *serve, enum view_document vi)
{
    int language;
    if (!take_language(request, &language))
        return;
    struct view *view = serve_view_or_refuse(serve, request);
    if (!view)
        return;
    http_reply(request, document_answer(&view->documents[(int)vi + (language == LANGUAGE_EN)], request));
    view_unref(view);
}

static void get_page(struct http_request *request, void *context)
{
    reply_in_language(request, context, VIEW_PAGE_VI);
}

static void get_widget_svg(struct http_request *request, void *context)
{
    reply_in_language(request, context, VIEW_WIDGET_VI);
}

static void get_reduction_svg(struct http_request *request, void *context)
{
    reply_in_language(request, context, VIEW_REDUCTION_VI);
}

static void get_stream(struct http_request *request, void *context)
{
    struct serve *serve = context;
    struct view *view = serve_view_or_refuse(serve, request);
    if (!view)
        return;
    view_unref(view);
    struct slice parameter = http_parameter(request, "last_event_id");
    const char *header = http_header(request, "Last-Event-ID");
    char last[HUB_ID_SIZE];
    snprintf(last, sizeof last, "%.*s", (int)(parameter.size < sizeof last ? parameter.size : sizeof last - 1),
             parameter.data ? parameter.data : "");
    if (hub_clients(serve->hub) >= (size_t)serve->options.streams)
        http_reply(request, http_response_later(http_problem(503, "there are as many streams as this server may have", NULL, 0), 10));
    else
        http_reply(request, hub_stream(serve->hub, header && *header ? header : *last ? last : NULL));
}

static void get_file(struct http_request *request, void *context)
{
    struct serve *serve = context;
    for (size_t i = 0; i < web_file_count; i++)
        if (strcmp(web_files[i].path, request->path) == 0) {
            http_reply(request, document_answer(&serve->files[i], request));
            return;
        }
    http_reply(request, http_problem(404, "there is nothing at this path", NULL, 0));
}

static const char *const none[] = {NULL};
static const char *const by_date[] = {"as_of", NULL};
static const char *const of_changes[] = {"agency", "category", "limit", "before", NULL};
static const char *const of_history[] = {"measure", "from", "to", "step", NULL};
static const char *const of_report[] = {"as_of", "lang", NULL};
static const char *const of_badge[] = {"lang", NULL};
static const char *const of_stream[] = {"last_event_id", NULL};

static const struct http_route api[] = {
    {.method = "GET", .pattern = "/v1/totals", .handle = serve_get_totals, .parameters = by_date},
    {.method = "GET", .pattern = "/v1/totals.csv", .handle = serve_get_totals, .parameters = by_date},
    {.method = "GET", .pattern = "/v1/stream", .handle = get_stream, .parameters = of_stream},
    {.method = "GET", .pattern = "/v1/agencies", .handle = serve_get_agencies, .parameters = none},
    {.method = "GET", .pattern = "/v1/agencies.csv", .handle = serve_get_agencies, .parameters = none},
    {.method = "GET", .pattern = "/v1/agencies/{id}", .handle = serve_get_agency, .parameters = none},
    {.method = "GET", .pattern = "/v1/units", .handle = serve_get_units, .parameters = by_date},
    {.method = "GET", .pattern = "/v1/units.csv", .handle = serve_get_units, .parameters = by_date},
    {.method = "GET", .pattern = "/v1/history", .handle = serve_get_history, .parameters = of_history},
    {.method = "GET", .pattern = "/v1/history.csv", .handle = serve_get_history, .parameters = of_history},
    {.method = "GET", .pattern = "/v1/changes", .handle = serve_get_changes, .parameters = of_changes},
    {.method = "GET", .pattern = "/v1/changes.csv", .handle = serve_get_changes, .parameters = of_changes},
    {.method = "GET", .pattern = "/v1/changes.atom", .handle = serve_get_changes_atom, .parameters = none},
    {.method = "GET", .pattern = "/v1/visitors", .handle = serve_get_visitors, .parameters = none},
    {.method = "GET", .pattern = "/v1/visitors.csv", .handle = serve_get_visitors, .parameters = none},
    {.method = "GET", .pattern = "/v1/report", .handle = serve_get_report, .parameters = of_report},
    {.method = "GET", .pattern = "/v1/report.csv", .handle = serve_get_report, .parameters = of_report},
    {.method = "GET", .pattern = "/v1/report.html", .handle = serve_get_report, .parameters = of_report},
    {.method = "GET", .pattern = "/v1/definitions", .handle = get_definitions, .parameters = none},
    {.method = "GET", .pattern = "/", .handle = get_page}, /* a link to it may carry anything */
    {.method = "GET", .pattern = "/widget.svg", .handle = get_widget_svg, .parameters = of_badge},
    {.method = "GET", .pattern = "/reduction.svg", .handle = get_reduction_svg, .parameters = of_badge},
};

int serve_routes_make(struct serve *serve, struct error *error)
{
    size_t count = sizeof api / sizeof *api;
    struct buffer text = BUFFER_BOUNDED(DOCUMENT_MOST);
    serve->routes = calloc(count + web_file_count + 1, sizeof *serve->routes);
    serve->files = calloc(web_file_count + 1, sizeof *serve->files);
    bool ok = serve->routes && serve->files;
    if (ok)
        memcpy(serve->routes, api, sizeof api);
    for (size_t i = 0; ok && i < web_file_count; i++) {
        serve->routes[count + i] =
            (struct http_route){.method = "GET", .pattern = web_files[i].path, .handle = get_file};
        ok = document_make_static(web_files[i].body, web_files[i].gzip, web_files[i].type, ASSET, &serve->files[i]);
    }
    definitions_json(&text);
    ok = ok && !buffer_failed(&text) &&
         document_make_static((struct slice){text.data, text.size}, (struct slice){0}, "application/json", SELDOM,
                              &serve->definitions);
    buffer_free(&text);
    return ok ? 0 : error_set(error, ERROR_MEMORY, "out of memory");
}

void serve_routes_free(struct serve *serve)
{
    for (size_t i = 0; serve->files && i < web_file_count; i++)
        document_free(&serve->files[i]);
    document_free(&serve->definitions);
    free(serve->files);
    free(serve->routes);
}
