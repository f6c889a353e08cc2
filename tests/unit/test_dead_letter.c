/* A dead letter that our encoder wrote is read back as it was; cut or changed bytes never are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "schemas/codec.h"

static const struct dead_letter letter = {
    .reason = LETTER_TRAILING_BYTES, .detail = {"detail", 6}, .topic = {"haiphong.unit-mergers", 21}, .partition = 7,
    .offset = INT64_C(123456789012), .timestamp_ms = -1, .key = {"", 0}, .value = {"a\0b", 3},
};

static void round_trip(int64_t schema_id)
{
    struct encoder *encoder;
    struct error error = {0};
    struct buffer out = BUFFER_BOUNDED(4096);
    struct dead_letter got;
    assert_int_equal(encoder_new(&encoder, &error), 0);
    assert_int_equal(encoder_dead_letter(encoder, &letter, schema_id, &out, &error), 0);
    assert_true(dead_letter_decode((struct slice){out.data, out.size}, &got));
    assert_int_equal(got.reason, letter.reason);
    assert_true(slice_equal(got.detail, letter.detail) && slice_equal(got.topic, letter.topic));
    assert_int_equal(got.partition, letter.partition);
    assert_int_equal(got.offset, letter.offset);
    assert_int_equal(got.timestamp_ms, letter.timestamp_ms);
    assert_true(slice_equal(got.key, letter.key) && slice_equal(got.value, letter.value));
    for (size_t size = 0; size < out.size; size++)
        assert_false(dead_letter_decode((struct slice){out.data, size}, &got));
    buffer_append(&out, "", 1);
    assert_false(dead_letter_decode((struct slice){out.data, out.size}, &got));
    encoder_free(encoder);
    buffer_free(&out);
}

static void a_letter_is_read_back(void **state)
{
    (void)state;
    round_trip(-1);
    round_trip(5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_letter_is_read_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
