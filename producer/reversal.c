/* Finds in a log the events that are to be taken away, and makes their reversals. Pure. */
#include "producer/reversal.h"

#include <stdlib.h>

#include "schemas/event_copy.h"
#include "schemas/identity.h"

static bool same_id(struct event_id a, struct event_id b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

static int keep(const struct event *event, struct found_at at, struct event **place, struct found_at *ret_at, struct error *error)
{
    *place = event_copy(event);
    if (!*place)
        return error_set(error, ERROR_MEMORY, "out of memory");
    *ret_at = at;
    return 0;
}

static int meet_original(struct reversal *reversal, const struct event *event, enum dead_letter_reason reason, struct found_at at,
                         struct error *error)
{
    const struct event *known = reversal->original;
    if (reason != LETTER_NONE) {
        if (reversal->refused == LETTER_NONE)
            reversal->refused_at = at;
        reversal->refused = reason;
        return 0;
    }
    if (!known)
        return keep(event, at, &reversal->original, &reversal->at, error);
    if (known->type != event->type || !slice_equal(known->agency, event->agency))
        reversal->other_identity = true;
    else if (at.partition != reversal->at.partition && event_meaning_digest(known) != event_meaning_digest(event))
        reversal->unsure = true;
    return 0;
}

int reversals_meet(struct reversal *reversals, size_t count, const struct event *event, enum dead_letter_reason reason,
                   struct found_at at, struct error *error)
{
    int result = 0;
    for (size_t i = 0; i < count && result >= 0; i++) {
        struct reversal *reversal = &reversals[i];
        if (same_id(event->event_id, reversal->id))
            result = meet_original(reversal, event, reason, at, error);
        else if (reason == LETTER_NONE && event->has_reverses && same_id(event->reverses, reversal->id) && !reversal->earlier)
            result = keep(event, at, &reversal->earlier, &reversal->earlier_at, error);
    }
    return result;
}

void reversals_free(struct reversal *reversals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(reversals[i].original);
        free(reversals[i].earlier);
    }
}

struct event reversal_make(const struct event *original, struct slice decision, int64_t now_ms)
{
    struct event made = *original;
    made.event_id = event_id_reversal(original->event_id);
    made.has_reverses = true;
    made.reverses = original->event_id;
    made.occurred_at_ms = now_ms;
    if (decision.data)
        made.decision = decision;
    return made;
}

enum reversal_state reversal_state(const struct reversal *reversal)
{
    const struct event *original = reversal->original, *earlier = reversal->earlier;
    if (!original)
        return reversal->refused != LETTER_NONE ? REVERSAL_NOT_COUNTED : REVERSAL_NOT_FOUND;
    if (reversal->other_identity || reversal->unsure)
        return REVERSAL_AMBIGUOUS;
    if (original->has_reverses)
        return REVERSAL_OF_REVERSAL;
    if (!earlier || earlier->type != original->type || !slice_equal(earlier->agency, original->agency))
        return REVERSAL_WANTED;
    struct event right = reversal_make(original, earlier->decision, earlier->occurred_at_ms);
    right.decision = earlier->decision; /* its own */
    return event_meaning_digest(&right) == event_meaning_digest(earlier) ? REVERSAL_THERE : REVERSAL_THERE_WRONG;
}
