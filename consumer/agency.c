/* A hash table of agencies, chained, with entries that never move. */
#include "consumer/agency.h"

#include <assert.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { BUCKETS = 16384 };
struct agencies {
    struct agency *buckets[BUCKETS];
    size_t count;
};

struct agencies *agencies_new(void)
{
    return calloc(1, sizeof(struct agencies));
}

struct agencies *agencies_free(struct agencies *agencies)
{
    if (agencies)
        agencies_forget(agencies);
    free(agencies);
    return NULL;
}

struct agency *agencies_get(struct agencies *agencies, struct slice name)
{
    assert(name.size > 0 && name.size <= AGENCY_NAME_MOST);
    struct agency **bucket = &agencies->buckets[XXH3_64bits(name.data, name.size) % BUCKETS];
    for (struct agency *agency = *bucket; agency; agency = agency->next)
        if (agency->name_size == name.size && memcmp(agency->name, name.data, name.size) == 0)
            return agency;
    struct agency *agency = calloc(1, sizeof *agency);
    if (!agency)
        return NULL;
    memcpy(agency->name, name.data, name.size);
    agency->name_size = (uint8_t)name.size;
    agency->hash = murmur2_positive(name);
    agency->lane = (uint8_t)(agency->hash % SEEN_LANES);
    for (int type = 0; type < 2; type++)
        agency->salts[type] = identity_salt_of((enum event_type)type, name);
    agency->next = *bucket;
    *bucket = agency;
    agencies->count++;
    return agency;
}

size_t agencies_count(const struct agencies *agencies)
{
    return agencies->count;
}

void agencies_forget(struct agencies *agencies)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (agencies->buckets[i]) {
            struct agency *next = agencies->buckets[i]->next;
            free(agencies->buckets[i]);
            agencies->buckets[i] = next;
        }
    }
    agencies->count = 0;
}
