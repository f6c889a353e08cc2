/* What the query server answers, as bytes: JSON, CSV, Atom. Pure. Each document carries `as_of` from `totals`, whose time
 * of reading, staleness, lag and visitors may be newer than those of the figures. */
#ifndef CITYTOTALS_QUERY_DOCUMENTS_H
#define CITYTOTALS_QUERY_DOCUMENTS_H

#include "query/figures.h"

#define DOCUMENT_MOST (16u << 20)
#define VISIT_DAYS_SHOWN 31

/* "city":…,"as_of":{…} without braces. */
void document_begin(const struct totals *totals, struct buffer *out);

void agencies_json(const struct figures *figures, const struct totals *totals, struct buffer *out);
/* [{…},…] without its name. */
void agencies_array_json(const struct figures *figures, struct buffer *out);
/* With the agency's latest changes. */
void agency_json(const struct figures *figures, const struct totals *totals, const struct agency_figures *agency,
                 struct buffer *out);
void units_json(const struct totals *totals, struct buffer *out);
void visitors_json(const struct figures *figures, const struct totals *totals, struct buffer *out);
void history_json(const struct history *history, const struct totals *totals, struct buffer *out);
void definitions_json(struct buffer *out);

#define CHANGES_LIMIT_DEFAULT 50
#define CHANGES_LIMIT_MOST 1000
struct changes_query {
    struct slice agency;   /* absent = all */
    struct slice category; /* a unit category or a sector; absent = all */
    int64_t limit;
    int64_t before_version, before_number; /* only older ones; both INT64_MAX = from the newest on */
};
/* "<version>-<number>"; false and no output otherwise. */
bool change_id_parse(struct slice text, int64_t *ret_version, int64_t *ret_number);
bool change_category_is_known(struct slice category);
/* The changes that match, newest first: their places in figures->snapshot.changes, at most query->limit. *ret_more: older
 * ones match too. */
size_t changes_select(const struct figures *figures, const struct changes_query *query, size_t places[CHANGES_LIMIT_MOST],
                      bool *ret_more);
void change_json(const struct figures *figures, const struct snapshot_change *change, struct buffer *out);
void changes_json(const struct figures *figures, const struct totals *totals, const struct changes_query *query,
                  struct buffer *out);
void changes_atom(const struct figures *figures, const struct totals *totals, struct buffer *out);

/* CSV: UTF-8 with a BOM, RFC 4180; a text that a spreadsheet would take for a formula gets a ' before it. */
void csv_begin(struct buffer *out, const char *header);
void csv_text(struct buffer *out, struct slice text); /* a cell and what parts it from the one before */
void csv_number(struct buffer *out, bool has, int64_t number);
void csv_percent(struct buffer *out, const char *percent); /* percent_format's text: its minus sign is no formula */
void csv_end_row(struct buffer *out);
void totals_csv(const struct totals *totals, struct buffer *out);
void agencies_csv(const struct figures *figures, struct buffer *out);
void units_csv(const struct totals *totals, struct buffer *out);
void visitors_csv(const struct figures *figures, struct buffer *out);
void history_csv(const struct history *history, struct buffer *out);
void changes_csv(const struct figures *figures, const struct changes_query *query, struct buffer *out);

/* Each number's meaning, by its name in the JSON. */
struct definition {
    const char *name;
    const char *text[LANGUAGES];
};
extern const struct definition definitions[];
extern const size_t definition_count;

#endif
