/* The report as JSON and as CSV. Pure. */
#include <inttypes.h>

#include "base/json_text.h"
#include "query/report.h"

void report_json(const struct report *report, struct buffer *out)
{
    const struct totals *totals = &report->totals;
    char date[DATE_TEXT_SIZE];
    buffer_text_append(out, "{");
    document_begin(totals, out);
    buffer_text_append(out, ",\"basis\":");
    json_text_append(out, slice_of(report_basis(totals->city)));
    buffer_text_append(out, ",");
    totals_headcount_json(totals, out);
    buffer_text_append(out, ",");
    totals_units_json(totals, out);
    buffer_text_append(out, ",");
    totals_pilots_json(totals, out);
    buffer_text_append(out, ",\"agencies_are_as_known_now\":true,\"agencies\":");
    agencies_array_json(report->figures, out);
    buffer_printf(out, ",\"decisions\":{\"complete\":%s,\"oldest_version\":", report->complete ? "true" : "false");
    if (report->oldest_version)
        buffer_printf(out, "%" PRId64, report->oldest_version);
    else
        buffer_text_append(out, "null");
    buffer_text_append(out, ",\"items\":[");
    for (size_t i = 0; i < report->decision_count; i++) {
        const struct report_decision *decision = &report->decisions[i];
        buffer_printf(out, "%s{\"effective_date\":\"%s\",\"agency\":", i ? "," : "", date_format(decision->date, date));
        json_text_append(out, decision->agency);
        buffer_text_append(out, ",\"decision\":");
        json_text_append(out, decision->decision);
        buffer_printf(out, ",\"events\":%" PRId64 "}", decision->events);
    }
    buffer_text_append(out, "]},\"definitions\":[");
    for (size_t i = 0; i < definition_count; i++) {
        buffer_printf(out, "%s{\"name\":\"%s\",\"text\":", i ? "," : "", definitions[i].name);
        json_text_append(out, slice_of(definitions[i].text[report->language]));
        buffer_text_append(out, "}");
    }
    buffer_printf(out, "],\"digest\":{\"algorithm\":\"sha-256\",\"of\":\"%s\",\"value\":\"%s\"},\"seal\":\"%s\"}\n", REPORT_DIGEST_OF, report->digest,
                  report->seal);
}

static void row(struct buffer *out, const char *section, struct slice what, const char *measure, bool has, int64_t number)
{
    csv_text(out, slice_of(section));
    csv_text(out, what);
    csv_text(out, slice_of(measure));
    csv_number(out, has, number);
    csv_end_row(out);
}

static void text_row(struct buffer *out, const char *section, struct slice what, const char *measure, struct slice text)
{
    csv_text(out, slice_of(section));
    csv_text(out, what);
    csv_text(out, slice_of(measure));
    csv_text(out, text);
    csv_end_row(out);
}

static void headcount_rows(struct buffer *out, const char *section, struct slice what, const struct headcount *headcount)
{
    row(out, section, what, "baseline", true, headcount->baseline);
    row(out, section, what, "current", true, headcount->current);
    row(out, section, what, "reduction", true, headcount->reduction);
    csv_text(out, slice_of(section));
    csv_text(out, what);
    csv_text(out, slice_of("reduction_percent"));
    csv_percent(out, headcount->percent);
    csv_end_row(out);
}

/* One long table, a number a row: section, what, measure, value. */
void report_csv(const struct report *report, struct buffer *out)
{
    const struct totals *totals = &report->totals;
    struct report_line lines[REPORT_LINES_MOST];
    char date[DATE_TEXT_SIZE];
    csv_begin(out, "section,what,measure,value");
    text_row(out, "report", slice_of(totals->city), "date", slice_of(date_format(totals->date, date)));
    row(out, "report", slice_of(totals->city), "version", true, totals->version);
    text_row(out, "report", slice_of(totals->city), "digest", slice_of(report->digest));
    text_row(out, "report", slice_of(totals->city), "seal", slice_of(report->seal));
    size_t count = report_lines(report, lines);
    for (size_t i = 0; i < count; i++)
        text_row(out, "figures", slice_of(lines[i].label), "", slice_of(lines[i].value));
    headcount_rows(out, "headcount", slice_of("all"), &totals->headcount);
    for (int i = 0; i < SECTORS; i++)
        headcount_rows(out, "headcount", slice_of(sector_name((enum sector)i)), &totals->by_sector[i]);
    for (int i = 0; i < CATEGORIES; i++) {
        const struct units *units = &totals->units[i];
        struct slice category = slice_of(unit_category_name((enum unit_category)i));
        row(out, "units", category, "baseline", units->has_baseline, units->baseline);
        row(out, "units", category, "current", units->has_baseline, units->current);
        row(out, "units", category, "change", true, units->change);
        row(out, "units", category, "merged", true, units->merged);
        row(out, "units", category, "mergers", true, units->mergers);
    }
    for (size_t i = 0; i < totals->pilot_count; i++)
        text_row(out, "pilots", slice_of(totals->pilots[i].model), "district", slice_of(totals->pilots[i].district));
    for (size_t i = 0; i < report->figures->agency_count; i++)
        headcount_rows(out, "agencies_now", report->figures->agencies[i].id, &report->figures->agencies[i].headcount);
    for (size_t i = 0; i < report->decision_count; i++) {
        const struct report_decision *decision = &report->decisions[i];
        text_row(out, "decisions", decision->agency, date_format(decision->date, date), decision->decision);
    }
}
