/* A hash table from a record's place in Kafka to a byte. */
#include "consumer/places.h"

#include <assert.h>
#include <stdlib.h>

struct place {
    uint64_t key; /* 0 = empty */
    uint8_t byte;
};
struct places {
    struct place *table; /* at most half full */
    size_t size, count;
};
enum { FIRST_SIZE = 256 };

struct places *places_new(void)
{
    struct places *places = calloc(1, sizeof *places);
    if (!places)
        return NULL;
    places->size = FIRST_SIZE;
    places->table = calloc(places->size, sizeof *places->table);
    return places->table ? places : places_free(places);
}

struct places *places_free(struct places *places)
{
    if (places)
        free(places->table);
    free(places);
    return NULL;
}

/* Topics are few, partitions at most 1024 and offsets far below 2^48; never 0. */
static uint64_t key_of(uint8_t topic, int32_t partition, int64_t offset)
{
    assert(partition >= 0 && partition < 4096 && offset >= 0 && offset < INT64_C(1) << 48);
    return (uint64_t)(topic + 1) << 60 | (uint64_t)partition << 48 | (uint64_t)offset;
}

static struct place *find(const struct places *places, uint64_t key)
{
    size_t at = (key * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (places->size - 1);
    while (places->table[at].key && places->table[at].key != key)
        at = (at + 1) & (places->size - 1);
    return &places->table[at];
}

static bool grow(struct places *places)
{
    struct places grown = {.size = places->size * 2, .count = places->count};
    grown.table = calloc(grown.size, sizeof *grown.table);
    if (!grown.table)
        return false;
    for (size_t i = 0; i < places->size; i++)
        if (places->table[i].key)
            *find(&grown, places->table[i].key) = places->table[i];
    free(places->table);
    *places = grown;
    return true;
}

uint8_t *places_get(struct places *places, uint8_t topic, int32_t partition, int64_t offset)
{
    if ((places->count + 1) * 2 > places->size && !grow(places))
        return NULL;
    uint64_t key = key_of(topic, partition, offset);
    struct place *place = find(places, key);
    if (!place->key) {
        *place = (struct place){.key = key};
        places->count++;
    }
    return &place->byte;
}

uint8_t places_find(const struct places *places, uint8_t topic, int32_t partition, int64_t offset)
{
    return find(places, key_of(topic, partition, offset))->byte;
}

size_t places_count(const struct places *places)
{
    return places->count;
}
