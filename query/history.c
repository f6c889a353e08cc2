/* Histories: sums by day, put together by steps of the calendar. Pure. */
#include <stdlib.h>

#include "query/figures.h"

static const char *const measure_names[] = {
#define X(symbol, name) [symbol] = name,
    HISTORY_TABLE(X)
#undef X
};
static const char *const step_names[STEPS] = {"day", "week", "month", "year"};

const char *history_measure_name(enum history_measure measure)
{
    return measure_names[measure];
}

const char *history_step_name(enum history_step step)
{
    return step_names[step];
}

/* The last day of the step that `date` lies in; weeks end on Sunday. */
static int32_t step_end(enum history_step step, int32_t date)
{
    int year, month, day;
    date_to_civil(date, &year, &month, &day);
    switch (step) {
    case STEP_WEEK:
        return date + 6 - ((date + 3) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
    case STEP_MONTH:
        return date_from_civil(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1) - 1;
    case STEP_YEAR:
        return date_from_civil(year, 12, 31);
    default:
        return date;
    }
}

int64_t history_size(enum history_step step, int32_t from, int32_t to)
{
    static const int shortest[STEPS] = {1, 7, 28, 365};
    return ((int64_t)to - from) / shortest[step] + 2;
}

/* Which sums a measure is made of. */
static bool counts(enum history_measure measure, const struct day_figure *day, int *ret_place)
{
    enum day_measure of = day->measure;
    *ret_place = of == DAY_HEADCOUNT_BASELINE || of == DAY_UNITS_BASELINES ? 0 : of == DAY_UNITS_BASELINE ? 2 : 1;
    if (measure <= HISTORY_REDUCTION_PERCENT)
        return of == DAY_HEADCOUNT_BASELINE || of == DAY_HEADCOUNT_CURRENT;
    if (measure == HISTORY_VISITS)
        return of == DAY_VISITS;
    if (measure >= HISTORY_CHANGE_CITY_AGENCY)
        return of == DAY_UNITS_CHANGE && day->word == (int)(measure - HISTORY_CHANGE_CITY_AGENCY);
    return (of == DAY_UNITS_BASELINES || of == DAY_UNITS_BASELINE || of == DAY_UNITS_CHANGE) &&
           day->word == (int)(measure - HISTORY_UNITS_CITY_AGENCY);
}

static void point(enum history_measure measure, const int64_t sums[3], struct history_point *point)
{
    point->has_value = true;
    switch (measure) {
    case HISTORY_HEADCOUNT_BASELINE:
        point->value = sums[0];
        break;
    case HISTORY_HEADCOUNT_REDUCTION:
        point->value = sums[0] - sums[1];
        break;
    case HISTORY_REDUCTION_PERCENT:
        percent_format(sums[0] - sums[1], sums[0], point->percent);
        point->has_value = *point->percent;
        break;
    case HISTORY_UNITS_CITY_AGENCY:
    case HISTORY_UNITS_CITY_DIVISION:
    case HISTORY_UNITS_DISTRICT_DIVISION:
    case HISTORY_UNITS_PUBLIC_SERVICE_UNIT:
    case HISTORY_UNITS_COMMUNE:
        point->has_value = sums[0] > 0;
        point->value = sums[2] + sums[1];
        break;
    default:
        point->value = sums[1];
    }
}

int32_t history_first_day(const struct figures *figures, enum history_measure measure, int32_t otherwise)
{
    int place;
    for (size_t i = 0; i < figures->day_count; i++)
        if (counts(measure, &figures->days[i], &place))
            return figures->days[i].date;
    return otherwise;
}

int history_make(const struct figures *figures, enum history_measure measure, enum history_step step, int32_t from, int32_t to,
                 struct history *ret_history, struct error *error)
{
    struct history history = {.measure = measure, .step = step, .from = from, .to = to};
    history.points = calloc((size_t)history_size(step, from, to) + 1, sizeof *history.points);
    if (!history.points)
        return error_set(error, ERROR_MEMORY, "out of memory");
    int64_t sums[3] = {0};
    size_t next = 0;
    int place;
    for (int32_t start = from, end; start <= to; start = end + 1) {
        end = step_end(step, start);
        end = end > to ? to : end;
        if (measure == HISTORY_VISITS)
            sums[1] = 0;
        for (; next < figures->day_count && figures->days[next].date <= end; next++)
            if (counts(measure, &figures->days[next], &place) &&
                (measure != HISTORY_VISITS || figures->days[next].date >= start) &&
                (__builtin_add_overflow(sums[place], figures->days[next].amount, &sums[place]) || sums[place] > SUM_MOST ||
                 sums[place] < -SUM_MOST)) {
                free(history.points);
                return error_set_class(error, ERROR_REDIS, ERROR_CLASS_FATAL, "the sums by day leave 4e18");
            }
        struct history_point *at = &history.points[history.count++];
        at->date = end;
        point(measure, sums, at);
    }
    *ret_history = history;
    return 0;
}
