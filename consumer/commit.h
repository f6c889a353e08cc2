/* What the commit Function answers, in the core's words. */
#ifndef CITYTOTALS_CONSUMER_COMMIT_H
#define CITYTOTALS_CONSUMER_COMMIT_H

#include <stdint.h>

#define EPOCH_SIZE 40 /* of the state's epoch as text, its end included */

enum commit_outcome {
    COMMIT_PENDING, /* no answer yet: ask again */
    COMMIT_OK,
    COMMIT_STALE,  /* lanes were behind: they have been brought up to date; fold the window again */
    COMMIT_FENCED, /* somebody else moved a partition on */
    COMMIT_EPOCH,  /* the state was begun anew */
};
struct commit_result {
    enum commit_outcome outcome;
    int64_t version, late_visits; /* COMMIT_OK */
    char detail[160];             /* COMMIT_FENCED: which partition, and where it stands */
};

#endif
