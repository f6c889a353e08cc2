/* Rows of changes, whether from the stream or from the log. */
#ifndef CITYTOTALS_QUERY_CHANGES_SHOW_H
#define CITYTOTALS_QUERY_CHANGES_SHOW_H

#include "query/trace.h"

struct change_rows {
    const struct snapshot_change **rows; /* owned array */
    size_t count;
    bool more; /* others match too */
    bool owned; /* the rows too, one by one */
};
/* The latest of the stream that match. */
int change_rows_from_stream(const struct trace *trace, struct change_rows *ret_rows, struct error *error);
/* The ledger's entries. */
int change_rows_from_ledger(const struct trace *trace, struct change_rows *ret_rows, struct error *error);
void change_rows_free(struct change_rows *rows);

/* Two lines for each: what, then where it is and who sent it. */
void change_rows_text(const struct change_rows *rows, enum language language, struct buffer *out);
void change_rows_csv(const struct change_rows *rows, struct buffer *out);
/* "changes":[…] */
void change_rows_json(const struct change_rows *rows, struct buffer *out);
/* "sums":{…} of all that match. */
void ledger_sums_json(const struct ledger_sums *sums, struct buffer *out);

#define CHANGES_OUT_MOST (UINT32_C(1) << 30)
/* Everything to standard output; a reader that left has seen enough. ERROR_IO, ERROR_LIMIT. */
int changes_write(const struct buffer *out, struct error *error);

#endif
