/* Redis URLs: what is taken and what is refused, with a sentence that gives no password away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <string.h>

#include "base/redis_place.h"
#include "base/redis_url.h"

static void test_good_urls(void **state)
{
    (void)state;
    static const char *const good[] = {
        "redis://localhost:6379", "redis://127.0.0.1:1", "redis://h:65535/", "redis://h:6379/0", "redis://h:6379/15",
        "redis://:secret@h:6379", "redis://user:secret@h:6379/2", "redis://user@h:6379", "redis://u%40x:p%3A%2F%40@h:6379",
        "redis://:p@ss@h:6379", "redis://[::1]:6379", "redis://:x@[fe80::1]:6379/3", "redis+cluster://h:7000",
        "redis+cluster://u:p@h:7000/0", "redis+cluster://a:1,[::1]:2,c:3", "rediss://u:p@h:6379/2", "rediss+cluster://u:p@a:1,b:2",
        "redis+cluster://a:1,b:2,c:3,d:4,e:5,f:6,g:7,h:8",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct redis_url url;
        struct error error = {0};
        if (redis_url_parse(good[i], &url, &error) < 0)
            fail_msg("%s: %s", good[i], error.text);
    }
}

static void test_bad_urls(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "scheme"},
        {"localhost:6379", "scheme"},
        {"http://h:6379", "scheme"},
        {"REDIS://h:6379", "scheme"},
        {"redis:/h:6379", "scheme"},
        {"redisx://h:6379", "scheme"},
        {"redis://", "no host"},
        {"redis:///0", "no host"},
        {"redis://:6379", "no host"},
        {"redis://u:p@", "no host"},
        {"redis://[]:6379", "no host"},
        {"redis://h", "no port"},
        {"redis://[::1]", "no port"},
        {"redis://[::1]x:6379", "no port"},
        {"redis://[::1:6379", "no ]"},
        {"redis://h:", "port is not a number"},
        {"redis://h:0", "port is not a number"},
        {"redis://h:65536", "port is not a number"},
        {"redis://h:-1", "port is not a number"},
        {"redis://h:+1", "port is not a number"},
        {"redis://h:6379x", "port is not a number"},
        {"redis://h:99999999999999999999", "port is not a number"},
        {"redis://h:6379/x", "database"},
        {"redis://h:6379/-1", "database"},
        {"redis://h:6379/1/2", "database"},
        {"redis://h:6379/1?x=1", "database"},
        {"redis+cluster://h:6379/1", "only database 0"},
        {"rediss+cluster://a:1,b:2/1", "only database 0"},
        {"redis+clusters://h:6379", "scheme"},
        {"redis://a:1,b:2", "only a cluster has several nodes"},
        {"rediss://a:1,b:2", "only a cluster has several nodes"},
        {"redis+cluster://a:1,", "no host"},
        {"redis+cluster://,a:1", "no host"},
        {"redis+cluster://a,b:1", "no port"},
        {"redis+cluster://a:1,b:2,c:3,d:4,e:5,f:6,g:7,h:8,i:9", "more than 8 nodes"},
        {"redis://u:secret%2@h:6379", "percent-encoded"},
        {"redis://u:secret%zz@h:6379", "percent-encoded"},
        {"redis://u:secret%00@h:6379", "percent-encoded"},
        {"redis://u%:secret@h:6379", "percent-encoded"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct redis_url url;
        struct error error = {0};
        assert_int_equal(redis_url_parse(bad[i][0], &url, &error), -ERROR_CONFIG);
        if (!strstr(error.text, bad[i][1]) || !strstr(error.text, "allowed: redis://[user:pass@]host:port[/db]"))
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i][0], error.text, bad[i][1]);
        assert_null(strstr(error.text, "secret"));
    }
}

static void test_parts_have_a_bound(void **state)
{
    (void)state;
    char url[2048];
    struct redis_url parsed;
    for (size_t size = 200; size < 700; size++) {
        snprintf(url, sizeof url, "redis://:%0*d@h:6379", (int)size, 0);
        assert_int_equal(redis_url_parse(url, &parsed, NULL), size < 512 ? 0 : -ERROR_CONFIG);
        snprintf(url, sizeof url, "redis://%0*d:6379", (int)size, 0);
        assert_int_equal(redis_url_parse(url, &parsed, NULL), size + 5 < 256 ? 0 : -ERROR_CONFIG);
    }
}

static void test_parts_are_taken_apart(void **state)
{
    (void)state;
    struct redis_url url;
    assert_int_equal(redis_url_parse("rediss+cluster://u%40:p%3A@a.example:1,[fe80::1]:65535", &url, NULL), 0);
    assert_true(url.tls && url.cluster);
    assert_string_equal(url.user, "u@");
    assert_string_equal(url.password, "p:");
    assert_int_equal(url.node_count, 2);
    assert_string_equal(url.nodes[0].host, "a.example");
    assert_string_equal(url.nodes[1].host, "fe80::1");
    assert_int_equal(url.nodes[0].port, 1);
    assert_int_equal(url.nodes[1].port, 65535);
    assert_int_equal(redis_url_parse("rediss://h:6379/7", &url, NULL), 0);
    assert_true(url.tls && !url.cluster && url.node_count == 1 && url.database == 7);
    assert_int_equal(redis_url_parse("redis+cluster://h:6379", &url, NULL), 0);
    assert_true(!url.tls && url.cluster);
}

/* A file of TLS beside a URL without it would look as if there were TLS. */
static void test_places_that_do_not_fit_together(void **state)
{
    (void)state;
    const struct {
        struct redis_place place;
        const char *says;
    } bad[] = {
        {{.url = "rediss://h:1", .cert = "c"}, "redis-cert is set, and redis-key is not; allowed: both or neither"},
        {{.url = "rediss://h:1", .ca = "a", .key = "k"}, "redis-key is set, and redis-cert is not; allowed: both or neither"},
        {{.url = "redis://h:1", .ca = "a"}, "redis-ca is set, and the redis URL is one without TLS"},
        {{.url = "redis+cluster://h:1", .cert = "c", .key = "k"}, "redis-cert is set, and the redis URL is one without TLS"},
        {{.url = "nonsense", .ca = "a"}, "scheme"},
#ifndef HAVE_HIREDIS_SSL
        {{.url = "rediss://h:1"}, "this build has no TLS for Redis (hiredis 1.0 or newer has it)"},
        {{.url = "rediss+cluster://h:1", .ca = "a"}, "this build has no TLS for Redis"},
#else
        {{.url = "rediss://h:1", .ca = "/nowhere/ca.crt"}, "redis-ca /nowhere/ca.crt: No such file or directory"},
        {{.url = "rediss://h:1", .ca = "/dev/null"}, "redis-ca /dev/null: "},
        {{.url = "rediss://h:1", .cert = "/nowhere/c.crt", .key = "/nowhere/c.key"}, "redis-cert /nowhere/c.crt: No such file or directory"},
#endif
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {0};
        assert_int_equal(redis_place_check(&bad[i].place, &error), -ERROR_CONFIG);
        assert_int_equal(error.class, ERROR_CLASS_FATAL);
        if (!strstr(error.text, bad[i].says))
            fail_msg("\"%s\" does not say \"%s\"", error.text, bad[i].says);
    }
    assert_int_equal(redis_place_check(&(struct redis_place){.url = "redis+cluster://h:1"}, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_urls),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_parts_have_a_bound),
        cmocka_unit_test(test_parts_are_taken_apart),
        cmocka_unit_test(test_places_that_do_not_fit_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
