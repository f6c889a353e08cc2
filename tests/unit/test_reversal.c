/* Finding an original in a log and making its reversal: what is reversed, what is refused, what was there already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "producer/reversal.h"
#include "schemas/identity.h"
#include "schemas/rules.h"

#define NOW 1605837600000

static struct event headcount(const char *agency, const char *id, int32_t delta)
{
    struct event event = {.type = EVENT_HEADCOUNT_CHANGE, .occurred_at_ms = NOW - 5000, .source = slice_of("so-noi-vu"),
                          .agency = slice_of(agency), .decision = slice_of("12/QD"), .effective_date = 18000};
    event.event_id = event_id_from(event.type, event.source, event.agency, slice_of(id));
    event.headcount.reason = REASON_RETIRED;
    event.headcount.delta = delta;
    return event;
}

static struct reversal met;
static struct event original;

static void begin(void)
{
    reversals_free(&met, 1);
    original = headcount("hong-bang", "a", -3);
    met = (struct reversal){.id = original.event_id, .refused = LETTER_NONE};
}
static void meet(struct event event, enum dead_letter_reason reason, int32_t partition, int64_t offset)
{
    assert_int_equal(reversals_meet(&met, 1, &event, reason, (struct found_at){event.type, partition, offset, NOW}, NULL), 0);
}

static void a_reversal_is_a_copy_with_its_own_id_time_and_decision(void **state)
{
    (void)state;
    begin();
    struct event made = reversal_make(&original, slice_of("13/QD"), NOW);
    assert_int_equal(event_check(&made, NOW, NULL), LETTER_NONE);
    assert_memory_equal(made.event_id.bytes, event_id_reversal(original.event_id).bytes, 16);
    assert_memory_equal(made.reverses.bytes, original.event_id.bytes, 16);
    assert_true(made.has_reverses && made.occurred_at_ms == NOW && slice_equal(made.decision, slice_of("13/QD")));
    assert_true(made.headcount.delta == -3 && made.effective_date == 18000 && slice_equal(made.source, original.source));
    made = reversal_make(&original, (struct slice){0}, NOW);
    assert_true(slice_equal(made.decision, original.decision));
    struct event none = original;
    none.decision = (struct slice){0};
    assert_null(reversal_make(&none, (struct slice){0}, NOW).decision.data);
}

static void the_first_that_passed_the_rules_is_the_original(void **state)
{
    (void)state;
    begin();
    assert_int_equal(reversal_state(&met), REVERSAL_NOT_FOUND);
    meet(headcount("hong-bang", "b", -1), LETTER_NONE, 0, 1);
    assert_int_equal(reversal_state(&met), REVERSAL_NOT_FOUND);
    meet(original, LETTER_RULE_VIOLATION, 0, 2);
    assert_int_equal(reversal_state(&met), REVERSAL_NOT_COUNTED);
    meet(original, LETTER_NONE, 0, 3);
    meet(headcount("hong-bang", "a", -9), LETTER_NONE, 0, 4); /* a conflict: a dead letter */
    meet(original, LETTER_NONE, 1, 0);                        /* the same again, by another way */
    assert_int_equal(reversal_state(&met), REVERSAL_WANTED);
    assert_int_equal(met.at.offset, 3);
    assert_int_equal(met.original->headcount.delta, -3);
    assert_true(met.original->agency.data != original.agency.data && slice_equal(met.original->agency, original.agency));
}

static void what_is_not_certain_is_refused(void **state)
{
    (void)state;
    begin();
    meet(original, LETTER_NONE, 0, 3);
    meet(headcount("hong-bang", "a", -9), LETTER_NONE, 1, 0); /* another partition: either may have come first */
    assert_int_equal(reversal_state(&met), REVERSAL_AMBIGUOUS);
    begin();
    meet(original, LETTER_NONE, 0, 3);
    struct event other = headcount("le-chan", "a", -3);
    other.event_id = original.event_id;
    meet(other, LETTER_NONE, 0, 4);
    assert_int_equal(reversal_state(&met), REVERSAL_AMBIGUOUS);
}

static void a_reversal_is_not_reversed_nor_an_event_twice(void **state)
{
    (void)state;
    begin();
    struct event made = reversal_make(&original, slice_of("13/QD"), NOW);
    meet(made, LETTER_NONE, 0, 2); /* before its original */
    assert_int_equal(reversal_state(&met), REVERSAL_NOT_FOUND);
    meet(original, LETTER_NONE, 0, 3);
    assert_int_equal(reversal_state(&met), REVERSAL_THERE);
    assert_int_equal(met.earlier_at.offset, 2);
    begin();
    made.headcount.delta = -2; /* no copy */
    meet(original, LETTER_NONE, 0, 3);
    meet(made, LETTER_NONE, 0, 4);
    assert_int_equal(reversal_state(&met), REVERSAL_THERE_WRONG);
    reversals_free(&met, 1);
    made = reversal_make(&original, (struct slice){0}, NOW);
    met = (struct reversal){.id = made.event_id, .refused = LETTER_NONE};
    meet(made, LETTER_NONE, 0, 5);
    assert_int_equal(reversal_state(&met), REVERSAL_OF_REVERSAL);
    reversals_free(&met, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reversal_is_a_copy_with_its_own_id_time_and_decision),
        cmocka_unit_test(the_first_that_passed_the_rules_is_the_original),
        cmocka_unit_test(what_is_not_certain_is_refused),
        cmocka_unit_test(a_reversal_is_not_reversed_nor_an_event_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
