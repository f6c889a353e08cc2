/* An organisational event as JSON, in the public contract's names. Pure. */
#include "schemas/event_json.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "schemas/identity.h"

static void text(struct buffer *out, const char *name, struct slice value)
{
    if (!value.data)
        return;
    buffer_printf(out, ",\"%s\":", name);
    json_text_append(out, value);
}

static void units(struct buffer *out, const char *name, const struct unit *list, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < UNIT_LIST_MOST; i++) {
        if (i == 0)
            buffer_printf(out, ",\"%s\":[", name);
        buffer_text_append(out, i ? ",{\"id\":" : "{\"id\":");
        json_text_append(out, list[i].id);
        text(out, "name", list[i].name);
        buffer_text_append(out, "}");
    }
    if (count)
        buffer_text_append(out, "]");
}

static void append(struct buffer *out, const struct event *event, bool as_input)
{
    char id[EVENT_ID_TEXT_SIZE], date[DATE_TEXT_SIZE], time[TIMESTAMP_TEXT_SIZE];
    buffer_printf(out, "\"type\":\"%s\"", event_type_name(event->type));
    if (!as_input)
        buffer_printf(out, ",\"event_id\":\"%s\"", event_id_format(event->event_id, id));
    text(out, "source", event->source);
    text(out, "agency", event->agency);
    if (event->type == EVENT_HEADCOUNT_CHANGE) {
        buffer_printf(out, ",\"sector\":\"%s\",\"reason\":\"%s\",\"delta\":%" PRId32, sector_name(event->headcount.sector),
                      headcount_reason_name(event->headcount.reason), event->headcount.delta);
    } else {
        buffer_printf(out, ",\"category\":\"%s\",\"kind\":\"%s\",\"units_before\":%" PRId32 ",\"units_after\":%" PRId32,
                      unit_category_name(event->merger.category), merger_kind_name(event->merger.kind), event->merger.units_before,
                      event->merger.units_after);
        units(out, "merged_units", event->merger.merged_units, event->merger.merged_count);
        units(out, "resulting_units", event->merger.resulting_units, event->merger.resulting_count);
        text(out, "pilot_model", event->merger.pilot_model);
        text(out, "district", event->merger.district);
    }
    buffer_printf(out, ",\"effective_date\":\"%s\",\"occurred_at\":\"%s\"", date_format(event->effective_date, date),
                  timestamp_format(event->occurred_at_ms, time));
    text(out, "decision", event->decision);
    if (event->has_reverses)
        buffer_printf(out, ",\"%s\":\"%s\"", as_input ? "reverses_event_id" : "reverses", event_id_format(event->reverses, id));
}

void event_json_append(struct buffer *out, const struct event *event)
{
    append(out, event, false);
}

void event_json_append_reversal(struct buffer *out, const struct event *event)
{
    append(out, event, true);
}
