/* One consistent view of a city's state in Redis, as text, before anything is made of it. */
#ifndef CITYTOTALS_QUERY_SNAPSHOT_H
#define CITYTOTALS_QUERY_SNAPSHOT_H

#include "base/error.h"
#include "base/slice.h"

/* enumerator, suffix of the hash's key */
#define SNAPSHOT_HASH_TABLE(X)                             \
    X(SNAPSHOT_TOTALS, "totals")                           \
    X(SNAPSHOT_OFFSETS, "offsets")                         \
    X(SNAPSHOT_HEADCOUNT_BY_DAY, "headcount:by-day")       \
    X(SNAPSHOT_UNITS_BY_DAY, "units:by-day")               \
    X(SNAPSHOT_PILOTS, "pilots")                           \
    X(SNAPSHOT_PILOTS_BY_DAY, "pilots:by-day")             \
    X(SNAPSHOT_AGENCY_BASELINE, "headcount:baseline")      \
    X(SNAPSHOT_AGENCY_CURRENT, "headcount:current")        \
    X(SNAPSHOT_VISITS_BY_DAY, "visits:by-day")
enum snapshot_hash {
#define X(symbol, suffix) symbol,
    SNAPSHOT_HASH_TABLE(X)
#undef X
    SNAPSHOT_HASHES
};
#define SNAPSHOT_HASHES_ALWAYS 2 /* totals and offsets come with every snapshot */

struct snapshot_cell {
    struct slice field, value; /* into the snapshot */
};

struct snapshot_cells {
    struct snapshot_cell *cells;
    size_t count;
};

/* One of the latest organisational events, as the consumer wrote it. */
struct snapshot_change {
    struct slice id; /* "<version>-<number>" */
    struct snapshot_cells fields;
};

struct visitors {
    int64_t online, today, this_week, all, today_visitors;
};

struct snapshot {
    struct slice epoch; /* empty when the city has no state */
    int64_t now_ms;     /* Redis's clock */
    struct visitors visitors;
    struct snapshot_cells hashes[SNAPSHOT_HASHES]; /* those asked for; the rest are empty */
    struct snapshot_change *changes; /* newest first, where asked for */
    size_t change_count;
    void *reply;                                   /* owns the bytes; NULL in tests */
    void (*reply_free)(void *reply);
};

/* The hash's suffix: "units:by-day". Pure. */
const char *snapshot_hash_suffix(enum snapshot_hash hash);

/* What the live totals need, and what --as-of needs. */
#define SNAPSHOT_FOR_NOW (1u << SNAPSHOT_HEADCOUNT_BY_DAY | 1u << SNAPSHOT_PILOTS)
#define SNAPSHOT_FOR_DATE \
    (1u << SNAPSHOT_HEADCOUNT_BY_DAY | 1u << SNAPSHOT_UNITS_BY_DAY | 1u << SNAPSHOT_PILOTS_BY_DAY)

#define SNAPSHOT_CHANGES (1u << SNAPSHOT_HASHES)
#define SNAPSHOT_EVERYTHING ((1u << (SNAPSHOT_HASHES + 1)) - 1)

struct redis;
/* Reads `city` in one call, with the hashes whose bits are set in `hashes` besides totals and offsets, and SNAPSHOT_CHANGES. Loads the read
 * Function when it is missing. On success *ret_snapshot is to be freed by snapshot_free. ERROR_REDIS with class RETRY when Redis is
 * away; FATAL when it can't be read as it is. */
int snapshot_read(struct redis *redis, const char *city, unsigned hashes, struct snapshot *ret_snapshot,
                  struct error *error);
/* Safe on a zeroed one, twice. */
void snapshot_free(struct snapshot *snapshot);

#endif
