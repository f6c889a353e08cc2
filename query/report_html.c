/* The report as a page that prints on A4. Pure. It needs nothing beside itself: no script, no other file. */
#include <inttypes.h>
#include <stdio.h>

#include "query/markup.h"
#include "query/report.h"

static const char style[] =
    "@page{size:A4;margin:18mm 16mm;@bottom-center{content:counter(page) \" / \" counter(pages);font:9pt serif}}"
    "body{font:11pt/1.4 \"Times New Roman\",Tinos,\"Liberation Serif\",serif;color:#000;background:#fff;max-width:178mm;margin:0 auto;padding:1rem}"
    "h1{font-size:16pt;text-align:center;margin:.5em 0}h2{font-size:12.5pt;margin:1.4em 0 .4em;break-after:avoid}"
    "p{margin:.3em 0}.center{text-align:center}.note{font-size:9.5pt}"
    "table{border-collapse:collapse;width:100%;break-inside:auto}table+table{margin-top:1em}thead{display:table-header-group}tr{break-inside:avoid}"
    "th,td{border:.5pt solid #000;padding:.2em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}td.d{white-space:nowrap}"
    "dt{font-weight:bold}dd{margin:0 0 .4em 1.2em}code{font-size:8.5pt;overflow-wrap:anywhere}"
    "@media print{body{padding:0;max-width:none}}";

static void element(struct buffer *out, const char *open, struct slice text, const char *close)
{
    buffer_text_append(out, open);
    markup_text(out, text);
    buffer_text_append(out, close);
}

static void heading(struct buffer *out, const char *text)
{
    element(out, "<h2>", slice_of(text), "</h2>\n");
}

static void number(struct buffer *out, enum language language, bool has, int64_t value, bool plus)
{
    char text[NUMBER_TEXT_SIZE];
    element(out, "<td class=\"n\">", slice_of(has ? text_number(language, value, plus, text) : "–"), "</td>");
}

static void head_cells(struct buffer *out, enum language language, const char *first, const enum word *heads, size_t count)
{
    element(out, "<table><thead><tr><th scope=\"col\">", slice_of(first), "</th>");
    for (size_t i = 0; i < count; i++)
        element(out, "<th class=\"n\" scope=\"col\">", slice_of(text_word(language, heads[i])), "</th>");
    buffer_text_append(out, "</tr></thead><tbody>\n");
}

static void headcount_row(struct buffer *out, enum language language, struct slice label, const struct headcount *headcount)
{
    char percent[NUMBER_TEXT_SIZE];
    element(out, "<tr><th scope=\"row\">", label, "</th>");
    number(out, language, true, headcount->baseline, false);
    number(out, language, true, headcount->current, false);
    number(out, language, true, headcount->reduction, false);
    element(out, "<td class=\"n\">", slice_of(text_percent(language, headcount->percent, percent)), "</td></tr>\n");
}

static void tables(const struct report *report, struct buffer *out)
{
    static const enum word of_headcount[] = {WORD_BASELINE, WORD_THEN, WORD_REDUCTION, WORD_PERCENT};
    static const enum word of_agencies[] = {WORD_BASELINE, WORD_NOW, WORD_REDUCTION, WORD_PERCENT};
    static const enum word of_units[] = {WORD_BASELINE, WORD_THEN, WORD_CHANGE, WORD_MERGED, WORD_MERGERS};
    enum language language = report->language;
    const struct totals *totals = &report->totals;
    head_cells(out, language, text_word(language, WORD_HEADCOUNT), of_headcount, 4);
    for (int i = 0; i < SECTORS; i++)
        headcount_row(out, language, slice_of(text_sector(language, (enum sector)i)), &totals->by_sector[i]);
    headcount_row(out, language, slice_of(text_word(language, WORD_WHOLE_CITY)), &totals->headcount);
    buffer_text_append(out, "</tbody></table>\n");
    head_cells(out, language, text_word(language, WORD_UNITS), of_units, 5);
    for (int i = 0; i < CATEGORIES; i++) {
        const struct units *units = &totals->units[i];
        element(out, "<tr><th scope=\"row\">", slice_of(text_category(language, (enum unit_category)i)), "</th>");
        number(out, language, units->has_baseline, units->baseline, false);
        number(out, language, units->has_baseline, units->current, false);
        number(out, language, true, units->change, true);
        number(out, language, true, units->merged, false);
        number(out, language, true, units->mergers, false);
        buffer_text_append(out, "</tr>\n");
    }
    buffer_text_append(out, "</tbody></table>\n");
    heading(out, report_word(language, REPORT_PILOTS));
    head_cells(out, language, text_word(language, WORD_MODEL), NULL, 0);
    for (size_t i = 0; i < totals->pilot_count; i++) {
        element(out, "<tr><td>", slice_of(text_model_name(language, totals->pilots[i].model)), " · ");
        element(out, "", slice_of(text_district_name(totals->city, totals->pilots[i].district)), "</td></tr>\n");
    }
    buffer_text_append(out, "</tbody></table>\n");
    heading(out, report_word(language, REPORT_AGENCIES));
    element(out, "<p class=\"note\">", slice_of(report_word(language, REPORT_AGENCIES_NOTE)), "</p>\n");
    head_cells(out, language, report_word(language, REPORT_AGENCY), of_agencies, 4);
    for (size_t i = 0; i < report->figures->agency_count; i++) {
        const struct agency_figures *agency = &report->figures->agencies[i];
        if (agency->headcount.baseline || agency->headcount.current)
            headcount_row(out, language, report_agency_name(report, agency->id), &agency->headcount);
    }
    buffer_text_append(out, "</tbody></table>\n");
}

static void decisions(const struct report *report, struct buffer *out)
{
    enum language language = report->language;
    char date[NUMBER_TEXT_SIZE];
    heading(out, report_word(language, REPORT_DECISIONS));
    if (report->complete)
        element(out, "<p class=\"note\">", slice_of(report_word(language, REPORT_ALL_LISTED)), "</p>\n");
    else
        buffer_printf(out, "<p class=\"note\">%s %" PRId64 ".</p>\n", report_word(language, REPORT_NOT_ALL), report->oldest_version);
    buffer_printf(out, "<table><thead><tr><th scope=\"col\">%s</th><th scope=\"col\">%s</th><th scope=\"col\">%s</th>"
                       "<th class=\"n\" scope=\"col\">%s</th></tr></thead><tbody>\n",
                  report_word(language, REPORT_DATE), report_word(language, REPORT_DECISION), report_word(language, REPORT_AGENCY),
                  report_word(language, REPORT_EVENTS));
    for (size_t i = 0; i < report->decision_count; i++) {
        const struct report_decision *decision = &report->decisions[i];
        element(out, "<tr><td class=\"d\">", slice_of(text_date(language, decision->date, date)), "</td>");
        element(out, "<td>", decision->decision, "</td>");
        element(out, "<td>", report_agency_name(report, decision->agency), "</td>");
        number(out, language, true, decision->events, false);
        buffer_text_append(out, "</tr>\n");
    }
    buffer_text_append(out, "</tbody></table>\n");
}

void report_html(const struct report *report, struct buffer *out)
{
    enum language language = report->language;
    const struct totals *totals = &report->totals;
    struct report_line lines[REPORT_LINES_MOST];
    char date[NUMBER_TEXT_SIZE], updated[NUMBER_TEXT_SIZE];
    buffer_printf(out, "<!doctype html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\">"
                       "<meta name=\"viewport\" content=\"width=device-width\"><title>",
                  language == LANGUAGE_VI ? "vi" : "en");
    markup_text(out, slice_of(report_word(language, REPORT_TITLE)));
    buffer_printf(out, "</title><style>%s</style></head><body>\n", style);
    element(out, "<h1>", slice_of(report_word(language, REPORT_TITLE)), "</h1>\n");
    element(out, "<p class=\"center\">", slice_of(text_city_name(language, totals->city)), " · ");
    buffer_printf(out, "%s %s</p>\n", text_word(language, WORD_AS_OF), text_date(language, totals->date, date));
    heading(out, report_word(language, REPORT_FIGURES));
    buffer_text_append(out, "<table><tbody>\n");
    size_t count = report_lines(report, lines);
    for (size_t i = 0; i < count; i++) {
        element(out, "<tr><th scope=\"row\">", slice_of(lines[i].label), "</th>");
        element(out, "<td>", slice_of(lines[i].value), "</td></tr>\n");
    }
    buffer_text_append(out, "</tbody></table>\n");
    tables(report, out);
    decisions(report, out);
    heading(out, report_word(language, REPORT_DEFINITIONS));
    buffer_text_append(out, "<dl class=\"note\">\n");
    for (size_t i = 0; i < definition_count; i++) {
        element(out, "<dt>", slice_of(definitions[i].name), "</dt>");
        element(out, "<dd>", slice_of(definitions[i].text[language]), "</dd>\n");
    }
    buffer_printf(out, "</dl>\n<p class=\"note\">%s: %" PRId64, report_word(language, REPORT_DATA), totals->version);
    if (totals->has_updated_at)
        buffer_printf(out, " · %s %s%s", text_word(language, WORD_UPDATED), text_time(language, totals->updated_at_ms, updated),
                      text_word(language, WORD_ZONE));
    buffer_printf(out, "</p>\n<p class=\"note\">%s: <code>%s</code></p>\n", report_word(language, REPORT_DIGEST), report->digest);
    buffer_printf(out, "<p class=\"note\">%s: <code>%s</code></p>\n</body></html>\n", report_word(language, REPORT_SEAL), report->seal);
}
