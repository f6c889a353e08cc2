/* Reads the dead-letter topic from its start to its end as of now. */
#ifndef CITYTOTALS_CONSUMER_LETTERS_LOG_H
#define CITYTOTALS_CONSUMER_LETTERS_LOG_H

#include <signal.h>

#include "base/error.h"
#include "base/settings.h"
#include "schemas/event.h"

/* Where a letter itself lies. */
struct letter_place {
    int32_t partition;
    int64_t offset, timestamp_ms;
};
/* `letter` is NULL for a record that is no dead letter; valid during the call. A negative result ends the reading. */
typedef int (*letters_log_fn)(void *context, const struct dead_letter *letter, const struct letter_place *place,
                              struct error *error);

struct letters_log {
    bool missing;  /* out: there is no such topic */
    bool shortened; /* out: its log begins after offset 0 somewhere */
    int64_t count; /* out: records read */
};
/* ERROR_KAFKA when nothing comes for timeout_ms; ERROR_INTERRUPTED when *stop became non-zero (may be NULL). The options
 * must outlive the call. */
int letters_log_read(const struct common_options *common, int64_t timeout_ms, const volatile sig_atomic_t *stop,
                     letters_log_fn take, void *context, struct letters_log *ret_log, struct error *error);

#endif
