/* The canonical form of any text: where there is one, it can be parsed again, and from then on it is its own form. (Not
 * at once: a name without a namespace, inside a type that has one, is written without; read again, it takes that one.)
 */
#include <assert.h>
#include <stdlib.h>

#include "schemas/codec.h"
#include "tests/fuzz/fuzz.h"

static struct buffer form_of(const void *data, size_t size)
{
    struct buffer form = BUFFER_BOUNDED(1 << 21);
    struct error error = {0};
    int result = schema_canonical_form(data, size, &form, &error);
    assert(result == 0 ? form.size > 0 : *error.text && form.size == 0);
    return form;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer first = form_of(data, size);
    if (first.size > 0 && first.size <= SCHEMA_TEXT_MOST) { /* full names may make it longer than a schema may be */
        struct buffer second = form_of(first.data, first.size);
        if (second.size > 0 && second.size <= SCHEMA_TEXT_MOST) {
            struct buffer third = form_of(second.data, second.size);
            assert(third.size == second.size && memcmp(third.data, second.data, third.size) == 0);
            buffer_free(&third);
        }
        buffer_free(&second);
    }
    buffer_free(&first);
    return 0;
}
