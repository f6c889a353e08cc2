/* Snapshots for tests, written as a person would: lists of field, value, ended by NULL. */
#ifndef CITYTOTALS_TESTS_UNIT_SNAPSHOTS_H
#define CITYTOTALS_TESTS_UNIT_SNAPSHOTS_H

#include <stdlib.h>

#include "query/totals.h"

static inline void snapshot_give(struct snapshot *snapshot, enum snapshot_hash hash, const char *const *pairs)
{
    struct snapshot_cells *cells = &snapshot->hashes[hash];
    for (; pairs[0]; pairs += 2) {
        cells->cells = realloc(cells->cells, (cells->count + 1) * sizeof *cells->cells);
        cells->cells[cells->count++] = (struct snapshot_cell){slice_of(pairs[0]), slice_of(pairs[1])};
    }
}
#define GIVEN(snapshot, hash, ...) snapshot_give(snapshot, hash, (const char *const[]){__VA_ARGS__, NULL})

static inline void snapshot_drop(struct snapshot *snapshot)
{
    for (int hash = 0; hash < SNAPSHOT_HASHES; hash++)
        free(snapshot->hashes[hash].cells);
    *snapshot = (struct snapshot){0};
}

#endif
