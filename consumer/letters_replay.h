/* Sends what dead letters carry to its topic again. */
#ifndef CITYTOTALS_CONSUMER_LETTERS_REPLAY_H
#define CITYTOTALS_CONSUMER_LETTERS_REPLAY_H

#include <signal.h>

#include "base/error.h"
#include "base/settings.h"
#include "schemas/event.h"

#define REPLAY_AT_ONCE 256

/* Where the record went. */
struct replayed {
    int32_t partition;
    int64_t offset;
};
struct replayer;
int replayer_open(const struct common_options *common, struct replayer **ret_replayer, struct error *error);
struct replayer *replayer_close(struct replayer *replayer); /* NULL */
/* Send these records' keys and values, at most REPLAY_AT_ONCE, and wait until Kafka has acknowledged all of them. ERROR_KAFKA:
 * some may have been sent all the same. */
int replayer_send(struct replayer *replayer, const struct dead_letter *letters, size_t count, int64_t timeout_ms,
                  const volatile sig_atomic_t *stop, struct replayed *ret_replayed, struct error *error);

#endif
