/* Dates and timestamps: what is read, written and read again is the same instant. */
#include <assert.h>

#include "base/clock.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    char day[DATE_TEXT_SIZE], instant[TIMESTAMP_TEXT_SIZE];
    int32_t days, days_again;
    int64_t ms, ms_again;
    if (date_parse(text, &days)) {
        date_format(days, day);
        assert(slice_equal(slice_of(day), text) && date_parse(slice_of(day), &days_again) && days_again == days);
    }
    if (timestamp_parse(text, &ms)) {
        assert(ms % MILLISECONDS_PER_DAY || ms == (ms / MILLISECONDS_PER_DAY) * MILLISECONDS_PER_DAY);
        timestamp_format(ms, instant);
        /* An offset may lead out of the years 0000 to 9999, which the text can't show. */
        if (ms >= INT64_C(-62167219200000) && ms < INT64_C(253402300800000))
            assert(timestamp_parse(slice_of(instant), &ms_again) && ms_again == ms);
    }
    if (size >= sizeof ms) { /* any number can be shown */
        memcpy(&ms, data, sizeof ms);
        memcpy(&days, data, sizeof days);
        timestamp_format(ms % INT64_C(100000000000000), instant);
        date_format(days, day);
        date_in_city(ms % INT64_C(100000000000000));
    }
    return 0;
}
