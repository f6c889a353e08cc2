/* Whether a program's loop turns and whether it does its work: told by the loop, asked over the management listener. */
#ifndef CITYTOTALS_BASE_HEALTH_H
#define CITYTOTALS_BASE_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"

/* Live: the loop turned within `stuck_after_ms`. Ready: `ready` is set. */
struct health {
    _Atomic int64_t turned_at_ms; /* clock_monotonic_ms() of the loop's last turn */
    int64_t stuck_after_ms;
    _Atomic bool ready;
    _Atomic(const char *) reason; /* static text: why not ready, one sentence; NULL when ready */
};

/* The loop turned just now. Accepts NULL. */
static inline void health_turn(struct health *health)
{
    if (health)
        atomic_store(&health->turned_at_ms, clock_monotonic_ms());
}

/* The next turn comes after a wait that has this bound of its own. */
static inline void health_turn_within(struct health *health, int64_t wait_ms)
{
    atomic_store(&health->turned_at_ms, clock_monotonic_ms() + wait_ms);
}

static inline bool health_is_live(struct health *health)
{
    return clock_monotonic_ms() - atomic_load(&health->turned_at_ms) <= health->stuck_after_ms;
}

/* Ready, or not for this reason; NULL: ready. */
static inline void health_set_ready(struct health *health, const char *reason)
{
    atomic_store(&health->reason, reason);
    atomic_store(&health->ready, reason == NULL);
}

#endif
