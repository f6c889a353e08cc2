/* Rows of changes as text, CSV and JSON. */
#include "query/changes_show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/documents.h"
#include "query/text.h"

static struct slice field_of(const struct snapshot_change *change, const char *name)
{
    struct slice value = change_field(change, name);
    return value.data ? value : slice_of("");
}

static bool matches(const struct ledger_filter *filter, const struct snapshot_change *change)
{
    int32_t date;
    if (!date_parse(field_of(change, "effective_date"), &date) || date < filter->from || date > filter->to)
        return false;
    if (filter->agency.data && !slice_equal(filter->agency, change_field(change, "agency")))
        return false;
    return !filter->category.data || slice_equal(filter->category, change_field(change, "category")) ||
           slice_equal(filter->category, change_field(change, "sector"));
}

int change_rows_from_stream(const struct trace *trace, struct change_rows *ret_rows, struct error *error)
{
    struct change_rows rows = {.rows = calloc(trace->snapshot.change_count + 1, sizeof *rows.rows)};
    if (!rows.rows)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < trace->snapshot.change_count && !rows.more; i++) {
        if (!matches(&trace->filter, &trace->snapshot.changes[i]))
            continue;
        if (rows.count == trace->filter.limit)
            rows.more = true;
        else
            rows.rows[rows.count++] = &trace->snapshot.changes[i];
    }
    *ret_rows = rows;
    return 0;
}

int change_rows_from_ledger(const struct trace *trace, struct change_rows *ret_rows, struct error *error)
{
    size_t count;
    const struct ledger_entry *entries = ledger_entries(trace->ledger, &count);
    struct change_rows rows = {.rows = calloc(count + 1, sizeof *rows.rows), .owned = true};
    for (; rows.rows && rows.count < count; rows.count++) {
        rows.rows[rows.count] = ledger_change(trace->totals.city, &entries[rows.count]);
        if (!rows.rows[rows.count])
            break;
    }
    if (!rows.rows || rows.count < count) {
        change_rows_free(&rows);
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    rows.more = ledger_sums(trace->ledger)->events > (int64_t)count;
    *ret_rows = rows;
    return 0;
}

void change_rows_free(struct change_rows *rows)
{
    for (size_t i = 0; rows->owned && rows->rows && i < rows->count; i++)
        free((void *)(uintptr_t)rows->rows[i]);
    free(rows->rows);
    *rows = (struct change_rows){0};
}

/* A text that somebody sent, without what could steer a terminal. */
static void put(struct buffer *out, const char *before, struct slice value)
{
    char safe[1024];
    if (value.size == 0)
        return;
    text_fit(value, (int)sizeof safe, safe, sizeof safe);
    buffer_printf(out, "%s%s", before, safe);
}

/* The words of the schemas as the text has them: as they are in English, so that they can be looked for. */
static struct slice shown(enum language language, bool merger, struct slice word)
{
    if (language == LANGUAGE_EN)
        return word;
    for (int i = 0; i < SECTORS && !merger; i++)
        if (slice_equal(word, slice_of(sector_name((enum sector)i))))
            return slice_of(text_sector(language, (enum sector)i));
    for (int i = 0; i < CATEGORIES && merger; i++)
        if (slice_equal(word, slice_of(unit_category_name((enum unit_category)i))))
            return slice_of(text_category(language, (enum unit_category)i));
    for (int i = 0; i < REASONS && !merger; i++)
        if (slice_equal(word, slice_of(headcount_reason_name((enum headcount_reason)i))))
            return slice_of(text_reason(language, (enum headcount_reason)i));
    for (int i = 0; i < KINDS && merger; i++)
        if (slice_equal(word, slice_of(merger_kind_name((enum merger_kind)i))))
            return slice_of(text_kind(language, (enum merger_kind)i));
    return word;
}

void change_rows_text(const struct change_rows *rows, enum language language, struct buffer *out)
{
    bool vi = language == LANGUAGE_VI;
    for (size_t i = 0; i < rows->count; i++) {
        const struct snapshot_change *change = rows->rows[i];
        bool merger = change_field(change, "category").data != NULL;
        struct slice sort = field_of(change, merger ? "category" : "sector"), why = field_of(change, merger ? "kind" : "reason");
        put(out, change_field(change, "reverses").data ? "- " : "+ ", field_of(change, "effective_date"));
        put(out, "  ", field_of(change, "agency"));
        put(out, "  ", shown(language, merger, sort));
        put(out, "  ", shown(language, merger, why));
        put(out, "  ", field_of(change, merger ? "units_before" : "delta"));
        put(out, vi ? " thành " : " to ", field_of(change, "units_after"));
        put(out, vi ? "  thí điểm " : "  pilot ", field_of(change, "pilot_model"));
        put(out, vi ? " ở " : " in ", field_of(change, "district"));
        put(out, vi ? "  quyết định " : "  decision ", field_of(change, "decision"));
        put(out, "\n    ", field_of(change, "at"));
        put(out, " offset ", field_of(change, "offset"));
        put(out, vi ? ", nguồn " : ", source ", field_of(change, "source"));
        put(out, vi ? ", mã sự kiện " : ", event id ", field_of(change, "event_id"));
        put(out, vi ? ", hủy sự kiện " : ", reverses ", field_of(change, "reverses"));
        buffer_text_append(out, "\n");
    }
}

void change_rows_csv(const struct change_rows *rows, struct buffer *out)
{
    static const char *const columns[] = {"type", "agency", "effective_date", "sector", "reason", "delta", "category", "kind", "units_before",
                                          "units_after", "pilot_model", "district", "decision", "occurred_at", "source", "event_id",
                                          "reverses", "at", "offset"};
    static const char *const numbers[] = {"delta", "units_before", "units_after", "offset"};
    csv_begin(out, "type,agency,effective_date,sector,reason,delta,category,kind,units_before,units_after,pilot_model,district,decision,"
                   "occurred_at,source,event_id,reverses,at,offset");
    for (size_t i = 0; i < rows->count; i++) {
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
            struct slice value = field_of(rows->rows[i], columns[c]);
            int64_t number;
            bool is_number = false;
            for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
                is_number = is_number || strcmp(columns[c], numbers[n]) == 0;
            if (is_number && integer_parse(value, &number))
                csv_number(out, true, number);
            else
                csv_text(out, value);
        }
        csv_end_row(out);
    }
}

void change_rows_json(const struct change_rows *rows, struct buffer *out)
{
    buffer_text_append(out, "\"changes\":[");
    for (size_t i = 0; i < rows->count; i++) {
        buffer_text_append(out, i ? "," : "");
        change_json(NULL, rows->rows[i], out);
    }
    buffer_text_append(out, "]");
}

void ledger_sums_json(const struct ledger_sums *sums, struct buffer *out)
{
    buffer_printf(out, "\"sums\":{\"events\":%" PRId64 ",\"headcount\":{\"baseline\":%" PRId64 ",\"current\":%" PRId64 "},\"units\":{",
                  sums->events, sums->headcount_baseline, sums->headcount_current);
    for (int i = 0; i < CATEGORIES; i++) {
        const struct ledger_units *units = &sums->units[i];
        buffer_printf(out, "%s\"%s\":{\"baseline\":%" PRId64 ",\"change\":%" PRId64 ",\"merged\":%" PRId64 ",\"mergers\":%" PRId64 "}", i ? "," : "",
                      unit_category_name((enum unit_category)i), units->baseline, units->change, units->merged, units->mergers);
    }
    buffer_text_append(out, "}}");
}

int changes_write(const struct buffer *out, struct error *error)
{
    if (buffer_failed(out))
        return error_set(error, ERROR_LIMIT, "the list is over %zu bytes; give a smaller --limit", out->bound);
    bool ok = fwrite(out->data, 1, out->size, stdout) == out->size && fflush(stdout) == 0;
    return ok || errno == EPIPE ? 0 : error_set(error, ERROR_IO, "write to standard output: %s", strerror(errno));
}
