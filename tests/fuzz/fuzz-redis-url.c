/* Redis URLs: any text is taken or refused with a sentence. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/redis_url.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct redis_url parsed;
    struct error error = {0};
    char *url = malloc(size + 1);
    if (!url)
        abort();
    if (size)
        memcpy(url, data, size);
    url[size] = '\0';
    if (redis_url_parse(url, &parsed, &error) != 0)
        assert(error.code == ERROR_CONFIG && *error.text);
    free(url);
    return 0;
}
