/* What became of events, as Redis tells: how far the logs are folded, which events count, which were repeats, which were
 * refused. The one place of the producer that reads a city's state (docs/redis-keys.md); it writes nothing. Blocking; one
 * thread. After an error close it and open it again. */
#ifndef CITYTOTALS_PRODUCER_OUTCOMES_H
#define CITYTOTALS_PRODUCER_OUTCOMES_H

#include "base/redis_place.h"
#include "schemas/seen_lane.h"

enum {
    OUTCOMES_REFUSED_MOST = 1200, /* entries of a lane's stream of refused records; it is cut near 1,000 */
    OUTCOMES_ID_SIZE = 48,        /* of an entry's id as text */
    OUTCOMES_EPOCH_SIZE = 64,
};

struct outcomes;
/* Each connecting and each command may take timeout_ms. ERROR_REDIS when it is away, ERROR_REFUSED when it won't be read. */
int outcomes_open(const struct redis_place *place, const char *city, int64_t timeout_ms, struct outcomes **ret_outcomes, struct error *error);
struct outcomes *outcomes_close(struct outcomes *outcomes); /* NULL; accepts NULL */

/* Changes when the state is begun anew, rebuilt or loaded: what was read before says nothing then. "" without a state. */
int outcomes_epoch(struct outcomes *outcomes, char ret_epoch[OUTCOMES_EPOCH_SIZE], struct error *error);

/* A point of a partition's log, of topic "<city>.<suffix of the type>". */
struct log_point {
    enum event_type type;
    int32_t partition;
    int64_t offset;
};
/* Of these points, how many are not reached: the record before `offset` is still to be folded. */
int outcomes_behind(struct outcomes *outcomes, const struct log_point *points, size_t count, size_t *ret_behind, struct error *error);

int outcomes_lane_lengths(struct outcomes *outcomes, int64_t ret_records[SEEN_LANES], struct error *error);
/* Records `from` to before `to` of a lane, as seen_lane_read gives them. */
int outcomes_lane_read(struct outcomes *outcomes, uint32_t lane, int64_t from, int64_t to, seen_records_fn each, void *context,
                       struct error *error);
/* Which of these identities of one lane counts: its place in `identities`, or -1. */
int outcomes_find(struct outcomes *outcomes, uint32_t lane, const struct identity *identities, int count, int *ret_found,
                  struct error *error);

/* Was it counted before when it came again? At `at` (its type is not looked at), or with NULL: at all lately, the latest. */
int outcomes_repeated(struct outcomes *outcomes, const struct identity *identity, const struct log_point *at, bool *ret_repeated,
                      int32_t *ret_partition, int64_t *ret_offset, struct error *error);

/* A refused record: fields as they stand in Redis; one that is not there has no data. */
struct refusal {
    struct slice id;
    struct slice type, agency, event_id, source, reason, detail, at, offset, acknowledged_at;
};
/* False: no more of them. */
typedef bool (*outcomes_refusal_fn)(void *context, const struct refusal *refusal);
/* The refused records of a lane's agencies, newest first, at most `most`, from the one before the id `before` (NULL: the
 * newest). */
int outcomes_refused(struct outcomes *outcomes, uint32_t lane, const char *before, size_t most, outcomes_refusal_fn each, void *context,
                     struct error *error);

#endif
