/* A direct-mapped memory of namespaces and salts. */
#include "producer/spaces.h"

#include <assert.h>

static uint32_t hash_more(uint32_t hash, struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * UINT32_C(16777619);
    return hash;
}

static bool is_of(const struct space_place *place, enum event_type type, struct slice source, struct slice agency)
{
    return place->used && place->type == type && place->source_size == source.size && place->agency_size == agency.size &&
           memcmp(place->agency, agency.data, agency.size) == 0 && memcmp(place->source, source.data, source.size) == 0;
}

const struct space *spaces_get(struct spaces *spaces, enum event_type type, struct slice source, struct slice agency)
{
    assert(source.size <= SPACE_ID_MOST && agency.size <= SPACE_ID_MOST);
    struct space_place *place = &spaces->places[spaces->latest];
    if (is_of(place, type, source, agency))
        return &place->space;
    uint32_t hash = hash_more(hash_more(UINT32_C(2166136261) + (uint32_t)type, agency), source);
    spaces->latest = (hash ^ hash >> 16) % SPACES;
    place = &spaces->places[spaces->latest];
    if (is_of(place, type, source, agency))
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
