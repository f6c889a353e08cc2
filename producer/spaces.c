/* A direct-mapped memory of namespaces and salts. */
#include "producer/spaces.h"

#include <assert.h>

static uint32_t hash_more(uint32_t hash, struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * UINT32_C(16777619);
    return hash;
}

const struct space *spaces_get(struct spaces *spaces, enum event_type type, struct slice source, struct slice agency)
{
    assert(source.size <= SPACE_ID_MOST && agency.size <= SPACE_ID_MOST);
    uint32_t hash = hash_more(hash_more(UINT32_C(2166136261) + (uint32_t)type, agency), source);
    typeof(&spaces->places[0]) place = &spaces->places[(hash ^ hash >> 16) % SPACES];
    if (place->used && place->type == type && place->source_size == source.size && place->agency_size == agency.size &&
        memcmp(place->source, source.data, source.size) == 0 && memcmp(place->agency, agency.data, agency.size) == 0)
        return &place->space;
    place->used = true;
    place->type = (uint8_t)type;
    place->source_size = (uint8_t)source.size;
    place->agency_size = (uint8_t)agency.size;
    memcpy(place->source, source.data, source.size);
    memcpy(place->agency, agency.data, agency.size);
    place->space.namespace = event_namespace(type, source, agency);
    place->space.salt = identity_salt_of(type, agency);
    return &place->space;
}
