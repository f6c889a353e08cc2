/* The query server's paths: parameters in, documents out. Runs on the HTTP server's threads and waits for nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/accept.h"
#include "query/query_metrics.h"
#include "query/report.h"
#include "query/serve_state.h"
#include "query/web.h"

enum { LIST_SIZE = 1024 };

#define SELDOM "public, max-age=3600"
#define ASSET "public, max-age=300"

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

/* The view, or the answer that there is none yet. */
static struct view *view_or_refuse(struct serve *serve, struct http_request *request)
{
    struct view *view = serve_view(serve);
    if (!view)
        http_reply(request, http_response_header(http_problem(503, "the city's state has not been read from Redis yet", NULL, 0),
                                                 "Retry-After", "1"));
    return view;
}

static bool wants_csv(const struct http_request *request)
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

static void reply_document(struct http_request *request, struct document *document)
{
    http_reply(request, document_answer(document, request));
    document_free(document);
}

/* An answer of its own for this request. */
static void reply_rendered(struct http_request *request, struct view *view, struct rendering *rendering,
                           const struct totals *totals, bool csv)
{
    struct document document;
    rendering->type = csv ? "text/csv; charset=utf-8" : "application/json";
    rendering->view = view;
    rendering->kind = csv;
    if (document_make(rendering, totals, view->stale_ms, &document))
        reply_document(request, &document);
    else
        http_reply(request, NULL);
}

static void reply_of_view(struct http_request *request, struct serve *serve, enum view_document json, enum view_document csv)
{
    struct view *view = view_or_refuse(serve, request);
    if (!view)
        return;
    http_reply(request, document_answer(&view->documents[wants_csv(request) ? csv : json], request));
    view_unref(view);
}

/* False when it was refused. */
static bool take_date(struct http_request *request, const char *name, int32_t otherwise, int32_t *ret_date)
{
    struct slice text = http_parameter(request, name);
    *ret_date = otherwise;
    if (!text.data || date_parse(text, ret_date))
        return true;
    http_reply(request, http_problem_parameter(name, "\"%.*s\" is not a day; allowed: YYYY-MM-DD", text.size > 40 ? 40 : (int)text.size,
                                               text.data));
    return false;
}

static void render_totals(const struct rendering *rendering, const struct totals *totals, struct buffer *out)
{
    if (rendering->kind)
        totals_csv(totals, out);
    else
        totals_json(totals, out, NULL);
}

static void render_units(const struct rendering *rendering, const struct totals *totals, struct buffer *out)
{
    if (rendering->kind)
        units_csv(totals, out);
    else
        units_json(totals, out);
}

/* When and how well Redis was read is the view's. */
static void take_reading(struct totals *totals, const struct view *view)
{
    totals->read_at_ms = view->totals.read_at_ms;
    totals->has_lag = view->totals.has_lag;
    totals->lag = view->totals.lag;
    totals->stale = view->totals.stale;
}

/* The totals by a day's end, made for this request. */
static void reply_as_of(struct http_request *request, struct serve *serve, int32_t date,
                        void (*render)(const struct rendering *, const struct totals *, struct buffer *))
{
    struct view *view = view_or_refuse(serve, request);
    struct totals totals = {0};
    struct error error = {0};
    if (!view)
        return;
    struct figures *figures = &view->shared->figures;
    if (totals_make(&figures->snapshot, figures->totals.city, date, &totals, &error) < 0) {
        http_reply(request, http_problem(500, error.text, NULL, 0));
    } else {
        take_reading(&totals, view);
        reply_rendered(request, view, &(struct rendering){.render = render}, &totals, wants_csv(request));
    }
    totals_free(&totals);
    view_unref(view);
}

static void get_totals(struct http_request *request, void *context)
{
    int32_t date;
    if (!take_date(request, "as_of", INT32_MIN, &date))
        return;
    if (date == INT32_MIN)
        reply_of_view(request, context, VIEW_TOTALS, VIEW_TOTALS_CSV);
    else
        reply_as_of(request, context, date, render_totals);
}

static void get_units(struct http_request *request, void *context)
{
    int32_t date;
    if (!take_date(request, "as_of", INT32_MIN, &date))
        return;
    if (date == INT32_MIN)
        reply_of_view(request, context, VIEW_UNITS, VIEW_UNITS_CSV);
    else
        reply_as_of(request, context, date, render_units);
}

static void get_agencies(struct http_request *request, void *context)
{
    reply_of_view(request, context, VIEW_AGENCIES, VIEW_AGENCIES_CSV);
}

static void get_visitors(struct http_request *request, void *context)
{
    reply_of_view(request, context, VIEW_VISITORS, VIEW_VISITORS_CSV);
}

static void render_agency(const struct rendering *rendering, const struct totals *totals, struct buffer *out)
{
    agency_json(&rendering->view->shared->figures, totals, rendering->agency, out);
}

static void get_agency(struct http_request *request, void *context)
{
    struct view *view = view_or_refuse(context, request);
    if (!view)
        return;
    const struct agency_figures *agency = figures_agency(&view->shared->figures, request->parts[0]);
    if (agency)
        reply_rendered(request, view, &(struct rendering){.render = render_agency, .agency = agency}, &view->totals, false);
    else
        http_reply(request, http_problem(404, "no agency with this id has sent an event or has a name here", NULL, 0));
    view_unref(view);
}

static void render_changes(const struct rendering *rendering, const struct totals *totals, struct buffer *out)
{
    if (rendering->kind)
        changes_csv(&rendering->view->shared->figures, rendering->changes, out);
    else
        changes_json(&rendering->view->shared->figures, totals, rendering->changes, out);
}

static void get_changes(struct http_request *request, void *context)
{
    struct changes_query query = {.agency = http_parameter(request, "agency"),
                                  .category = http_parameter(request, "category"),
                                  .limit = CHANGES_LIMIT_DEFAULT,
                                  .before_version = INT64_MAX,
                                  .before_number = INT64_MAX};
    struct slice limit = http_parameter(request, "limit"), before = http_parameter(request, "before");
    if (limit.data && (!integer_parse(limit, &query.limit) || query.limit < 1 || query.limit > CHANGES_LIMIT_MOST)) {
        http_reply(request, http_problem_parameter("limit", "allowed: a whole number from 1 to %d", CHANGES_LIMIT_MOST));
        return;
    }
    if (before.data && !change_id_parse(before, &query.before_version, &query.before_number)) {
        http_reply(request, http_problem_parameter("before", "allowed: the id of a change, VERSION-NUMBER"));
        return;
    }
    if (query.category.data && !change_category_is_known(query.category)) {
        http_reply(request, http_problem_parameter("category", "allowed: city_agency, city_division, district_division, "
                                                               "public_service_unit, commune, administrative, public_service"));
        return;
    }
    if (request->parameter_count == 0) {
        reply_of_view(request, context, VIEW_CHANGES, VIEW_CHANGES_CSV);
        return;
    }
    struct view *view = view_or_refuse(context, request);
    if (view)
        reply_rendered(request, view, &(struct rendering){.render = render_changes, .changes = &query}, &view->totals,
                       wants_csv(request));
    view_unref(view);
}

static void get_changes_atom(struct http_request *request, void *context)
{
    reply_of_view(request, context, VIEW_CHANGES_ATOM, VIEW_CHANGES_ATOM);
}

static void render_history(const struct rendering *rendering, const struct totals *totals, struct buffer *out)
{
    if (rendering->kind)
        history_csv(rendering->history, out);
    else
        history_json(rendering->history, totals, out);
}

/* The place of the parameter's word among `count`; false when it was refused. */
static bool take_word(struct http_request *request, const char *name, const char *(*word)(int), int count, int otherwise,
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

static const char *measure_word(int place)
{
    return history_measure_name((enum history_measure)place);
}

static const char *step_word(int place)
{
    return history_step_name((enum history_step)place);
}

static void get_history(struct http_request *request, void *context)
{
    struct history history;
    struct error error = {0};
    int measure, step;
    int32_t from, to;
    if (!take_word(request, "measure", measure_word, HISTORY_MEASURES, -1, &measure) ||
        !take_word(request, "step", step_word, STEPS, STEP_MONTH, &step) ||
        !take_date(request, "from", INT32_MIN, &from) || !take_date(request, "to", INT32_MIN, &to))
        return;
    struct view *view = view_or_refuse(context, request);
    if (!view)
        return;
    const struct figures *figures = &view->shared->figures;
    if (to == INT32_MIN)
        to = date_in_city(view->totals.read_at_ms);
    if (from == INT32_MIN)
        from = history_first_day(figures, (enum history_measure)measure, to);
    if (from > to && !http_parameter(request, "from").data)
        from = to; /* all that there is begins later */
    if (from > to)
        http_reply(request, http_problem_parameter("from", "it is after to; allowed: a day not after it"));
    else if (history_size((enum history_step)step, from, to) > HISTORY_POINTS_MOST)
        http_reply(request, http_problem_parameter("step", "that is more than %d points; allowed: a longer step, or fewer days",
                                                   HISTORY_POINTS_MOST));
    else if (history_make(figures, (enum history_measure)measure, (enum history_step)step, from, to, &history, &error) < 0)
        http_reply(request, http_problem(500, error.text, NULL, 0));
    else {
        reply_rendered(request, view, &(struct rendering){.render = render_history, .history = &history}, &view->totals,
                       wants_csv(request));
        free(history.points);
    }
    view_unref(view);
}

struct report_rendering {
    struct rendering rendering; /* first: the renderer gets this */
    struct report report;
};

enum { REPORT_AS_JSON, REPORT_AS_CSV, REPORT_AS_HTML };

static void render_report(const struct rendering *rendering, const struct totals *totals, struct buffer *out)
{
    struct report report = ((const struct report_rendering *)(const void *)rendering)->report;
    report.totals = *totals;
    if (rendering->kind == REPORT_AS_HTML)
        report_html(&report, out);
    else if (rendering->kind == REPORT_AS_CSV)
        report_csv(&report, out);
    else
        report_json(&report, out);
}

static const char *language_word(int place)
{
    return place == LANGUAGE_VI ? "vi" : "en";
}

static void get_report(struct http_request *request, void *context)
{
    struct error error = {0};
    struct document document;
    int32_t date;
    int language;
    if (!take_date(request, "as_of", INT32_MIN, &date) ||
        !take_word(request, "lang", language_word, LANGUAGES, LANGUAGE_VI, &language))
        return;
    struct view *view = view_or_refuse(context, request);
    if (!view)
        return;
    struct report_rendering own = {.rendering = {.render = render_report, .type = "application/json", .view = view}};
    if (strstr(request->path, ".html")) {
        own.rendering.kind = REPORT_AS_HTML;
        own.rendering.type = "text/html; charset=utf-8";
    } else if (wants_csv(request)) {
        own.rendering.kind = REPORT_AS_CSV;
        own.rendering.type = "text/csv; charset=utf-8";
    }
    date = date == INT32_MIN ? date_in_city(view->totals.read_at_ms) : date;
    if (report_make(&view->shared->figures, date, (enum language)language, &own.report, &error) < 0) {
        http_reply(request, http_problem(500, error.text, NULL, 0));
    } else {
        take_reading(&own.report.totals, view);
        if (document_make(&own.rendering, &own.report.totals, view->stale_ms, &document))
            reply_document(request, &document);
        else
            http_reply(request, NULL);
        report_free(&own.report);
    }
    view_unref(view);
}

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
    return take_word(request, "lang", language_word, LANGUAGES, en > vi ? LANGUAGE_EN : LANGUAGE_VI, ret_language);
}

static void reply_in_language(struct http_request *request, struct serve *serve, enum view_document vi)
{
    int language;
    if (!take_language(request, &language))
        return;
    struct view *view = view_or_refuse(serve, request);
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
    struct view *view = view_or_refuse(serve, request);
    if (!view)
        return;
    view_unref(view);
    struct slice parameter = http_parameter(request, "last_event_id");
    const char *header = http_header(request, "Last-Event-ID");
    char last[HUB_ID_SIZE];
    snprintf(last, sizeof last, "%.*s", (int)(parameter.size < sizeof last ? parameter.size : sizeof last - 1),
             parameter.data ? parameter.data : "");
    if (hub_clients(serve->hub) >= (size_t)serve->options.streams)
        http_reply(request, http_response_header(http_problem(503, "there are as many streams as this server may have", NULL, 0),
                                                 "Retry-After", "10"));
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
    {.method = "GET", .pattern = "/v1/totals", .handle = get_totals, .parameters = by_date},
    {.method = "GET", .pattern = "/v1/totals.csv", .handle = get_totals, .parameters = by_date},
    {.method = "GET", .pattern = "/v1/stream", .handle = get_stream, .parameters = of_stream},
    {.method = "GET", .pattern = "/v1/agencies", .handle = get_agencies, .parameters = none},
    {.method = "GET", .pattern = "/v1/agencies.csv", .handle = get_agencies, .parameters = none},
    {.method = "GET", .pattern = "/v1/agencies/{id}", .handle = get_agency, .parameters = none},
    {.method = "GET", .pattern = "/v1/units", .handle = get_units, .parameters = by_date},
    {.method = "GET", .pattern = "/v1/units.csv", .handle = get_units, .parameters = by_date},
    {.method = "GET", .pattern = "/v1/history", .handle = get_history, .parameters = of_history},
    {.method = "GET", .pattern = "/v1/history.csv", .handle = get_history, .parameters = of_history},
    {.method = "GET", .pattern = "/v1/changes", .handle = get_changes, .parameters = of_changes},
    {.method = "GET", .pattern = "/v1/changes.csv", .handle = get_changes, .parameters = of_changes},
    {.method = "GET", .pattern = "/v1/changes.atom", .handle = get_changes_atom, .parameters = none},
    {.method = "GET", .pattern = "/v1/visitors", .handle = get_visitors, .parameters = none},
    {.method = "GET", .pattern = "/v1/visitors.csv", .handle = get_visitors, .parameters = none},
    {.method = "GET", .pattern = "/v1/report", .handle = get_report, .parameters = of_report},
    {.method = "GET", .pattern = "/v1/report.csv", .handle = get_report, .parameters = of_report},
    {.method = "GET", .pattern = "/v1/report.html", .handle = get_report, .parameters = of_report},
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
