/* Makes the totals from a snapshot: as they are now, or as they were on a date. Pure. */
#include "query/totals.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/rules.h"

enum { DATE_SIZE = 10, FIELD_MOST = 64 };

/* What the dated and the live sums are made for. */
struct making {
    const struct snapshot *snapshot;
    const char *city;
    struct totals *totals;
    int64_t baseline_events[CATEGORIES]; /* baselines of units less their reversals, by date only */
};

struct pilot_count {
    struct pilot pilot;
    int64_t count;
};

static int add(int64_t *sum, int64_t number, const struct making *making, enum snapshot_hash hash,
               const struct snapshot_cell *cell, struct error *error)
{
    int64_t result;
    if (__builtin_add_overflow(*sum, number, &result) || result > SUM_MOST || result < -SUM_MOST)
        return cell_refuse(making->city, hash, cell->field, cell->value, "numbers whose sum is within 4e18", error);
    *sum = result;
    return 0;
}

static int refuse_field(const struct making *making, enum snapshot_hash hash, const struct snapshot_cell *cell,
                        struct error *error)
{
    return cell_refuse(making->city, hash, cell->field, cell->value,
                       "a field that this version knows (docs/redis-keys.md)", error);
}

static bool take_date(struct slice *field, int32_t *ret_date)
{
    if (field->size < DATE_SIZE + 2 || field->data[DATE_SIZE] != ':' ||
        !date_parse((struct slice){field->data, DATE_SIZE}, ret_date))
        return false;
    *field = (struct slice){field->data + DATE_SIZE + 1, field->size - DATE_SIZE - 1};
    return true;
}

/* "<measure>:<word>" as the measure's place in `measures` and the word's in `words`. */
static bool take_measure(struct slice field, const char *const *measures, size_t measure_count,
                         const char *(*word_at)(size_t), size_t word_count, size_t *ret_measure, size_t *ret_word)
{
    const char *colon = memchr(field.data, ':', field.size);
    if (!colon)
        return false;
    struct slice measure = {field.data, (size_t)(colon - field.data)};
    struct slice word = {colon + 1, field.size - measure.size - 1};
    size_t m = 0, w = 0;
    while (m < measure_count && !slice_equal(measure, slice_of(measures[m])))
        m++;
    while (w < word_count && !slice_equal(word, slice_of(word_at(w))))
        w++;
    *ret_measure = m;
    *ret_word = w;
    return m < measure_count && w < word_count;
}

static const char *sector_at(size_t i)
{
    return sector_name((enum sector)i);
}

static const char *category_at(size_t i)
{
    return unit_category_name((enum unit_category)i);
}

void headcount_finish(struct headcount *headcount)
{
    headcount->reduction = headcount->baseline - headcount->current;
    percent_format(headcount->reduction, headcount->baseline, headcount->percent);
}

/* By day: the sectors' sums up to the date, or (now) what takes effect after today. */
static int sum_headcount_days(struct making *making, struct error *error)
{
    static const char *const measures[] = {"baseline", "current"};
    struct totals *totals = making->totals;
    const struct snapshot_cells *cells = &making->snapshot->hashes[SNAPSHOT_HEADCOUNT_BY_DAY];
    int32_t today = date_in_city(making->snapshot->now_ms);
    for (size_t i = 0; i < cells->count; i++) {
        const struct snapshot_cell *cell = &cells->cells[i];
        struct slice field = cell->field;
        int32_t date;
        size_t measure, sector;
        int64_t number;
        if (!take_date(&field, &date) || !take_measure(field, measures, 2, sector_at, SECTORS, &measure, &sector))
            return refuse_field(making, SNAPSHOT_HEADCOUNT_BY_DAY, cell, error);
        int result = cell_counter(cell, SNAPSHOT_HEADCOUNT_BY_DAY, making->city, &number, error);
        if (result < 0)
            return result;
        int64_t *sum = NULL;
        if (!totals->by_date)
            sum = date > today && measure == 1 ? &totals->effective_later : NULL;
        else if (date <= totals->date)
            sum = measure == 0 ? &totals->by_sector[sector].baseline : &totals->by_sector[sector].current;
        if (sum && (result = add(sum, number, making, SNAPSHOT_HEADCOUNT_BY_DAY, cell, error)) < 0)
            return result;
        if (sum && totals->by_date) {
            sum = measure == 0 ? &totals->headcount.baseline : &totals->headcount.current;
            if ((result = add(sum, number, making, SNAPSHOT_HEADCOUNT_BY_DAY, cell, error)) < 0)
                return result;
        }
    }
    return 0;
}

static int sum_unit_days(struct making *making, struct error *error)
{
    static const char *const measures[] = {"baselines", "baseline", "change", "merged", "mergers"};
    const struct snapshot_cells *cells = &making->snapshot->hashes[SNAPSHOT_UNITS_BY_DAY];
    for (size_t i = 0; i < cells->count; i++) {
        const struct snapshot_cell *cell = &cells->cells[i];
        struct slice field = cell->field;
        int32_t date;
        size_t measure, category;
        int64_t number;
        if (!take_date(&field, &date) || !take_measure(field, measures, 5, category_at, CATEGORIES, &measure, &category))
            return refuse_field(making, SNAPSHOT_UNITS_BY_DAY, cell, error);
        int result = cell_counter(cell, SNAPSHOT_UNITS_BY_DAY, making->city, &number, error);
        if (result < 0)
            return result;
        struct units *units = &making->totals->units[category];
        int64_t *const sums[] = {&making->baseline_events[category], &units->baseline, &units->change, &units->merged,
                                 &units->mergers};
        if (date <= making->totals->date &&
            (result = add(sums[measure], number, making, SNAPSHOT_UNITS_BY_DAY, cell, error)) < 0)
            return result;
    }
    for (int c = 0; c < CATEGORIES; c++)
        making->totals->units[c].has_baseline = making->baseline_events[c] > 0;
    return 0;
}

static int pilot_compare(const void *a, const void *b)
{
    const struct pilot_count *left = a, *right = b;
    int order = strcmp(left->pilot.model, right->pilot.model);
    return order ? order : strcmp(left->pilot.district, right->pilot.district);
}

/* "<model>/<district>" */
static bool take_pair(struct slice field, struct pilot *pilot)
{
    const char *slash = memchr(field.data, '/', field.size);
    if (!slash)
        return false;
    struct slice model = {field.data, (size_t)(slash - field.data)};
    struct slice district = {slash + 1, field.size - model.size - 1};
    if (!id_is_valid(model) || !id_is_valid(district))
        return false;
    snprintf(pilot->model, sizeof pilot->model, "%.*s", SLICE_ARG(model));
    snprintf(pilot->district, sizeof pilot->district, "%.*s", SLICE_ARG(district));
    return true;
}

static int collect_pilots(struct making *making, enum snapshot_hash hash, struct pilot_count *counts, size_t *ret_count,
                          struct error *error)
{
    const struct snapshot_cells *cells = &making->snapshot->hashes[hash];
    size_t count = 0;
    for (size_t i = 0; i < cells->count; i++) {
        const struct snapshot_cell *cell = &cells->cells[i];
        struct slice field = cell->field;
        int32_t date = INT32_MIN;
        bool dated = hash == SNAPSHOT_PILOTS_BY_DAY;
        if ((dated && !take_date(&field, &date)) || !take_pair(field, &counts[count].pilot))
            return refuse_field(making, hash, cell, error);
        int result = cell_counter(cell, hash, making->city, &counts[count].count, error);
        if (result < 0)
            return result;
        if (!dated || date <= making->totals->date)
            count++;
    }
    *ret_count = count;
    return 0;
}

static int district_compare(const void *a, const void *b)
{
    const struct pilot_count *left = a, *right = b;
    return strcmp(left->pilot.district, right->pilot.district);
}

/* The live pairs are the first `live` of `counts`, by model. */
static void count_distinct(struct totals *totals, struct pilot_count *counts, size_t live)
{
    for (size_t i = 0; i < live; i++) {
        totals->pilots[i] = counts[i].pilot;
        totals->models += i == 0 || strcmp(counts[i - 1].pilot.model, counts[i].pilot.model) != 0;
    }
    totals->pilot_count = live;
    qsort(counts, live, sizeof *counts, district_compare);
    for (size_t i = 0; i < live; i++)
        totals->districts += i == 0 || district_compare(&counts[i - 1], &counts[i]) != 0;
}

static int sum_pilots(struct making *making, struct error *error)
{
    struct totals *totals = making->totals;
    enum snapshot_hash hash = totals->by_date ? SNAPSHOT_PILOTS_BY_DAY : SNAPSHOT_PILOTS;
    size_t most = making->snapshot->hashes[hash].count, count = 0;
    if (most == 0)
        return 0;
    struct pilot_count *counts = calloc(most, sizeof *counts);
    totals->pilots = calloc(most, sizeof *totals->pilots);
    int result = counts && totals->pilots ? collect_pilots(making, hash, counts, &count, error)
                                          : error_set(error, ERROR_MEMORY, "out of memory");
    if (result < 0)
        goto finish;
    qsort(counts, count, sizeof *counts, pilot_compare);
    size_t live = 0;
    for (size_t i = 0, next; i < count; i = next) {
        __int128 sum = 0;
        for (next = i; next < count && pilot_compare(&counts[i], &counts[next]) == 0; next++)
            sum += counts[next].count;
        if (sum > 0)
            counts[live++] = counts[i];
    }
    count_distinct(totals, counts, live);
finish:
    free(counts);
    return result;
}

static int find(const struct making *making, const char *measure, const char *word, int64_t *ret_number, bool *ret_found,
                struct error *error)
{
    char field[FIELD_MOST];
    snprintf(field, sizeof field, "%s%s%s", measure, word ? ":" : "", word ? word : "");
    return counter_find(making->snapshot, SNAPSHOT_TOTALS, making->city, field, ret_number, ret_found, error);
}

static int read_live(struct making *making, struct error *error)
{
    struct totals *totals = making->totals;
    int result;
    if ((result = find(making, "headcount_baseline", NULL, &totals->headcount.baseline, NULL, error)) < 0 ||
        (result = find(making, "headcount_current", NULL, &totals->headcount.current, NULL, error)) < 0 ||
        (result = find(making, "events", NULL, &totals->events, NULL, error)) < 0 ||
        (result = find(making, "dead_letters", NULL, &totals->dead_letters, NULL, error)) < 0)
        return result;
    for (size_t i = 0; i < SECTORS; i++) {
        struct headcount *headcount = &totals->by_sector[i];
        if ((result = find(making, "headcount_baseline", sector_at(i), &headcount->baseline, NULL, error)) < 0 ||
            (result = find(making, "headcount_current", sector_at(i), &headcount->current, NULL, error)) < 0)
            return result;
    }
    for (size_t i = 0; i < CATEGORIES; i++) {
        struct units *units = &totals->units[i];
        if ((result = find(making, "units_baseline", category_at(i), &units->baseline, &units->has_baseline, error)) < 0 ||
            (result = find(making, "units_change", category_at(i), &units->change, NULL, error)) < 0 ||
            (result = find(making, "units_merged", category_at(i), &units->merged, NULL, error)) < 0 ||
            (result = find(making, "mergers", category_at(i), &units->mergers, NULL, error)) < 0)
            return result;
    }
    totals->visitors = making->snapshot->visitors;
    return sum_headcount_days(making, error);
}

static int read_state(struct making *making, struct error *error)
{
    struct totals *totals = making->totals;
    int result = find(making, "version", NULL, &totals->version, NULL, error);
    if (result < 0)
        return result;
    const struct snapshot_cell *cell = cell_find(making->snapshot, SNAPSHOT_TOTALS, "updated_at");
    if (cell && !timestamp_parse(cell->value, &totals->updated_at_ms))
        return cell_refuse(making->city, SNAPSHOT_TOTALS, cell->field, cell->value, "an RFC 3339 time", error);
    totals->has_updated_at = cell != NULL;
    return 0;
}

int totals_make(const struct snapshot *snapshot, const char *city, int32_t as_of, struct totals *ret_totals,
                struct error *error)
{
    struct totals totals = {.read_at_ms = snapshot->now_ms, .by_date = as_of != INT32_MIN, .date = as_of};
    struct making making = {.snapshot = snapshot, .city = city, .totals = &totals};
    snprintf(totals.city, sizeof totals.city, "%s", city);
    int result = read_state(&making, error);
    if (result >= 0 && totals.by_date)
        result = sum_headcount_days(&making, error);
    else if (result >= 0)
        result = read_live(&making, error);
    if (result >= 0 && totals.by_date)
        result = sum_unit_days(&making, error);
    if (result >= 0)
        result = sum_pilots(&making, error);
    if (result < 0) {
        totals_free(&totals);
        return result;
    }
    headcount_finish(&totals.headcount);
    for (int i = 0; i < SECTORS; i++)
        headcount_finish(&totals.by_sector[i]);
    totals.target_met = target_is_met(totals.headcount.reduction, totals.headcount.baseline);
    for (int i = 0; i < CATEGORIES; i++) {
        struct units *units = &totals.units[i];
        if (!units->has_baseline)
            units->baseline = 0;
        units->current = units->has_baseline ? units->baseline + units->change : 0;
    }
    *ret_totals = totals;
    return 0;
}

void totals_free(struct totals *totals)
{
    free(totals->pilots);
    *totals = (struct totals){0};
}
