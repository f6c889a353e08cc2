/* The state of `run`, and the parts of its loop that deal with partitions. */
#ifndef CITYTOTALS_CONSUMER_RUN_STATE_H
#define CITYTOTALS_CONSUMER_RUN_STATE_H

#include "base/management.h"
#include "consumer/consumer_metrics.h"
#include "consumer/fold.h"
#include "consumer/letters.h"
#include "consumer/settings.h"
#include "consumer/source.h"
#include "consumer/store.h"
#include "schemas/layout.h"

enum { IDLE_WAIT_MS = 100, LETTERS_TIMEOUT_MS = 30000, STUCK_AFTER_MS = 120000, PROGRESS_EVERY_MS = 2000 };

struct run {
    struct run_options options;
    struct health health;
    struct metrics *metrics;
    struct management *management;
    struct source *source;
    struct letters *letters;
    struct store *store;
    struct lanes *lanes;
    struct decoder *decoder;
    struct fold *fold;
    struct batch *batches[2]; /* [0] is being committed, [1] is read and decoded meanwhile */
    size_t batch_most;
    struct fold_counts counts; /* of the window in flight */
    struct partitions partitions;
    bool *halt_logged;
    char *cluster_id;
    int32_t visit_partitions;
    int stale_in_a_row;
    bool assigned;       /* the group has given partitions (or none) at least once */
    bool new_assignment; /* and they have changed since */
    bool replan;         /* stored positions must be read and partitions assigned anew */
    bool store_opened;   /* once */
    int64_t connect_at_ms, connect_pause_ms, start_deadline_ms, progress_at_ms;
};

/* Drop the connection and everything remembered. */
void run_doubt(struct run *run, const char *sentence);
/* Log a halt once, with its reason (`text`, or the partition's own), and set its metric. */
void run_halt(struct run *run, struct partition *partition, const char *text);
void run_take_assignment(struct run *run);
/* Read the stored positions, meet each log, assign what may go on. */
int run_plan(struct run *run, struct error *error);
void run_retry_waiting(struct run *run);
/* Lag metrics, and the group's offsets for lag monitoring, every PROGRESS_EVERY_MS. */
void run_report_progress(struct run *run);
bool run_any_halted(const struct run *run);

#endif
