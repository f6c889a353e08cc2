/* Kafka values as each of the three types: nothing crashes, and what is read is the same after it was written again. */
#include <assert.h>
#include <stdlib.h>

#include "schemas/codec.h"
#include "schemas/identity.h"
#include "schemas/rules.h"
#include "tests/fuzz/fuzz.h"

static struct decoder *decoder;
static struct encoder *encoder;

/* Freed at the end: avro-c keeps pointers where a leak checker does not look. */
static void free_codec(void)
{
    decoder_free(decoder);
    encoder_free(encoder);
}

static const uint8_t *with_our_frame(enum event_type type, const uint8_t *data, size_t size, uint8_t *copy)
{
    uint64_t fingerprint = schema_fingerprint((enum record_type)type);
    memcpy(copy, "\xc3\x01", 2);
    for (int i = 0; i < 8; i++)
        copy[2 + i] = (uint8_t)(fingerprint >> (8 * i));
    if (size)
        memcpy(copy + 10, data, size);
    return copy;
}

static void there_and_back(enum event_type type, const uint8_t *value, size_t size)
{
    static struct unit_storage storage, again_storage;
    struct event event, again;
    struct decode_failure failure;
    struct rule_violation violations[8];
    bool away;
    enum dead_letter_reason reason =
        decoder_decode(decoder, type, (struct slice){(const char *)value, size}, &event, &storage, &failure, &away);
    assert(!away);
    if (reason != LETTER_NONE) {
        assert(reason <= LETTER_TRAILING_BYTES && failure.offset <= size && failure.field && failure.what);
        return;
    }
    size_t count = event_check_all(&event, 1605837600000, violations, 8);
    assert((count == 0) == (event_check(&event, 1605837600000, NULL) == LETTER_NONE));
    if (type == EVENT_UNIT_MERGER &&
        (event.merger.merged_count > UNIT_LIST_MOST || event.merger.resulting_count > UNIT_LIST_MOST)) {
        assert(count > 0);
        return;
    }
    struct buffer out = BUFFER_BOUNDED(2 * VALUE_SIZE_MOST);
    if (encoder_event(encoder, &event, -1, &out, NULL) != 0)
        abort();
    reason = decoder_decode(decoder, type, (struct slice){out.data, out.size}, &again, &again_storage, &failure, &away);
    assert(reason == LETTER_NONE && event.occurred_at_ms == again.occurred_at_ms);
    assert(memcmp(&event.event_id, &again.event_id, sizeof event.event_id) == 0 &&
           slice_equal(event.agency, again.agency));
    assert(event_meaning_digest(&event) == event_meaning_digest(&again));
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!decoder &&
        (decoder_new(NULL, NULL, &decoder, NULL) != 0 || encoder_new(&encoder, NULL) != 0 || atexit(free_codec) != 0))
        abort();
    for (enum event_type type = 0; type < EVENT_TYPES; type++) {
        uint8_t *value = malloc(size + 10);
        if (!value)
            abort();
        there_and_back(type, data, size);
        there_and_back(type, with_our_frame(type, data, size, value), size + 10);
        free(value);
    }
    return 0;
}
