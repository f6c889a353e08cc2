/* Makes the inspection report out of a city's figures. Pure. */
#include "query/report.h"

#include <stdio.h>
#include <stdlib.h>

enum { SEAL_TEXT_MOST = 64 * 1024 };

void report_free(struct report *report)
{
    totals_free(&report->totals);
    free(report->decisions);
    free(report->seal);
    *report = (struct report){0};
}

static int slice_compare(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int decision_compare(const void *a, const void *b)
{
    const struct report_decision *left = a, *right = b;
    if (left->date != right->date)
        return left->date < right->date ? -1 : 1;
    int order = slice_compare(left->agency, right->agency);
    return order ? order : slice_compare(left->decision, right->decision);
}

static int list_decisions(struct report *report, int32_t as_of, struct error *error)
{
    const struct snapshot *snapshot = &report->figures->snapshot;
    size_t count = 0, kept = 0;
    int64_t number;
    report->decisions = calloc(snapshot->change_count + 1, sizeof *report->decisions);
    if (!report->decisions)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < snapshot->change_count; i++) {
        const struct snapshot_change *change = &snapshot->changes[i];
        struct report_decision *decision = &report->decisions[count];
        *decision = (struct report_decision){.agency = change_field(change, "agency"),
                                             .decision = change_field(change, "decision"), .events = 1};
        if (decision->agency.data && decision->decision.data && date_parse(change_field(change, "effective_date"), &decision->date) &&
            decision->date <= as_of)
            count++;
    }
    qsort(report->decisions, count, sizeof *report->decisions, decision_compare);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && decision_compare(&report->decisions[kept - 1], &report->decisions[i]) == 0)
            report->decisions[kept - 1].events++;
        else
            report->decisions[kept++] = report->decisions[i];
    }
    report->decision_count = kept;
    report->complete = (int64_t)snapshot->change_count == report->figures->totals.events;
    if (snapshot->change_count)
        change_id_parse(snapshot->changes[snapshot->change_count - 1].id, &report->oldest_version, &number);
    return 0;
}

static int make_digest(struct report *report, int32_t as_of, struct error *error)
{
    static const enum snapshot_hash hashes[] = {SNAPSHOT_HEADCOUNT_BY_DAY, SNAPSHOT_PILOTS_BY_DAY, SNAPSHOT_UNITS_BY_DAY};
    const struct snapshot *snapshot = &report->figures->snapshot;
    size_t count = 0, most = 1;
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        most += snapshot->hashes[hashes[i]].count;
    struct seal_cell *cells = calloc(most, sizeof *cells);
    if (!cells)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        for (size_t c = 0; c < snapshot->hashes[hashes[i]].count; c++) {
            const struct snapshot_cell *cell = &snapshot->hashes[hashes[i]].cells[c];
            cells[count++] = (struct seal_cell){snapshot_hash_suffix(hashes[i]), cell->field, cell->value};
        }
    int result = report_digest(report->totals.city, as_of, cells, count, report->digest, error);
    free(cells);
    return result;
}

/* Takes "<city>.<topic>/<partition>" → next offset. */
static void take_position(struct report_seal *seal, const struct snapshot_cell *cell)
{
    for (int topic = 0; topic < SEAL_TOPICS; topic++) {
        char name[128];
        int64_t partition, position;
        int size = snprintf(name, sizeof name, "%s.%s/", seal->city, event_topic_suffix((enum event_type)topic));
        if (cell->field.size <= (size_t)size || memcmp(cell->field.data, name, (size_t)size) != 0 ||
            !integer_parse((struct slice){cell->field.data + size, cell->field.size - (size_t)size}, &partition) || partition < 0 ||
            partition >= SEAL_PARTITIONS_MOST || !integer_parse(cell->value, &position) || position < 0)
            continue;
        seal->positions[topic][partition] = position;
        seal->counts[topic] = seal->counts[topic] > (size_t)partition ? seal->counts[topic] : (size_t)partition + 1;
    }
}

static int make_seal(struct report *report, int32_t as_of, struct error *error)
{
    const struct snapshot_cells *offsets = &report->figures->snapshot.hashes[SNAPSHOT_OFFSETS];
    struct report_seal *seal = calloc(1, sizeof *seal);
    struct buffer text = BUFFER_BOUNDED(SEAL_TEXT_MOST);
    if (!seal)
        return error_set(error, ERROR_MEMORY, "out of memory");
    seal->date = as_of;
    snprintf(seal->city, sizeof seal->city, "%s", report->totals.city);
    snprintf(seal->digest, sizeof seal->digest, "%s", report->digest);
    for (size_t i = 0; i < offsets->count; i++)
        take_position(seal, &offsets->cells[i]);
    report_seal_write(seal, &text);
    report->seal = buffer_failed(&text) ? NULL : strdup(buffer_text(&text));
    buffer_free(&text);
    free(seal);
    return report->seal ? 0 : error_set(error, ERROR_MEMORY, "make the report's seal: out of memory");
}

int report_make(const struct figures *figures, int32_t as_of, enum language language, struct report *ret_report,
                struct error *error)
{
    struct report report = {.figures = figures, .language = language};
    int result = totals_make(&figures->snapshot, figures->totals.city, as_of, &report.totals, error);
    if (result >= 0)
        result = list_decisions(&report, as_of, error);
    if (result >= 0)
        result = make_digest(&report, as_of, error);
    if (result >= 0)
        result = make_seal(&report, as_of, error);
    if (result < 0) {
        report_free(&report);
        return result;
    }
    *ret_report = report;
    return 0;
}

struct slice report_agency_name(const struct report *report, struct slice id)
{
    const struct agency_figures *agency = figures_agency(report->figures, id);
    return agency && agency->name ? agency->name->name[report->language] : id;
}
