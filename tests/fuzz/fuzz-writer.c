/* A foreign writer schema and a body of it, with a zero byte between, for each of our readers. */
#include <assert.h>
#include <stdlib.h>

#include "schemas/codec.h"
#include "schemas/rules.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct unit_storage storage;
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t schema_size = zero ? (size_t)(zero - data) : size;
    const uint8_t *body = zero ? zero + 1 : data + size;
    for (enum record_type reader = 0; reader < RECORD_DEAD_LETTER; reader++) {
        struct decode_plan *plan = NULL;
        struct error error = {0};
        struct event event;
        struct decode_failure failure;
        int result = decode_plan_new((const char *)data, schema_size, reader, &plan, &error);
        if (result < 0) {
            assert(!plan && *error.text);
            continue;
        }
        enum dead_letter_reason reason =
            decode_plan_run(plan, body, (size_t)(data + size - body), &event, &storage, &failure);
        if (reason == LETTER_NONE)
            event_check(&event, 1605837600000, NULL);
        else
            assert((reason == LETTER_UNKNOWN_SCHEMA || reason == LETTER_BAD_ENCODING || reason == LETTER_TRAILING_BYTES) && failure.field &&
                   failure.what);
        decode_plan_free(plan);
    }
    return 0;
}
