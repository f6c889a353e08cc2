/* The state in Redis as the consumer sees it: open, positions, lanes, commit. Blocking; one connection. After any error
 * the caller closes the store, drops everything it remembers, and opens it again. */
#ifndef CITYTOTALS_CONSUMER_STORE_H
#define CITYTOTALS_CONSUMER_STORE_H

#include "base/redis_place.h"
#include "consumer/commit.h"
#include "consumer/fold.h"

struct store;

struct store_options {
    struct redis_place place;
    const char *city;
    const char *generation;      /* NULL = GENERATION_LIVE */
    const char *cluster_id;      /* of the Kafka cluster that is read */
    const char *accepted_cluster; /* may be NULL */
};

/* Connects, loads the Function library when missing, begins the city's state where there is none.
 * ERROR_HALTED: the state belongs to another Kafka cluster. */
int store_open(const struct store_options *options, struct store **ret_store, struct error *error);
struct store *store_close(struct store *store);
const char *store_epoch(const struct store *store); /* shorter than EPOCH_SIZE */

/* Stored position and last record of each partition; absent = 0 and LAST_RECORD_NONE. ERROR_REDIS when the epoch changed. */
int store_positions(struct store *store, struct partitions *partitions, struct error *error);
/* Record that `partition` goes on at `to` though its log has lost what was before. */
int store_skip(struct store *store, const struct partition *partition, int64_t to, const char *why, struct error *error);
/* Records that the lane has in Redis now. */
int store_lane_length(struct store *store, uint32_t lane, int64_t *ret_records, struct error *error);
/* Read the lane's records from where `lanes` knows it to its end. */
int store_load_lane(struct store *store, struct lanes *lanes, uint32_t lane, struct error *error);
int store_read_record(struct store *store, uint32_t lane, uint32_t index, uint8_t ret_record[SEEN_RECORD_SIZE],
                      struct error *error);

int store_commit_send(struct store *store, const struct arguments *arguments, struct error *error);
/* Waits up to wait_ms, not longer when a signal comes: COMMIT_PENDING. A STALE reply's tails join the lanes. */
int store_commit_receive(struct store *store, struct lanes *lanes, int64_t wait_ms, struct commit_result *ret_result,
                         struct error *error);

#endif
