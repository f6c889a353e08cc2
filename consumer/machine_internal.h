/* What the files of the machine share; nobody else includes it. */
#ifndef CITYTOTALS_CONSUMER_MACHINE_INTERNAL_H
#define CITYTOTALS_CONSUMER_MACHINE_INTERNAL_H

#include "consumer/machine.h"

enum plan_stage { PLAN_NONE, PLAN_POSITIONS, PLAN_BOUNDS, PLAN_GAP, PLAN_ASSIGN };
enum window_stage {
    WINDOW_NONE,
    WINDOW_MEASURE, /* how long are the lanes that are needed and not held? */
    WINDOW_LOAD,    /* read them */
    WINDOW_SETTLE,  /* read the records of lookalikes */
    WINDOW_LETTERS,
    WINDOW_SEND,
    WINDOW_SENT, /* a commit is in flight */
};
enum {
    NOTES_MOST = 4,
    NOTE_SIZE = ERROR_TEXT_SIZE + 128,
    REPLY_WAIT_MS = 1000, /* the longest single wait for a commit's reply, so that a stop is heard */
};

struct machine {
    struct machine_options options;
    char city[CITY_SIZE_MOST + 1];
    struct lanes *lanes;
    struct fold *fold;
    struct machine_counts counts;
    int64_t now_ms;
    bool stop;
    struct action action; /* what was asked for last */
    bool started;         /* something was asked for */

    struct {
        enum note_level level;
        char text[NOTE_SIZE];
    } notes[NOTES_MOST], told; /* to be told, in order; and the one being told */
    size_t note_count;
    bool reported_last;
    bool failed; /* EXIT is due with `failure` */
    struct error failure;

    /* The store. */
    bool connected, was_connected, away_told;
    int64_t connect_at_ms, connect_pause_ms;
    char epoch[EPOCH_SIZE];

    /* What is read. */
    bool subscribed;
    bool assigned;   /* the group has given partitions (or none) at least once */
    bool rebalanced; /* and they have changed since */
    bool replan_once_folded; /* after what is decoded has been committed: */
    bool replan;     /* stored positions must be read and partitions assigned anew */
    struct partitions partitions;
    int64_t ends[EVENT_TYPES][PARTITIONS_MOST]; /* each log's end when it was first asked for; -1 = not yet */
    int32_t visit_partitions;
    bool untold; /* a partition's state may have changed without having been told */
    int64_t report_at_ms;
    int64_t check_at_ms;
    struct partitions checked; /* what the store has, to compare with `partitions` while idle */

    enum plan_stage plan;
    size_t plan_cursor;
    int64_t gap_to;
    bool plan_slow; /* a leader has not answered in time */
    struct topic_partition *parts;
    int64_t *offsets;
    size_t part_count;

    /* The fold: one batch is committed in windows, the other is read and decoded meanwhile. */
    struct batch *current, *next;
    enum window_stage window;
    int stale_in_a_row;
    size_t lanes_most;
    bool needed[SEEN_LANES];
    uint32_t lane;      /* being measured or loaded */
    int64_t lane_bytes; /* that the lanes measured so far would take */
    const struct suspect *suspects;
    size_t suspect_count, suspect_at;
    struct suspect suspect;
    uint8_t record[SEEN_RECORD_SIZE];
    struct dead_letter letters[LETTERS_AT_ONCE];
    size_t letter_cursor;
    bool letters_begun; /* of this window: a stop waits for its commit */
    struct arguments arguments;
    struct fold_counts window_counts;
    bool fetched_ahead;
    int64_t reply_deadline_ms;
};

/* What is asked for next; fields that the kind needs are set in the action returned. */
struct action *machine_ask(struct machine *machine, enum action_kind kind);
void machine_note(struct machine *machine, enum note_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Drop the connection and everything remembered. */
void machine_doubt(struct machine *machine, const char *sentence);
/* The run is over with this error. */
void machine_fail(struct machine *machine, const struct error *error);
/* Let go of records that are not committed (they will be read again) and of the window. */
void machine_drop_batches(struct machine *machine);

/* machine_plan.c: what the group gives, where each partition stands and what is assigned. */
void plan_take_assignment(struct machine *machine, const struct input *input);
void plan_next(struct machine *machine);
void plan_result(struct machine *machine, const struct input *input);
/* An idle consumer would not notice that Redis lost its tail or was emptied: asks for the positions to compare them. */
void plan_ask_check(struct machine *machine);
/* A halt or a wait that has not been told: asks for the note. */
bool plan_tell(struct machine *machine);
void plan_retry_waiting(struct machine *machine);
bool plan_reached_end(const struct machine *machine);
bool plan_any_halted(const struct machine *machine);

/* machine_window.c: one window from its lanes to its commit's reply. */
/* Begins the next window where records are decoded; false when there are none. */
bool window_begin(struct machine *machine);
void window_next(struct machine *machine);
void window_result(struct machine *machine, const struct input *input);
/* Would stopping now leave letters without their commit, or a commit without its reply? */
bool window_is_committing(const struct machine *machine);
void window_fetched(struct machine *machine, const struct input *input);

#endif
