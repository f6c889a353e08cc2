/* The JSON of the totals, to the byte: the order of keys is a public promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "tests/unit/made_totals.h"

static void expect_json(const struct totals *totals, const char *expected)
{
    struct buffer out = BUFFER_BOUNDED(TOTALS_JSON_MOST);
    struct error error = {0};
    assert_int_equal(totals_json(totals, &out, &error), 0);
    assert_string_equal(buffer_text(&out), expected);
    buffer_free(&out);
}

static void live_totals_in_the_public_order(void **state)
{
    (void)state;
    struct pilot pilots[6] = {0};
    struct totals totals = made_totals(pilots);
    totals.has_lag = true;
    totals.lag = 3;
    expect_json(&totals,
        "{\"city\":\"haiphong\","
        "\"as_of\":{\"version\":42,\"updated_at\":\"2020-11-20T02:00:00.000Z\",\"read_at\":\"2020-11-20T03:32:30.250Z\","
        "\"date\":null,\"lag\":3,\"stale\":false},"
        "\"headcount\":{\"baseline\":10000,\"current\":9575,\"reduction\":425,\"reduction_percent\":\"4.2500\","
        "\"target_percent\":\"10\",\"target_date\":\"2021-12-31\",\"target_met\":false,\"effective_later\":-12,"
        "\"by_sector\":{"
        "\"administrative\":{\"baseline\":2500,\"current\":2360,\"reduction\":140,\"reduction_percent\":\"5.6000\"},"
        "\"public_service\":{\"baseline\":6000,\"current\":5750,\"reduction\":250,\"reduction_percent\":\"4.1667\"},"
        "\"commune\":{\"baseline\":1500,\"current\":1465,\"reduction\":35,\"reduction_percent\":\"2.3333\"}}},"
        "\"units\":{"
        "\"city_agency\":{\"baseline\":21,\"current\":21,\"change\":0,\"merged\":0,\"mergers\":0},"
        "\"city_division\":{\"baseline\":null,\"current\":null,\"change\":-19,\"merged\":0,\"mergers\":0},"
        "\"district_division\":{\"baseline\":173,\"current\":167,\"change\":-6,\"merged\":0,\"mergers\":0},"
        "\"public_service_unit\":{\"baseline\":1008,\"current\":910,\"change\":-98,\"merged\":0,\"mergers\":0},"
        "\"commune\":{\"baseline\":223,\"current\":217,\"change\":-6,\"merged\":9,\"mergers\":3}},"
        "\"pilots\":{\"models\":4,\"districts\":6,\"pairs\":["
        "{\"model\":\"dang-uy-khoi\",\"district\":\"kien-thuy\"},"
        "{\"model\":\"kiem-tra-thanh-tra\",\"district\":\"an-duong\"},"
        "{\"model\":\"kiem-tra-thanh-tra\",\"district\":\"an-lao\"},"
        "{\"model\":\"to-chuc-noi-vu\",\"district\":\"kien-an\"},"
        "{\"model\":\"van-phong-chung\",\"district\":\"duong-kinh\"},"
        "{\"model\":\"van-phong-chung\",\"district\":\"hong-bang\"}]},"
        "\"visitors\":{\"online\":17,\"today\":1204,\"this_week\":5310,\"all\":1234567,\"today_visitors\":981},"
        "\"events\":31,\"dead_letters\":2}\n");
}

static void what_has_no_date_is_null_by_date(void **state)
{
    (void)state;
    struct totals totals = {.city = "x", .by_date = true, .date = 18565, .read_at_ms = 0, .target_met = true,
                            .headcount = made_headcount(-5, -7), .stale = true};
    expect_json(&totals,
        "{\"city\":\"x\","
        "\"as_of\":{\"version\":0,\"updated_at\":null,\"read_at\":\"1970-01-01T00:00:00.000Z\",\"date\":\"2020-10-30\","
        "\"lag\":null,\"stale\":true},"
        "\"headcount\":{\"baseline\":-5,\"current\":-7,\"reduction\":2,\"reduction_percent\":null,"
        "\"target_percent\":\"10\",\"target_date\":\"2021-12-31\",\"target_met\":true,\"effective_later\":null,"
        "\"by_sector\":{"
        "\"administrative\":{\"baseline\":0,\"current\":0,\"reduction\":0,\"reduction_percent\":null},"
        "\"public_service\":{\"baseline\":0,\"current\":0,\"reduction\":0,\"reduction_percent\":null},"
        "\"commune\":{\"baseline\":0,\"current\":0,\"reduction\":0,\"reduction_percent\":null}}},"
        "\"units\":{"
        "\"city_agency\":{\"baseline\":null,\"current\":null,\"change\":0,\"merged\":0,\"mergers\":0},"
        "\"city_division\":{\"baseline\":null,\"current\":null,\"change\":0,\"merged\":0,\"mergers\":0},"
        "\"district_division\":{\"baseline\":null,\"current\":null,\"change\":0,\"merged\":0,\"mergers\":0},"
        "\"public_service_unit\":{\"baseline\":null,\"current\":null,\"change\":0,\"merged\":0,\"mergers\":0},"
        "\"commune\":{\"baseline\":null,\"current\":null,\"change\":0,\"merged\":0,\"mergers\":0}},"
        "\"pilots\":{\"models\":0,\"districts\":0,\"pairs\":[]},"
        "\"visitors\":null,\"events\":null,\"dead_letters\":null}\n");
}

static void a_full_buffer_is_an_error(void **state)
{
    (void)state;
    struct totals totals = {.city = "x"};
    struct buffer out = BUFFER_BOUNDED(100);
    struct error error = {0};
    assert_int_equal(totals_json(&totals, &out, &error), -ERROR_LIMIT);
    assert_string_equal(error.text, "the totals as JSON are over 100 bytes");
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_totals_in_the_public_order),
        cmocka_unit_test(what_has_no_date_is_null_by_date),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };
    return cmocka_run_group_tests_name("totals_json", tests, NULL, NULL);
}
