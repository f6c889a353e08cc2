/* What a batch adds to the hashes in Redis: (hash, field) → amount, summed before it is sent. Pure. */
#ifndef CITYTOTALS_CONSUMER_CELLS_H
#define CITYTOTALS_CONSUMER_CELLS_H

#include "base/slice.h"

/* enumerator, key suffix */
#define CELL_HASH_TABLE(X)                                    \
    X(CELLS_TOTALS, "totals")                                 \
    X(CELLS_HEADCOUNT_BASELINE, "headcount:baseline")         \
    X(CELLS_HEADCOUNT_CURRENT, "headcount:current")           \
    X(CELLS_HEADCOUNT_BY_DAY, "headcount:by-day")             \
    X(CELLS_UNITS, "units")                                   \
    X(CELLS_UNITS_BY_DAY, "units:by-day")                     \
    X(CELLS_PILOTS, "pilots")                                 \
    X(CELLS_PILOTS_BY_DAY, "pilots:by-day")                   \
    X(CELLS_DEAD_LETTERS, "dead-letters")
enum cell_hash {
#define X(symbol, suffix) symbol,
    CELL_HASH_TABLE(X)
#undef X
    CELL_HASHES
};
const char *cell_hash_suffix(enum cell_hash hash);

struct cell {
    enum cell_hash hash;
    const char *field; /* owned by the cells, terminated */
    int64_t amount;
};
#define CELL_FIELD_MOST 200

struct cells;
struct cells *cells_new(void);
struct cells *cells_free(struct cells *cells);
/* Add to a cell; false when memory ran out. `field` is at most CELL_FIELD_MOST bytes. */
bool cells_add(struct cells *cells, enum cell_hash hash, struct slice field, int64_t amount);
/* All cells in order of first use. */
const struct cell *cells_all(const struct cells *cells, size_t *ret_count);
void cells_reset(struct cells *cells);

#endif
