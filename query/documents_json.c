/* The query server's answers as JSON. Pure. */
#include <inttypes.h>

#include "base/json_text.h"
#include "query/documents.h"

void document_begin(const struct totals *totals, struct buffer *out)
{
    buffer_printf(out, "\"city\":\"%s\",", totals->city);
    totals_as_of_json(totals, out);
}

static void agency_object(const struct agency_figures *agency, struct buffer *out)
{
    buffer_text_append(out, "{\"id\":");
    json_text_append(out, agency->id);
    buffer_text_append(out, ",\"name\":");
    if (agency->name) {
        buffer_text_append(out, "{\"vi\":");
        json_text_append(out, agency->name->name[LANGUAGE_VI]);
        buffer_text_append(out, ",\"en\":");
        json_text_append(out, agency->name->name[LANGUAGE_EN]);
        buffer_text_append(out, "}");
    } else {
        buffer_text_append(out, "null");
    }
    buffer_text_append(out, ",\"headcount\":{");
    headcount_json(&agency->headcount, out);
    buffer_text_append(out, "}");
}

void agencies_array_json(const struct figures *figures, struct buffer *out)
{
    buffer_text_append(out, "[");
    for (size_t i = 0; i < figures->agency_count; i++) {
        buffer_text_append(out, i ? "," : "");
        agency_object(&figures->agencies[i], out);
        buffer_text_append(out, "}");
    }
    buffer_text_append(out, "]");
}

void agencies_json(const struct figures *figures, const struct totals *totals, struct buffer *out)
{
    buffer_text_append(out, "{");
    document_begin(totals, out);
    buffer_text_append(out, ",\"agencies\":");
    agencies_array_json(figures, out);
    buffer_text_append(out, "}\n");
}

static void changes_array(const struct figures *figures, const struct changes_query *query, struct buffer *out)
{
    size_t places[CHANGES_LIMIT_MOST];
    bool more;
    size_t count = changes_select(figures, query, places, &more);
    buffer_text_append(out, ",\"changes\":[");
    for (size_t i = 0; i < count; i++) {
        buffer_text_append(out, i ? "," : "");
        change_json(figures, &figures->snapshot.changes[places[i]], out);
    }
    buffer_text_append(out, "],\"next\":");
    json_text_append(out, more && count ? figures->snapshot.changes[places[count - 1]].id : (struct slice){0});
}

void agency_json(const struct figures *figures, const struct totals *totals, const struct agency_figures *agency,
                 struct buffer *out)
{
    buffer_text_append(out, "{");
    document_begin(totals, out);
    buffer_text_append(out, ",\"agency\":");
    agency_object(agency, out);
    buffer_text_append(out, "}");
    changes_array(figures,
                  &(struct changes_query){.agency = agency->id,
                                          .limit = CHANGES_LIMIT_DEFAULT,
                                          .before_version = INT64_MAX,
                                          .before_number = INT64_MAX},
                  out);
    buffer_text_append(out, "}\n");
}

void units_json(const struct totals *totals, struct buffer *out)
{
    buffer_text_append(out, "{");
    document_begin(totals, out);
    buffer_text_append(out, ",");
    totals_units_json(totals, out);
    buffer_text_append(out, ",");
    totals_pilots_json(totals, out);
    buffer_text_append(out, "}\n");
}

void visitors_json(const struct figures *figures, const struct totals *totals, struct buffer *out)
{
    size_t first = figures->day_count, shown = 0;
    while (first > 0 && shown < VISIT_DAYS_SHOWN)
        shown += figures->days[--first].measure == DAY_VISITS;
    buffer_text_append(out, "{");
    document_begin(totals, out);
    buffer_text_append(out, ",");
    totals_visitors_json(totals, out);
    buffer_text_append(out, ",\"by_day\":[");
    shown = 0;
    for (size_t i = first; i < figures->day_count; i++) {
        char date[DATE_TEXT_SIZE];
        if (figures->days[i].measure == DAY_VISITS)
            buffer_printf(out, "%s{\"date\":\"%s\",\"visits\":%" PRId64 "}", shown++ ? "," : "",
                          date_format(figures->days[i].date, date), figures->days[i].amount);
    }
    buffer_text_append(out, "]}\n");
}

void history_json(const struct history *history, const struct totals *totals, struct buffer *out)
{
    char from[DATE_TEXT_SIZE], to[DATE_TEXT_SIZE], date[DATE_TEXT_SIZE];
    buffer_text_append(out, "{");
    document_begin(totals, out);
    buffer_printf(out, ",\"measure\":\"%s\",\"step\":\"%s\",\"from\":\"%s\",\"to\":\"%s\",\"points\":[",
                  history_measure_name(history->measure), history_step_name(history->step), date_format(history->from, from),
                  date_format(history->to, to));
    for (size_t i = 0; i < history->count; i++) {
        const struct history_point *point = &history->points[i];
        buffer_printf(out, "%s{\"date\":\"%s\",\"value\":", i ? "," : "", date_format(point->date, date));
        if (!point->has_value)
            buffer_text_append(out, "null}");
        else if (history->measure == HISTORY_REDUCTION_PERCENT)
            buffer_printf(out, "\"%s\"}", point->percent);
        else
            buffer_printf(out, "%" PRId64 "}", point->value);
    }
    buffer_text_append(out, "]}\n");
}

bool change_id_parse(struct slice text, int64_t *ret_version, int64_t *ret_number)
{
    const char *dash = text.data ? memchr(text.data, '-', text.size) : NULL;
    int64_t version, number;
    if (!dash || !integer_parse((struct slice){text.data, (size_t)(dash - text.data)}, &version) ||
        !integer_parse((struct slice){dash + 1, text.size - (size_t)(dash - text.data) - 1}, &number) || version < 0 ||
        number < 0)
        return false;
    *ret_version = version;
    *ret_number = number;
    return true;
}

bool change_category_is_known(struct slice category)
{
    for (int i = 0; i < CATEGORIES; i++)
        if (slice_equal(category, slice_of(unit_category_name((enum unit_category)i))))
            return true;
    for (int i = 0; i < SECTORS; i++)
        if (slice_equal(category, slice_of(sector_name((enum sector)i))))
            return true;
    return false;
}

static bool change_matches(const struct snapshot_change *change, const struct changes_query *query)
{
    int64_t version, number;
    if (!change_id_parse(change->id, &version, &number) || version > query->before_version ||
        (version == query->before_version && number >= query->before_number))
        return false;
    if (query->agency.data && !slice_equal(query->agency, change_field(change, "agency")))
        return false;
    return !query->category.data || slice_equal(query->category, change_field(change, "category")) ||
           slice_equal(query->category, change_field(change, "sector"));
}

size_t changes_select(const struct figures *figures, const struct changes_query *query, size_t places[CHANGES_LIMIT_MOST],
                      bool *ret_more)
{
    size_t count = 0;
    *ret_more = false;
    for (size_t i = 0; i < figures->snapshot.change_count && !*ret_more; i++) {
        if (!change_matches(&figures->snapshot.changes[i], query))
            continue;
        if ((int64_t)count == query->limit)
            *ret_more = true;
        else
            places[count++] = i;
    }
    return count;
}

static bool is_number(struct slice field)
{
    return slice_equal(field, slice_of("delta")) || slice_equal(field, slice_of("units_before")) ||
           slice_equal(field, slice_of("units_after")) || slice_equal(field, slice_of("offset"));
}

void change_json(const struct figures *figures, const struct snapshot_change *change, struct buffer *out)
{
    (void)figures;
    buffer_text_append(out, "{\"id\":");
    json_text_append(out, change->id);
    for (size_t i = 0; i < change->fields.count; i++) {
        const struct snapshot_cell *cell = &change->fields.cells[i];
        int64_t number;
        buffer_text_append(out, ",");
        json_text_append(out, cell->field);
        buffer_text_append(out, ":");
        if (is_number(cell->field) && integer_parse(cell->value, &number))
            buffer_printf(out, "%" PRId64, number);
        else
            json_text_append(out, cell->value);
    }
    buffer_text_append(out, "}");
}

void changes_json(const struct figures *figures, const struct totals *totals, const struct changes_query *query,
                  struct buffer *out)
{
    buffer_text_append(out, "{");
    document_begin(totals, out);
    changes_array(figures, query, out);
    buffer_text_append(out, "}\n");
}
