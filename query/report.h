/* The inspection report: what an inspection team asks for, by the end of a day, as known now. Pure. */
#ifndef CITYTOTALS_QUERY_REPORT_H
#define CITYTOTALS_QUERY_REPORT_H

#include "query/documents.h"
#include "query/text.h"
#include "schemas/report_seal.h"

#define REPORT_LINES_MOST 16
#define REPORT_LINE_SIZE 512

/* A document that events name, with who sent them and from when on they take effect. */
struct report_decision {
    int32_t date;
    struct slice agency, decision;
    int64_t events;
};

/* One of the figures that the city reported to the inspection team. */
struct report_line {
    char label[REPORT_LINE_SIZE], value[REPORT_LINE_SIZE];
};

struct report {
    const struct figures *figures;
    enum language language;
    struct totals totals; /* by the day; owned */
    struct report_decision *decisions; /* by date, agency, document; owned */
    size_t decision_count;
    bool complete;          /* every event is still among the latest changes, so every document is listed */
    int64_t oldest_version; /* of the oldest change known; 0 without any */
    char digest[REPORT_DIGEST_SIZE]; /* see report_digest */
    char *seal; /* a line by which `citytotals-consumer verify --report` proves the digest, see report_seal_write; owned */
};

#define REPORT_DIGEST_OF "headcount:by-day, units:by-day, pilots:by-day"

/* `figures` must outlive the report. */
int report_make(const struct figures *figures, int32_t as_of, enum language language, struct report *ret_report,
                struct error *error);
void report_free(struct report *report); /* safe on a zeroed one, twice */

size_t report_lines(const struct report *report, struct report_line lines[REPORT_LINES_MOST]);
/* The legal basis that the city's report names; NULL for a city that is not known here. */
const char *report_basis(const char *city);
/* What a person calls the agency. */
struct slice report_agency_name(const struct report *report, struct slice id);

void report_text(const struct report *report, struct buffer *out);
void report_html(const struct report *report, struct buffer *out); /* a whole page that prints on A4 */
void report_csv(const struct report *report, struct buffer *out);
void report_json(const struct report *report, struct buffer *out);

enum report_word {
    REPORT_TITLE, REPORT_FIGURES, REPORT_BASIS, REPORT_DUE, REPORT_PILOTS, REPORT_AGENCIES, REPORT_AGENCIES_NOTE, REPORT_AGENCY,
    REPORT_DECISIONS, REPORT_DECISION, REPORT_DATE, REPORT_EVENTS, REPORT_ALL_LISTED, REPORT_NOT_ALL, REPORT_DEFINITIONS,
    REPORT_DATA, REPORT_DIGEST, REPORT_SEAL, REPORT_FEWER, REPORT_MORE, REPORT_MERGED, REPORT_THAN_2015, REPORT_NOBODY, REPORT_WORDS
};
const char *report_word(enum language language, enum report_word word);

#endif
