/* How every connection of the consumer to Redis begins. */
#include "consumer/store_connect.h"

#include <openssl/rand.h>
#include <stdio.h>

#include "schemas/layout.h"

int store_connect(const struct redis_place *place, const char *totals_key, bool writer, int64_t command_timeout_ms, struct redis **ret_redis,
                  struct error *error)
{
    struct redis *redis = NULL;
    int result = redis_connect(&(struct redis_options){.place = *place, .route_key = totals_key, .writer = writer,
                                                        .command_timeout_ms = command_timeout_ms},
                               &redis, error);
    if (result >= 0)
        result = redis_function_ensure(redis, citytotals_library_name, citytotals_library_code, error);
    if (result < 0)
        redis_free(redis);
    else
        *ret_redis = redis;
    return result;
}

int store_random_text(char text[RANDOM_TEXT_SIZE], struct error *error)
{
    unsigned char random[16];
    if (RAND_bytes(random, sizeof random) != 1)
        return error_set(error, ERROR_IO, "no random bytes");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(text + 2 * i, 3, "%02x", random[i]);
    return 0;
}
