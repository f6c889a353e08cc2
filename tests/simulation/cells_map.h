/* (key, field) → number, for the model of Redis and for the oracle: plain, and not the code under test. */
#ifndef CITYTOTALS_SIMULATION_CELLS_MAP_H
#define CITYTOTALS_SIMULATION_CELLS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAP_KEY_SIZE 112
struct map_cell {
    char key[MAP_KEY_SIZE]; /* "<suffix> <field>"; empty = free */
    int64_t number;
};
struct map {
    struct map_cell *cells;
    size_t capacity, count;
};

/* The cell, made with 0 when it is not there. */
int64_t *map_at(struct map *map, const char *suffix, const char *field, size_t field_size);
/* NULL when it is not there. */
const int64_t *map_find(const struct map *map, const char *key);
struct map map_copy(const struct map *map);
void map_free(struct map *map);

#endif
