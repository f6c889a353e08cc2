/* A file as `send` reads it. The first byte chooses the format and how the bytes come: however they are cut into
 * pieces, the same records come out, and their lines grow; a CSV record is converted too. */
#include <assert.h>
#include <stdlib.h>

#include "producer/parser.h"
#include "producer/reader.h"
#include "schemas/rules.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS INT64_C(1605837600000)

struct source {
    const uint8_t *data;
    size_t size, piece;
};

static int64_t fill(void *context, char *out, size_t size, struct error *error)
{
    struct source *source = context;
    size_t most = source->piece < size ? source->piece : size, count = source->size < most ? source->size : most;
    (void)error;
    if (count)
        memcpy(out, source->data, count);
    source->data += count;
    source->size -= count;
    return (int64_t)count;
}

static struct parser *parser;

static void free_parser(void)
{
    parser_free(parser);
}

static uint64_t mix(uint64_t sum, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(1099511628211);
    return sum;
}

/* A sum over all that came out. */
static uint64_t read_all(enum input_format format, struct source source)
{
    static struct problems problems;
    struct parser_defaults defaults = {.source = slice_of("hong-bang"), .csv_type = EVENT_HEADCOUNT_CHANGE, .now_ms = NOW_MS};
    struct reader *reader = NULL;
    struct record record;
    struct csv_header header;
    struct event event;
    struct error error = {0};
    uint64_t sum = UINT64_C(14695981039346656037), line = 0;
    if (reader_new(format, fill, &source, &reader, NULL) != 0)
        abort();
    int result = 1;
    if (format == FORMAT_CSV) {
        result = reader_header(reader, &record, &error);
        if (result == 1 && !csv_header_read(record.text, true, &header, &problems)) {
            assert(problems.count > 0);
            result = 0;
        } else if (result == 1) {
            reader_set_delimiter(reader, header.delimiter);
            line = record.line;
        }
    }
    while (result == 1 && (result = reader_next(reader, &record, &error)) == 1) {
        assert(record.line > line);
        line = record.line;
        sum = mix(mix(sum, &line, sizeof line), record.text.data, record.text.size);
        bool good = false;
        if (!record.too_long)
            good = format == FORMAT_CSV ? parser_csv(parser, &header, record.text, &defaults, &event, &problems)
                                        : parser_json(parser, record.text, &defaults, &event, &problems);
        assert(record.too_long || good == (problems.count == 0));
        assert(!good || event_check(&event, NOW_MS, NULL) == LETTER_NONE);
        sum = mix(sum, &good, sizeof good);
    }
    assert(result == 0 || *error.text);
    reader_free(reader);
    return mix(sum, &result, sizeof result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!parser && (parser_new(&parser, NULL) != 0 || atexit(free_parser) != 0))
        abort();
    if (size == 0)
        return 0;
    enum input_format format = data[0] & 1 ? FORMAT_CSV : FORMAT_NDJSON;
    size_t piece = (size_t)(data[0] >> 1) + 1;
    uint64_t whole = read_all(format, (struct source){data + 1, size - 1, SIZE_MAX});
    uint64_t pieces = read_all(format, (struct source){data + 1, size - 1, piece});
    assert(whole == pieces);
    return 0;
}
