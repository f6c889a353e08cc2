/* From bytes to records: lines, CSV records, encodings, bounds, whatever the pieces in which the bytes come. */
#include "producer_lines.h"

#include "producer/reader.h"

struct source {
    const char *data;
    size_t size, at, piece;
};

static int64_t fill(void *context, char *out, size_t size, struct error *error)
{
    (void)error;
    struct source *source = context;
    size_t more = source->size - source->at;
    more = more < source->piece ? more : source->piece;
    more = more < size ? more : size;
    if (more)
        memcpy(out, source->data + source->at, more);
    source->at += more;
    return (int64_t)more;
}

static int64_t failing_fill(void *context, char *out, size_t size, struct error *error)
{
    (void)context, (void)out, (void)size;
    return error_set(error, ERROR_IO, "the disk is gone");
}

#define TRANSCRIPT_SIZE 4096
/* "line:text|" for each record; "line:*|" for one that is too long; "!sentence" at an error. */
static void transcribe(enum input_format format, struct slice bytes, size_t piece, char out[TRANSCRIPT_SIZE])
{
    struct source source = {bytes.data, bytes.size, 0, piece};
    struct reader *reader = NULL;
    struct record record;
    struct error error = {0};
    size_t at = 0;
    uint64_t ordinal = 0;
    out[0] = '\0';
    assert_int_equal(reader_new(format, fill, &source, &reader, &error), 0);
    int result = 1;
    if (format == FORMAT_CSV && (result = reader_header(reader, &record, &error)) > 0)
        reader_set_delimiter(reader, ',');
    while (result > 0 && (result = reader_next(reader, &record, &error)) > 0) {
        assert_int_equal(record.ordinal, ordinal++);
        at += (size_t)snprintf(out + at, TRANSCRIPT_SIZE - at, "%d:%.*s|", (int)record.line, record.too_long ? 1 : (int)record.text.size,
                               record.too_long ? "*" : record.text.data ? record.text.data : "");
    }
    if (result < 0) {
        assert_int_equal(result, -ERROR_INPUT);
        snprintf(out + at, TRANSCRIPT_SIZE - at, "!%s", error.text);
    }
    reader_free(reader);
}

static void expect_at(enum input_format format, struct slice bytes, const char *expected, int line)
{
    static const size_t pieces[] = {1, 2, 3, 7, 1000, 1 << 20};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        char got[TRANSCRIPT_SIZE];
        transcribe(format, bytes, pieces[i], got);
        bool is_error = expected[0] == '!';
        if (is_error ? got[0] != '!' || !strstr(got, expected + 1) : strcmp(got, expected) != 0)
            fail_msg("line %d, pieces of %zu: got %s, expected %s", line, pieces[i], got, expected);
    }
}
#define EXPECT_LINES(bytes, expected) expect_at(FORMAT_NDJSON, TEXT(bytes), expected, __LINE__)
#define EXPECT_RECORDS(bytes, expected) expect_at(FORMAT_CSV, TEXT("h\n" bytes), expected, __LINE__)

static void lines(void **state)
{
    (void)state;
    EXPECT_LINES("", "");
    EXPECT_LINES("\xEF\xBB\xBF", "");
    EXPECT_LINES("\n", "");
    EXPECT_LINES("a", "1:a|");
    EXPECT_LINES("a\n", "1:a|");
    EXPECT_LINES("a\r\nb\r\n", "1:a|2:b|");
    EXPECT_LINES("\xEF\xBB\xBF" "a\nb", "1:a|2:b|");
    EXPECT_LINES("\n\n a\n \t\r\nb\n\n", "3: a|5:b|");
    EXPECT_LINES("# refused: x\na\n# refused: y\r\n#b\n# refused:z\n", "2:a|4:#b|5:# refused:z|");
    EXPECT_LINES("Quận\nHồng", "1:Quận|2:Hồng|");
    EXPECT_LINES("a\n\xEF\xBB\xBF" "b\n", "1:a|2:\xEF\xBB\xBF" "b|"); /* only at the beginning */
}

static void records(void **state)
{
    (void)state;
    EXPECT_RECORDS("", "");
    EXPECT_RECORDS("a,b", "2:a,b|");
    EXPECT_RECORDS("a,b\r\n\r\n  \nc\n", "2:a,b|5:c|");
    EXPECT_RECORDS("\"a\nb\",c\nd\n", "2:\"a\nb\",c|4:d|");
    EXPECT_RECORDS("\"a\r\n\r\nb\"\r\nd", "2:\"a\r\n\r\nb\"|5:d|");
    EXPECT_RECORDS("\"a\"\"\n\"\"b\",c\nd\n", "2:\"a\"\"\n\"\"b\",c|4:d|");
    EXPECT_RECORDS("x\"y\nz\n", "2:x\"y|3:z|"); /* a quote inside a cell opens nothing */
    EXPECT_RECORDS("\"a\"x\"\nz\n", "2:\"a\"x\"|3:z|");
    EXPECT_RECORDS("a,\"\n", "2:a,\"\n|"); /* never closed: to the end */
    EXPECT_RECORDS("# refused: \"x\na\n", "3:a|"); /* its quote opens nothing */
    EXPECT_RECORDS("a,\"# refused: \n# refused: \"\nb\n", "2:a,\"# refused: \n# refused: \"|4:b|");
    expect_at(FORMAT_CSV, TEXT(""), "", __LINE__);
    expect_at(FORMAT_CSV, TEXT("\xEF\xBB\xBF"), "", __LINE__);
    expect_at(FORMAT_CSV, TEXT("\n\nh\na\n"), "4:a|", __LINE__);
    expect_at(FORMAT_CSV, TEXT("\xEF\xBB\xBFh"), "", __LINE__);
}

static void other_encodings(void **state)
{
    (void)state;
    EXPECT_LINES("\xFF\xFE{\0", "!UTF-16");
    EXPECT_LINES("\xFE\xFF\0{", "!UTF-16");
    EXPECT_LINES("{\0\"\0", "!zero bytes");
    EXPECT_LINES("\0\0\xFE\xFF", "!UTF-32");
    EXPECT_LINES("PK\x03\x04", "!xlsx");
    EXPECT_LINES("\xD0\xCF\x11\xE0\xA1", "!xls");
    EXPECT_LINES("\x1F\x8B\x08", "!gzip");
    EXPECT_LINES("Qu\xE2n\n", "!line 1: byte 3 (0xE2) is not UTF-8");
    EXPECT_LINES("Quậ\xC3\n", "!line 1: byte 6 (0xC3) is not UTF-8");
    EXPECT_LINES("\xED\xA0\x80\n", "!line 1: byte 1 (0xED)");
    EXPECT_RECORDS("a\nH\xF2ng\n", "2:a|!line 3: byte 2 (0xF2) is not UTF-8: the file is in another encoding, perhaps a legacy code "
                                  "page; save it as UTF-8 and send it again");
    expect_at(FORMAT_CSV, TEXT("h\xE9\na\n"), "!line 1: byte 2", __LINE__);
}

static char *long_text(size_t size, const char *before, const char *after, size_t *ret_size)
{
    size_t head = strlen(before), tail = strlen(after);
    char *text = malloc(head + size + tail);
    memcpy(text, before, head);
    memset(text + head, 'x', size);
    memcpy(text + head + size, after, tail);
    *ret_size = head + size + tail;
    return text;
}

static void bounds(void **state)
{
    (void)state;
    static const struct {
        enum input_format format;
        size_t size;
        const char *before, *after, *beginning, *end;
    } table[] = {
        {FORMAT_NDJSON, LINE_MOST, "a\n", "\nb\n", "1:a|2:xx", "xx|3:b|"},
        {FORMAT_NDJSON, LINE_MOST, "a\n", "\r\nb\n", "1:a|2:xx", "xx|3:b|"},
        {FORMAT_NDJSON, LINE_MOST, "a\n", "", "1:a|2:xx", "xx|"},
        {FORMAT_NDJSON, LINE_MOST + 1, "a\n", "\nb\n", "1:a|2:*|3:b|", ""},
        {FORMAT_NDJSON, LINE_MOST + 1, "a\n", "\r\nb\n", "1:a|2:*|3:b|", ""},
        {FORMAT_NDJSON, LINE_MOST + 1, "a\n", "", "1:a|2:*|", ""},
        {FORMAT_NDJSON, 3000000, "a\n", "\nb\n", "1:a|2:*|3:b|", ""},
        {FORMAT_NDJSON, 3000000, "# refused: ", "\nb\n", "1:*|2:b|", ""},
        {FORMAT_CSV, 3000000, "h\n\"a\n\n", "\n\n\"\nb\n", "2:*|7:b|", ""},
        {FORMAT_CSV, 3000000, "h\n\"a\n\n\"\"", "\nb\n", "2:*|", ""},
        {FORMAT_CSV, LINE_MOST - 3, "h\n\"\n", "\"\nb\n", "2:\"\nxx", "x\"|4:b|"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (size_t piece = 1000; piece <= 1 << 20; piece *= 7) {
            size_t size, got_size;
            char *text = long_text(table[i].size, table[i].before, table[i].after, &size);
            struct source source = {text, size, 0, piece};
            struct reader *reader = NULL;
            struct record record;
            static char got[2 * LINE_MOST];
            got_size = 0;
            assert_int_equal(reader_new(table[i].format, fill, &source, &reader, NULL), 0);
            if (table[i].format == FORMAT_CSV) {
                assert_int_equal(reader_header(reader, &record, NULL), 1);
                reader_set_delimiter(reader, ',');
            }
            while (reader_next(reader, &record, NULL) > 0)
                got_size += (size_t)snprintf(got + got_size, sizeof got - got_size, "%d:%.*s|", (int)record.line,
                                             record.too_long ? 1 : (int)record.text.size, record.too_long ? "*" : record.text.data);
            size_t end = strlen(table[i].end);
            if (strncmp(got, table[i].beginning, strlen(table[i].beginning)) != 0 || strcmp(got + got_size - end, table[i].end) != 0)
                fail_msg("row %zu, pieces of %zu: %.60s … %s", i, piece, got, got + got_size - end);
            reader_free(reader);
            free(text);
        }
}

static void ends_are_kept(void **state)
{
    (void)state;
    struct source source = {"a\r\nb\nc", 6, 0, 100};
    struct reader *reader = NULL;
    struct record record;
    assert_int_equal(reader_new(FORMAT_NDJSON, fill, &source, &reader, NULL), 0);
    static const char *const ends[] = {"\r\n", "\n", ""};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(reader_next(reader, &record, NULL), 1);
        assert_true(record.end.size == strlen(ends[i]) && memcmp(record.end.data, ends[i], record.end.size) == 0);
    }
    assert_false(reader_had_mark(reader));
    reader_free(reader);
}

static void a_failing_source_is_told(void **state)
{
    (void)state;
    struct reader *reader = NULL;
    struct record record;
    struct error error = {0};
    assert_int_equal(reader_new(FORMAT_NDJSON, failing_fill, NULL, &reader, NULL), 0);
    assert_int_equal(reader_next(reader, &record, &error), -ERROR_IO);
    assert_string_equal(error.text, "the disk is gone");
    reader_free(reader);
}

/* --- CSV: header and cells --- */

static struct csv_header header;

static void expect_header_refused(const char *line, bool typed, const char *words)
{
    if (csv_header_read(slice_of(line), typed, &header, &problems))
        fail_msg("accepted: %s", line);
    for (size_t i = 0; i < problems.count; i++)
        if (strstr(problems.items[i].text, words))
            return;
    fail_msg("%s: %s", line, problems.items[0].text);
}

static void headers(void **state)
{
    (void)state;
    assert_true(csv_header_read(TEXT("delta;type;\"id\";agency"), false, &header, &problems));
    assert_int_equal(header.delimiter, ';');
    assert_int_equal(header.count, 4);
    assert_int_equal(header.columns[2], FIELD_ID);
    assert_true(csv_header_read(TEXT("id\tagency"), true, &header, &problems));
    assert_int_equal(header.delimiter, '\t');
    assert_true(csv_header_read(TEXT("visitor"), true, &header, &problems));
    expect_header_refused("id,agency", false, "--type");
    expect_header_refused("sep=;", true, "delete this line");
    expect_header_refused("SEP=,", true, "sep=");
    expect_header_refused("type,id,note", false, "column 3 has the unknown name \"note\"");
    expect_header_refused("type,id,Agency", false, "allowed: agency, exactly");
    expect_header_refused("type, id", false, "allowed: id, exactly");
    expect_header_refused("type,id,id", false, "column 3, id, is there twice");
    expect_header_refused("type,id,", false, "unknown name \"\"");
    expect_header_refused("type,id,merged_units", false, "only in NDJSON");
    expect_header_refused("1,hong-bang,commune,retired,-3", true, "begins with a header");
    expect_header_refused("{\"type\":\"x\"}", true, "header");
    expect_header_refused("type,\"id", false, "no closing");
    expect_header_refused("type,i\"d", false, "quote");
    static char many[1000];
    memset(many, ',', sizeof many - 1);
    memcpy(many, "type", 4);
    expect_header_refused(many, false, "unknown name");
}

#define COLUMNS "type,id,source,agency,sector,reason,delta,effective_date,occurred_at,decision"

static bool take(const char *columns, struct slice record)
{
    assert_true(csv_header_read(slice_of(columns), defaults.csv_type >= 0, &header, &problems));
    return parser_csv(parser, &header, record, &defaults, &event, &problems);
}

static void expect_cells_refused(struct slice record, const char *field, const char *words)
{
    if (take(COLUMNS, record))
        fail_msg("accepted: %.*s", SLICE_ARG(record));
    if (problems.count != 1 || strcmp(problems.items[0].field, field) != 0 || !strstr(problems.items[0].text, words))
        fail_msg("%.*s: %zu, field %s: %s", SLICE_ARG(record), problems.count, problems.items[0].field, problems.items[0].text);
}

#define ROW(delta, occurred, decision) TEXT("headcount-change,1,s,a,commune,retired," delta ",2020-10-30," occurred "," decision)

static void cells(void **state)
{
    (void)state;
    assert_true(take(COLUMNS, ROW("-3", "", "")));
    assert_null(event.decision.data);
    assert_int_equal(event.occurred_at_ms, NOW_MS);
    assert_int_equal(event.headcount.delta, -3);
    assert_true(take(COLUMNS, ROW("\"-3\"", "2020-10-30T08:15:00+07:00", "\"a \"\"b\"\", c\"")));
    assert_true(slice_equal(event.decision, TEXT("a \"b\", c")));
    assert_true(take(COLUMNS, ROW("-3", "", " a ")));
    assert_true(slice_equal(event.decision, TEXT(" a ")));
    assert_true(take(COLUMNS, ROW("-3", "", "Qu\u00e2\u0323n")));
    assert_true(slice_equal(event.decision, TEXT("Quận")));
    assert_true(take(COLUMNS, ROW("-3", "", "\"\"")));
    assert_null(event.decision.data); /* an empty cell, quoted or not, is absent */
    assert_true(take("delta,visitor,type,agency,id,sector,reason,effective_date,source",
                     TEXT("-3,,headcount-change,a,1,commune,retired,2020-10-30,s")));
    expect_cells_refused(ROW("-3", "", "\" \""), "decision", "blank");
    expect_cells_refused(ROW("-3", "", "\"a\nb\""), "decision", "control");
    static const char *const numbers[] = {"+3", " 3", "3 ", "3.0", "1e3", "03", "-", "1,5", "−3", "0x3", "--3"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char row[256];
        snprintf(row, sizeof row, "headcount-change,1,s,a,commune,retired,\"%s\",2020-10-30,,", numbers[i]);
        expect_cells_refused(slice_of(row), "delta", "whole number");
    }
    expect_cells_refused(TEXT("headcount-change,1,s,a,commune,retired,-3,2020-10-30,"), "", "9 cells; allowed: 10");
    expect_cells_refused(TEXT("headcount-change,1,s,a,commune,retired,-3,2020-10-30,,,"), "", "11 cells; allowed: 10");
    expect_cells_refused(TEXT(",,,,,,,,,"), "", "every cell is empty");
    expect_cells_refused(ROW("-3", "", "a\"b"), "decision", "unquoted");
    expect_cells_refused(ROW("-3", "", "\"a\"b"), "decision", "closing");
    expect_cells_refused(ROW("-3", "", "\"a"), "decision", "no closing");
    expect_cells_refused(ROW("-3", "", "\"a\"\""), "decision", "no closing");
    expect_cells_refused(TEXT("headcount-change,1,s,a, commune,retired,-3,2020-10-30,,"), "sector", "\" commune\"");
    expect_cells_refused(TEXT(",1,s,a,commune,retired,-3,2020-10-30,,"), "type", "missing");
    assert_false(take("type,visitor,id", TEXT("page-visit,00112233445566778899aabbccddeeff,1")));
    assert_string_equal(problems.items[0].text, "id is not a field of a page-visit");
    assert_true(take("type,visitor,id", TEXT("page-visit,00112233445566778899aabbccddeeff,")));
    defaults.csv_type = EVENT_HEADCOUNT_CHANGE;
    assert_true(take(COLUMNS, TEXT(",1,s,a,commune,retired,-3,2020-10-30,,")));
    assert_true(take("id,source,agency,sector,reason,delta,effective_date", TEXT("1,s,a,commune,retired,-3,2020-10-30")));
    defaults.csv_type = EVENT_PAGE_VISIT;
    assert_true(take("visitor", TEXT("00112233445566778899aabbccddeeff")));
    defaults.csv_type = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(records),
        cmocka_unit_test(other_encodings),
        cmocka_unit_test(bounds),
        cmocka_unit_test(ends_are_kept),
        cmocka_unit_test(a_failing_source_is_told),
        cmocka_unit_test(headers),
        cmocka_unit_test(cells),
    };
    return cmocka_run_group_tests(tests, make_parser, free_parser);
}
