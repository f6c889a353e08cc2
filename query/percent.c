/* The reduction as a share of the baseline: exact, in 128-bit integers. Pure. */
#include <stdio.h>

#include "query/totals.h"

/* 4 decimals of a percentage: reduction × 100 × 10^4 / baseline. */
#define PERCENT_SCALE 1000000
#define PERCENT_DECIMALS 10000

char *percent_format(int64_t reduction, int64_t baseline, char text[PERCENT_TEXT_SIZE])
{
    text[0] = '\0';
    if (baseline <= 0)
        return text;
    bool negative = reduction < 0;
    unsigned __int128 product = (unsigned __int128)(negative ? -(__int128)reduction : reduction) * PERCENT_SCALE;
    unsigned __int128 scaled = product / (uint64_t)baseline;
    if (product % (uint64_t)baseline * 2 >= (uint64_t)baseline)
        scaled++; /* half away from zero */
    /* The whole part has up to 24 digits: two halves that printf knows. */
    unsigned __int128 whole = scaled / PERCENT_DECIMALS;
    const uint64_t half = UINT64_C(1000000000000);
    uint64_t high = (uint64_t)(whole / half), low = (uint64_t)(whole % half);
    const char *sign = negative && scaled ? "-" : "";
    unsigned decimals = (unsigned)(scaled % PERCENT_DECIMALS);
    if (high)
        snprintf(text, PERCENT_TEXT_SIZE, "%s%llu%012llu.%04u", sign, (unsigned long long)high, (unsigned long long)low,
                 decimals);
    else
        snprintf(text, PERCENT_TEXT_SIZE, "%s%llu.%04u", sign, (unsigned long long)low, decimals);
    return text;
}

bool target_is_met(int64_t reduction, int64_t baseline)
{
    return baseline > 0 && (__int128)reduction * 100 >= (__int128)baseline * TARGET_PERCENT;
}

int64_t target_missing(int64_t reduction, int64_t baseline)
{
    if (baseline <= 0 || target_is_met(reduction, baseline))
        return 0;
    __int128 wanted = ((__int128)baseline * TARGET_PERCENT + 99) / 100;
    return (int64_t)(wanted - reduction);
}
