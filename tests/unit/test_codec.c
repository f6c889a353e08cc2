/* Framings, the encoder, and the decoding plan on good and malformed bytes: numbers, unions, enums, lists, ends,
 * bounds, and which reason comes first. Writers with another schema than ours are in test_codec_writers.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "schemas/codec.h"

#define TEXT(literal) ((struct slice){literal, sizeof(literal) - 1})
enum { BODY_MOST = 4 * VALUE_SIZE_MOST };

static struct decoder *decoder;
static struct encoder *encoder;
static struct unit_storage storage;
static struct event got;
static struct decode_failure failure;

static void put(struct buffer *out, int64_t number)
{
    uint64_t zigzag = ((uint64_t)number << 1) ^ (uint64_t)(number >> 63);
    uint8_t byte;
    for (; zigzag >= 0x80; zigzag >>= 7) {
        byte = (uint8_t)(zigzag | 0x80);
        buffer_append(out, &byte, 1);
    }
    byte = (uint8_t)zigzag;
    buffer_append(out, &byte, 1);
}

/* The same number in `size` bytes, padded. */
static void put_padded(struct buffer *out, int64_t number, int size)
{
    uint64_t zigzag = ((uint64_t)number << 1) ^ (uint64_t)(number >> 63);
    for (int i = 0; i < size; i++, zigzag >>= 7) {
        uint8_t byte = (uint8_t)((zigzag & 0x7F) | (i + 1 < size ? 0x80 : 0));
        buffer_append(out, &byte, 1);
    }
}

static void put_text(struct buffer *out, const char *text)
{
    put(out, (int64_t)strlen(text));
    buffer_text_append(out, text);
}

static void put_frame(struct buffer *out, enum record_type type)
{
    uint64_t fingerprint = schema_fingerprint(type);
    buffer_append(out, "\xc3\x01", 2);
    for (int i = 0; i < 8; i++)
        buffer_append(out, &(uint8_t){(uint8_t)(fingerprint >> (8 * i))}, 1);
}

static enum dead_letter_reason decode_as(enum event_type type, const void *data, size_t size)
{
    bool away;
    enum dead_letter_reason reason =
        decoder_decode(decoder, type, (struct slice){data, size}, &got, &storage, &failure, &away);
    assert_false(away);
    return reason;
}

/* What comes out for the bytes of `value`, copied to where a read past the end shows under a sanitizer or valgrind. */
static enum dead_letter_reason decode(enum event_type type, const struct buffer *value)
{
    static char *last; /* the event points into it until the next call */
    assert_false(buffer_failed(value));
    free(last);
    last = malloc(value->size ? value->size : 1);
    assert_non_null(last);
    if (value->size)
        memcpy(last, value->data, value->size);
    return decode_as(type, last, value->size);
}

static void expect_wrong(enum event_type type, struct buffer *value, enum dead_letter_reason reason, const char *field,
                         const char *what)
{
    enum dead_letter_reason found = decode(type, value);
    if (found != reason || (field && strcmp(failure.field, field) != 0) || (what && strcmp(failure.what, what) != 0))
        fail_msg("%s, byte %zu, field %s: %s", dead_letter_reason_name(found), failure.offset, failure.field,
                 failure.what);
    buffer_free(value);
}

static struct buffer visit_value(void)
{
    struct buffer value = BUFFER_BOUNDED(BODY_MOST);
    put_frame(&value, RECORD_PAGE_VISIT);
    put(&value, 1605837600000);
    buffer_text_append(&value, "0123456789abcdef");
    return value;
}

/* A merger up to its lists. */
static struct buffer merger_head(void)
{
    struct buffer value = BUFFER_BOUNDED(BODY_MOST);
    put_frame(&value, RECORD_UNIT_MERGER);
    buffer_text_append(&value, "0123456789abcdef");
    put_text(&value, "so-noi-vu");
    put(&value, 1605837600000);
    put(&value, 18262);
    put_text(&value, "so-noi-vu");
    put(&value, CATEGORY_COMMUNE);
    put(&value, KIND_MERGER);
    put(&value, 9);
    put(&value, 3);
    return value;
}

static void put_nulls(struct buffer *out, int count)
{
    for (int i = 0; i < count; i++)
        put(out, 0);
}

static void put_unit(struct buffer *out, const char *id, const char *name)
{
    put_text(out, id);
    put_text(out, name);
}

/* A headcount change with some of its fields given as they are on the wire. */
struct wire {
    int64_t sector, reason, delta, decision_branch, reverses_branch;
};
static struct buffer headcount_value(struct wire wire)
{
    struct buffer value = BUFFER_BOUNDED(BODY_MOST);
    put_frame(&value, RECORD_HEADCOUNT_CHANGE);
    buffer_text_append(&value, "0123456789abcdef");
    put_text(&value, "hong-bang");
    put(&value, 1605837600000);
    put(&value, 18565);
    put_text(&value, "hong-bang");
    put(&value, wire.sector);
    put(&value, wire.reason);
    put(&value, wire.delta);
    put(&value, wire.decision_branch);
    if (wire.decision_branch == 1)
        put_text(&value, "1234/QĐ");
    put(&value, wire.reverses_branch);
    if (wire.reverses_branch == 1)
        buffer_text_append(&value, "ABCDEFGHIJKLMNOP");
    return value;
}

static void every_field_arrives(void **state)
{
    (void)state;
    struct buffer value = headcount_value((struct wire){2, 7, -1000000, 1, 1});
    assert_int_equal(decode(EVENT_HEADCOUNT_CHANGE, &value), LETTER_NONE);
    assert_int_equal(got.type, EVENT_HEADCOUNT_CHANGE);
    assert_memory_equal(got.event_id.bytes, "0123456789abcdef", 16);
    assert_true(slice_equal(got.source, TEXT("hong-bang")) && slice_equal(got.agency, TEXT("hong-bang")));
    assert_int_equal(got.occurred_at_ms, 1605837600000);
    assert_int_equal(got.effective_date, 18565);
    assert_int_equal(got.headcount.sector, SECTOR_COMMUNE);
    assert_int_equal(got.headcount.reason, REASON_CORRECTION);
    assert_int_equal(got.headcount.delta, -1000000);
    assert_true(slice_equal(got.decision, TEXT("1234/QĐ")));
    assert_true(got.has_reverses);
    assert_memory_equal(got.reverses.bytes, "ABCDEFGHIJKLMNOP", 16);
    buffer_free(&value);
    value = headcount_value((struct wire){0, 0, 1, 0, 0});
    assert_int_equal(decode(EVENT_HEADCOUNT_CHANGE, &value), LETTER_NONE);
    assert_null(got.decision.data);
    assert_false(got.has_reverses);
    buffer_free(&value);
    value = visit_value();
    assert_int_equal(decode(EVENT_PAGE_VISIT, &value), LETTER_NONE);
    assert_int_equal(got.type, EVENT_PAGE_VISIT);
    assert_memory_equal(got.visit.visitor, "0123456789abcdef", 16);
    buffer_free(&value);
}

static void a_present_text_may_be_empty_and_is_not_null(void **state)
{
    (void)state;
    struct event event = {
        .type = EVENT_HEADCOUNT_CHANGE, .source = TEXT("a"), .agency = TEXT("a"), .decision = TEXT("")};
    struct buffer value = BUFFER_BOUNDED(BODY_MOST);
    assert_int_equal(encoder_event(encoder, &event, -1, &value, NULL), 0);
    assert_int_equal(decode(EVENT_HEADCOUNT_CHANGE, &value), LETTER_NONE);
    assert_non_null(got.decision.data);
    assert_int_equal(got.decision.size, 0);
    buffer_free(&value);
}

static void the_encoder_writes_what_the_specification_says(void **state)
{
    (void)state;
    struct buffer expected = headcount_value((struct wire){1, 2, -3, 1, 1}), value = BUFFER_BOUNDED(BODY_MOST);
    struct event event = {.type = EVENT_HEADCOUNT_CHANGE,
                          .occurred_at_ms = 1605837600000,
                          .source = TEXT("hong-bang"),
                          .agency = TEXT("hong-bang"),
                          .decision = TEXT("1234/QĐ"),
                          .effective_date = 18565,
                          .has_reverses = true,
                          .headcount = {SECTOR_PUBLIC_SERVICE, REASON_RETIRED, -3}};
    memcpy(event.event_id.bytes, "0123456789abcdef", 16);
    memcpy(event.reverses.bytes, "ABCDEFGHIJKLMNOP", 16);
    for (int round = 0; round < 2; round++) { /* its values are used again and again */
        buffer_reset(&value);
        assert_int_equal(encoder_event(encoder, &event, -1, &value, NULL), 0);
        assert_int_equal(value.size, expected.size);
        assert_memory_equal(value.data, expected.data, value.size);
    }
    buffer_reset(&value);
    assert_int_equal(encoder_event(encoder, &event, 0x01020304, &value, NULL), 0);
    assert_memory_equal(value.data, "\x00\x01\x02\x03\x04", 5);
    assert_int_equal(value.size, expected.size - 5);
    assert_memory_equal(value.data + 5, expected.data + 10, expected.size - 10);
    struct buffer visit = visit_value();
    struct event seen = {.type = EVENT_PAGE_VISIT, .occurred_at_ms = 1605837600000};
    memcpy(seen.visit.visitor, "0123456789abcdef", 16);
    buffer_reset(&value);
    assert_int_equal(encoder_event(encoder, &seen, -1, &value, NULL), 0);
    assert_int_equal(value.size, visit.size);
    assert_memory_equal(value.data, visit.data, value.size);
    buffer_free(&visit);
    buffer_reset(&value);
    value.bound = 20;
    struct error error = {0};
    assert_true(encoder_event(encoder, &event, -1, &value, &error) < 0);
    buffer_free(&value);
    buffer_free(&expected);
}

static void a_merger_with_both_lists_goes_there_and_back(void **state)
{
    (void)state;
    static struct unit units[UNIT_LIST_MOST];
    static char name[256];
    memset(name, 'n', sizeof name);
    for (int i = 0; i < UNIT_LIST_MOST; i++)
        units[i] = (struct unit){{name, (size_t)i % 64 + 1}, {name, (size_t)i + 1}};
    struct event event = {.type = EVENT_UNIT_MERGER, .source = TEXT("a"), .agency = TEXT("b")};
    event.merger.category = CATEGORY_CITY_DIVISION;
    event.merger.kind = KIND_CORRECTION;
    event.merger.merged_count = UNIT_LIST_MOST;
    event.merger.resulting_count = 1;
    event.merger.merged_units = event.merger.resulting_units = units;
    event.merger.pilot_model = TEXT("mo-hinh");
    event.merger.district = TEXT("kien-an");
    struct buffer value = BUFFER_BOUNDED(BODY_MOST);
    assert_int_equal(encoder_event(encoder, &event, -1, &value, NULL), 0);
    assert_int_equal(decode(EVENT_UNIT_MERGER, &value), LETTER_NONE);
    assert_int_equal(got.merger.merged_count, UNIT_LIST_MOST);
    for (int i = 0; i < UNIT_LIST_MOST; i++) {
        assert_true(slice_equal(got.merger.merged_units[i].id, units[i].id));
        assert_true(slice_equal(got.merger.merged_units[i].name, units[i].name));
    }
    assert_int_equal(got.merger.resulting_count, 1);
    assert_true(slice_equal(got.merger.resulting_units[0].name, units[0].name));
    assert_int_equal(got.merger.category, CATEGORY_CITY_DIVISION);
    assert_int_equal(got.merger.kind, KIND_CORRECTION);
    assert_true(slice_equal(got.merger.pilot_model, event.merger.pilot_model));
    assert_true(slice_equal(got.merger.district, event.merger.district));
    assert_null(got.decision.data);
    buffer_free(&value);
}

static void a_dead_letter_of_the_largest_value_is_written(void **state)
{
    (void)state;
    static char bytes[VALUE_SIZE_MOST];
    struct dead_letter letter = {.reason = LETTER_CONFLICT,
                                 .detail = TEXT("why"),
                                 .topic = TEXT("t"),
                                 .partition = 3,
                                 .offset = 1,
                                 .timestamp_ms = -1,
                                 .key = TEXT(""),
                                 .value = {bytes, sizeof bytes}};
    struct buffer value = BUFFER_BOUNDED(BODY_MOST), expected = BUFFER_BOUNDED(BODY_MOST);
    struct error error = {0};
    assert_int_equal(encoder_dead_letter(encoder, &letter, -1, &value, &error), 0);
    put_frame(&expected, RECORD_DEAD_LETTER);
    put(&expected, LETTER_CONFLICT);
    put_text(&expected, "why");
    put_text(&expected, "t");
    put(&expected, 3);
    put(&expected, 1);
    put(&expected, -1);
    put(&expected, 1); /* an empty key is not null */
    put(&expected, 0);
    put(&expected, 1);
    put(&expected, sizeof bytes);
    buffer_append(&expected, bytes, sizeof bytes);
    assert_int_equal(value.size, expected.size);
    assert_memory_equal(value.data, expected.data, value.size);
    letter.key = letter.value = (struct slice){0};
    buffer_reset(&value);
    assert_int_equal(encoder_dead_letter(encoder, &letter, 7, &value, &error), 0);
    assert_memory_equal(value.data + value.size - 2, "\0\0", 2);
    buffer_free(&value);
    buffer_free(&expected);
}

static void framings_that_are_none_are_bad(void **state)
{
    (void)state;
    assert_int_equal(decode_as(EVENT_PAGE_VISIT, NULL, 0), LETTER_BAD_FRAMING);
    static const char *const bad[] = {
        "",          "\xc3",           "\xc3\x01", "\xc3\x01\x02\x03\x04\x05\x06\x07\x08", "\xc3\x02 0123456789",
        "{\"a\":1}", "\x01 0123456789"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(decode_as(EVENT_PAGE_VISIT, bad[i], strlen(bad[i])), LETTER_BAD_FRAMING);
    for (size_t size = 1; size < 5; size++)
        assert_int_equal(decode_as(EVENT_PAGE_VISIT, "\0\0\0\0", size), LETTER_BAD_FRAMING);
    assert_int_equal(decode_as(EVENT_PAGE_VISIT, "\0\0\0\0\1", 5), LETTER_UNKNOWN_SCHEMA); /* no registry here */
    assert_int_equal(decode_as(EVENT_PAGE_VISIT, "\xc3\x01\x02\x03\x04\x05\x06\x07\x08\x09", 10),
                     LETTER_UNKNOWN_SCHEMA);
}

static void another_records_value_is_unknown_schema(void **state)
{
    (void)state;
    struct buffer value = visit_value();
    assert_int_equal(decode(EVENT_HEADCOUNT_CHANGE, &value), LETTER_UNKNOWN_SCHEMA);
    assert_int_equal(decode(EVENT_UNIT_MERGER, &value), LETTER_UNKNOWN_SCHEMA);
    buffer_reset(&value);
    put_frame(&value, RECORD_DEAD_LETTER);
    for (enum event_type type = 0; type < EVENT_TYPES; type++)
        assert_int_equal(decode(type, &value), LETTER_UNKNOWN_SCHEMA);
    buffer_free(&value);
}

static void the_first_reason_that_applies_is_given(void **state)
{
    (void)state;
    static char big[VALUE_SIZE_MOST + 1];
    big[0] = 'x'; /* also bad framing */
    assert_int_equal(decode_as(EVENT_PAGE_VISIT, big, VALUE_SIZE_MOST + 1), LETTER_TOO_LARGE);
    assert_int_equal(decode_as(EVENT_PAGE_VISIT, big, VALUE_SIZE_MOST), LETTER_BAD_FRAMING);
    memcpy(big, "\xc3\x01________", 10); /* also a bad body */
    assert_int_equal(decode_as(EVENT_PAGE_VISIT, big, VALUE_SIZE_MOST), LETTER_UNKNOWN_SCHEMA);
    struct buffer value = headcount_value((struct wire){.sector = 3});
    buffer_append(&value, "x", 1); /* also trailing bytes */
    expect_wrong(EVENT_HEADCOUNT_CHANGE, &value, LETTER_BAD_ENCODING, "sector", "enum index out of range");
    value = visit_value();
    while (value.size < VALUE_SIZE_MOST)
        buffer_append(&value, "x", 1);
    assert_int_equal(decode(EVENT_PAGE_VISIT, &value), LETTER_TRAILING_BYTES);
    assert_int_equal(failure.offset, 10 + 6 + 16);
    buffer_append(&value, "x", 1);
    assert_int_equal(decode(EVENT_PAGE_VISIT, &value), LETTER_TOO_LARGE);
    buffer_free(&value);
}

static void every_truncation_is_bad_encoding_and_one_byte_more_is_trailing(void **state)
{
    (void)state;
    struct buffer values[3] = {headcount_value((struct wire){1, 1, -70000, 1, 1}), merger_head(), visit_value()};
    put(&values[1], -2);
    put(&values[1], 12);
    put_unit(&values[1], "a", "bb");
    put_unit(&values[1], "cc", "ddd");
    put(&values[1], 0);
    put_nulls(&values[1], 5);
    for (enum event_type type = 0; type < EVENT_TYPES; type++) {
        size_t whole = values[type].size;
        assert_int_equal(decode(type, &values[type]), LETTER_NONE);
        for (values[type].size = 10; values[type].size < whole; values[type].size++)
            assert_int_equal(decode(type, &values[type]), LETTER_BAD_ENCODING);
        buffer_append(&values[type], "", 1);
        assert_int_equal(decode(type, &values[type]), LETTER_TRAILING_BYTES);
        assert_int_equal(failure.offset, whole);
        buffer_free(&values[type]);
    }
}

static enum dead_letter_reason visit_at(const void *bytes, size_t size)
{
    struct buffer value = BUFFER_BOUNDED(BODY_MOST);
    put_frame(&value, RECORD_PAGE_VISIT);
    buffer_append(&value, bytes, size);
    buffer_text_append(&value, "0123456789abcdef");
    enum dead_letter_reason reason = decode(EVENT_PAGE_VISIT, &value);
    buffer_free(&value);
    return reason;
}

static void numbers_may_be_padded_up_to_10_bytes(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0, -1, 1, 63, -64, 64, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 1605837600000};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct buffer bytes = BUFFER_BOUNDED(BODY_MOST);
        put(&bytes, numbers[i]);
        for (int size = (int)bytes.size; size <= 10; size++) {
            struct buffer padded = BUFFER_BOUNDED(BODY_MOST);
            put_padded(&padded, numbers[i], size);
            assert_int_equal(visit_at(padded.data, padded.size), LETTER_NONE);
            assert_int_equal(got.occurred_at_ms, numbers[i]);
            buffer_free(&padded);
        }
        buffer_free(&bytes);
    }
    assert_int_equal(visit_at("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11), LETTER_BAD_ENCODING); /* 11 bytes */
    assert_int_equal(visit_at("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", 10), LETTER_BAD_ENCODING);     /* 65 bits */
    assert_int_equal(visit_at("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10), LETTER_BAD_ENCODING);
    assert_string_equal(failure.what, "a number is cut off or too long");
    assert_string_equal(failure.field, "occurred_at");
    assert_int_equal(failure.offset, 10);
}

static void ints_are_32_bits_and_enums_and_branches_are_in_range(void **state)
{
    (void)state;
    struct buffer value;
    static const int64_t good[] = {INT32_MAX, INT32_MIN};
    for (int i = 0; i < 2; i++) {
        value = headcount_value((struct wire){.delta = good[i]});
        assert_int_equal(decode(EVENT_HEADCOUNT_CHANGE, &value), LETTER_NONE);
        assert_int_equal(got.headcount.delta, good[i]);
        buffer_free(&value);
    }
    static const int64_t bad[] = {INT64_C(1) << 31, -(INT64_C(1) << 31) - 1, INT64_MAX, INT64_MIN};
    for (int i = 0; i < 4; i++) {
        value = headcount_value((struct wire){.delta = bad[i]});
        expect_wrong(EVENT_HEADCOUNT_CHANGE, &value, LETTER_BAD_ENCODING, "delta", "int out of range");
    }
    static const int64_t indexes[] = {-1, 8, INT64_MAX, INT64_MIN, INT64_C(1) << 32};
    for (int i = 0; i < 5; i++) {
        value = headcount_value((struct wire){.sector = indexes[i]});
        expect_wrong(EVENT_HEADCOUNT_CHANGE, &value, LETTER_BAD_ENCODING, "sector", "enum index out of range");
        value = headcount_value((struct wire){.reason = indexes[i]});
        expect_wrong(EVENT_HEADCOUNT_CHANGE, &value, LETTER_BAD_ENCODING, "reason", "enum index out of range");
        value = headcount_value((struct wire){.decision_branch = indexes[i]});
        expect_wrong(EVENT_HEADCOUNT_CHANGE, &value, LETTER_BAD_ENCODING, "decision", "union index out of range");
        value = headcount_value((struct wire){.reverses_branch = indexes[i]});
        expect_wrong(EVENT_HEADCOUNT_CHANGE, &value, LETTER_BAD_ENCODING, "reverses", "union index out of range");
    }
    value = headcount_value((struct wire){.decision_branch = 2});
    expect_wrong(EVENT_HEADCOUNT_CHANGE, &value, LETTER_BAD_ENCODING, "decision", "union index out of range");
}

static void lengths_are_within_what_is_left(void **state)
{
    (void)state;
    static const int64_t lengths[] = {-1, 30, INT64_MAX, INT64_MIN, UINT32_MAX};
    for (int i = 0; i < 5; i++) {
        struct buffer value = BUFFER_BOUNDED(BODY_MOST);
        put_frame(&value, RECORD_HEADCOUNT_CHANGE);
        buffer_text_append(&value, "0123456789abcdef");
        put(&value, lengths[i]);
        buffer_text_append(&value, "hong-bang");
        expect_wrong(EVENT_HEADCOUNT_CHANGE, &value, LETTER_BAD_ENCODING, "source", "a length beyond the end");
    }
}

static void lists_come_in_blocks_with_or_without_a_size(void **state)
{
    (void)state;
    struct buffer value = merger_head();
    put(&value, 1);
    put_unit(&value, "a", "A");
    put(&value, -2);
    put(&value, 9); /* bytes of the two */
    put_unit(&value, "b", "BBB");
    put_unit(&value, "c", "");
    put_padded(&value, 1, 10);
    put_unit(&value, "d", "D");
    put(&value, 0);
    put(&value, -1);
    put_padded(&value, 4, 3);
    put_unit(&value, "e", "E");
    put(&value, 0);
    put_nulls(&value, 4);
    assert_int_equal(decode(EVENT_UNIT_MERGER, &value), LETTER_NONE);
    assert_int_equal(got.merger.merged_count, 4);
    assert_true(slice_equal(got.merger.merged_units[1].name, TEXT("BBB")));
    assert_true(slice_equal(got.merger.merged_units[3].id, TEXT("d")));
    assert_int_equal(got.merger.resulting_count, 1);
    assert_true(slice_equal(got.merger.resulting_units[0].id, TEXT("e")));
    buffer_free(&value);
}

static void a_block_is_as_long_as_it_says(void **state)
{
    (void)state;
    for (int size = 2; size <= 6; size++) {
        struct buffer value = merger_head();
        put(&value, -1);
        put(&value, size);
        put_unit(&value, "a", "A"); /* 4 bytes */
        put(&value, 0);
        put(&value, 0);
        put_nulls(&value, 4);
        if (size == 4) {
            assert_int_equal(decode(EVENT_UNIT_MERGER, &value), LETTER_NONE);
            buffer_free(&value);
        } else {
            expect_wrong(EVENT_UNIT_MERGER, &value, LETTER_BAD_ENCODING, "merged_units",
                         "a list's block is not as long as it says");
        }
    }
    static const int64_t heads[][2] = {{INT64_MIN, 4}, {-1, -1},       {-1, 1000},     {-1, INT64_MAX},
                                       {1000, 0},      {INT64_MAX, 0}, {-INT64_MAX, 4}};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct buffer value = merger_head();
        put(&value, heads[i][0]);
        if (heads[i][0] < 0)
            put(&value, heads[i][1]);
        put_unit(&value, "a", "A");
        put_nulls(&value, 6);
        expect_wrong(EVENT_UNIT_MERGER, &value, LETTER_BAD_ENCODING, "merged_units", "a list's block is wrong");
    }
}

static void items_past_256_are_counted_and_not_stored(void **state)
{
    (void)state;
    for (int many = 257; many <= 5000; many += 4743) {
        for (int which = 0; which < 2; which++) { /* the first list or the second is the long one */
            static struct {
                struct unit_storage storage;
                struct unit after;
            } place;
            struct buffer value = merger_head();
            bool away;
            put_nulls(&value, which);
            put(&value, many);
            for (int i = 0; i < many; i++)
                put_unit(&value, "a", i == 255 ? "last" : "x");
            put_nulls(&value, which ? 5 : 6);
            memset(&place, 0, sizeof place);
            assert_int_equal(decoder_decode(decoder, EVENT_UNIT_MERGER, (struct slice){value.data, value.size}, &got,
                                            &place.storage, &failure, &away),
                             LETTER_NONE);
            assert_int_equal(which ? got.merger.resulting_count : got.merger.merged_count, many);
            assert_int_equal(which ? got.merger.merged_count : got.merger.resulting_count, 0);
            const struct unit *units = which ? got.merger.resulting_units : got.merger.merged_units;
            assert_true(slice_equal(units[255].name, TEXT("last")));
            assert_null(which ? place.storage.merged[0].id.data : place.storage.resulting[0].id.data);
            assert_null(place.after.id.data);
            buffer_free(&value);
        }
    }
}

static int make(void **state)
{
    (void)state;
    return decoder_new(NULL, NULL, &decoder, NULL) | encoder_new(&encoder, NULL);
}

static int unmake(void **state)
{
    (void)state;
    struct buffer empty = BUFFER_BOUNDED(1);
    decode(EVENT_PAGE_VISIT, &empty);
    decoder = decoder_free(decoder);
    encoder = encoder_free(encoder);
    decoder_free(NULL);
    encoder_free(NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_arrives),
        cmocka_unit_test(a_present_text_may_be_empty_and_is_not_null),
        cmocka_unit_test(the_encoder_writes_what_the_specification_says),
        cmocka_unit_test(a_merger_with_both_lists_goes_there_and_back),
        cmocka_unit_test(a_dead_letter_of_the_largest_value_is_written),
        cmocka_unit_test(framings_that_are_none_are_bad),
        cmocka_unit_test(another_records_value_is_unknown_schema),
        cmocka_unit_test(the_first_reason_that_applies_is_given),
        cmocka_unit_test(every_truncation_is_bad_encoding_and_one_byte_more_is_trailing),
        cmocka_unit_test(numbers_may_be_padded_up_to_10_bytes),
        cmocka_unit_test(ints_are_32_bits_and_enums_and_branches_are_in_range),
        cmocka_unit_test(lengths_are_within_what_is_left),
        cmocka_unit_test(lists_come_in_blocks_with_or_without_a_size),
        cmocka_unit_test(a_block_is_as_long_as_it_says),
        cmocka_unit_test(items_past_256_are_counted_and_not_stored),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
