/* The proof: folds the log anew in its own memory and compares what comes out with what Redis held. Pure: the caller reads
 * Redis and Kafka.
 *
 * In this order: proof_new with the state of one moment; proof_partitions; proof_base_* when it begins from a snapshot;
 * proof_lane for each lane's records; proof_letter for each dead letter; proof_meet for each partition; proof_take for its
 * records up to the stored offset; proof_finish. Nothing that is compared comes from Redis, but the winner of two conflicting events (it must be one of them) and what schema ids mean. */
#ifndef CITYTOTALS_CONSUMER_PROOF_H
#define CITYTOTALS_CONSUMER_PROOF_H

#include "consumer/fold.h"
#include "consumer/proof_state.h"
#include "consumer/report.h"
#include "schemas/report_seal.h"

#define CONFLICTS_MOST 1000000 /* conflicting events that are held to the end */

struct proof_options {
    const char *city;
    size_t batch_most;
    const char *const *agencies; /* only these (their seen ids and headcounts); none = everything */
    size_t agency_count;
    const struct proof_state *state; /* outlives the proof */
    struct report *report;           /* outlives the proof */
    const struct report_seal *seal;  /* NULL, or a report's that is proved with it; outlives the proof */
};
struct proof_counts {
    int64_t records, events, duplicates, conflicts, letters, visits, reversals;
};

struct proof;
/* ERROR_MEMORY */
int proof_new(const struct proof_options *options, struct proof **ret_proof, struct error *error);
struct proof *proof_free(struct proof *proof); /* NULL */

/* What a snapshot holds: a field of a hash (`name` is the key without its prefix), some records of a lane, a visitor of an
 * open day; then that it is one. ERROR_MEMORY; ERROR_REFUSED for a snapshot that contradicts itself. */
int proof_base_field(struct proof *proof, struct slice name, struct slice field, struct slice value, struct error *error);
int proof_base_lane(struct proof *proof, uint32_t lane, const uint8_t *records, size_t count, struct error *error);
int proof_base_visitor(struct proof *proof, int32_t day, const uint8_t visitor[16], int64_t latest_ms, struct error *error);
void proof_base_is(struct proof *proof, int64_t version, const char *saved_at);

/* Does the proof look at this lane? */
bool proof_needs_lane(const struct proof *proof, uint32_t lane);
/* The lane's next records. ERROR_MEMORY. */
int proof_lane(struct proof *proof, uint32_t lane, const uint8_t *records, size_t count, struct error *error);
/* ERROR_MEMORY. A letter of no known topic is remarked on. */
int proof_letter(struct proof *proof, const struct dead_letter *letter, struct error *error);
/* The dead-letter topic does not hold all that was written: a missing letter proves nothing. */
void proof_letters_are_partial(struct proof *proof, const char *why);

/* The city's partitions, all of them. ERROR_MEMORY. */
int proof_partitions(struct proof *proof, const int32_t counts[EVENT_TYPES], struct partitions **ret_partitions,
                     struct error *error);
/* The partition's log holds offsets from `low` to before `high`. Gives the range to be read, which may be empty. */
void proof_meet(struct proof *proof, size_t partition, int64_t low, int64_t high, int64_t *ret_from, int64_t *ret_to);

/* Records from Kafka, in each partition's order: moved into the proof's batch, folded. Those past what is to be read are
 * passed over. ERROR_MEMORY, ERROR_LIMIT; ERROR_KAFKA for an error among the records. */
struct batch *proof_batch(struct proof *proof);
int proof_take(struct proof *proof, size_t count, struct error *error);
/* Has every partition been read to where Redis stands? */
bool proof_is_read(const struct proof *proof);
int64_t proof_left(const struct proof *proof); /* offsets to be read yet */

/* Compare; all goes to the report. *ret_whole: the log held all organisational events that were counted. */
int proof_finish(struct proof *proof, bool *ret_whole, struct error *error);
/* With a seal: is its digest what the log says? And what it sums, by the date of the report: added to `ret_sums`. ERROR_MEMORY. */
bool proof_seal_is_proved(const struct proof *proof);
struct cells;
int proof_seal_sums(const struct proof *proof, struct cells *ret_sums, struct error *error);
const struct proof_counts *proof_counts(const struct proof *proof);

#endif
