/* The latest changes as an Atom feed. Pure. */
#include "query/documents.h"
#include "query/markup.h"
#include "query/text.h"

enum { ENTRIES_MOST = 100 };

static void title(const struct figures *figures, const struct snapshot_change *change, struct buffer *out)
{
    struct slice agency = change_field(change, "agency"), decision = change_field(change, "decision");
    const struct agency_figures *known = figures_agency(figures, agency);
    markup_text(out, known && known->name ? known->name->name[LANGUAGE_VI] : agency);
    buffer_text_append(out, ": ");
    if (slice_equal(change_field(change, "type"), slice_of("headcount-change"))) {
        buffer_text_append(out, "biên chế ");
        if (change_field(change, "delta").size && *change_field(change, "delta").data != '-')
            buffer_text_append(out, "+");
        markup_text(out, change_field(change, "delta"));
    } else {
        buffer_text_append(out, "đơn vị ");
        markup_text(out, change_field(change, "units_before"));
        buffer_text_append(out, " → ");
        markup_text(out, change_field(change, "units_after"));
    }
    if (change_field(change, "reverses").data)
        buffer_text_append(out, " (hủy)");
    if (decision.data) {
        buffer_text_append(out, " · ");
        markup_text(out, decision);
    }
}

void changes_atom(const struct figures *figures, const struct totals *totals, struct buffer *out)
{
    char updated[TIMESTAMP_TEXT_SIZE];
    timestamp_format(totals->has_updated_at ? totals->updated_at_ms : 0, updated);
    buffer_printf(out,
                  "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\" xml:lang=\"vi\">\n"
                  "<id>urn:citytotals:%s:changes</id>\n<title>%s: thay đổi mới nhất</title>\n<updated>%s</updated>\n"
                  "<author><name>citytotals</name></author>\n",
                  totals->city, text_city_name(LANGUAGE_VI, totals->city), updated);
    for (size_t i = 0; i < figures->snapshot.change_count && i < ENTRIES_MOST; i++) {
        const struct snapshot_change *change = &figures->snapshot.changes[i];
        buffer_text_append(out, "<entry><id>urn:uuid:");
        markup_text(out, change_field(change, "event_id"));
        buffer_text_append(out, "</id><updated>");
        markup_text(out, change_field(change, "occurred_at"));
        buffer_text_append(out, "</updated><title>");
        title(figures, change, out);
        buffer_text_append(out, "</title><content type=\"text\">");
        for (size_t f = 0; f < change->fields.count; f++) {
            markup_text(out, change->fields.cells[f].field);
            buffer_text_append(out, " = ");
            markup_text(out, change->fields.cells[f].value);
            buffer_text_append(out, "\n");
        }
        buffer_text_append(out, "</content></entry>\n");
    }
    buffer_text_append(out, "</feed>\n");
}
