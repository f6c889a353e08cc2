/* The rejects file: refused lines as they were, each after its reasons. */
#ifndef CITYTOTALS_PRODUCER_REJECTS_H
#define CITYTOTALS_PRODUCER_REJECTS_H

#include "producer/input.h"

struct rejects;
/* Makes the file anew. ERROR_IO. */
int rejects_open(const char *path, struct rejects **ret_rejects, struct error *error);
/* Closing may find that the last bytes can't be written. */
int rejects_close(struct rejects *rejects, struct error *error);
/* ERROR_REFUSED for a file of another form than those that are in it already. */
int rejects_add(struct rejects *rejects, const struct input *input, const struct record *record,
                const struct problems *problems, struct error *error);
/* Everything so far is with the system. */
int rejects_flush(struct rejects *rejects, struct error *error);

#endif
