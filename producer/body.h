/* The body of one request, cut into records: an event as JSON, a JSON array, lines of JSON, or CSV. Pure. */
#ifndef CITYTOTALS_PRODUCER_BODY_H
#define CITYTOTALS_PRODUCER_BODY_H

#include "base/buffer.h"
#include "producer/parser.h"
#include "producer/reader.h"

enum body_form {
    BODY_JSON, /* one object, or an array of them */
    BODY_NDJSON,
    BODY_CSV,
};

struct body_record {
    struct slice text; /* empty when too long */
    uint64_t number;   /* 0-based */
    uint64_t line;     /* 1-based, where it begins */
    bool too_long;     /* over LINE_MOST */
};

struct body;
int body_new(struct body **ret_body, struct error *error);
struct body *body_free(struct body *body);

/* `text` stays as it is until the last record was used. ERROR_INPUT: the form is broken, and where. An empty text holds no
 * record, but for BODY_JSON, which has to say something. */
int body_begin(struct body *body, enum body_form form, struct slice text, struct error *error);
/* After body_begin: true for one JSON object that stands alone. */
bool body_is_single(const struct body *body);
const struct csv_header *body_csv_header(const struct body *body);
/* 1 and the next record, 0 at the end, ERROR_INPUT. */
int body_next(struct body *body, struct body_record *ret_record, struct error *error);

/* At most `most` bytes of gzip's content are appended to `out`. ERROR_INPUT for what is no gzip or does not end,
 * ERROR_LIMIT when there would be more. */
int body_inflate(struct slice packed, size_t most, struct buffer *out, struct error *error);

#endif
