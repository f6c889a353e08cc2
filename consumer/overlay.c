/* A small exact hash table of the window's new ids, emptied after each window. */
#include "consumer/overlay.h"

#include <stdlib.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"

struct overlay_item {
    struct identity identity;
    uint64_t digest;
    uint32_t place;
};

struct overlay {
    struct overlay_item *items;
    size_t count, most;
    uint32_t *table; /* index + 1 of an item, 0 = empty; never more than half full */
    uint32_t table_mask;
    uint64_t seed; /* keyed as the lanes are: ids come from outside */
};

struct overlay *overlay_new(size_t most)
{
    struct overlay *overlay = calloc(1, sizeof *overlay);
    if (!overlay || most > UINT32_MAX / 4)
        return overlay_free(overlay);
    size_t size = 16;
    while (size < 2 * most)
        size *= 2;
    overlay->most = most;
    overlay->table_mask = (uint32_t)(size - 1);
    overlay->items = calloc(most ? most : 1, sizeof *overlay->items);
    overlay->table = calloc(size, sizeof *overlay->table);
    if (getrandom(&overlay->seed, sizeof overlay->seed, GRND_NONBLOCK) != (ssize_t)sizeof overlay->seed)
        overlay->seed = (uint64_t)(uintptr_t)overlay;
    return overlay->items && overlay->table ? overlay : overlay_free(overlay);
}

struct overlay *overlay_free(struct overlay *overlay)
{
    if (!overlay)
        return NULL;
    free(overlay->items);
    free(overlay->table);
    free(overlay);
    return NULL;
}

/* The place where the identity is or would be. */
static uint32_t place_of(const struct overlay *overlay, const struct identity *identity)
{
    uint32_t place = (uint32_t)XXH3_64bits_withSeed(identity->bytes, sizeof identity->bytes, overlay->seed);
    for (place &= overlay->table_mask; overlay->table[place]; place = (place + 1) & overlay->table_mask)
        if (memcmp(&overlay->items[overlay->table[place] - 1].identity, identity, sizeof *identity) == 0)
            break;
    return place;
}

bool overlay_find(const struct overlay *overlay, const struct identity *identity, uint64_t *ret_digest)
{
    uint32_t item = overlay->table[place_of(overlay, identity)];
    if (item)
        *ret_digest = overlay->items[item - 1].digest;
    return item;
}

int overlay_add(struct overlay *overlay, const struct identity *identity, uint64_t digest)
{
    uint32_t place = place_of(overlay, identity);
    if (overlay->table[place])
        return 0;
    if (overlay->count == overlay->most)
        return -ERROR_LIMIT;
    overlay->items[overlay->count] = (struct overlay_item){*identity, digest, place};
    overlay->table[place] = (uint32_t)++overlay->count;
    return 0;
}

size_t overlay_count(const struct overlay *overlay)
{
    return overlay->count;
}

void overlay_reset(struct overlay *overlay)
{
    for (size_t i = 0; i < overlay->count; i++)
        overlay->table[overlay->items[i].place] = 0;
    overlay->count = 0;
}
