/* The canonical form of any text: where there is one, it is its own canonical form. */
#include <assert.h>
#include <stdlib.h>

#include "schemas/codec.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer form = BUFFER_BOUNDED(1 << 21), again = BUFFER_BOUNDED(1 << 21);
    struct error error = {0};
    if (schema_canonical_form((const char *)data, size, &form, &error) == 0) {
        /* A full name may make it longer than a schema's bound. */
        if (form.size <= SCHEMA_TEXT_MOST) {
            int result = schema_canonical_form(form.data, form.size, &again, &error);
            assert(result == 0 && again.size == form.size && memcmp(again.data, form.data, form.size) == 0);
        }
    } else {
        assert(*error.text && form.size == 0);
    }
    buffer_free(&form);
    buffer_free(&again);
    return 0;
}
