/* Memory that runs out: each allocation of ours fails in turn, nothing leaks or crashes, and it is never mistaken for
 * bad input. (Where jansson's own fail it may say "invalid token": that can't be told apart.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on
#include "schemas/codec.h"

static long left = -1; /* allocations that succeed before one fails; below 0 all do */

static bool fails(void)
{
    return left >= 0 && left-- == 0;
}

/* The linker sends our libraries' allocations here (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *data, size_t size)
{
    return fails() ? NULL : __real_realloc(data, size);
}

/* Calls `run` with one more allocation allowed each time, until it needs no more. It returns 0 or -ERROR_MEMORY. */
static void expect_memory_only(const char *what, int (*run)(void))
{
    long failed = 0;
    for (long allowed = 0;; allowed++) {
        left = allowed;
        int result = run();
        bool ran_out = left < 0;
        left = -1;
        if (result == 0 && !ran_out)
            break;
        if (ran_out && result != 0 && result != -ERROR_MEMORY)
            fail_msg("%s: allocation %ld failed: %d", what, allowed, result);
        if (!ran_out)
            fail_msg("%s: %d with memory enough", what, result);
        failed += result != 0;
        assert_true(allowed < 100000);
    }
    assert_true(failed > 0);
}

static int make_plan(void)
{
    struct decode_plan *plan = NULL;
    const char *text = schema_text(RECORD_UNIT_MERGER);
    int result = decode_plan_new(text, strlen(text), RECORD_UNIT_MERGER, &plan, NULL);
    assert_true((result == 0) == (plan != NULL));
    decode_plan_free(plan);
    return result;
}

static int make_form(void)
{
    struct buffer out = BUFFER_BOUNDED(1 << 20);
    const char *text = schema_text(RECORD_UNIT_MERGER);
    int result = schema_canonical_form(text, strlen(text), &out, NULL);
    buffer_free(&out);
    return result == -ERROR_LIMIT ? -ERROR_MEMORY : result;
}

static int make_decoder(void)
{
    struct decoder *decoder = NULL;
    int result = decoder_new(NULL, NULL, &decoder, NULL);
    decoder_free(decoder);
    return result;
}

static enum schema_lookup found(void *context, uint32_t id, const char **ret_json, size_t *ret_size)
{
    (void)context;
    (void)id;
    *ret_json = schema_text(RECORD_PAGE_VISIT);
    *ret_size = strlen(*ret_json);
    return SCHEMA_LOOKUP_FOUND;
}

static struct decoder *asking;

/* A registry's schema that there is no memory for now is waited for. */
static int decode_by_id(void)
{
    static struct unit_storage storage;
    static uint32_t id;
    struct event event;
    bool away;
    char value[] = "\0\0\0\0\0\2"
                   "0123456789abcdef";
    id++;
    value[3] = (char)(id >> 8);
    value[4] = (char)id;
    enum dead_letter_reason reason = decoder_decode(asking, EVENT_PAGE_VISIT, (struct slice){value, sizeof value - 1},
                                                    &event, &storage, NULL, &away);
    assert_int_equal(reason, LETTER_NONE);
    return away ? -ERROR_MEMORY : 0;
}

static void plans_and_forms(void **state)
{
    (void)state;
    expect_memory_only("a plan", make_plan);
    expect_memory_only("a canonical form", make_form);
    expect_memory_only("a decoder", make_decoder);
}

static void a_registrys_schema(void **state)
{
    (void)state;
    assert_int_equal(decoder_new(found, NULL, &asking, NULL), 0);
    expect_memory_only("a value by id", decode_by_id);
    asking = decoder_free(asking);
}

static struct encoder *writing;
static int encode(void)
{
    struct unit units[3] = {
        {slice_of("a"), slice_of("b")}, {slice_of("c"), slice_of("d")}, {slice_of("e"), slice_of("f")}};
    struct event event = {.type = EVENT_UNIT_MERGER, .source = slice_of("a"), .agency = slice_of("b")};
    event.decision = slice_of("d");
    event.merger.merged_units = units;
    event.merger.merged_count = 3;
    struct buffer out = BUFFER_BOUNDED(65536);
    int result = encoder_event(writing, &event, -1, &out, NULL);
    assert_true(result == 0 || out.size == 0);
    buffer_free(&out);
    return result;
}

static void encoding(void **state)
{
    (void)state;
    assert_int_equal(encoder_new(&writing, NULL), 0);
    assert_int_equal(encode(), 0);
    expect_memory_only("an event's bytes", encode);
    assert_int_equal(encode(), 0); /* the encoder is as good as before */
    writing = encoder_free(writing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_and_forms),
        cmocka_unit_test(a_registrys_schema),
        cmocka_unit_test(encoding),
    };
    schema_fingerprint(RECORD_HEADCOUNT_CHANGE); /* made once and kept */
    schema_fingerprint(RECORD_UNIT_MERGER);
    schema_fingerprint(RECORD_PAGE_VISIT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
