/* What the files of the fold share; nobody else includes it. */
#ifndef CITYTOTALS_CONSUMER_FOLD_INTERNAL_H
#define CITYTOTALS_CONSUMER_FOLD_INTERNAL_H

#include "consumer/fold.h"
#include "schemas/layout.h"

enum {
    FIRST_DAY = 10957, /* 2000-01-01 */
    DAYS = 36525,      /* to 2099-12-31 */
    VISIT_RECORD_SIZE = 32,
    CHANGES_PER_COMMIT = 100, /* the latest events of a commit that the `changes` stream keeps, */
    CHANGES_OF_A_LARGE = 20,  /* and of one with more than so many events: there is a backlog, and nobody follows it */
    LARGE_COMMIT = 2000,
    ENDS_MOST = EVENT_TYPES * PARTITIONS_MOST,
    REFUSED_PER_COMMIT = 1000, /* the latest refused records of a commit that their senders can ask for */
    REPEATS_PER_COMMIT = 4096, /* and repeats */
};
_Static_assert(DAYS == 100 * 365 + 25, "2000 to 2099 has 25 leap years");

/* Headcount amounts of one effective date, by sector: the hot path's cells. */
struct day_cells {
    int64_t baseline[SECTORS], current[SECTORS];
    bool touched;
};

/* Where a partition stands after the window. */
struct window_end {
    struct partition *partition;
    int64_t position, newest_ms;
    const struct source_record *record; /* the last one, where there is one in the window */
};

struct fold {
    char city[CITY_SIZE_MOST + 1];
    char totals[GENERATION_SIZE + 8]; /* the suffix of the key that routes a commit */
    struct decoder *decoder;
    struct lanes *lanes;
    size_t batch_most;
    bool out_of_memory;
    fold_observe_fn observe; /* may be NULL */
    void *observe_context;

    struct agencies *agencies;
    struct unit_storage *storage;
    struct suspect *suspects;
    size_t suspect_count;

    /* The window's sums. */
    struct fold_counts counts;
    uint32_t lane_events[SEEN_LANES]; /* how many of the window's events consult each lane */
    struct cells *cells;
    struct agency **touched;
    size_t touched_count;
    struct day_cells *days; /* by effective date from FIRST_DAY */
    int32_t *touched_days;
    size_t touched_day_count;
    int64_t sector_baseline[SECTORS], sector_current[SECTORS];
    struct buffer visits, repeats;
    int64_t newest_ms;
    uint64_t window; /* its number */
    struct window_end *ends;
    size_t end_count;

    /* The commit's arguments. */
    struct buffer text;
    const char **values;
    size_t *sizes, *offsets;
    int value_count, value_capacity;
};

#define CONFLICT_DETAIL "another event with this type, agency and event id was counted before, with another meaning"

/* "270336 bytes, SHA-256 …; allowed: 262144 bytes" */
void too_large_detail(struct slice value, char *text, size_t size);
/* Empty the window's sums. */
void fold_sum_reset(struct fold *fold);

#endif
