/* The consumer's decisions, one step at a time: what to do next, given the result of what was asked for last and the
 * present time. Pure: no I/O, no clock, no thread. A driver does what each action says, with librdkafka and hiredis in
 * run.c and with models of both in tests/simulation/, and comes back with the result.
 *
 * The rule that everything follows: any error, time-out, refusal or doubt means to drop the connection and all that is
 * remembered, connect again, read the stored offsets and go on from them. */
#ifndef CITYTOTALS_CONSUMER_MACHINE_H
#define CITYTOTALS_CONSUMER_MACHINE_H

#include "consumer/commit.h"
#include "consumer/fold.h"

enum {
    IDLE_WAIT_MS = 100,           /* the longest wait for records, or while nothing can be folded */
    COMMIT_TIMEOUT_MS = 30000,    /* for a commit's reply */
    STOP_TIMEOUT_MS = 5000,       /* for the same once the consumer is to stop */
    LETTERS_TIMEOUT_MS = 10000,
    BOUNDS_TIMEOUT_MS = 10000,    /* for a log's bounds; once one has not answered in time: */
    BOUNDS_TIMEOUT_NEXT_MS = 1000,
    REPORT_EVERY_MS = 2000,
    CHECK_EVERY_MS = 2000,        /* while nothing is committed: is the state still the one that was? */
    CONNECT_PAUSE_FIRST_MS = 100, /* before connecting again; doubles until a commit goes through, to: */
    CONNECT_PAUSE_MOST_MS = 5000,
    WAIT_GROWS_TO = 8,            /* times retry_ms, while a waiting partition is tried in vain */
    SCHEMA_LOOK_EVERY_MS = 100,   /* whether the schema id that a partition waits for is known; costs no I/O */
    LETTERS_AT_ONCE = 256,
};

enum action_kind {
    ACTION_CONNECT,         /* give up the store's connection, if there is one, and open it anew → epoch */
    ACTION_SUBSCRIBE,       /* join the group */
    ACTION_TAKE_ASSIGNMENT, /* → parts, count: what the group gives now; visit_partitions */
    ACTION_READ_POSITIONS,  /* fill `partitions` with what the store has */
    ACTION_ASK_BOUNDS,      /* of partition's log, within wait_ms → low, high */
    ACTION_RECORD_GAP,      /* in the store: partition goes on at offset `to`, text says why */
    ACTION_ASSIGN,          /* read `parts` from `offsets` on; drop whatever was read ahead */
    ACTION_IDLE,            /* serve the group for wait_ms, read nothing */
    ACTION_FETCH,           /* release batch's held records; wait up to wait_ms for others → count */
    ACTION_ASK_LANE_LENGTH, /* → length in records */
    ACTION_LOAD_LANE,       /* bring `lanes` up to the lane's end, from where they know it, and mark it loaded */
    ACTION_READ_RECORD,     /* number `index` of the lane, into `record` */
    ACTION_WRITE_LETTERS,   /* all of them, acknowledged within wait_ms */
    ACTION_SEND_COMMIT,     /* send the arguments; do not wait */
    ACTION_RECEIVE_COMMIT,  /* wait up to wait_ms for the reply → commit; a STALE one's tails go to lanes_take_tail */
    ACTION_REPORT,          /* lag, and the partitions' positions to the group, for monitoring */
    ACTION_NOTE,            /* tell `text`; partition says whose state has changed, or NULL */
    ACTION_EXIT,            /* it is over: result and error say how */
};

enum note_level { NOTE_ERROR, NOTE_WARNING, NOTE_INFO };

/* What to do next. Only the fields that the kind names mean anything; all are the machine's, valid until the next step. */
struct action {
    enum action_kind kind;
    int64_t wait_ms;
    struct partitions *partitions;
    struct partition *partition;
    const struct topic_partition *parts;
    const int64_t *offsets;
    size_t count; /* of parts, of letters */
    int64_t to;
    struct batch *batch;
    struct lanes *lanes;
    uint32_t lane, index;
    uint8_t *record; /* SEEN_RECORD_SIZE bytes */
    const struct dead_letter *letters;
    const struct arguments *arguments;
    enum note_level level;
    const char *text;
    int result;
    const struct error *error;
};

/* What came of it. Only what the kind names with → needs to be set, and these: */
struct input {
    int64_t now_ms; /* monotonic; always */
    bool stop;      /* somebody has asked to stop: finish the commit in flight, then EXIT; always */
    int result;     /* 0, or a negative code with `error`. A Kafka error of class fatal, or no memory, ends the run */
    const struct error *error;
    bool rebalanced; /* what the group gives has changed: after any action that served it */
    const char *epoch;
    const struct topic_partition *parts; /* valid during the step */
    size_t count;
    int32_t visit_partitions; /* of the page-visit topic; 0 = not known, as before */
    int64_t low, high;
    int64_t length;
    struct commit_result commit;
};

/* Totals since the machine was made. */
struct machine_counts {
    int64_t folded, events, visits, late_visits, duplicates, conflicts, letters, commits, stale, fenced, reconnects, gaps;
    int64_t letters_of[LETTER_REASONS];
    int64_t version; /* of the state after the latest commit */
};

struct machine_options {
    const char *city;
    const char *generation;  /* NULL = GENERATION_LIVE */
    struct decoder *decoder; /* the caller's; outlives the machine */
    size_t batch_most;
    int64_t seen_memory;
    int64_t retry_ms;          /* before a waiting partition is tried again */
    int64_t start_deadline_ms; /* until then the first connection is tried */
    bool until_end, accept_log_start;
};

struct machine;
/* ERROR_MEMORY. `city` is copied. */
int machine_new(const struct machine_options *options, struct machine **ret_machine, struct error *error);
struct machine *machine_free(struct machine *machine); /* NULL; accepts NULL */

/* The first input has no result; then each input is what came of the action before. After EXIT no more. */
const struct action *machine_step(struct machine *machine, const struct input *input);

/* The batch being committed and the one after it, for tests. */
void machine_batches(struct machine *machine, struct batch *ret_batches[2]);
const struct partitions *machine_partitions(const struct machine *machine);
const struct machine_counts *machine_counts(const struct machine *machine);
struct lanes *machine_lanes(struct machine *machine);

#endif
