/* `citytotals-consumer verify`: proves every number in Redis from the log. */
#ifndef CITYTOTALS_CONSUMER_VERIFY_H
#define CITYTOTALS_CONSUMER_VERIFY_H

#include <signal.h>

#include "base/error.h"
#include "base/settings.h"
#include "consumer/settings.h"

int consumer_verify(int argc, char **argv);

/* The proof itself, with its report on standard output; *ret_differs: it found a difference. ERROR_HALTED when the log
 * does not hold all that was counted, and nothing else differs. `verb` is the word that stands first in the report. */
int verify_city(const struct verify_options *options, const char *verb, const volatile sig_atomic_t *stop, bool *ret_differs,
                struct error *error);

#endif
