/* What is known of a city beyond its totals: agencies, days, latest changes. Made from one snapshot. Pure. */
#ifndef CITYTOTALS_QUERY_FIGURES_H
#define CITYTOTALS_QUERY_FIGURES_H

#include "query/names.h"
#include "query/totals.h"

struct agency_figures {
    struct slice id;
    const struct agency_name *name; /* NULL when nobody named it */
    struct headcount headcount;     /* all its events, whatever their dates */
};

enum day_measure {
    DAY_HEADCOUNT_BASELINE,
    DAY_HEADCOUNT_CURRENT,
    DAY_UNITS_BASELINES,
    DAY_UNITS_BASELINE,
    DAY_UNITS_CHANGE,
    DAY_VISITS,
    DAY_NOTHING_SHOWN, /* merged units and numbers of mergers: not part of any history */
};

struct day_figure {
    int32_t date;
    enum day_measure measure;
    int word; /* sector or category; 0 for visits */
    int64_t amount;
};

struct figures {
    struct snapshot snapshot; /* owned: all hashes and the changes; the rest points into it */
    struct totals totals;     /* as they are now; owned */
    struct agency_figures *agencies; /* by id: those with events and those with a name */
    size_t agency_count;
    struct day_figure *days; /* by date */
    size_t day_count;
};

/* Takes the snapshot (SNAPSHOT_EVERYTHING) over when it succeeds; `names` must outlive the figures, or be NULL. */
int figures_make(struct snapshot *snapshot, const char *city, const struct names *names, struct figures *ret_figures,
                 struct error *error);
/* Safe on a zeroed one, twice. */
void figures_free(struct figures *figures);

const struct agency_figures *figures_agency(const struct figures *figures, struct slice id);
/* A field of a change; absent without. */
struct slice change_field(const struct snapshot_change *change, const char *field);

/* What a history may show. */
#define HISTORY_TABLE(X)                                                                                              \
    X(HISTORY_HEADCOUNT_BASELINE, "headcount_baseline") X(HISTORY_HEADCOUNT_CURRENT, "headcount_current")             \
    X(HISTORY_HEADCOUNT_REDUCTION, "headcount_reduction") X(HISTORY_REDUCTION_PERCENT, "reduction_percent")           \
    X(HISTORY_UNITS_CITY_AGENCY, "units_city_agency") X(HISTORY_UNITS_CITY_DIVISION, "units_city_division")           \
    X(HISTORY_UNITS_DISTRICT_DIVISION, "units_district_division")                                                     \
    X(HISTORY_UNITS_PUBLIC_SERVICE_UNIT, "units_public_service_unit") X(HISTORY_UNITS_COMMUNE, "units_commune")       \
    X(HISTORY_CHANGE_CITY_AGENCY, "units_change_city_agency")                                                         \
    X(HISTORY_CHANGE_CITY_DIVISION, "units_change_city_division")                                                     \
    X(HISTORY_CHANGE_DISTRICT_DIVISION, "units_change_district_division")                                             \
    X(HISTORY_CHANGE_PUBLIC_SERVICE_UNIT, "units_change_public_service_unit")                                         \
    X(HISTORY_CHANGE_COMMUNE, "units_change_commune") X(HISTORY_VISITS, "visits")
enum history_measure {
#define X(symbol, name) symbol,
    HISTORY_TABLE(X)
#undef X
    HISTORY_MEASURES
};
const char *history_measure_name(enum history_measure measure);
enum history_step { STEP_DAY, STEP_WEEK, STEP_MONTH, STEP_YEAR, STEPS };
const char *history_step_name(enum history_step step);

#define HISTORY_POINTS_MOST 5000
struct history_point {
    int32_t date; /* the step's last day, or the last day asked for */
    bool has_value;
    int64_t value;                   /* sums up to the date; visits: within the step */
    char percent[PERCENT_TEXT_SIZE]; /* of reduction_percent, instead */
};
struct history {
    enum history_measure measure;
    enum history_step step;
    int32_t from, to;
    struct history_point *points; /* owned */
    size_t count;
};
/* How many points that would be. */
int64_t history_size(enum history_step step, int32_t from, int32_t to);
/* from <= to and at most HISTORY_POINTS_MOST points. */
int history_make(const struct figures *figures, enum history_measure measure, enum history_step step, int32_t from, int32_t to,
                 struct history *ret_history, struct error *error);
/* The first day that has a figure of this measure; `otherwise` without any. */
int32_t history_first_day(const struct figures *figures, enum history_measure measure, int32_t otherwise);

#endif
