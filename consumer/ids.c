/* An exact hash table of event ids that only grows. */
#include "consumer/ids.h"

#include <stdlib.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct ids {
    struct id *items;
    size_t count, capacity;
    uint32_t *table; /* index + 1, 0 = empty; at most three quarters full */
    size_t table_size;
    uint64_t seed; /* ids come from outside */
};
enum { FIRST_TABLE = 1024 };

struct ids *ids_new(void)
{
    struct ids *ids = calloc(1, sizeof *ids);
    if (!ids)
        return NULL;
    ids->table_size = FIRST_TABLE;
    ids->table = calloc(ids->table_size, sizeof *ids->table);
    if (getrandom(&ids->seed, sizeof ids->seed, GRND_NONBLOCK) != (ssize_t)sizeof ids->seed)
        ids->seed = (uint64_t)(uintptr_t)ids;
    return ids->table ? ids : ids_free(ids);
}

struct ids *ids_free(struct ids *ids)
{
    if (!ids)
        return NULL;
    free(ids->items);
    free(ids->table);
    free(ids);
    return NULL;
}

static size_t first_place(const struct ids *ids, const struct identity *identity)
{
    return XXH3_64bits_withSeed(identity->bytes, sizeof identity->bytes, ids->seed) & (ids->table_size - 1);
}

static size_t place_of(const struct ids *ids, const struct identity *identity)
{
    size_t place = first_place(ids, identity);
    while (ids->table[place] && memcmp(&ids->items[ids->table[place] - 1].identity, identity, sizeof *identity) != 0)
        place = (place + 1) & (ids->table_size - 1);
    return place;
}

static bool resize_items(struct ids *ids, size_t capacity)
{
    struct id *items = capacity <= UINT32_MAX - 1 ? realloc(ids->items, capacity * sizeof *items) : NULL;
    if (!items)
        return false;
    ids->items = items;
    ids->capacity = capacity;
    return true;
}

static bool resize_table(struct ids *ids, size_t size)
{
    uint32_t *table = calloc(size, sizeof *table);
    if (!table)
        return false;
    free(ids->table);
    ids->table = table;
    ids->table_size = size;
    for (size_t i = 0; i < ids->count; i++)
        ids->table[place_of(ids, &ids->items[i].identity)] = (uint32_t)i + 1;
    return true;
}

static bool grow(struct ids *ids)
{
    if (ids->count == ids->capacity && !resize_items(ids, ids->capacity ? ids->capacity + ids->capacity / 2 : FIRST_TABLE / 2))
        return false;
    return (ids->count + 1) * 4 < ids->table_size * 3 || resize_table(ids, ids->table_size * 2);
}

bool ids_reserve(struct ids *ids, size_t count)
{
    size_t size = ids->table_size;
    while ((count + 1) * 4 >= size * 3)
        size *= 2;
    return (count <= ids->capacity || resize_items(ids, count)) && (size == ids->table_size || resize_table(ids, size));
}

struct id *ids_find(const struct ids *ids, const struct identity *identity)
{
    uint32_t item = ids->table[place_of(ids, identity)];
    return item ? &ids->items[item - 1] : NULL;
}

struct id *ids_get(struct ids *ids, const struct identity *identity)
{
    struct id *known = ids_find(ids, identity);
    if (known)
        return known;
    if (!grow(ids))
        return NULL;
    ids->items[ids->count] = (struct id){.identity = *identity};
    ids->table[place_of(ids, identity)] = (uint32_t)++ids->count;
    return &ids->items[ids->count - 1];
}

size_t ids_count(const struct ids *ids)
{
    return ids->count;
}

struct id *ids_at(const struct ids *ids, size_t index)
{
    return &ids->items[index];
}

void ids_prefetch(const struct ids *ids, const struct identity *identity)
{
    __builtin_prefetch(&ids->table[first_place(ids, identity)]);
}
