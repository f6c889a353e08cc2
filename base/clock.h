/* Time: the two clocks, RFC 3339 text, and calendar days. Nothing else in the project asks the system for the time. */
#ifndef CITYTOTALS_BASE_CLOCK_H
#define CITYTOTALS_BASE_CLOCK_H

#include <pthread.h>
#include <time.h>

#include "base/slice.h"

#define MILLISECONDS_PER_DAY INT64_C(86400000)
/* Asia/Ho_Chi_Minh has kept UTC+7 without daylight saving since 1975; the contract fixes it. */
#define CITY_UTC_OFFSET_MS (INT64_C(7) * 3600 * 1000)

int64_t clock_wall_ms(void);      /* milliseconds since 1970-01-01T00:00Z */
int64_t clock_monotonic_ms(void); /* for durations and deadlines */
int64_t clock_monotonic_ns(void);

/* Waits with a time limit that a change of the wall clock does not move: a condition of the monotonic clock, and the moment
 * `ms` from now for pthread_cond_timedwait on it. */
void clock_condition_init(pthread_cond_t *condition);
struct timespec clock_deadline(int64_t ms);
struct timespec clock_moment(int64_t monotonic_ns);

/* Days since 1970-01-01 of a proleptic Gregorian date; months 1..12, days 1..31, no check. */
int32_t date_from_civil(int year, int month, int day);
void date_to_civil(int32_t days, int *ret_year, int *ret_month, int *ret_day);
/* Strict YYYY-MM-DD of an existing day; false and no output otherwise. */
bool date_parse(struct slice text, int32_t *ret_days);
#define DATE_TEXT_SIZE 16
/* Writes YYYY-MM-DD; returns `text`. */
char *date_format(int32_t days, char text[DATE_TEXT_SIZE]);
/* The city's calendar day of an instant. */
int32_t date_in_city(int64_t wall_ms);

/* RFC 3339 with an offset; `t`, `z` accepted; second 60 refused; finer than a millisecond is cut. */
bool timestamp_parse(struct slice text, int64_t *ret_ms);
#define TIMESTAMP_TEXT_SIZE 40
/* Writes 2020-11-20T02:00:00.000Z; returns `text`. */
char *timestamp_format(int64_t wall_ms, char text[TIMESTAMP_TEXT_SIZE]);

#endif
