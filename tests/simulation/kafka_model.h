/* Kafka as the consumer sees it, in memory: logs with gaps, a start that moves, a log made anew, a group whose members
 * hear of a rebalance only when they next ask, and the dead-letter topic. */
#ifndef CITYTOTALS_SIMULATION_KAFKA_MODEL_H
#define CITYTOTALS_SIMULATION_KAFKA_MODEL_H

#include "consumer/record.h"
#include "schemas/codec.h"
#include "schemas/identity.h"
#include "tests/simulation/random.h"

enum { MODEL_PARTITIONS = 4, MODEL_MEMBERS = 3 };

/* What the generator knows of a record, for the oracle. */
enum fact_kind {
    FACT_GAP,    /* a transaction marker, or a record of an aborted transaction: nobody gets it */
    FACT_LETTER, /* poison, whatever else is in the log */
    FACT_EVENT,
    FACT_VISIT,
};
struct entry {
    enum fact_kind kind;
    enum dead_letter_reason reason;
    int64_t timestamp_ms;
    struct slice value; /* lives as long as the model */
    struct event event; /* its slices are static text */
    struct identity identity;
    uint64_t digest;
    uint32_t lane;
};

struct log {
    struct entry *entries; /* offset = place */
    int64_t end, capacity, start;
    bool remade;            /* made anew: `before` is what stood in it */
    struct entry *before;
    int64_t before_end;
};

struct letter {
    uint8_t topic;
    int32_t partition;
    int64_t offset;
    enum dead_letter_reason reason;
};

struct reading {
    struct topic_partition part;
    int64_t next;
    bool at_end;
    bool broken; /* the log was made anew, or somebody says so: an error comes next */
};

struct member {
    bool subscribed;
    bool told; /* the given parts have not changed since the member heard of them */
    struct topic_partition given[EVENT_TYPES * MODEL_PARTITIONS];
    size_t given_count;
    struct reading readings[EVENT_TYPES * MODEL_PARTITIONS];
    size_t reading_count;
};

struct kafka_model {
    struct random *random;
    struct log logs[EVENT_TYPES][MODEL_PARTITIONS];
    int partitions;
    struct member members[MODEL_MEMBERS];
    struct letter *letters;
    size_t letter_count, letter_capacity;
    int64_t letters_down_until_ms, bounds_down_until_ms;
    uint32_t stale_permille;
    char *arena[4096]; /* values */
    size_t arena_count;
};

void kafka_model_free(struct kafka_model *kafka);
/* Appends; `value` is copied. */
struct entry *kafka_model_append(struct kafka_model *kafka, uint8_t topic, int32_t partition, const struct entry *entry);
bool kafka_model_has_letter(const struct kafka_model *kafka, struct letter letter);
void kafka_model_add_letter(struct kafka_model *kafka, struct letter letter);
/* Another log of the same name: what stood in it is gone. */
void kafka_model_remake(struct kafka_model *kafka, uint8_t topic, int32_t partition);

/* Give the partitions to the members that are subscribed and in `alive`, at random. */
void kafka_model_rebalance(struct kafka_model *kafka, const bool alive[MODEL_MEMBERS]);
/* The member asks: does it hear of a rebalance? Then it reads nothing any more. */
bool kafka_model_serve(struct kafka_model *kafka, int member);
void kafka_model_assign(struct kafka_model *kafka, int member, const struct topic_partition *parts, const int64_t *offsets,
                        size_t count);
size_t kafka_model_fetch(struct kafka_model *kafka, int member, struct source_record *records, size_t most);

#endif
