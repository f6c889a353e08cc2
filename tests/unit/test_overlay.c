/* The window's own new ids: found exactly, bounded, emptied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/error.h"
#include "consumer/overlay.h"

static struct identity identity_number(uint32_t number)
{
    struct identity identity = {{0}};
    memcpy(identity.bytes + 12, &number, sizeof number); /* alike but for the last bytes */
    return identity;
}

static int add(struct overlay *overlay, uint32_t number, uint64_t digest)
{
    struct identity identity = identity_number(number);
    return overlay_add(overlay, &identity, digest);
}

static void expect_digest(const struct overlay *overlay, uint32_t number, uint64_t digest)
{
    struct identity identity = identity_number(number);
    uint64_t found = ~digest;
    assert_true(overlay_find(overlay, &identity, &found));
    assert_int_equal(found, digest);
}

static void expect_none(const struct overlay *overlay, uint32_t number)
{
    struct identity identity = identity_number(number);
    uint64_t found = 12345;
    assert_false(overlay_find(overlay, &identity, &found));
    assert_int_equal(found, 12345);
}

static void ids_are_found_with_their_meaning(void **state)
{
    (void)state;
    enum { IDS = 50000 };
    struct overlay *overlay = overlay_new(IDS);
    for (uint32_t i = 0; i < IDS; i++)
        assert_int_equal(add(overlay, i, (uint64_t)i * 3), 0);
    assert_int_equal(overlay_count(overlay), IDS);
    for (uint32_t i = 0; i < IDS; i++)
        expect_digest(overlay, i, (uint64_t)i * 3);
    for (uint32_t i = IDS; i < 2 * IDS; i++)
        expect_none(overlay, i);
    overlay_free(overlay);
}

static void the_first_meaning_stays(void **state)
{
    (void)state;
    struct overlay *overlay = overlay_new(10);
    assert_int_equal(add(overlay, 1, 100), 0);
    assert_int_equal(add(overlay, 1, 200), 0);
    expect_digest(overlay, 1, 100);
    assert_int_equal(overlay_count(overlay), 1);
    overlay_free(overlay);
}

static void it_is_bounded(void **state)
{
    (void)state;
    struct overlay *overlay = overlay_new(3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(add(overlay, i, i), 0);
    assert_int_equal(add(overlay, 3, 3), -ERROR_LIMIT);
    expect_none(overlay, 3);
    assert_int_equal(add(overlay, 2, 9), 0); /* is in already */
    assert_int_equal(overlay_count(overlay), 3);
    overlay_free(overlay);
    overlay = overlay_new(0);
    expect_none(overlay, 0);
    assert_int_equal(add(overlay, 0, 0), -ERROR_LIMIT);
    assert_null(overlay_free(overlay));
    assert_null(overlay_free(NULL));
}

static void a_reset_empties_it(void **state)
{
    (void)state;
    struct overlay *overlay = overlay_new(1000);
    for (uint32_t round = 0; round < 100; round++) {
        for (uint32_t i = 0; i < 1000; i++) {
            expect_none(overlay, i);
            assert_int_equal(add(overlay, i, round), 0);
        }
        expect_digest(overlay, 999, round);
        overlay_reset(overlay);
        assert_int_equal(overlay_count(overlay), 0);
    }
    overlay_free(overlay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_found_with_their_meaning),
        cmocka_unit_test(the_first_meaning_stays),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(a_reset_empties_it),
    };
    return cmocka_run_group_tests_name("overlay", tests, NULL, NULL);
}
