/* The totals as one line of JSON, in the public order of keys. Pure. Every text in it is an id, a number or a date, so
 * nothing needs an escape. */
#include <inttypes.h>

#include "query/totals.h"

static void number_or_null(struct buffer *out, const char *key, bool has, int64_t number)
{
    if (has)
        buffer_printf(out, "\"%s\":%" PRId64, key, number);
    else
        buffer_printf(out, "\"%s\":null", key);
}

static void text_or_null(struct buffer *out, const char *key, const char *text)
{
    if (*text)
        buffer_printf(out, "\"%s\":\"%s\"", key, text);
    else
        buffer_printf(out, "\"%s\":null", key);
}

void headcount_json(const struct headcount *headcount, struct buffer *out)
{
    buffer_printf(out, "\"baseline\":%" PRId64 ",\"current\":%" PRId64 ",\"reduction\":%" PRId64 ",", headcount->baseline,
                  headcount->current, headcount->reduction);
    text_or_null(out, "reduction_percent", headcount->percent);
}

void totals_as_of_json(const struct totals *totals, struct buffer *out)
{
    char updated_at[TIMESTAMP_TEXT_SIZE] = "", read_at[TIMESTAMP_TEXT_SIZE], date[DATE_TEXT_SIZE] = "";
    if (totals->has_updated_at)
        timestamp_format(totals->updated_at_ms, updated_at);
    if (totals->by_date)
        date_format(totals->date, date);
    buffer_printf(out, "\"as_of\":{\"version\":%" PRId64 ",", totals->version);
    text_or_null(out, "updated_at", updated_at);
    buffer_printf(out, ",\"read_at\":\"%s\",", timestamp_format(totals->read_at_ms, read_at));
    text_or_null(out, "date", date);
    buffer_text_append(out, ",");
    number_or_null(out, "lag", totals->has_lag, totals->lag);
    buffer_printf(out, ",\"stale\":%s}", totals->stale ? "true" : "false");
}

void totals_units_json(const struct totals *totals, struct buffer *out)
{
    buffer_text_append(out, "\"units\":{");
    for (int i = 0; i < CATEGORIES; i++) {
        const struct units *units = &totals->units[i];
        buffer_printf(out, "%s\"%s\":{", i ? "," : "", unit_category_name((enum unit_category)i));
        number_or_null(out, "baseline", units->has_baseline, units->baseline);
        buffer_text_append(out, ",");
        number_or_null(out, "current", units->has_baseline, units->current);
        buffer_printf(out, ",\"change\":%" PRId64 ",\"merged\":%" PRId64 ",\"mergers\":%" PRId64 "}", units->change,
                      units->merged, units->mergers);
    }
    buffer_text_append(out, "}");
}

void totals_pilots_json(const struct totals *totals, struct buffer *out)
{
    buffer_printf(out, "\"pilots\":{\"models\":%zu,\"districts\":%zu,\"pairs\":[", totals->models, totals->districts);
    for (size_t i = 0; i < totals->pilot_count; i++)
        buffer_printf(out, "%s{\"model\":\"%s\",\"district\":\"%s\"}", i ? "," : "", totals->pilots[i].model,
                      totals->pilots[i].district);
    buffer_text_append(out, "]}");
}

void totals_visitors_json(const struct totals *totals, struct buffer *out)
{
    const struct visitors *visitors = &totals->visitors;
    if (totals->by_date)
        buffer_text_append(out, "\"visitors\":null");
    else
        buffer_printf(out,
                      "\"visitors\":{\"online\":%" PRId64 ",\"today\":%" PRId64 ",\"this_week\":%" PRId64
                      ",\"all\":%" PRId64 ",\"today_visitors\":%" PRId64 "}",
                      visitors->online, visitors->today, visitors->this_week, visitors->all, visitors->today_visitors);
}

void totals_headcount_json(const struct totals *totals, struct buffer *out)
{
    buffer_text_append(out, "\"headcount\":{");
    headcount_json(&totals->headcount, out);
    buffer_printf(out, ",\"target_percent\":\"%d\",\"target_date\":\"" TARGET_DATE "\",\"target_met\":%s,", TARGET_PERCENT,
                  totals->target_met ? "true" : "false");
    number_or_null(out, "effective_later", !totals->by_date, totals->effective_later);
    buffer_text_append(out, ",\"by_sector\":{");
    for (int i = 0; i < SECTORS; i++) {
        buffer_printf(out, "%s\"%s\":{", i ? "," : "", sector_name((enum sector)i));
        headcount_json(&totals->by_sector[i], out);
        buffer_text_append(out, "}");
    }
    buffer_text_append(out, "}}");
}

int totals_json(const struct totals *totals, struct buffer *out, struct error *error)
{
    buffer_printf(out, "{\"city\":\"%s\",", totals->city);
    totals_as_of_json(totals, out);
    buffer_text_append(out, ",");
    totals_headcount_json(totals, out);
    buffer_text_append(out, ",");
    totals_units_json(totals, out);
    buffer_text_append(out, ",");
    totals_pilots_json(totals, out);
    buffer_text_append(out, ",");
    totals_visitors_json(totals, out);
    buffer_text_append(out, ",");
    number_or_null(out, "events", !totals->by_date, totals->events);
    buffer_text_append(out, ",");
    number_or_null(out, "dead_letters", !totals->by_date, totals->dead_letters);
    buffer_text_append(out, "}\n");
    return buffer_failed(out) ? error_set(error, ERROR_LIMIT, "the totals as JSON are over %zu bytes", out->bound) : 0;
}
