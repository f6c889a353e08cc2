/* Makes the agencies' figures and the days' out of a snapshot. Pure. */
#include "query/figures.h"

#include <stdlib.h>

#include "schemas/rules.h"

enum { DATE_SIZE = 10 };

void figures_free(struct figures *figures)
{
    free(figures->agencies);
    free(figures->days);
    totals_free(&figures->totals);
    snapshot_free(&figures->snapshot);
    *figures = (struct figures){0};
}

static int slice_compare(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int agency_compare(const void *a, const void *b)
{
    const struct agency_figures *left = a, *right = b;
    return slice_compare(left->id, right->id);
}

static int add_agencies(struct figures *figures, const char *city, enum snapshot_hash hash, struct error *error)
{
    const struct snapshot_cells *cells = &figures->snapshot.hashes[hash];
    for (size_t i = 0; i < cells->count; i++) {
        const struct snapshot_cell *cell = &cells->cells[i];
        struct agency_figures *agency = &figures->agencies[figures->agency_count];
        int64_t number;
        int result = id_is_valid(cell->field)
                         ? cell_counter(cell, hash, city, &number, error)
                         : cell_refuse(city, hash, cell->field, cell->value, "an agency's id as field", error);
        if (result < 0)
            return result;
        *agency = (struct agency_figures){.id = cell->field};
        *(hash == SNAPSHOT_AGENCY_BASELINE ? &agency->headcount.baseline : &agency->headcount.current) = number;
        figures->agency_count++;
    }
    return 0;
}

static int make_agencies(struct figures *figures, const char *city, const struct names *names, struct error *error)
{
    size_t named, count = 0;
    const struct agency_name *all = names_all(names, &named);
    size_t most = named + figures->snapshot.hashes[SNAPSHOT_AGENCY_BASELINE].count +
                  figures->snapshot.hashes[SNAPSHOT_AGENCY_CURRENT].count;
    figures->agencies = calloc(most + 1, sizeof *figures->agencies);
    if (!figures->agencies)
        return error_set(error, ERROR_MEMORY, "out of memory");
    int result = add_agencies(figures, city, SNAPSHOT_AGENCY_BASELINE, error);
    if (result >= 0)
        result = add_agencies(figures, city, SNAPSHOT_AGENCY_CURRENT, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < named; i++)
        figures->agencies[figures->agency_count++] = (struct agency_figures){.id = all[i].id};
    qsort(figures->agencies, figures->agency_count, sizeof *figures->agencies, agency_compare);
    for (size_t i = 0; i < figures->agency_count; i++) {
        struct agency_figures *agency = &figures->agencies[i];
        if (count > 0 && slice_equal(figures->agencies[count - 1].id, agency->id)) {
            figures->agencies[count - 1].headcount.baseline += agency->headcount.baseline;
            figures->agencies[count - 1].headcount.current += agency->headcount.current;
        } else {
            figures->agencies[count++] = *agency;
        }
    }
    figures->agency_count = count;
    for (size_t i = 0; i < count; i++) {
        figures->agencies[i].name = names_find(names, figures->agencies[i].id);
        headcount_finish(&figures->agencies[i].headcount);
    }
    return 0;
}

/* "<measure>:<word>" after the date. */
static bool day_field(struct slice field, enum snapshot_hash hash, struct day_figure *day)
{
    static const struct {
        enum snapshot_hash hash;
        const char *name;
        enum day_measure measure;
    } measures[] = {
        {SNAPSHOT_HEADCOUNT_BY_DAY, "baseline:", DAY_HEADCOUNT_BASELINE},
        {SNAPSHOT_HEADCOUNT_BY_DAY, "current:", DAY_HEADCOUNT_CURRENT},
        {SNAPSHOT_UNITS_BY_DAY, "baselines:", DAY_UNITS_BASELINES},
        {SNAPSHOT_UNITS_BY_DAY, "baseline:", DAY_UNITS_BASELINE},
        {SNAPSHOT_UNITS_BY_DAY, "change:", DAY_UNITS_CHANGE},
        {SNAPSHOT_UNITS_BY_DAY, "merged:", DAY_NOTHING_SHOWN},
        {SNAPSHOT_UNITS_BY_DAY, "mergers:", DAY_NOTHING_SHOWN},
    };
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
        size_t size = strlen(measures[i].name);
        if (measures[i].hash != hash || field.size <= size || memcmp(field.data, measures[i].name, size) != 0)
            continue;
        struct slice word = {field.data + size, field.size - size};
        int words = hash == SNAPSHOT_HEADCOUNT_BY_DAY ? SECTORS : CATEGORIES;
        for (int w = 0; w < words; w++)
            if (slice_equal(word, slice_of(hash == SNAPSHOT_HEADCOUNT_BY_DAY ? sector_name((enum sector)w)
                                                                             : unit_category_name((enum unit_category)w)))) {
                day->measure = measures[i].measure;
                day->word = w;
                return true;
            }
    }
    return false;
}

static int add_days(struct figures *figures, const char *city, enum snapshot_hash hash, struct error *error)
{
    const struct snapshot_cells *cells = &figures->snapshot.hashes[hash];
    for (size_t i = 0; i < cells->count; i++) {
        const struct snapshot_cell *cell = &cells->cells[i];
        struct day_figure *day = &figures->days[figures->day_count];
        struct slice field = cell->field;
        bool ok = field.size >= DATE_SIZE && date_parse((struct slice){field.data, DATE_SIZE}, &day->date);
        if (ok && hash == SNAPSHOT_VISITS_BY_DAY) {
            day->measure = DAY_VISITS;
            day->word = 0;
            ok = field.size == DATE_SIZE;
        } else if (ok) {
            ok = field.size > DATE_SIZE && field.data[DATE_SIZE] == ':' &&
                 day_field((struct slice){field.data + DATE_SIZE + 1, field.size - DATE_SIZE - 1}, hash, day);
        }
        int result = ok ? cell_counter(cell, hash, city, &day->amount, error)
                        : cell_refuse(city, hash, cell->field, cell->value,
                                      "a field that this version knows (docs/redis-keys.md)", error);
        if (result < 0)
            return result;
        figures->day_count += day->measure != DAY_NOTHING_SHOWN && day->amount != 0;
    }
    return 0;
}

static int day_compare(const void *a, const void *b)
{
    const struct day_figure *left = a, *right = b;
    return (left->date > right->date) - (left->date < right->date);
}

static int make_days(struct figures *figures, const char *city, struct error *error)
{
    static const enum snapshot_hash hashes[] = {SNAPSHOT_HEADCOUNT_BY_DAY, SNAPSHOT_UNITS_BY_DAY, SNAPSHOT_VISITS_BY_DAY};
    size_t most = 1;
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        most += figures->snapshot.hashes[hashes[i]].count;
    figures->days = calloc(most, sizeof *figures->days);
    int result = figures->days ? 0 : error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; result >= 0 && i < sizeof hashes / sizeof *hashes; i++)
        result = add_days(figures, city, hashes[i], error);
    if (result >= 0)
        qsort(figures->days, figures->day_count, sizeof *figures->days, day_compare);
    return result;
}

int figures_make(struct snapshot *snapshot, const char *city, const struct names *names, struct figures *ret_figures,
                 struct error *error)
{
    struct figures figures = {.snapshot = *snapshot};
    int result = totals_make(snapshot, city, INT32_MIN, &figures.totals, error);
    if (result >= 0)
        result = make_agencies(&figures, city, names, error);
    if (result >= 0)
        result = make_days(&figures, city, error);
    if (result < 0) {
        figures.snapshot = (struct snapshot){0}; /* still the caller's */
        figures_free(&figures);
        return result;
    }
    *snapshot = (struct snapshot){0};
    *ret_figures = figures;
    return 0;
}

const struct agency_figures *figures_agency(const struct figures *figures, struct slice id)
{
    struct agency_figures key = {.id = id};
    return figures->agency_count ? bsearch(&key, figures->agencies, figures->agency_count, sizeof key, agency_compare) : NULL;
}

struct slice change_field(const struct snapshot_change *change, const char *field)
{
    for (size_t i = 0; i < change->fields.count; i++)
        if (slice_equal(change->fields.cells[i].field, slice_of(field)))
            return change->fields.cells[i].value;
    return (struct slice){0};
}
