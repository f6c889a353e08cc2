/* The totals that the JSON and the text are checked on: the report's figures with illustrative headcounts. */
#ifndef CITYTOTALS_TESTS_UNIT_MADE_TOTALS_H
#define CITYTOTALS_TESTS_UNIT_MADE_TOTALS_H

#include "query/totals.h"

static inline struct headcount made_headcount(int64_t baseline, int64_t current)
{
    struct headcount headcount = {baseline, current, baseline - current, ""};
    percent_format(headcount.reduction, baseline, headcount.percent);
    return headcount;
}

static inline struct totals made_totals(struct pilot pilots[6])
{
    static const char *const pairs[6][2] = {
        {"dang-uy-khoi", "kien-thuy"},      {"kiem-tra-thanh-tra", "an-duong"}, {"kiem-tra-thanh-tra", "an-lao"},
        {"to-chuc-noi-vu", "kien-an"},      {"van-phong-chung", "duong-kinh"},  {"van-phong-chung", "hong-bang"}};
    struct totals totals = {
        .city = "haiphong", .version = 42, .has_updated_at = true, .updated_at_ms = INT64_C(1605837600000),
        .read_at_ms = INT64_C(1605843150250), .effective_later = -12,
        .headcount = made_headcount(10000, 9575),
        .by_sector = {made_headcount(2500, 2360), made_headcount(6000, 5750), made_headcount(1500, 1465)},
        .units = {{true, 21, 21, 0, 0, 0}, {false, 0, 0, -19, 0, 0}, {true, 173, 167, -6, 0, 0},
                  {true, 1008, 910, -98, 0, 0}, {true, 223, 217, -6, 9, 3}},
        .pilots = pilots, .pilot_count = 6, .models = 4, .districts = 6,
        .visitors = {17, 1204, 5310, 1234567, 981}, .events = 31, .dead_letters = 2,
    };
    for (size_t i = 0; i < 6; i++) {
        memcpy(pilots[i].model, pairs[i][0], strlen(pairs[i][0]) + 1);
        memcpy(pilots[i].district, pairs[i][1], strlen(pairs[i][1]) + 1);
    }
    return totals;
}

#endif
