/* The three topics of a city as librdkafka reads them: group membership, assignment at offsets that the caller gives,
 * batches of records. One thread uses it. The group decides who reads what, never from where. */
#ifndef CITYTOTALS_CONSUMER_SOURCE_H
#define CITYTOTALS_CONSUMER_SOURCE_H

#include <signal.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/health.h"
#include "base/settings.h"
#include "consumer/record.h"
#include "schemas/event.h"

struct source;
/* Makes the consumer; connects in the background. ERROR_CONFIG for bad -X properties. The options must outlive it. */
int source_open(const struct common_options *common, const char *city, struct source **ret_source, struct error *error);
/* Leaves the group, bounded by some seconds: where Kafka is away the library's handle is left behind, as destroying it
 * would wait for Kafka. Before the program ends. NULL; accepts NULL. */
struct source *source_close(struct source *source);

/* Wait until a broker answers and the three topics exist, saying once what is waited for. ERROR_KAFKA after timeout_ms;
 * ERROR_INTERRUPTED when *stop became non-zero (`stop` may be NULL). `health` (may be NULL) turns meanwhile. */
int source_wait(struct source *source, int64_t timeout_ms, const volatile sig_atomic_t *stop, struct health *health,
                struct error *error);
/* Owned by the caller (free). */
int source_cluster_id(struct source *source, int64_t timeout_ms, char **ret_cluster_id, struct error *error);
int source_topic_partition_count(struct source *source, enum event_type type, int32_t *ret_count, struct error *error);
/* Warns of broker-side settings that make the totals less exact or slower; ERROR_REFUSED for an organisational topic
 * that is compacted. A broker that does not tell its settings is only warned of. */
int source_check_topics(struct source *source, struct error *error);

int source_subscribe(struct source *source, struct error *error);
/* In place of source_subscribe: read all partitions that the topics have now, in no group. May be called again. */
int source_take_all(struct source *source, struct error *error);
/* Wait up to wait_ms for something, then take what is there, at most `most` records. What their slices point to is copied
 * into `bytes`, which is emptied before: it is the caller's, and zeroed at first. Serves the group: when what it gave us
 * changed during the call, all records of the call are dropped, *ret_rebalanced is set and 0 returned. */
ssize_t source_fetch(struct source *source, struct source_record *records, size_t most, struct buffer *bytes, int64_t wait_ms,
                     bool *ret_rebalanced);
/* While nothing can be folded: read nothing (source_assign is due afterwards) and serve the group for up to wait_ms. */
void source_idle(struct source *source, int64_t wait_ms, bool *ret_rebalanced);
/* Has the group changed what it gave us since source_assignment was last called? */
bool source_rebalanced(const struct source *source);
/* What the group gave us. Valid until the next call that serves the group (fetch, idle, assign, close). */
void source_assignment(struct source *source, const struct topic_partition **ret_parts, size_t *ret_count);
/* Read exactly these partitions from these offsets on. What had been read ahead is dropped. `count` 0 = nothing. */
int source_assign(struct source *source, const struct topic_partition *parts, const int64_t *offsets, size_t count,
                  struct error *error);
/* Partitions of the topics that no consumer of the group has had, as last heard. Asks Kafka from time to time, and waits a little for the
 * answer; where some stay nobody's the group is joined anew, so that it shares them. */
int64_t source_untaken(struct source *source, int64_t now_ms);
/* A connection was lost and no broker answers; asks only then, and waits a little for the answer. */
bool source_is_away(struct source *source);
/* A sentence when the Kafka library can't go on (a fenced static member): ERROR_KAFKA of class fatal. 0 otherwise. */
int source_fatal(const struct source *source, struct error *error);

/* The log's bounds, asked of its leader: the first offset, and the one after the last committed record. Ends reading:
 * source_assign is due afterwards. */
int source_watermarks(struct source *source, uint8_t topic, int32_t partition, int64_t timeout_ms, int64_t *ret_low,
                      int64_t *ret_high, struct error *error);
/* The end of the log as last heard, without asking; -1 = unknown. */
int64_t source_known_end(const struct source *source, uint8_t topic, int32_t partition);
/* Tell the group's offsets to Kafka, for lag monitoring only; does not wait, and failures do not matter. */
void source_commit_offsets(struct source *source, const struct topic_partition *parts, const int64_t *offsets,
                           size_t count);

#endif
