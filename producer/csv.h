/* CSV (RFC 4180) as officials' programs write it: a header of our field names, then records. Pure. */
#ifndef CITYTOTALS_PRODUCER_CSV_H
#define CITYTOTALS_PRODUCER_CSV_H

#include "producer/field.h"
#include "producer/problem.h"
#include "producer/text.h"

struct csv_header {
    char delimiter; /* , ; or tab */
    size_t count;
    enum field columns[FIELDS];
};

/* The header's line without its end and without a byte order mark. False and all that is wrong in `problems` (emptied
 * first): a `sep=` line, unknown, repeated and list columns, names that are none of ours at all. `typed`: a default type is
 * given, so the column `type` may be missing. */
bool csv_header_read(struct slice line, bool typed, struct csv_header *ret_header, struct problems *ret_problems);

/* Split one record (without its end) into its cells' values; unquoted cells point into it. False when the form is broken. */
bool csv_record_read(const struct csv_header *header, struct slice record, struct arena *arena, struct fields *ret_fields,
                     struct problems *problems);

/* Where a record ends: run over bytes as they come. Zeroed = at a record's start. */
struct csv_scan {
    enum { CSV_CELL_START, CSV_UNQUOTED, CSV_QUOTED, CSV_QUOTE_SEEN } state;
};
/* The place of the line feed that ends the record, or `size`. */
size_t csv_scan_to_end(struct csv_scan *scan, char delimiter, const char *data, size_t size);

#endif
