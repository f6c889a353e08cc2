/* Visits recomputed from page visits in log order, in memory: per day their number and each visitor's latest. Pure. */
#ifndef CITYTOTALS_CONSUMER_DAY_VISITS_H
#define CITYTOTALS_CONSUMER_DAY_VISITS_H

#include "base/slice.h"

struct visitor {
    uint8_t bytes[16];
    int64_t latest_ms; /* INT64_MIN: no visitor here */
};
struct day_visits {
    int32_t day; /* since 1970, of the city */
    int64_t visits;
    int64_t uncertain; /* page visits that may have come after the day was final: whether they counted is not in the log */
    struct visitor *visitors; /* an open table; NULL once the day was let go */
    size_t size, count;
};
struct visits;
struct visits *visits_new(size_t partitions); /* NULL when memory ran out */
struct visits *visits_free(struct visits *visits); /* NULL */
/* Before the first page visit: a day begins with so many visits; with this visitor. False when memory ran out. */
bool visits_begin_day(struct visits *visits, int32_t day, int64_t count);
bool visits_begin_visitor(struct visits *visits, int32_t day, const uint8_t visitor[16], int64_t latest_ms);
/* Each record of a page-visit partition, whatever it is, in log order. */
void visits_pass(struct visits *visits, size_t partition, int64_t kafka_ms);
/* A page visit that passed the rules, before its own visits_pass. False when memory ran out. */
bool visits_take(struct visits *visits, size_t partition, const uint8_t visitor[16], int64_t occurred_ms, int64_t kafka_ms);
/* Let the visitors go of days up to `day` that every partition has passed by. */
void visits_let_go(struct visits *visits, int64_t day);
const struct day_visits *visits_days(const struct visits *visits, size_t *ret_count);
/* NULL when not there. */
const struct visitor *day_visits_find(const struct day_visits *day, const uint8_t visitor[16]);
/* The last day that is final once every partition has been folded to this Kafka time. */
int64_t visits_closing_day(int64_t kafka_ms);
int64_t visits_city_day(int64_t ms);

#endif
