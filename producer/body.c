/* Cuts a request's body: by the reader that files have, or along the elements of a JSON array. */
#include "producer/body.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

#include "producer/json_cursor.h"
#include "schemas/rules.h"

enum { INFLATE_BLOCK = 16 * 1024 };

struct body {
    enum body_form form;
    struct slice text;
    size_t given; /* to the reader */
    struct reader *reader;
    struct csv_header header;
    /* of JSON */
    struct json_cursor cursor;
    struct problems problems;
    const char *counted; /* lines before this place are counted */
    uint64_t number, line;
    bool single, open; /* open: within an array */
    bool ended;        /* nothing more is to be looked at */
};

static int64_t give(void *context, char *out, size_t size, struct error *error)
{
    (void)error;
    struct body *body = context;
    size_t rest = body->text.size - body->given, more = rest < size ? rest : size;
    if (more)
        memcpy(out, body->text.data + body->given, more);
    body->given += more;
    return (int64_t)more;
}

int body_new(struct body **ret_body, struct error *error)
{
    struct body *body = calloc(1, sizeof *body);
    if (!body)
        return error_set(error, ERROR_MEMORY, "out of memory");
    int result = reader_new(FORMAT_NDJSON, give, body, &body->reader, error);
    if (result < 0) {
        body_free(body);
        return result;
    }
    *ret_body = body;
    return 0;
}

struct body *body_free(struct body *body)
{
    if (body)
        reader_free(body->reader);
    free(body);
    return NULL;
}

/* The first problem, with its place in the text. */
static int broken(struct body *body, struct error *error)
{
    uint64_t line = 1;
    const char *from = body->text.data;
    for (const char *at = from; at < body->cursor.at; at++)
        if (*at == '\n') {
            line++;
            from = at + 1;
        }
    size_t column = 1;
    for (const char *at = from; at < body->cursor.at; at++)
        column += ((unsigned char)*at & 0xC0) != 0x80;
    return error_set(error, ERROR_INPUT, "line %" PRIu64 ": column %zu: %s", line, column, body->problems.items[0].text);
}

static int begin_json(struct body *body, struct error *error)
{
    struct slice text = body->text;
    if (text.size >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0)
        text = (struct slice){text.data + 3, text.size - 3};
    if (!text_is_utf8(text))
        return error_set(error, ERROR_INPUT, "it is not UTF-8");
    body->cursor = (struct json_cursor){.start = text.data, .at = text.data, .end = text.data + text.size, .problems = &body->problems};
    body->problems.count = 0;
    body->counted = text.data;
    json_skip_space(&body->cursor);
    body->single = body->cursor.at < body->cursor.end && *body->cursor.at == '{';
    if (!body->single && !json_take(&body->cursor, '[')) {
        json_stop(&body->cursor, "an event, which is a JSON object { … }, or an array [ … ] of them");
        return broken(body, error);
    }
    body->open = !body->single;
    if (body->open && json_take(&body->cursor, ']'))
        body->open = false;
    return 0;
}

static int begin_csv(struct body *body, struct error *error)
{
    struct record record;
    struct problems *problems = &body->problems;
    int result = reader_header(body->reader, &record, error);
    if (result == 0)
        body->ended = true;
    if (result <= 0)
        return result;
    if (record.too_long)
        return error_set(error, ERROR_INPUT, "line %" PRIu64 ": the header is over 16 KiB long", record.line);
    if (!csv_header_read(record.text, false, &body->header, problems))
        return error_set(error, ERROR_INPUT, "line %" PRIu64 ": %s", record.line, problems->items[0].text);
    reader_set_delimiter(body->reader, body->header.delimiter);
    return 0;
}

int body_begin(struct body *body, enum body_form form, struct slice text, struct error *error)
{
    body->form = form;
    body->text = text;
    body->given = 0;
    body->number = 0;
    body->line = 1;
    body->single = body->open = body->ended = false;
    if (form == BODY_JSON)
        return begin_json(body, error);
    reader_restart(body->reader, form == BODY_CSV ? FORMAT_CSV : FORMAT_NDJSON, give, body);
    return form == BODY_CSV ? begin_csv(body, error) : 0;
}

bool body_is_single(const struct body *body)
{
    return body->single;
}

const struct csv_header *body_csv_header(const struct body *body)
{
    return &body->header;
}

static void put_record(struct body *body, const char *first, struct body_record *ret_record)
{
    size_t size = (size_t)(body->cursor.at - first);
    for (; body->counted < first; body->counted++)
        body->line += *body->counted == '\n';
    *ret_record = (struct body_record){.number = body->number++, .line = body->line, .too_long = size > LINE_MOST};
    ret_record->text = (struct slice){first, ret_record->too_long ? 0 : size};
}

/* The parser looks at a single object, with all that may follow it; the elements of an array are looked at here, since a broken
 * one leaves no array. */
static int next_json(struct body *body, struct body_record *ret_record, struct error *error)
{
    struct json_cursor *cursor = &body->cursor;
    if (body->single) {
        body->ended = true;
        const char *first = cursor->at;
        cursor->at = cursor->end;
        put_record(body, first, ret_record);
        return 1;
    }
    if (body->open) {
        struct body_record record;
        json_skip_space(cursor);
        const char *first = cursor->at;
        json_skip_value(cursor, 1);
        if (!cursor->stopped) {
            put_record(body, first, &record);
            body->open = json_take(cursor, ',');
            if (!body->open && !json_take(cursor, ']'))
                json_stop(cursor, ", or ]");
        }
        if (cursor->stopped)
            return broken(body, error);
        *ret_record = record;
        return 1;
    }
    json_skip_space(cursor);
    if (cursor->at < cursor->end) {
        json_stop(cursor, "nothing after the array's ]");
        return broken(body, error);
    }
    return 0;
}

int body_next(struct body *body, struct body_record *ret_record, struct error *error)
{
    struct record record;
    if (body->ended)
        return 0;
    if (body->form == BODY_JSON)
        return next_json(body, ret_record, error);
    int result = reader_next(body->reader, &record, error);
    if (result <= 0)
        return result;
    *ret_record = (struct body_record){.text = record.text, .number = body->number++, .line = record.line, .too_long = record.too_long};
    return 1;
}

int body_inflate(struct slice packed, size_t most, struct buffer *out, struct error *error)
{
    char block[INFLATE_BLOCK];
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)packed.data, .avail_in = (uInt)packed.size};
    size_t total = 0;
    int status, result = 0;
    if (packed.size > UINT32_MAX || inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        return error_set(error, ERROR_MEMORY, "out of memory");
    do {
        stream.next_out = (Bytef *)block;
        stream.avail_out = sizeof block;
        status = inflate(&stream, Z_NO_FLUSH);
        size_t size = sizeof block - stream.avail_out;
        if (total + size > most) {
            result = error_set(error, ERROR_LIMIT, "it unpacks to more than %zu bytes", most);
            break;
        }
        buffer_append(out, block, size);
        total += size;
        if (status == Z_STREAM_END && stream.avail_in > 0)
            status = inflateReset(&stream) == Z_OK ? Z_OK : Z_MEM_ERROR; /* gzip allows several members */
    } while (status == Z_OK);
    inflateEnd(&stream);
    if (result >= 0 && status != Z_STREAM_END)
        result = status == Z_MEM_ERROR ? error_set(error, ERROR_MEMORY, "out of memory")
                                       : error_set(error, ERROR_INPUT, "it is no gzip, or is cut short");
    if (result >= 0 && buffer_failed(out))
        result = error_set(error, ERROR_MEMORY, "out of memory");
    return result;
}
