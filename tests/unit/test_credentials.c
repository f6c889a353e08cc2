/* The gateway's credentials: files good and bad, finding a token, buckets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/buffer.h"
#include "producer/credentials.h"

/* SHA-256 of "alpha" and of "beta". */
#define ALPHA "sha256:8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8"
#define BETA "sha256:f44e64e75f3948e9f73f8dfa94721c4ce8cbb4f265c4790c702b2d41cfbf2753"

static struct credentials *parsed(const char *text)
{
    struct credentials *credentials = NULL;
    struct error error = {0};
    if (credentials_parse(slice_of(text), &credentials, &error) < 0)
        fail_msg("%s", error.text);
    return credentials;
}

static void a_token_is_found_by_its_hash(void **state)
{
    (void)state;
    struct credentials *credentials = parsed("# ours\n\n" ALPHA " source=so-noi-vu agencies=hong-bang,an-lao rate=5\r\n"
                                             BETA "\tagencies=*  source=portal\n");
    assert_int_equal(credentials_count(credentials), 2);
    struct credential *alpha = credentials_find(credentials, slice_of("alpha"));
    assert_non_null(alpha);
    assert_true(slice_equal(alpha->source, slice_of("so-noi-vu")));
    assert_int_equal(alpha->rate, 5);
    assert_true(credential_allows(alpha, slice_of("an-lao")));
    assert_true(credential_allows(alpha, slice_of("hong-bang")));
    assert_false(credential_allows(alpha, slice_of("an-la")));
    assert_false(credential_allows(alpha, slice_of("")));
    struct credential *beta = credentials_find(credentials, slice_of("beta"));
    assert_non_null(beta);
    assert_true(credential_allows(beta, slice_of("kien-an")));
    assert_int_equal(beta->rate, 0);
    assert_null(credentials_find(credentials, slice_of("gamma")));
    assert_null(credentials_find(credentials, slice_of("")));
    assert_null(credentials_find(credentials, slice_of("Alpha")));
    credentials_free(credentials);
}

static void a_bad_file_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"ct_abc source=a agencies=b\n", "line 1: it does not begin with sha256:"},
        {"\n" ALPHA "0 source=a agencies=b\n", "line 2: it does not begin with sha256:"},
        {"sha256:8ED3F6AD685B959EAD7022518E1AF76CD816F8E8EC7CCDDA1ED4018E8F2223F8 source=a agencies=b", "lower case"},
        {ALPHA " agencies=b", "source= is missing"},
        {ALPHA " source=a", "agencies= is missing"},
        {ALPHA " source=a source=b agencies=b", "each once"},
        {ALPHA " source=a agencies=b extra", "a word after the hash"},
        {ALPHA " source=A agencies=b", "source is \"A\""},
        {ALPHA " source=a agencies=", "agencies has \"\""},
        {ALPHA " source=a agencies=b,", "agencies has \"\""},
        {ALPHA " source=a agencies=b,*", "agencies has \"*\""},
        {ALPHA " source=a agencies=b rate=-1", "rate is \"-1\""},
        {ALPHA " source=a agencies=b rate=1000001", "rate is \"1000001\""},
        {ALPHA " source=a agencies=b rate=", "rate is \"\""},
        {ALPHA " source=a agencies=b\n" ALPHA " source=c agencies=d", "line 2: the same hash"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct credentials *credentials = NULL;
        struct error error = {0};
        assert_int_equal(credentials_parse(slice_of(cases[i].text), &credentials, &error), -ERROR_CONFIG);
        assert_null(credentials);
        if (!strstr(error.text, cases[i].says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, error.text, cases[i].says);
    }
    struct credentials *none = parsed("");
    assert_null(credentials_find(none, slice_of("alpha")));
    credentials_free(none);
}

/* Somebody pastes the token itself into the file: no log may repeat it. */
static void an_error_repeats_no_token(void **state)
{
    (void)state;
    struct credentials *credentials = NULL;
    struct error error = {0};
    assert_int_equal(credentials_parse(slice_of("ct_secret source=a agencies=b"), &credentials, &error), -ERROR_CONFIG);
    assert_null(strstr(error.text, "ct_secret"));
    assert_int_equal(credentials_parse(slice_of(ALPHA " ct_secret source=a agencies=b"), &credentials, &error), -ERROR_CONFIG);
    assert_null(strstr(error.text, "ct_secret"));
}

static void a_bucket_takes_a_batch_whole_and_then_waits(void **state)
{
    (void)state;
    struct credentials *credentials = parsed(ALPHA " source=a agencies=b rate=10");
    struct credential *alpha = credentials_find(credentials, slice_of("alpha"));
    int64_t now = 1000000;
    assert_int_equal(credential_take(alpha, 30, now), 0); /* level -20: two seconds and a little */
    assert_in_range(credential_take(alpha, 1, now), 2000, 2001);
    assert_in_range(credential_take(alpha, 1, now + 1000), 1000, 1001);
    assert_in_range(credential_take(alpha, 1, now + 2000), 1, 1);
    assert_int_equal(credential_take(alpha, 1, now + 2001), 0);
    assert_int_equal(credential_take(alpha, 10, now + 60000), 0); /* full again, not fuller */
    assert_in_range(credential_take(alpha, 1, now + 60000), 1, 1);
    assert_in_range(credential_take(alpha, 1, now + 59000), 1, 1); /* a clock that went back gives nothing */

    /* taken with the last drop, a batch is charged all the same */
    assert_int_equal(credential_take(alpha, 1, now + 60200), 0);
    credential_charge(alpha, 1000);
    assert_in_range(credential_take(alpha, 1, now + 60200), 99000, 101000);

    struct credentials *later = parsed(ALPHA " source=a agencies=b rate=100\n" BETA " source=a agencies=b rate=7");
    credentials_inherit(later, credentials);
    assert_true(credential_take(credentials_find(later, slice_of("alpha")), 1, now + 59000) > 0);
    assert_int_equal(credential_take(credentials_find(later, slice_of("beta")), 1, now + 59000), 0);
    credentials_free(later);
    credentials_free(credentials);
}

static void a_made_line_is_taken(void **state)
{
    (void)state;
    uint8_t bytes[TOKEN_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 250);
    char token[TOKEN_TEXT_SIZE];
    token_format(bytes, token);
    /* as Python's base64.urlsafe_b64encode writes these bytes, without the = at the end */
    assert_string_equal(token, "ct_-h9EaY6z2P0iR2yRttsAJUpvlLneAyhNcpe84QYrUHU");
    struct buffer line = BUFFER_BOUNDED(4096);
    struct error error = {0};
    assert_int_equal(credential_line(slice_of(token), "so-noi-vu", "hong-bang,an-lao", 50, &line, &error), 0);
    struct credentials *credentials = parsed(buffer_text(&line));
    struct credential *found = credentials_find(credentials, slice_of(token));
    assert_non_null(found);
    assert_int_equal(found->rate, 50);
    assert_int_equal(found->agency_count, 2);
    credentials_free(credentials);
    assert_int_equal(credential_line(slice_of(token), "So", "a", 0, &line, &error), -ERROR_USAGE);
    assert_int_equal(credential_line(slice_of(token), "so", "a,,b", 0, &line, &error), -ERROR_USAGE);
    assert_non_null(strstr(error.text, "option --agency: agencies has \"\""));
    buffer_free(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_found_by_its_hash),
        cmocka_unit_test(a_bad_file_is_refused_with_its_line),
        cmocka_unit_test(an_error_repeats_no_token),
        cmocka_unit_test(a_bucket_takes_a_batch_whole_and_then_waits),
        cmocka_unit_test(a_made_line_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
