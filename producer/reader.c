/* From bytes to records: encoding, line ends, bounds. */
#include "producer/reader.h"

#include <inttypes.h>
#include <stdlib.h>

#include "schemas/rules.h"

enum {
    FILL_SIZE = 1024 * 1024,
    KEPT_MOST = LINE_MOST + 2, /* the beginning of a record that is not complete: its line end may be missing yet */
    SNIFF_SIZE = 64,
};

struct reader {
    enum input_format format;
    reader_fill_fn fill;
    void *context;
    char *buffer; /* KEPT_MOST + FILL_SIZE */
    size_t start, scanned, end;
    uint64_t line, ordinal;
    char delimiter;
    struct csv_scan scan;
    bool begun, ended, had_mark;
    bool discarding; /* in a record over the bound: its bytes are dropped */
    uint64_t discarded_lines;
};

int reader_new(enum input_format format, reader_fill_fn fill, void *context, struct reader **ret_reader, struct error *error)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader || !(reader->buffer = malloc(KEPT_MOST + FILL_SIZE))) {
        free(reader);
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    reader_restart(reader, format, fill, context);
    *ret_reader = reader;
    return 0;
}

void reader_restart(struct reader *reader, enum input_format format, reader_fill_fn fill, void *context)
{
    *reader = (struct reader){.buffer = reader->buffer, .format = format, .fill = fill, .context = context, .line = 1};
}

struct reader *reader_free(struct reader *reader)
{
    if (reader)
        free(reader->buffer);
    free(reader);
    return NULL;
}

void reader_set_delimiter(struct reader *reader, char delimiter)
{
    reader->delimiter = delimiter;
}

bool reader_had_mark(const struct reader *reader)
{
    return reader->had_mark;
}

/* More bytes behind those there are. */
static int fill(struct reader *reader, struct error *error)
{
    size_t kept = reader->end - reader->start;
    if (reader->start > 0) {
        memmove(reader->buffer, reader->buffer + reader->start, kept);
        reader->scanned -= reader->start;
        reader->start = 0;
        reader->end = kept;
    }
    int64_t size = reader->fill(reader->context, reader->buffer + kept, FILL_SIZE, error);
    if (size < 0)
        return (int)size;
    reader->ended = size == 0;
    reader->end += (size_t)size;
    return 0;
}

#define SAVE_AS "; save it as UTF-8 and send it again"

/* Forms of files that are not text in UTF-8, by how they begin. */
static int check_beginning(struct reader *reader, struct error *error)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *what;
    } known[] = {
        {"\xFF\xFE", 2, "it is UTF-16 (as Excel's \"Unicode text\")" SAVE_AS},
        {"\xFE\xFF", 2, "it is UTF-16" SAVE_AS},
        {"\0\0\xFE\xFF", 4, "it is UTF-32" SAVE_AS},
        {"PK\x03\x04", 4, "it is a zip archive or an Excel workbook (.xlsx); save the sheet as \"CSV UTF-8\""},
        {"\xD0\xCF\x11\xE0", 4, "it is an old Excel workbook (.xls); save the sheet as \"CSV UTF-8\""},
        {"\x1F\x8B", 2, "it is compressed by gzip; unpack it first"},
        {"(\xB5/\xFD", 4, "it is compressed by zstd; unpack it first"},
        {"%PDF", 4, "it is a PDF"},
    };
    while (!reader->ended && reader->end < SNIFF_SIZE) {
        int result = fill(reader, error);
        if (result < 0)
            return result;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (reader->end >= known[i].size && memcmp(reader->buffer, known[i].bytes, known[i].size) == 0)
            return error_set(error, ERROR_INPUT, "%s", known[i].what);
    size_t sniffed = reader->end < SNIFF_SIZE ? reader->end : SNIFF_SIZE;
    if (memchr(reader->buffer, '\0', sniffed))
        return error_set(error, ERROR_INPUT, "it has zero bytes: it is UTF-16 or no text at all" SAVE_AS);
    if (reader->end >= 3 && memcmp(reader->buffer, "\xEF\xBB\xBF", 3) == 0) {
        reader->start = reader->scanned = 3;
        reader->had_mark = true;
    }
    reader->begun = true;
    return 0;
}

static bool begins_with_prefix(const struct reader *reader)
{
    size_t size = sizeof REFUSED_PREFIX - 1, there = reader->end - reader->start;
    return there >= size && memcmp(reader->buffer + reader->start, REFUSED_PREFIX, size) == 0;
}

/* The place of the record's line feed from `scanned` on, or `end`. */
static size_t find_end(struct reader *reader)
{
    const char *data = reader->buffer + reader->scanned;
    size_t size = reader->end - reader->scanned;
    if (reader->format == FORMAT_CSV && reader->delimiter && (reader->discarding || !begins_with_prefix(reader)))
        return reader->scanned + csv_scan_to_end(&reader->scan, reader->delimiter, data, size);
    const char *feed = size ? memchr(data, '\n', size) : NULL;
    return feed ? (size_t)(feed - reader->buffer) : reader->end;
}

static uint64_t count_feeds(const char *data, size_t size)
{
    uint64_t count = 0;
    for (const char *at; size && (at = memchr(data, '\n', size)); count++) {
        size -= (size_t)(at + 1 - data);
        data = at + 1;
    }
    return count;
}

/* Tabs that part cells are no blank. */
static bool is_blank(const struct reader *reader, struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] != ' ' && text.data[i] != '\r' && (text.data[i] != '\t' || reader->delimiter == '\t'))
            return false;
    return true;
}

/* The next record whatever it is, blank ones too. */
static int read_record(struct reader *reader, struct record *ret_record, struct error *error)
{
    /* Enough to see a rejects file's prefix, so that the scan begins with the right rule. */
    while (!reader->ended && reader->end - reader->start < sizeof REFUSED_PREFIX - 1) {
        const char *feed = memchr(reader->buffer + reader->start, '\n', reader->end - reader->start);
        if (feed)
            break;
        int result = fill(reader, error);
        if (result < 0)
            return result;
    }
    reader->scanned = reader->start;
    reader->scan = (struct csv_scan){0};
    reader->discarding = false;
    reader->discarded_lines = 0;
    size_t feed;
    while ((feed = find_end(reader)) == reader->end && !reader->ended) {
        reader->scanned = reader->end;
        if (reader->end - reader->start >= KEPT_MOST) {
            reader->discarded_lines += count_feeds(reader->buffer + reader->start, reader->end - reader->start);
            reader->discarding = true;
            reader->start = reader->scanned = reader->end;
        }
        int result = fill(reader, error);
        if (result < 0)
            return result;
    }
    bool has_feed = feed < reader->end;
    if (!has_feed && feed == reader->start && !reader->discarding)
        return 0;
    size_t size = feed - reader->start, end_size = has_feed;
    const char *data = reader->buffer + reader->start;
    if (size > 0 && data[size - 1] == '\r' && has_feed) {
        size--;
        end_size++;
    }
    bool too_long = reader->discarding || size > LINE_MOST;
    *ret_record = (struct record){.text = {data, too_long ? 0 : size}, .end = {data + size, end_size}, .line = reader->line,
                                  .too_long = too_long};
    reader->line += reader->discarded_lines + count_feeds(data, size + end_size);
    reader->start = feed + has_feed;
    return 1;
}

/* Bytes of the longest beginning that is UTF-8. */
static size_t utf8_prefix(struct slice text)
{
    size_t at = 0;
    while (at < text.size) {
        unsigned char first = (unsigned char)text.data[at];
        size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        if (size > text.size - at || !text_is_utf8((struct slice){text.data + at, size}))
            break;
        at += size;
    }
    return at;
}

static int check_utf8(const struct record *record, struct error *error)
{
    if (record->too_long || text_is_utf8(record->text))
        return 0;
    size_t good = utf8_prefix(record->text);
    return error_set(error, ERROR_INPUT,
                     "line %" PRIu64 ": byte %zu (0x%02X) is not UTF-8: the file is in another encoding, perhaps a legacy code "
                     "page" SAVE_AS,
                     record->line, good + 1, (unsigned char)record->text.data[good]);
}

static bool is_reason_line(struct slice text)
{
    return text.size >= sizeof REFUSED_PREFIX - 1 && memcmp(text.data, REFUSED_PREFIX, sizeof REFUSED_PREFIX - 1) == 0;
}

/* The next that is no blank line and no rejects file's reason. */
static int read_full(struct reader *reader, struct record *ret_record, struct error *error)
{
    int result = reader->begun ? 0 : check_beginning(reader, error);
    if (result < 0)
        return result;
    do {
        result = read_record(reader, ret_record, error);
        if (result <= 0)
            return result;
    } while (!ret_record->too_long && (is_blank(reader, ret_record->text) || is_reason_line(ret_record->text)));
    result = check_utf8(ret_record, error);
    return result < 0 ? result : 1;
}

int reader_header(struct reader *reader, struct record *ret_record, struct error *error)
{
    return read_full(reader, ret_record, error);
}

int reader_next(struct reader *reader, struct record *ret_record, struct error *error)
{
    int result = read_full(reader, ret_record, error);
    if (result > 0)
        ret_record->ordinal = reader->ordinal++;
    return result;
}
