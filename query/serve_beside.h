/* A thread beside the server, for looks that may take long: looks, pauses, and looks again. */
#ifndef CITYTOTALS_QUERY_SERVE_BESIDE_H
#define CITYTOTALS_QUERY_SERVE_BESIDE_H

#include <signal.h>
#include <stdint.h>

#include "base/error.h"

struct beside_work {
    void (*look)(void *context, const volatile sig_atomic_t *stop); /* ends early once *stop is set */
    void *context;
    int64_t pause_ms; /* between two looks */
    const char *does; /* "asks for the lag" */
};

struct beside;
/* `work` is copied; its context must outlive the thread. */
int beside_start(const struct beside_work *work, struct beside **ret_beside, struct error *error);
/* Waits for a look to end. NULL; accepts NULL. */
struct beside *beside_stop(struct beside *beside);

#endif
