/* A small open-addressing map from text to numbers. */
#include "tests/simulation/cells_map.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t hash_of(const char *key)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * UINT64_C(1099511628211);
    return (size_t)(hash ^ (hash >> 29));
}

static struct map_cell *place_of(const struct map *map, const char *key)
{
    size_t at = hash_of(key) & (map->capacity - 1);
    while (map->cells[at].key[0] && strcmp(map->cells[at].key, key) != 0)
        at = (at + 1) & (map->capacity - 1);
    return &map->cells[at];
}

static void grow(struct map *map)
{
    struct map larger = {.capacity = map->capacity ? map->capacity * 2 : 256, .count = map->count};
    larger.cells = calloc(larger.capacity, sizeof *larger.cells);
    assert(larger.cells);
    for (size_t i = 0; i < map->capacity; i++)
        if (map->cells[i].key[0])
            *place_of(&larger, map->cells[i].key) = map->cells[i];
    free(map->cells);
    *map = larger;
}

int64_t *map_at(struct map *map, const char *suffix, const char *field, size_t field_size)
{
    char key[MAP_KEY_SIZE];
    int size = snprintf(key, sizeof key, "%s %.*s", suffix, (int)field_size, field);
    assert(size > 0 && (size_t)size < sizeof key);
    if (map->count * 2 >= map->capacity)
        grow(map);
    struct map_cell *cell = place_of(map, key);
    if (!cell->key[0]) {
        memcpy(cell->key, key, sizeof key);
        map->count++;
    }
    return &cell->number;
}

const int64_t *map_find(const struct map *map, const char *key)
{
    if (!map->capacity)
        return NULL;
    const struct map_cell *cell = place_of(map, key);
    return cell->key[0] ? &cell->number : NULL;
}

struct map map_copy(const struct map *map)
{
    struct map copy = *map;
    if (map->capacity) {
        copy.cells = malloc(map->capacity * sizeof *copy.cells);
        assert(copy.cells);
        memcpy(copy.cells, map->cells, map->capacity * sizeof *copy.cells);
    }
    return copy;
}

void map_free(struct map *map)
{
    free(map->cells);
    *map = (struct map){0};
}
