/* An event of the log in the form that the stream of changes has. Pure. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "query/ledger.h"
#include "schemas/identity.h"

enum { FIELDS_MOST = 24, SCRATCH_SIZE = 512 };

struct row {
    struct snapshot_change change;
    struct snapshot_cell cells[FIELDS_MOST];
    char scratch[SCRATCH_SIZE]; /* what is formatted; texts follow the row */
    char texts[];
};

struct writer {
    struct row *row;
    size_t scratch_used, texts_used;
};

static void cell(struct writer *writer, const char *field, struct slice value)
{
    if (value.data)
        writer->row->cells[writer->row->change.fields.count++] = (struct snapshot_cell){slice_of(field), value};
}

static void text(struct writer *writer, const char *field, struct slice value)
{
    char *place = writer->row->texts + writer->texts_used;
    if (value.size)
        memcpy(place, value.data, value.size);
    writer->texts_used += value.size;
    cell(writer, field, (struct slice){value.data ? place : NULL, value.size});
}

static void format(struct writer *writer, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void format(struct writer *writer, const char *field, const char *format, ...)
{
    char *place = writer->row->scratch + writer->scratch_used;
    va_list list;
    va_start(list, format);
    int size = vsnprintf(place, SCRATCH_SIZE - writer->scratch_used, format, list);
    va_end(list);
    size_t room = SCRATCH_SIZE - writer->scratch_used, used = (size_t)size < room ? (size_t)size : room - 1;
    writer->scratch_used += used + 1 < room ? used + 1 : room - 1;
    cell(writer, field, (struct slice){place, used});
}

struct snapshot_change *ledger_change(const char *city, const struct ledger_entry *entry)
{
    const struct event *event = entry->event;
    bool merger = event->type == EVENT_UNIT_MERGER;
    char id[EVENT_ID_TEXT_SIZE], date[DATE_TEXT_SIZE], time[TIMESTAMP_TEXT_SIZE];
    size_t size = event->source.size + event->agency.size + event->decision.size;
    if (merger)
        size += event->merger.pilot_model.size + event->merger.district.size;
    struct row *row = calloc(1, sizeof *row + size + 1);
    if (!row)
        return NULL;
    struct writer writer = {.row = row};
    row->change.fields.cells = row->cells;
    cell(&writer, "type", slice_of(event_type_name(event->type)));
    format(&writer, "event_id", "%s", event_id_format(event->event_id, id));
    text(&writer, "source", event->source);
    text(&writer, "agency", event->agency);
    format(&writer, "effective_date", "%s", date_format(event->effective_date, date));
    format(&writer, "occurred_at", "%s", timestamp_format(event->occurred_at_ms, time));
    if (merger) {
        cell(&writer, "category", slice_of(unit_category_name(event->merger.category)));
        cell(&writer, "kind", slice_of(merger_kind_name(event->merger.kind)));
        format(&writer, "units_before", "%" PRId32, event->merger.units_before);
        format(&writer, "units_after", "%" PRId32, event->merger.units_after);
        text(&writer, "pilot_model", event->merger.pilot_model);
        text(&writer, "district", event->merger.district);
    } else {
        cell(&writer, "sector", slice_of(sector_name(event->headcount.sector)));
        cell(&writer, "reason", slice_of(headcount_reason_name(event->headcount.reason)));
        format(&writer, "delta", "%" PRId32, event->headcount.delta);
    }
    text(&writer, "decision", event->decision);
    if (event->has_reverses)
        format(&writer, "reverses", "%s", event_id_format(event->reverses, id));
    format(&writer, "at", "%s.%s/%" PRId32, city, entry->topic, entry->partition);
    format(&writer, "offset", "%" PRId64, entry->offset);
    return &row->change;
}
