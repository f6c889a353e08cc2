/* The city's totals as integers, made from a snapshot. Pure: what is shown anywhere is decided here, once. */
#ifndef CITYTOTALS_QUERY_TOTALS_H
#define CITYTOTALS_QUERY_TOTALS_H

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "query/snapshot.h"
#include "schemas/event.h"
#include "schemas/layout.h"

#define TARGET_PERCENT 10
#define TARGET_DATE "2021-12-31"

#define COUNTER_MOST INT64_C(900000000000000) /* a stored counter is within this either way */
#define SUM_MOST INT64_C(4000000000000000000) /* a sum of them is: the difference of two still fits int64_t */
#define PERCENT_TEXT_SIZE 32
#define ID_TEXT_SIZE 65

struct headcount {
    int64_t baseline, current, reduction;
    char percent[PERCENT_TEXT_SIZE]; /* "4.2500"; empty while baseline <= 0 */
};

struct units {
    bool has_baseline; /* baseline and current are null without */
    int64_t baseline, current, change, merged, mergers;
};

struct pilot {
    char model[ID_TEXT_SIZE], district[ID_TEXT_SIZE];
};

struct totals {
    char city[CITY_SIZE_MOST + 1];
    int64_t version;
    bool has_updated_at; /* false while nothing was folded */
    int64_t updated_at_ms;
    int64_t read_at_ms;
    bool by_date; /* then effective_later, visitors, events and dead_letters are null */
    int32_t date;
    bool has_lag;
    int64_t lag;
    bool stale; /* Redis can't be read now: this is what it said last, at read_at_ms */

    struct headcount headcount, by_sector[SECTORS];
    bool target_met;
    int64_t effective_later;
    struct units units[CATEGORIES];
    struct pilot *pilots; /* live pairs by model, then district; owned */
    size_t pilot_count, models, districts;
    struct visitors visitors;
    int64_t events, dead_letters;
};

/* `as_of` INT32_MIN = now, else the last day that counts. The snapshot must hold SNAPSHOT_FOR_NOW or SNAPSHOT_FOR_DATE
 * and may be freed afterwards. lag and stale are the caller's to set. A malformed cell: ERROR_REDIS that names key and field. */
int totals_make(const struct snapshot *snapshot, const char *city, int32_t as_of, struct totals *ret_totals,
                struct error *error);
/* Safe on a zeroed one, twice. */
void totals_free(struct totals *totals);

/* reduction × 100 / baseline, 4 decimals, half away from zero, never "-0.0000"; "" while baseline <= 0. */
char *percent_format(int64_t reduction, int64_t baseline, char text[PERCENT_TEXT_SIZE]);
/* reduction is at least 10 % of the baseline. */
bool target_is_met(int64_t reduction, int64_t baseline);

/* How much more must be reduced until target_is_met; 0 when it is, and while baseline <= 0. */
int64_t target_missing(int64_t reduction, int64_t baseline);

/* A cell by its field; NULL when absent. */
const struct snapshot_cell *cell_find(const struct snapshot *snapshot, enum snapshot_hash hash, const char *field);
/* A cell of `hash` as a counter. */
int cell_counter(const struct snapshot_cell *cell, enum snapshot_hash hash, const char *city, int64_t *ret_number,
                 struct error *error);
/* A counter by name; 0 when absent. `ret_found` may be NULL. */
int counter_find(const struct snapshot *snapshot, enum snapshot_hash hash, const char *city, const char *field,
                 int64_t *ret_number, bool *ret_found, struct error *error);
/* ERROR_REDIS/FATAL: the sentence that names key, field, what it holds and what is allowed. */
int cell_refuse(const char *city, enum snapshot_hash hash, struct slice field, struct slice value, const char *allowed,
                struct error *error);

/* "as_of":{…}, as every answer carries it. */
void totals_as_of_json(const struct totals *totals, struct buffer *out);
/* "visitors":{…} */
void totals_visitors_json(const struct totals *totals, struct buffer *out);
void totals_units_json(const struct totals *totals, struct buffer *out);
void totals_pilots_json(const struct totals *totals, struct buffer *out);
/* The keys of one headcount, without braces. */
void headcount_json(const struct headcount *headcount, struct buffer *out);
/* "headcount":{…} */
void totals_headcount_json(const struct totals *totals, struct buffer *out);
/* Sets reduction and percent from baseline and current. */
void headcount_finish(struct headcount *headcount);
#define TOTALS_JSON_MOST (16u << 20)
/* One line of JSON with an end of line; keys in the public order. ERROR_LIMIT when it does not fit `out`. */
int totals_json(const struct totals *totals, struct buffer *out, struct error *error);

#endif
