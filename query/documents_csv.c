/* The query server's answers as CSV for spreadsheets. Pure. */
#include <inttypes.h>
#include <stdio.h>

#include "query/documents.h"

void csv_begin(struct buffer *out, const char *header)
{
    buffer_text_append(out, "\xEF\xBB\xBF");
    buffer_text_append(out, header);
    csv_end_row(out);
}

static void part(struct buffer *out)
{
    if (out->size && out->data[out->size - 1] != '\n')
        buffer_text_append(out, ",");
}

void csv_text(struct buffer *out, struct slice text)
{
    bool formula = text.size > 0 && strchr("=+-@\t\r", text.data[0]), quoted = false;
    part(out);
    for (size_t i = 0; i < text.size; i++)
        quoted = quoted || strchr(",\"\r\n;'", text.data[i]) || text.data[i] == ' ';
    if (!quoted && !formula && text.size > 0) {
        buffer_slice_append(out, text);
        return;
    }
    buffer_text_append(out, formula ? "\"'" : "\"");
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            buffer_text_append(out, "\"");
        buffer_append(out, &text.data[i], 1);
    }
    buffer_text_append(out, "\"");
}

void csv_number(struct buffer *out, bool has, int64_t number)
{
    if (has) {
        part(out);
        buffer_printf(out, "%" PRId64, number);
    } else {
        csv_text(out, slice_of(""));
    }
}

void csv_end_row(struct buffer *out)
{
    buffer_text_append(out, "\r\n");
}

void csv_percent(struct buffer *out, const char *percent)
{
    if (!*percent) {
        csv_text(out, slice_of(""));
        return;
    }
    part(out);
    buffer_text_append(out, percent);
}

static void headcount_row(const char *what, const struct headcount *headcount, struct buffer *out)
{
    csv_text(out, slice_of(what));
    csv_number(out, true, headcount->baseline);
    csv_number(out, true, headcount->current);
    csv_number(out, true, headcount->reduction);
    csv_percent(out, headcount->percent);
    csv_end_row(out);
}

void totals_csv(const struct totals *totals, struct buffer *out)
{
    csv_begin(out, "sector,baseline,current,reduction,reduction_percent");
    headcount_row("all", &totals->headcount, out);
    for (int i = 0; i < SECTORS; i++)
        headcount_row(sector_name((enum sector)i), &totals->by_sector[i], out);
}

void agencies_csv(const struct figures *figures, struct buffer *out)
{
    csv_begin(out, "id,name_vi,name_en,baseline,current,reduction,reduction_percent");
    for (size_t i = 0; i < figures->agency_count; i++) {
        const struct agency_figures *agency = &figures->agencies[i];
        csv_text(out, agency->id);
        csv_text(out, agency->name ? agency->name->name[LANGUAGE_VI] : slice_of(""));
        csv_text(out, agency->name ? agency->name->name[LANGUAGE_EN] : slice_of(""));
        csv_number(out, true, agency->headcount.baseline);
        csv_number(out, true, agency->headcount.current);
        csv_number(out, true, agency->headcount.reduction);
        csv_percent(out, agency->headcount.percent);
        csv_end_row(out);
    }
}

void units_csv(const struct totals *totals, struct buffer *out)
{
    csv_begin(out, "category,baseline,current,change,merged,mergers");
    for (int i = 0; i < CATEGORIES; i++) {
        const struct units *units = &totals->units[i];
        csv_text(out, slice_of(unit_category_name((enum unit_category)i)));
        csv_number(out, units->has_baseline, units->baseline);
        csv_number(out, units->has_baseline, units->current);
        csv_number(out, true, units->change);
        csv_number(out, true, units->merged);
        csv_number(out, true, units->mergers);
        csv_end_row(out);
    }
}

void visitors_csv(const struct figures *figures, struct buffer *out)
{
    char date[DATE_TEXT_SIZE];
    csv_begin(out, "date,visits");
    for (size_t i = 0; i < figures->day_count; i++) {
        if (figures->days[i].measure != DAY_VISITS)
            continue;
        csv_text(out, slice_of(date_format(figures->days[i].date, date)));
        csv_number(out, true, figures->days[i].amount);
        csv_end_row(out);
    }
}

void history_csv(const struct history *history, struct buffer *out)
{
    char date[DATE_TEXT_SIZE], header[96];
    snprintf(header, sizeof header, "date,%s", history_measure_name(history->measure));
    csv_begin(out, header);
    for (size_t i = 0; i < history->count; i++) {
        const struct history_point *point = &history->points[i];
        csv_text(out, slice_of(date_format(point->date, date)));
        if (history->measure == HISTORY_REDUCTION_PERCENT)
            csv_percent(out, point->percent);
        else
            csv_number(out, point->has_value, point->value);
        csv_end_row(out);
    }
}

void changes_csv(const struct figures *figures, const struct changes_query *query, struct buffer *out)
{
    static const char *const columns[] = {"type",   "agency", "effective_date", "sector",      "reason",   "delta",    "category", "kind",
                                          "units_before", "units_after", "pilot_model", "district", "decision", "occurred_at", "source",
                                          "event_id", "reverses"};
    size_t places[CHANGES_LIMIT_MOST];
    bool more;
    size_t count = changes_select(figures, query, places, &more);
    csv_begin(out, "id,type,agency,effective_date,sector,reason,delta,category,kind,units_before,units_after,pilot_model,district,"
                   "decision,occurred_at,source,event_id,reverses");
    for (size_t i = 0; i < count; i++) {
        const struct snapshot_change *change = &figures->snapshot.changes[places[i]];
        csv_text(out, change->id);
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
            struct slice value = change_field(change, columns[c]);
            int64_t number;
            if (integer_parse(value, &number))
                csv_number(out, true, number);
            else
                csv_text(out, value.data ? value : slice_of(""));
        }
        csv_end_row(out);
    }
}
