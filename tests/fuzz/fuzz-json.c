/* A line of JSON as `send` and the gateway take it: what is accepted is JSON by another parser's judgement, keeps every
 * rule and can be encoded; what is refused has sentences in UTF-8. */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "producer/parser.h"
#include "schemas/codec.h"
#include "schemas/rules.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS INT64_C(1605837600000)

static struct parser *parser;
static struct encoder *encoder;

static void free_all(void) /* avro-c keeps pointers where a leak checker does not look */
{
    parser_free(parser);
    encoder_free(encoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct problems problems;
    struct parser_defaults defaults = {.csv_type = -1, .now_ms = NOW_MS};
    struct slice line = {(const char *)data, size};
    struct event event;
    if (!parser && (parser_new(&parser, NULL) != 0 || encoder_new(&encoder, NULL) != 0 || atexit(free_all) != 0))
        abort();
    for (int with_source = 0; with_source < 2; with_source++) {
        defaults.source = with_source ? slice_of("hong-bang") : (struct slice){0};
        if (!parser_json(parser, line, &defaults, &event, &problems)) {
            assert(problems.count > 0);
            for (size_t i = 0; i < problems_kept(&problems); i++)
                assert(*problems.items[i].text && text_is_utf8(slice_of(problems.items[i].text)) &&
                       text_is_utf8(slice_of(problems.items[i].field)));
            continue;
        }
        struct buffer out = BUFFER_BOUNDED(VALUE_SIZE_MOST);
        json_t *json = json_loadb(line.data, line.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        assert(json_is_object(json));
        json_decref(json);
        assert(problems.count == 0 && event_check(&event, NOW_MS, NULL) == LETTER_NONE);
        if (encoder_event(encoder, &event, -1, &out, NULL) != 0)
            abort();
        buffer_free(&out);
    }
    return 0;
}
