/* One moment of a city's state into a file, while consumers go on. */
#ifndef CITYTOTALS_CONSUMER_SNAPSHOT_SAVE_H
#define CITYTOTALS_CONSUMER_SNAPSHOT_SAVE_H

#include <signal.h>

#include "consumer/settings.h"
#include "consumer/snapshot_check.h"

/* `path` appears, or is replaced, once the file is whole, on disk and read back. ERROR_HALTED: there is no state, or it is
 * damaged; ERROR_INTERRUPTED. */
int snapshot_save(const struct snapshot_options *options, const char *path, const volatile sig_atomic_t *stop,
                  struct snapshot_head *ret_head, int64_t *ret_size, struct error *error);

#endif
