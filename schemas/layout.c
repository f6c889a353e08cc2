/* Names of the keys in Redis. */
#include "schemas/layout.h"

#include <assert.h>
#include <stdio.h>

char *redis_key(char key[REDIS_KEY_SIZE], const char *city, const char *suffix)
{
    int size = snprintf(key, REDIS_KEY_SIZE, "{%s}:%s", city, suffix);
    assert(size > 0 && size < REDIS_KEY_SIZE);
    return key;
}
