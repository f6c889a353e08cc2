/* A small resettable hash table from (hash, field) to the amount that a batch adds there. */
#include "consumer/cells.h"

#include <assert.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct cells {
    struct cell *items;
    uint64_t *hashes;
    size_t count, capacity;
    uint32_t *table; /* index + 1 of an item, 0 = empty */
    size_t table_size; /* a power of two */
    char **blocks; /* text of the fields; blocks never move */
    size_t block_count, block_used;
};
enum { BLOCK_SIZE = 64 * 1024, FIRST_TABLE = 1024 };

const char *cell_hash_suffix(enum cell_hash hash)
{
    static const char *const suffixes[] = {
#define X(symbol, suffix) suffix,
        CELL_HASH_TABLE(X)
#undef X
    };
    assert(hash < CELL_HASHES);
    return suffixes[hash];
}

struct cells *cells_new(void)
{
    struct cells *cells = calloc(1, sizeof *cells);
    if (!cells)
        return NULL;
    cells->table_size = FIRST_TABLE;
    cells->table = calloc(cells->table_size, sizeof *cells->table);
    return cells->table ? cells : cells_free(cells);
}

struct cells *cells_free(struct cells *cells)
{
    if (!cells)
        return NULL;
    for (size_t i = 0; i < cells->block_count; i++)
        free(cells->blocks[i]);
    free(cells->blocks);
    free(cells->items);
    free(cells->hashes);
    free(cells->table);
    free(cells);
    return NULL;
}

static void place(struct cells *cells, uint64_t hash, size_t index)
{
    size_t i = hash & (cells->table_size - 1);
    while (cells->table[i])
        i = (i + 1) & (cells->table_size - 1);
    cells->table[i] = (uint32_t)index + 1;
}

static bool grow(struct cells *cells)
{
    if (cells->count == cells->capacity) {
        size_t capacity = cells->capacity ? cells->capacity * 2 : FIRST_TABLE / 2;
        struct cell *items = realloc(cells->items, capacity * sizeof *items);
        if (!items)
            return false;
        cells->items = items;
        uint64_t *hashes = realloc(cells->hashes, capacity * sizeof *hashes);
        if (!hashes)
            return false;
        cells->hashes = hashes;
        cells->capacity = capacity;
    }
    if (cells->count * 2 < cells->table_size)
        return true;
    uint32_t *table = calloc(cells->table_size * 2, sizeof *table);
    if (!table)
        return false;
    free(cells->table);
    cells->table = table;
    cells->table_size *= 2;
    for (size_t i = 0; i < cells->count; i++)
        place(cells, cells->hashes[i], i);
    return true;
}

static char *keep(struct cells *cells, struct slice text)
{
    size_t block = cells->block_used / BLOCK_SIZE, at = cells->block_used % BLOCK_SIZE;
    if (at + text.size + 1 > BLOCK_SIZE) {
        block++;
        at = 0;
    }
    if (block >= cells->block_count) {
        char **blocks = realloc(cells->blocks, (block + 1) * sizeof *blocks);
        if (!blocks)
            return NULL;
        cells->blocks = blocks;
        if (!(blocks[block] = malloc(BLOCK_SIZE)))
            return NULL;
        cells->block_count = block + 1;
    }
    char *copy = cells->blocks[block] + at;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    cells->block_used = block * BLOCK_SIZE + at + text.size + 1;
    return copy;
}

bool cells_add(struct cells *cells, enum cell_hash hash, struct slice field, int64_t amount)
{
    assert(field.size <= CELL_FIELD_MOST);
    uint64_t key = XXH3_64bits_withSeed(field.data, field.size, hash);
    for (size_t i = key & (cells->table_size - 1); cells->table[i]; i = (i + 1) & (cells->table_size - 1)) {
        size_t index = cells->table[i] - 1;
        struct cell *cell = &cells->items[index];
        if (cells->hashes[index] == key && cell->hash == hash && strlen(cell->field) == field.size &&
            memcmp(cell->field, field.data, field.size) == 0) {
            cell->amount += amount;
            return true;
        }
    }
    char *copy = keep(cells, field);
    if (!copy || !grow(cells))
        return false;
    cells->items[cells->count] = (struct cell){hash, copy, amount};
    cells->hashes[cells->count] = key;
    place(cells, key, cells->count++);
    return true;
}

const struct cell *cells_all(const struct cells *cells, size_t *ret_count)
{
    *ret_count = cells->count;
    return cells->items;
}

void cells_reset(struct cells *cells)
{
    if (cells->count)
        memset(cells->table, 0, cells->table_size * sizeof *cells->table);
    cells->count = 0;
    cells->block_used = 0;
}
