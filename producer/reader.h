/* Cuts a stream of bytes into lines (NDJSON) or CSV records, with the line where each begins. Pure: bytes come through a
 * function. Takes a UTF-8 byte order mark, LF and CRLF; says it once when the bytes are no UTF-8 text. */
#ifndef CITYTOTALS_PRODUCER_READER_H
#define CITYTOTALS_PRODUCER_READER_H

#include "base/error.h"
#include "producer/csv.h"

enum input_format { FORMAT_NDJSON, FORMAT_CSV };

/* Put up to `size` bytes into `out`. Returns how many, 0 at the end, or a negative error code. */
typedef int64_t (*reader_fill_fn)(void *context, char *out, size_t size, struct error *error);

/* What a rejects file has before each refused line; such a line is skipped on reading, so that a repaired rejects file can be
 * sent as it is. */
#define REFUSED_PREFIX "# refused: "

struct record {
    struct slice text;  /* without its end; empty when too long. Valid until the next call */
    struct slice end;   /* the line's end as it was: LF, CRLF, or nothing at the end of the file */
    uint64_t line;      /* 1-based, where it begins */
    uint64_t ordinal;   /* 0-based among the records (the CSV header is none) */
    bool too_long;      /* over LINE_MOST */
};

struct reader;
int reader_new(enum input_format format, reader_fill_fn fill, void *context, struct reader **ret_reader, struct error *error);
struct reader *reader_free(struct reader *reader);
/* As a new one, with the memory that it has. */
void reader_restart(struct reader *reader, enum input_format format, reader_fill_fn fill, void *context);

/* 1 and the next line or record that is not blank, 0 at the end, or a negative code: what `fill` said, or ERROR_INPUT for
 * bytes that are no UTF-8 (a sentence for the whole file, with the line). */
int reader_next(struct reader *reader, struct record *ret_record, struct error *error);
/* The header line of CSV: like reader_next, before any record; takes no ordinal. Then tell the delimiter. */
int reader_header(struct reader *reader, struct record *ret_record, struct error *error);
void reader_set_delimiter(struct reader *reader, char delimiter);
/* Whether the stream began with a byte order mark (after the first record was read). */
bool reader_had_mark(const struct reader *reader);

#endif
