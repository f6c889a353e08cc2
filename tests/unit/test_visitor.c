/* Page visits: hashes by known answers, origins, rates, and clients behind proxies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "producer/client.h"
#include "producer/visitor.h"

/* By Python's hmac module from the header's sentences: secret of 32 bytes 0 to 31, the day 2020-10-30, 203.0.113.7,
 * "Mozilla/5.0", "Haiphong.gov.vn". */
static const uint8_t known_key[VISIT_KEY_SIZE] = {
    0xc3, 0x0e, 0x82, 0x30, 0x76, 0xdb, 0x1a, 0x11, 0x98, 0x78, 0xb6, 0xe6, 0x1e, 0xb1, 0xc9, 0xa9,
    0x6c, 0xe8, 0x14, 0xae, 0xd5, 0x92, 0xea, 0x6d, 0xea, 0xf0, 0x02, 0xd8, 0x68, 0x12, 0x4e, 0x59};
static const uint8_t known_visitor[VISITOR_SIZE] = {0x25, 0x55, 0x34, 0x29, 0xd7, 0x2d, 0x7e, 0x19, 0xbb, 0x15, 0xe7, 0xbf, 0x18, 0xc2, 0xcd, 0xd3};

static void hashes_are_the_known_ones(void **state)
{
    (void)state;
    char secret[32];
    uint8_t key[VISIT_KEY_SIZE], other[VISIT_KEY_SIZE], visitor[VISITOR_SIZE], second[VISITOR_SIZE];
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (char)i;
    int32_t day = date_from_civil(2020, 10, 30);
    visit_day_key((struct slice){secret, sizeof secret}, day, key);
    assert_memory_equal(key, known_key, sizeof key);
    visitor_hash(key, slice_of("203.0.113.7"), slice_of("Mozilla/5.0"), slice_of("Haiphong.gov.vn"), visitor);
    assert_memory_equal(visitor, known_visitor, sizeof visitor);
    /* another day, address, agent, host: another visitor; the host's case does not count */
    visit_day_key((struct slice){secret, sizeof secret}, day + 1, other);
    visitor_hash(other, slice_of("203.0.113.7"), slice_of("Mozilla/5.0"), slice_of("haiphong.gov.vn"), second);
    assert_memory_not_equal(visitor, second, sizeof visitor);
    visitor_hash(key, slice_of("203.0.113.7"), slice_of("Mozilla/5.0"), slice_of("haiphong.gov.vn"), second);
    assert_memory_equal(visitor, second, sizeof visitor);
    visitor_hash(key, slice_of("203.0.113.8"), slice_of("Mozilla/5.0"), slice_of("haiphong.gov.vn"), second);
    assert_memory_not_equal(visitor, second, sizeof visitor);
    char *huge = calloc(1, 20000);
    memset(huge, 'x', 20000);
    visitor_hash(key, slice_of("203.0.113.7"), (struct slice){huge, 20000}, (struct slice){huge, 20000}, second);
    free(huge);
}

static void only_configured_origins(void **state)
{
    (void)state;
    static const char *const ours[] = {"https://haiphong.gov.vn", "http://localhost:8080"}, *const any[] = {"*"};
    struct slice none = {0};
    assert_true(visit_origin_allowed(ours, 2, slice_of("https://haiphong.gov.vn"), none));
    assert_true(visit_origin_allowed(ours, 2, slice_of("HTTPS://Haiphong.gov.vn"), none));
    assert_true(visit_origin_allowed(ours, 2, none, slice_of("http://localhost:8080/a?b")));
    assert_true(visit_origin_allowed(ours, 2, none, slice_of("https://haiphong.gov.vn")));
    assert_false(visit_origin_allowed(ours, 2, slice_of("http://haiphong.gov.vn"), none));
    assert_false(visit_origin_allowed(ours, 2, slice_of("https://haiphong.gov.vn.evil.example"), none));
    assert_false(visit_origin_allowed(ours, 2, none, slice_of("https://haiphong.gov.vn@evil.example/")));
    assert_false(visit_origin_allowed(ours, 2, none, slice_of("https://evil.example/?https://haiphong.gov.vn")));
    assert_false(visit_origin_allowed(ours, 2, slice_of("null"), slice_of("https://haiphong.gov.vn/"))); /* Origin decides */
    assert_false(visit_origin_allowed(ours, 2, none, none));
    assert_false(visit_origin_allowed(NULL, 0, slice_of("https://haiphong.gov.vn"), none));
    assert_true(visit_origin_allowed(any, 1, none, none));
}

static void an_address_has_its_rate(void **state)
{
    (void)state;
    struct visit_rates *rates = calloc(1, sizeof *rates);
    rates->rate = 3;
    int64_t now = INT64_C(1604000000000);
    for (int i = 0; i < 3; i++)
        assert_true(visit_rates_take(rates, "203.0.113.7", now));
    assert_false(visit_rates_take(rates, "203.0.113.7", now));
    assert_true(visit_rates_take(rates, "203.0.113.8", now));
    assert_false(visit_rates_take(rates, "203.0.113.7", now + 10000));
    assert_true(visit_rates_take(rates, "203.0.113.7", now + 21000));
    for (int i = 0; i < 3; i++)
        assert_true(visit_rates_take(rates, "2001:db8:1:2::1", now));
    assert_false(visit_rates_take(rates, "2001:db8:1:2:ffff::9", now)); /* the same subscriber */
    assert_true(visit_rates_take(rates, "2001:db8:1:3::1", now));
    free(rates);
}

static void the_client_behind_proxies(void **state)
{
    (void)state;
    struct network proxies[3];
    struct error error = {0};
    char text[CLIENT_TEXT_SIZE];
    assert_int_equal(network_parse("10.0.0.0/8", &proxies[0], &error), 0);
    assert_int_equal(network_parse("fd00::/8", &proxies[1], &error), 0);
    assert_int_equal(network_parse("192.0.2.1", &proxies[2], &error), 0);
    static const struct {
        const char *peer, *forwarded, *client;
    } cases[] = {
        {"203.0.113.7", NULL, "203.0.113.7"},
        {"203.0.113.7", "198.51.100.1", "203.0.113.7"}, /* not from a proxy: not believed */
        {"10.1.2.3", "198.51.100.1", "198.51.100.1"},
        {"10.1.2.3", "1.1.1.1, 198.51.100.1", "198.51.100.1"}, /* the first was written by the client */
        {"10.1.2.3", "198.51.100.1 ,\t10.9.9.9,192.0.2.1", "198.51.100.1"},
        {"10.1.2.3", "10.9.9.9", "10.9.9.9"},
        {"10.1.2.3", "198.51.100.1, nonsense", "10.1.2.3"},
        {"10.1.2.3", "", "10.1.2.3"},
        {"10.1.2.3", ",", "10.1.2.3"},
        {"11.1.2.3", "198.51.100.1", "11.1.2.3"},
        {"fd12::1", "2001:DB8::5", "2001:db8::5"},
        {"::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(client_address(cases[i].peer, cases[i].forwarded, proxies, 3, text), cases[i].client);
    static const char *const bad[] = {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "fd00::/129", "x", "10.0.0.0/8x", "10.0.0.0/-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(network_parse(bad[i], &proxies[0], &error), -ERROR_CONFIG);
    assert_int_equal(network_parse("0.0.0.0/0", &proxies[0], &error), 0);
    assert_string_equal(client_address("9.9.9.9", "8.8.8.8", proxies, 1, text), "8.8.8.8");
    assert_string_equal(client_address("fe80::1", "8.8.8.8", proxies, 1, text), "fe80::1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_the_known_ones),
        cmocka_unit_test(only_configured_origins),
        cmocka_unit_test(an_address_has_its_rate),
        cmocka_unit_test(the_client_behind_proxies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
