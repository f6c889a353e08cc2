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

bool city_is_valid(struct slice city)
{
    if (!city.data || city.size < 1 || city.size > CITY_SIZE_MOST)
        return false;
    for (size_t i = 0; i < city.size; i++) {
        char c = city.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}
