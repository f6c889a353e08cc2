/* Redis URLs: what is taken and what is refused, with a sentence that gives no password away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include <stdio.h>

#include "base/redis.h"

static void test_good_urls(void **state)
{
    (void)state;
    static const char *const good[] = {
        "redis://localhost:6379", "redis://127.0.0.1:1", "redis://h:65535/", "redis://h:6379/0", "redis://h:6379/15",
        "redis://:secret@h:6379", "redis://user:secret@h:6379/2", "redis://user@h:6379", "redis://u%40x:p%3A%2F%40@h:6379",
        "redis://:p@ss@h:6379", "redis://[::1]:6379", "redis://:x@[fe80::1]:6379/3", "redis+cluster://h:7000",
        "redis+cluster://u:p@h:7000/0",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct error error = {0};
        if (redis_url_check(good[i], &error) < 0)
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
        {"redis://u:secret%2@h:6379", "percent-encoded"},
        {"redis://u:secret%zz@h:6379", "percent-encoded"},
        {"redis://u:secret%00@h:6379", "percent-encoded"},
        {"redis://u%:secret@h:6379", "percent-encoded"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {0};
        assert_int_equal(redis_url_check(bad[i][0], &error), -ERROR_CONFIG);
        if (!strstr(error.text, bad[i][1]) || !strstr(error.text, "allowed: redis://[user:pass@]host:port[/db]"))
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i][0], error.text, bad[i][1]);
        assert_null(strstr(error.text, "secret"));
    }
}

static void test_parts_have_a_bound(void **state)
{
    (void)state;
    char url[2048];
    for (size_t size = 200; size < 700; size++) {
        snprintf(url, sizeof url, "redis://:%0*d@h:6379", (int)size, 0);
        assert_int_equal(redis_url_check(url, NULL), size < 512 ? 0 : -ERROR_CONFIG);
        snprintf(url, sizeof url, "redis://%0*d:6379", (int)size, 0);
        assert_int_equal(redis_url_check(url, NULL), size + 5 < 256 ? 0 : -ERROR_CONFIG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_urls),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_parts_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
