/* The query server's inspection report. */
#include "query/report.h"

#include "query/serve_answer.h"

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

void serve_get_report(struct http_request *request, void *context)
{
    struct error error = {0};
    struct document document;
    int32_t date;
    int language;
    if (!serve_take_date(request, "as_of", INT32_MIN, &date) ||
        !serve_take_word(request, "lang", serve_language_word, LANGUAGES, LANGUAGE_VI, &language))
        return;
    struct view *view = serve_view_or_refuse(context, request);
    if (!view)
        return;
    struct report_rendering own = {.rendering = {.render = render_report, .type = "application/json", .view = view}};
    if (strstr(request->path, ".html")) {
        own.rendering.kind = REPORT_AS_HTML;
        own.rendering.type = "text/html; charset=utf-8";
    } else if (serve_wants_csv(request)) {
        own.rendering.kind = REPORT_AS_CSV;
        own.rendering.type = "text/csv; charset=utf-8";
    }
    date = date == INT32_MIN ? date_in_city(view->totals.read_at_ms) : date;
    if (report_make(&view->shared->figures, date, (enum language)language, &own.report, &error) < 0) {
        http_reply(request, http_problem(500, error.text, NULL, 0));
    } else {
        serve_take_reading(&own.report.totals, view);
        if (document_make(&own.rendering, &own.report.totals, view->stale_ms, &document))
            serve_reply_document(request, &document);
        else
            http_reply(request, NULL);
        report_free(&own.report);
    }
    view_unref(view);
}
