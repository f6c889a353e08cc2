/* What the files of the proof share; nobody else includes it. */
#ifndef CITYTOTALS_CONSUMER_PROOF_INTERNAL_H
#define CITYTOTALS_CONSUMER_PROOF_INTERNAL_H

#include <inttypes.h>
#include <stdio.h>

#include "consumer/day_visits.h"
#include "consumer/ids.h"
#include "consumer/places.h"
#include "consumer/proof.h"

enum { GAPS_MOST = 64 /* of one partition */ };

/* How one partition's log and what Redis remembers of it go together. */
struct proof_part {
    int64_t low, high, from, to;
    int64_t passed_to; /* records before it that are not to be folded were met */
    bool has_offset;
    int64_t stored_offset;
    bool has_last;
    struct last_record stored_last;
    bool last_met, last_equal; /* the log's record at its offset was read; and is the one remembered */
    struct last_record log_last; /* of what was read */
    int64_t first_ms;          /* Kafka time of the first record read; INT64_MIN */
    struct {
        int64_t from, to;
    } gaps[GAPS_MOST];
    size_t gap_count;
    bool whole; /* the log holds every record that was folded, or that was since the snapshot */
    int64_t base_offset; /* of the snapshot; 0 without one */
    struct last_record base_last;
    size_t visit_part; /* of a page-visit partition: its number among them */
};

/* An event of a known identity with another meaning than the counted one. */
struct contested {
    struct item item;
    char *pilot; /* its text; owned, NULL = none */
    int64_t offset;
    uint32_t before; /* of the same identity: its number + 1, or 0 */
    bool won;        /* it was counted in the end */
};
struct reversal {
    struct identity identity, original;
    uint64_t content;
    uint8_t type;
    struct partition *partition;
    int64_t offset;
};
/* Of each event decoded: what the fold does not keep. */
struct extra {
    uint64_t content;
    struct identity original;
    bool sealed; /* the report that is proved counted it */
};

struct proof {
    struct proof_options options;
    struct decoder *decoder;
    struct lanes *lanes; /* none is ever loaded */
    struct fold *fold;
    struct batch *batch;
    struct batch *single; /* room for one item */
    struct extra *extras; /* by item */
    struct partitions partitions;
    struct proof_part *parts; /* by partition */
    struct ids *ids;
    struct places *letters; /* a bit for each reason */
    bool letters_partial;
    struct contested *contested;
    size_t contested_count, contested_capacity;
    struct reversal *reversals;
    size_t reversal_count, reversal_capacity;
    struct cells *cells; /* everything that counters must hold */
    struct cells *sealed; /* what the report counted, by day */
    bool seal_proved;
    struct visits *visits;
    int64_t carried_before;  /* visits of days before it were carried over by a rebuild; INT64_MIN */
    int64_t visitors_closed; /* as Redis has it; INT64_MIN */
    int64_t newest_ms;
    bool has_base; /* it begins from a snapshot */
    struct proof_counts counts;
};

/* proof_decide.c: what became of each record of the batch. */
int proof_decide(struct proof *proof, struct error *error);
/* The lanes' winners against the candidates; the events that were counted but are in no lane, and the other way round. */
int proof_settle(struct proof *proof, bool whole, struct error *error);
/* Sum these items by the fold: what they add to each hash, valid until the next call. */
int proof_sum(struct proof *proof, struct batch *batch, struct fold_counts *ret_counts, const struct cell **ret_cells,
              size_t *ret_count, struct error *error);
/* Add what the fold sums of these items to the proof's totals. */
int proof_add(struct proof *proof, struct batch *batch, struct error *error);
/* Reversals against their originals. */
void proof_reversals(struct proof *proof, bool whole);

/* proof_seal.c: a record of the counted meaning is met; the batch, after it was added; the digest. */
void proof_seal_note(struct proof *proof, struct id *id, const struct item *item, struct extra *extra, int64_t offset);
int proof_seal_add(struct proof *proof, struct error *error);
int proof_seal_compare(struct proof *proof, bool whole, struct error *error);

/* proof_compare.c: the keys one by one. */
int proof_compare(struct proof *proof, bool whole, bool visits_whole, struct error *error);

static inline struct slice number_slice(char text[24], int64_t number)
{
    int size = snprintf(text, 24, "%" PRId64, number);
    return (struct slice){text, (size_t)size};
}
/* Strictly a decimal integer. */
bool proof_integer(struct slice text, int64_t *ret_number);

#endif
