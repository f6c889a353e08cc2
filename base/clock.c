/* The clocks, RFC 3339 text and calendar days. */
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

int64_t clock_wall_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t clock_monotonic_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t clock_monotonic_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

void clock_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct timespec clock_deadline(int64_t ms)
{
    return clock_moment(clock_monotonic_ns() + ms * 1000000);
}

struct timespec clock_moment(int64_t monotonic_ns)
{
    return (struct timespec){.tv_sec = monotonic_ns / 1000000000, .tv_nsec = monotonic_ns % 1000000000};
}

/* Howard Hinnant's civil calendar algorithms: eras of 400 years that begin on 1 March. */
int32_t date_from_civil(int year, int month, int day)
{
    year -= month <= 2;
    int era = (year >= 0 ? year : year - 399) / 400;
    int year_of_era = year - era * 400;
    int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void date_to_civil(int32_t days, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t shifted = (int64_t)days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int day_of_era = (int)(shifted - era * 146097);
    int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month = (5 * day_of_year + 2) / 153;
    *ret_day = day_of_year - (153 * month + 2) / 5 + 1;
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = (int)(year_of_era + era * 400) + (*ret_month <= 2);
}

/* `count` digits from *at on; -1 when there are others. */
static int digits(struct slice text, size_t *at, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (*at >= text.size || text.data[*at] < '0' || text.data[*at] > '9')
            return -1;
        value = value * 10 + (text.data[*at] - '0');
    }
    return value;
}

static bool sign(struct slice text, size_t *at, char expected)
{
    return *at < text.size && text.data[(*at)++] == expected;
}

static bool parse_day(struct slice text, size_t *at, int32_t *ret_days)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = digits(text, at, 4);
    if (year < 0 || !sign(text, at, '-'))
        return false;
    int month = digits(text, at, 2);
    if (month < 1 || month > 12 || !sign(text, at, '-'))
        return false;
    int day = digits(text, at, 2);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > lengths[month - 1] + (month == 2 && leap))
        return false;
    *ret_days = date_from_civil(year, month, day);
    return true;
}

bool date_parse(struct slice text, int32_t *ret_days)
{
    size_t at = 0;
    int32_t days;
    if (!text.data || !parse_day(text, &at, &days) || at != text.size)
        return false;
    *ret_days = days;
    return true;
}

char *date_format(int32_t days, char text[DATE_TEXT_SIZE])
{
    int year, month, day;
    date_to_civil(days, &year, &month, &day);
    snprintf(text, DATE_TEXT_SIZE, "%04d-%02d-%02d", year % 10000, month, day);
    return text;
}

static int64_t floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

int32_t date_in_city(int64_t wall_ms)
{
    return (int32_t)floor_div(wall_ms + CITY_UTC_OFFSET_MS, MILLISECONDS_PER_DAY);
}

static bool parse_fraction(struct slice text, size_t *at, int *ret_ms)
{
    *ret_ms = 0;
    if (*at >= text.size || text.data[*at] != '.')
        return true;
    (*at)++;
    int scale = 100;
    size_t first = *at;
    for (; *at < text.size && text.data[*at] >= '0' && text.data[*at] <= '9'; (*at)++, scale /= 10)
        *ret_ms += (text.data[*at] - '0') * scale;
    return *at > first;
}

static bool parse_offset(struct slice text, size_t *at, int *ret_minutes)
{
    if (*at >= text.size)
        return false;
    char first = text.data[(*at)++];
    *ret_minutes = 0;
    if (first == 'Z' || first == 'z')
        return true;
    if (first != '+' && first != '-')
        return false;
    int hours = digits(text, at, 2);
    if (hours < 0 || hours > 23 || !sign(text, at, ':'))
        return false;
    int minutes = digits(text, at, 2);
    if (minutes < 0 || minutes > 59)
        return false;
    *ret_minutes = (hours * 60 + minutes) * (first == '-' ? -1 : 1);
    return true;
}

bool timestamp_parse(struct slice text, int64_t *ret_ms)
{
    size_t at = 0;
    int32_t days;
    int ms, offset;
    if (!text.data || !parse_day(text, &at, &days) || at >= text.size || (text.data[at] != 'T' && text.data[at] != 't'))
        return false;
    at++;
    int hour = digits(text, &at, 2);
    if (hour < 0 || hour > 23 || !sign(text, &at, ':'))
        return false;
    int minute = digits(text, &at, 2);
    if (minute < 0 || minute > 59 || !sign(text, &at, ':'))
        return false;
    int second = digits(text, &at, 2);
    if (second < 0 || second > 59 || !parse_fraction(text, &at, &ms) || !parse_offset(text, &at, &offset) || at != text.size)
        return false;
    *ret_ms = days * MILLISECONDS_PER_DAY + ((hour * 60 + minute - offset) * INT64_C(60) + second) * 1000 + ms;
    return true;
}

char *timestamp_format(int64_t wall_ms, char text[TIMESTAMP_TEXT_SIZE])
{
    int64_t days = floor_div(wall_ms, MILLISECONDS_PER_DAY);
    int ms = (int)(((wall_ms % MILLISECONDS_PER_DAY) + MILLISECONDS_PER_DAY) % MILLISECONDS_PER_DAY);
    char day[DATE_TEXT_SIZE];
    date_format((int32_t)days, day);
    snprintf(text, TIMESTAMP_TEXT_SIZE, "%sT%02d:%02d:%02d.%03dZ", day, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60,
             ms % 1000);
    return text;
}
