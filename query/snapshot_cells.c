/* Finds and reads the counters of a snapshot. Pure. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "query/totals.h"

const char *snapshot_hash_suffix(enum snapshot_hash hash)
{
    static const char *const suffixes[] = {
#define X(symbol, suffix) [symbol] = suffix,
        SNAPSHOT_HASH_TABLE(X)
#undef X
    };
    return suffixes[hash];
}

void snapshot_free(struct snapshot *snapshot)
{
    for (int hash = 0; hash < SNAPSHOT_HASHES; hash++)
        free(snapshot->hashes[hash].cells);
    for (size_t i = 0; i < snapshot->change_count; i++)
        free(snapshot->changes[i].fields.cells);
    free(snapshot->changes);
    if (snapshot->reply)
        snapshot->reply_free(snapshot->reply);
    *snapshot = (struct snapshot){0};
}

int cell_refuse(const char *city, enum snapshot_hash hash, struct slice field, struct slice value, const char *allowed,
                struct error *error)
{
    enum { SHOWN_MOST = 64 };
    char key[REDIS_KEY_SIZE];
    struct slice shown_field = {field.data, field.size < SHOWN_MOST ? field.size : SHOWN_MOST};
    struct slice shown_value = {value.data, value.size < SHOWN_MOST ? value.size : SHOWN_MOST};
    return error_set_class(error, ERROR_REDIS, ERROR_CLASS_FATAL, "key %s field %.*s holds \"%.*s\"; allowed: %s",
                           redis_key(key, city, snapshot_hash_suffix(hash)), SLICE_ARG(shown_field), SLICE_ARG(shown_value),
                           allowed);
}

int cell_counter(const struct snapshot_cell *cell, enum snapshot_hash hash, const char *city, int64_t *ret_number,
                 struct error *error)
{
    int64_t number;
    if (!integer_parse(cell->value, &number) || number > COUNTER_MOST || number < -COUNTER_MOST)
        return cell_refuse(city, hash, cell->field, cell->value, "a whole number within 9e14", error);
    *ret_number = number;
    return 0;
}

const struct snapshot_cell *cell_find(const struct snapshot *snapshot, enum snapshot_hash hash, const char *field)
{
    const struct snapshot_cells *cells = &snapshot->hashes[hash];
    for (size_t i = 0; i < cells->count; i++)
        if (slice_equal(cells->cells[i].field, slice_of(field)))
            return &cells->cells[i];
    return NULL;
}

int counter_find(const struct snapshot *snapshot, enum snapshot_hash hash, const char *city, const char *field,
                 int64_t *ret_number, bool *ret_found, struct error *error)
{
    const struct snapshot_cell *cell = cell_find(snapshot, hash, field);
    int64_t number = 0;
    int result = cell ? cell_counter(cell, hash, city, &number, error) : 0;
    if (result < 0)
        return result;
    *ret_number = number;
    if (ret_found)
        *ret_found = cell != NULL;
    return 0;
}
