/* `citytotals-consumer run`: the drivers around the pure fold. */
#ifndef CITYTOTALS_CONSUMER_RUN_H
#define CITYTOTALS_CONSUMER_RUN_H

#include <signal.h>

#include "consumer/fold.h"
#include "consumer/settings.h"

int consumer_run(int argc, char **argv);

enum run_turn {
    RUN_ON,
    RUN_PARTITIONS, /* go on with the partitions that the topics have now */
    RUN_DONE,
};
/* Another command that folds as `run` does: all partitions, in no group, into keys of its own. */
struct run_mode {
    const char *generation;
    void *context;
    /* Between two batches. A negative result ends the run. */
    int (*turn)(void *context, const struct partitions *partitions, enum run_turn *ret_turn, struct error *error);
    bool (*wants_letter)(void *context, const struct dead_letter *letter); /* is it to be written? */
};
int run_in_mode(const struct run_options *options, const struct run_mode *mode, const volatile sig_atomic_t *stop,
                struct error *error);

#endif
