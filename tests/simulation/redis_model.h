/* The state in Redis in memory, changed only as schemas/citytotals.lua changes it. It can lose its tail or everything. */
#ifndef CITYTOTALS_SIMULATION_REDIS_MODEL_H
#define CITYTOTALS_SIMULATION_REDIS_MODEL_H

#include "consumer/commit.h"
#include "consumer/fold.h"
#include "tests/simulation/cells_map.h"
#include "tests/simulation/kafka_model.h"

enum { MODEL_VERSIONS = 6, TAIL_RECORDS_MOST = 3, GAPS_MOST = 64 };

struct bytes {
    uint8_t *data;
    size_t size;
};

struct gap {
    uint8_t topic;
    int32_t partition;
    int64_t from, to;
};

struct redis_state {
    char epoch[EPOCH_SIZE]; /* empty: no state */
    int64_t offsets[EVENT_TYPES][MODEL_PARTITIONS];
    char last[EVENT_TYPES][MODEL_PARTITIONS][LAST_RECORD_TEXT_SIZE];
    struct bytes lanes[SEEN_LANES];
    struct map cells;    /* the hashes of sums */
    struct map visitors; /* visitors:<day> → latest */
    struct gap gaps[GAPS_MOST];
    size_t gap_count;
    int64_t version;
};

struct tail {
    uint32_t lane;
    int64_t stored; /* records */
    struct bytes records;
};
struct reply {
    struct commit_result commit;
    struct tail tails[SEEN_LANES];
    size_t tail_count;
};

struct redis_model {
    struct random *random;
    const char *city;
    struct redis_state state;
    struct redis_state older[MODEL_VERSIONS]; /* [0] is the newest */
    size_t older_count;
    bool without_fence, without_lane_length; /* for proofs */
    uint64_t epochs;
    int64_t commits;
};

void redis_model_free(struct redis_model *redis);
void redis_model_open(struct redis_model *redis, char ret_epoch[EPOCH_SIZE]);
/* The commit Function. */
void redis_model_commit(struct redis_model *redis, const struct arguments *arguments, struct reply *ret_reply);
bool redis_model_skip(struct redis_model *redis, const char *epoch, uint8_t topic, int32_t partition, int64_t from, int64_t to);
/* As after a crash: an earlier commit is the latest again. False when none is known. */
bool redis_model_lose_tail(struct redis_model *redis);
void redis_model_wipe(struct redis_model *redis);
void reply_free(struct reply *reply);

#endif
