/* Recomputes visits by the contract's words: 30 minutes after the latest so far, or first of the day, in log order. */
#include "consumer/day_visits.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/clock.h"

enum { VISIT_APART_MS = 30 * 60 * 1000, FIRST_SIZE = 64 };

struct visits {
    struct day_visits *days;
    size_t count, capacity, last_used;
    int64_t *newest_ms; /* by partition */
    size_t partitions;
};

struct visits *visits_new(size_t partitions)
{
    struct visits *visits = calloc(1, sizeof *visits);
    if (!visits)
        return NULL;
    visits->partitions = partitions;
    visits->newest_ms = malloc((partitions + 1) * sizeof *visits->newest_ms);
    if (!visits->newest_ms)
        return visits_free(visits);
    for (size_t i = 0; i < partitions; i++)
        visits->newest_ms[i] = INT64_MIN;
    return visits;
}

struct visits *visits_free(struct visits *visits)
{
    if (!visits)
        return NULL;
    for (size_t i = 0; i < visits->count; i++)
        free(visits->days[i].visitors);
    free(visits->days);
    free(visits->newest_ms);
    free(visits);
    return NULL;
}

int64_t visits_city_day(int64_t ms)
{
    int64_t local = ms + CITY_UTC_OFFSET_MS;
    return local / MILLISECONDS_PER_DAY - (local % MILLISECONDS_PER_DAY < 0);
}

int64_t visits_closing_day(int64_t kafka_ms)
{
    return visits_city_day(kafka_ms - MILLISECONDS_PER_DAY) - 1;
}

void visits_pass(struct visits *visits, size_t partition, int64_t kafka_ms)
{
    if (kafka_ms > visits->newest_ms[partition])
        visits->newest_ms[partition] = kafka_ms;
}

static struct day_visits *day_of(struct visits *visits, int32_t day)
{
    if (visits->count && visits->days[visits->last_used].day == day)
        return &visits->days[visits->last_used];
    for (size_t i = visits->count; i-- > 0;) {
        if (visits->days[i].day == day) {
            visits->last_used = i;
            return &visits->days[i];
        }
    }
    if (visits->count == visits->capacity) {
        size_t capacity = visits->capacity ? visits->capacity * 2 : FIRST_SIZE;
        struct day_visits *days = realloc(visits->days, capacity * sizeof *days);
        if (!days)
            return NULL;
        visits->days = days;
        visits->capacity = capacity;
    }
    visits->last_used = visits->count;
    visits->days[visits->count] = (struct day_visits){.day = day};
    return &visits->days[visits->count++];
}

static struct visitor *find(const struct day_visits *day, const uint8_t visitor[16])
{
    size_t at = XXH3_64bits(visitor, 16) & (day->size - 1);
    while (day->visitors[at].latest_ms != INT64_MIN && memcmp(day->visitors[at].bytes, visitor, 16) != 0)
        at = (at + 1) & (day->size - 1);
    return &day->visitors[at];
}

static bool grow(struct day_visits *day)
{
    if (day->visitors && (day->count + 1) * 2 <= day->size)
        return true;
    struct day_visits grown = {.size = day->visitors ? day->size * 2 : FIRST_SIZE};
    grown.visitors = malloc(grown.size * sizeof *grown.visitors);
    if (!grown.visitors)
        return false;
    for (size_t i = 0; i < grown.size; i++)
        grown.visitors[i].latest_ms = INT64_MIN;
    for (size_t i = 0; day->visitors && i < day->size; i++)
        if (day->visitors[i].latest_ms != INT64_MIN)
            *find(&grown, day->visitors[i].bytes) = day->visitors[i];
    free(day->visitors);
    day->visitors = grown.visitors;
    day->size = grown.size;
    return true;
}

bool visits_begin_day(struct visits *visits, int32_t day, int64_t count)
{
    struct day_visits *each = day_of(visits, day);
    if (each)
        each->visits += count;
    return each;
}

bool visits_begin_visitor(struct visits *visits, int32_t day, const uint8_t visitor[16], int64_t latest_ms)
{
    struct day_visits *each = day_of(visits, day);
    if (!each || !grow(each))
        return false;
    struct visitor *known = find(each, visitor);
    each->count += known->latest_ms == INT64_MIN;
    memcpy(known->bytes, visitor, sizeof known->bytes);
    known->latest_ms = latest_ms;
    return true;
}

bool visits_take(struct visits *visits, size_t partition, const uint8_t visitor[16], int64_t occurred_ms, int64_t kafka_ms)
{
    int64_t number = visits_city_day(occurred_ms), newest = visits->newest_ms[partition];
    struct day_visits *day = day_of(visits, (int32_t)number);
    if (!day || !grow(day))
        return false;
    if (newest != INT64_MIN && number <= visits_closing_day(newest)) {
        day->uncertain++;
        return true;
    }
    struct visitor *known = find(day, visitor);
    int64_t time = occurred_ms < kafka_ms ? occurred_ms : kafka_ms;
    bool first = known->latest_ms == INT64_MIN;
    if (first || occurred_ms - known->latest_ms >= VISIT_APART_MS)
        day->visits++;
    if (first || time > known->latest_ms)
        known->latest_ms = time;
    if (first) {
        memcpy(known->bytes, visitor, sizeof known->bytes);
        day->count++;
    }
    return true;
}

void visits_let_go(struct visits *visits, int64_t day)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < visits->partitions; i++)
        least = visits->newest_ms[i] < least ? visits->newest_ms[i] : least;
    if (visits->partitions == 0 || least == INT64_MIN)
        return;
    int64_t passed = visits_closing_day(least);
    for (size_t i = 0; i < visits->count; i++) {
        struct day_visits *each = &visits->days[i];
        if (each->day > day || each->day > passed || !each->visitors)
            continue;
        free(each->visitors);
        each->visitors = NULL;
        each->count = each->size = 0;
    }
}

const struct day_visits *visits_days(const struct visits *visits, size_t *ret_count)
{
    *ret_count = visits->count;
    return visits->days;
}

const struct visitor *day_visits_find(const struct day_visits *day, const uint8_t visitor[16])
{
    if (!day->visitors)
        return NULL;
    const struct visitor *found = find(day, visitor);
    return found->latest_ms == INT64_MIN ? NULL : found;
}
