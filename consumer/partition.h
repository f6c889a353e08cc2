/* One partition's progress, and what to do when its stored position meets the log. Pure: no I/O, no clock. */
#ifndef CITYTOTALS_CONSUMER_PARTITION_H
#define CITYTOTALS_CONSUMER_PARTITION_H

#include "base/error.h"
#include "schemas/event.h"

enum partition_state {
    PARTITION_UNREAD,    /* given by the group; its stored position is not known yet */
    PARTITION_VERIFYING, /* read again from its last folded record, which must be the one remembered */
    PARTITION_ACTIVE,
    PARTITION_WAITING, /* left out until a dead letter can be written, the broker answers, or a schema id is known */
    PARTITION_HALTED,  /* left out until somebody acts */
};

/* The last record folded, as the `last` hash keeps it: "<offset> <timestamp> <crc> <newest timestamp>". */
struct last_record {
    int64_t offset; /* -1: none, or not comparable after a gap was accepted */
    int64_t timestamp_ms;
    uint32_t crc;           /* CRC-32 of the value; 0 for a null value */
    int64_t newest_ms;      /* the greatest Kafka timestamp folded so far */
};
#define LAST_RECORD_NONE ((struct last_record){.offset = -1, .newest_ms = INT64_MIN})
#define LAST_RECORD_TEXT_SIZE 96
char *last_record_format(const struct last_record *last, char text[LAST_RECORD_TEXT_SIZE]);
bool last_record_parse(struct slice text, struct last_record *ret_last);
uint32_t record_crc(struct slice value);

#define PARTITION_FIELD_SIZE 96
struct partition {
    enum event_type type;
    int32_t id;
    char field[PARTITION_FIELD_SIZE]; /* "<topic>/<partition>", its name in Redis and in messages */
    enum partition_state state;
    int64_t position;         /* next offset to fold, as Redis has it */
    int64_t read_position;    /* next offset to take from Kafka; ahead of `position` by what is not committed */
    struct last_record last;  /* as of `position` */
    int64_t end;              /* end of the log when the program started; -1 = not asked */
    int64_t retry_at_ms;      /* WAITING: monotonic time to try again */
    int64_t wait_ms;          /* the length of that wait */
    int64_t schema_id;        /* WAITING: the schema id that must be known first; -1 = none */
    bool told;                /* WAITING, HALTED: the reason has been told */
    char reason[768];         /* WAITING, HALTED: a sentence that says what to do */
    uint64_t window;          /* the fold's: the window whose ends have been looked for, */
    uint32_t window_end;      /* and where this partition is among them */
};

void partition_init(struct partition *partition, const char *city, enum event_type type, int32_t id);
/* Left out until somebody acts, or until it is tried again; the sentence has not been told yet. */
void partition_halt(struct partition *partition, const char *format, ...) __attribute__((format(printf, 2, 3)));
void partition_wait(struct partition *partition, const char *format, ...) __attribute__((format(printf, 2, 3)));
void partition_wait_for_schema(struct partition *partition, uint32_t schema_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A gap up to `to` was accepted and recorded: go on there, with nothing to compare. */
void partition_skip_to(struct partition *partition, int64_t to);

enum partition_plan { PARTITION_START, PARTITION_SKIP, PARTITION_HALT };
/* The stored position meets the log, which holds offsets from `low` to before `high`. START: read from *ret_start (the
 * last folded record where it is still there, to compare it). SKIP: the log starts later and that is to be taken and
 * recorded as a gap up to `low`. HALT: partition->reason says why. Sets the partition's state. */
enum partition_plan partition_meet_log(struct partition *partition, int64_t low, int64_t high, bool accept_log_start,
                                       int64_t *ret_start);

/* Is this record to be folded? Compares the first record after START with the remembered one (halting on a difference)
 * and passes over what was folded before. */
bool partition_take(struct partition *partition, int64_t offset, int64_t timestamp_ms, struct slice value);
/* The end of the log was seen at `offset`: transaction markers before it are passed. True when that moved the position. */
bool partition_take_end(struct partition *partition, int64_t offset);

#endif
