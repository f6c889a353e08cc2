/* Makes the inspection report out of a city's figures. Pure. */
#include "query/report.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { DATE_SIZE = 10, DIGEST_TEXT_MOST = 64 << 20 };

void report_free(struct report *report)
{
    totals_free(&report->totals);
    free(report->decisions);
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

struct digest_line {
    const char *hash;
    const struct snapshot_cell *cell;
};

static int line_compare(const void *a, const void *b)
{
    const struct digest_line *left = a, *right = b;
    int order = strcmp(left->hash, right->hash);
    return order ? order : slice_compare(left->cell->field, right->cell->field);
}

static int make_digest(struct report *report, int32_t as_of, struct error *error)
{
    static const enum snapshot_hash hashes[] = {SNAPSHOT_HEADCOUNT_BY_DAY, SNAPSHOT_PILOTS_BY_DAY, SNAPSHOT_UNITS_BY_DAY};
    const struct snapshot *snapshot = &report->figures->snapshot;
    struct buffer text = BUFFER_BOUNDED(DIGEST_TEXT_MOST);
    char date[DATE_TEXT_SIZE];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    size_t count = 0, most = 1;
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        most += snapshot->hashes[hashes[i]].count;
    struct digest_line *lines = calloc(most, sizeof *lines);
    if (!lines)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        for (size_t c = 0; c < snapshot->hashes[hashes[i]].count; c++) {
            const struct snapshot_cell *cell = &snapshot->hashes[hashes[i]].cells[c];
            int32_t day;
            if (cell->field.size > DATE_SIZE && date_parse((struct slice){cell->field.data, DATE_SIZE}, &day) && day <= as_of &&
                !slice_equal(cell->value, slice_of("0")))
                lines[count++] = (struct digest_line){snapshot_hash_suffix(hashes[i]), cell};
        }
    qsort(lines, count, sizeof *lines, line_compare);
    buffer_printf(&text, "citytotals-report 1 %s %s\n", report->totals.city, date_format(as_of, date));
    for (size_t i = 0; i < count; i++) {
        buffer_printf(&text, "%s ", lines[i].hash);
        buffer_slice_append(&text, lines[i].cell->field);
        buffer_text_append(&text, " ");
        buffer_slice_append(&text, lines[i].cell->value);
        buffer_text_append(&text, "\n");
    }
    bool ok = !buffer_failed(&text) && EVP_Digest(text.data, text.size, digest, &size, EVP_sha256(), NULL) == 1 && size == 32;
    for (size_t i = 0; ok && i < size; i++)
        snprintf(report->digest + 2 * i, 3, "%02x", digest[i]);
    buffer_free(&text);
    free(lines);
    return ok ? 0 : error_set(error, ERROR_MEMORY, "make the report's digest: out of memory");
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
