/* The query server's figures: totals, units, agencies, visitors, changes and history, now or by a day's end. */
#include <stdlib.h>

#include "query/serve_answer.h"

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

/* The totals by a day's end, made for this request. */
static void reply_as_of(struct http_request *request, struct serve *serve, int32_t date,
                        void (*render)(const struct rendering *, const struct totals *, struct buffer *))
{
    struct view *view = serve_view_or_refuse(serve, request);
    struct totals totals = {0};
    struct error error = {0};
    if (!view)
        return;
    struct figures *figures = &view->shared->figures;
    if (totals_make(&figures->snapshot, figures->totals.city, date, &totals, &error) < 0) {
        http_reply(request, http_problem(500, error.text, NULL, 0));
    } else {
        serve_take_reading(&totals, view);
        serve_reply_rendered(request, view, &(struct rendering){.render = render}, &totals, serve_wants_csv(request));
    }
    totals_free(&totals);
    view_unref(view);
}

void serve_get_totals(struct http_request *request, void *context)
{
    int32_t date;
    if (!serve_take_date(request, "as_of", INT32_MIN, &date))
        return;
    if (date == INT32_MIN)
        serve_reply_of_view(request, context, VIEW_TOTALS, VIEW_TOTALS_CSV);
    else
        reply_as_of(request, context, date, render_totals);
}

void serve_get_units(struct http_request *request, void *context)
{
    int32_t date;
    if (!serve_take_date(request, "as_of", INT32_MIN, &date))
        return;
    if (date == INT32_MIN)
        serve_reply_of_view(request, context, VIEW_UNITS, VIEW_UNITS_CSV);
    else
        reply_as_of(request, context, date, render_units);
}

void serve_get_agencies(struct http_request *request, void *context)
{
    serve_reply_of_view(request, context, VIEW_AGENCIES, VIEW_AGENCIES_CSV);
}

void serve_get_visitors(struct http_request *request, void *context)
{
    serve_reply_of_view(request, context, VIEW_VISITORS, VIEW_VISITORS_CSV);
}

static void render_agency(const struct rendering *rendering, const struct totals *totals, struct buffer *out)
{
    agency_json(&rendering->view->shared->figures, totals, rendering->agency, out);
}

void serve_get_agency(struct http_request *request, void *context)
{
    struct view *view = serve_view_or_refuse(context, request);
    if (!view)
        return;
    const struct agency_figures *agency = figures_agency(&view->shared->figures, request->parts[0]);
    if (agency)
        serve_reply_rendered(request, view, &(struct rendering){.render = render_agency, .agency = agency}, &view->totals, false);
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

void serve_get_changes(struct http_request *request, void *context)
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
        serve_reply_of_view(request, context, VIEW_CHANGES, VIEW_CHANGES_CSV);
        return;
    }
    struct view *view = serve_view_or_refuse(context, request);
    if (view)
        serve_reply_rendered(request, view, &(struct rendering){.render = render_changes, .changes = &query}, &view->totals,
                             serve_wants_csv(request));
    view_unref(view);
}

void serve_get_changes_atom(struct http_request *request, void *context)
{
    serve_reply_of_view(request, context, VIEW_CHANGES_ATOM, VIEW_CHANGES_ATOM);
}

static void render_history(const struct rendering *rendering, const struct totals *totals, struct buffer *out)
{
    if (rendering->kind)
        history_csv(rendering->history, out);
    else
        history_json(rendering->history, totals, out);
}

static const char *measure_word(int place)
{
    return history_measure_name((enum history_measure)place);
}

static const char *step_word(int place)
{
    return history_step_name((enum history_step)place);
}

void serve_get_history(struct http_request *request, void *context)
{
    struct history history;
    struct error error = {0};
    int measure, step;
    int32_t from, to;
    if (!serve_take_word(request, "measure", measure_word, HISTORY_MEASURES, -1, &measure) ||
        !serve_take_word(request, "step", step_word, STEPS, STEP_MONTH, &step) ||
        !serve_take_date(request, "from", INT32_MIN, &from) || !serve_take_date(request, "to", INT32_MIN, &to))
        return;
    struct view *view = serve_view_or_refuse(context, request);
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
        serve_reply_rendered(request, view, &(struct rendering){.render = render_history, .history = &history}, &view->totals,
                             serve_wants_csv(request));
        free(history.points);
    }
    view_unref(view);
}
