/* What the simulator's files share: the models, the machines and what is in flight between them. */
#ifndef CITYTOTALS_SIMULATION_WORLD_H
#define CITYTOTALS_SIMULATION_WORLD_H

#include "consumer/machine.h"
#include "schemas/codec.h"
#include "tests/simulation/kafka_model.h"
#include "tests/simulation/redis_model.h"

enum { REQUESTS_MOST = 32, BASES = 60, AGENCIES = 6, VISITORS = 8 };
#define CITY "sim"

/* A commit on its way: it may be carried out long after its sender has given it up. */
struct request {
    bool used, executed;
    int actor; /* -1: nobody waits for the reply */
    struct arguments arguments;
    struct reply reply;
};

struct actor {
    int number;
    struct machine *machine; /* NULL: not running */
    const struct action *action;
    int64_t ready_at_ms;
    bool waited; /* the wait that the action allows is over */
    bool stop, until_end, done;
    int exit_code;
    bool open, cut, frozen; /* the connection to Redis */
    struct request *request;
    char epoch[EPOCH_SIZE];
    bool asleep;
};

struct base {
    struct event event;
    char decision[12]; /* differs, so that no two bases mean the same: weak hashes would take them for repeats */
};

struct world {
    uint64_t seed;
    struct random random;
    int64_t now_ms, kafka_ms;
    struct kafka_model kafka;
    struct redis_model redis;
    struct actor actors[MODEL_MEMBERS];
    int actor_count;
    struct request requests[REQUESTS_MOST];
    struct decoder *decoder;
    struct encoder *encoder;
    struct buffer value;
    struct base bases[BASES];
    int64_t to_produce;
    int64_t redis_down_until_ms;
    bool faults, loses_tail, wipes, moves_logs, accept_log_start;
    bool lost; /* Redis has gone back or begun anew: conflicts may have been decided twice */
    size_t batch_most;
    int64_t seen_memory;
    unsigned weak_bits;
    bool trace;
    int64_t steps, counts_stale, counts_fenced, counts_reconnects;
};

/* Prints what is wrong and how to run it again; does not return. */
_Noreturn void world_fail(const struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The group's partitions are given anew to those that are alive and awake. */
void world_rebalance(struct world *world);

/* generator.c */
void generator_begin(struct world *world);
void generator_produce(struct world *world);

/* oracle.c */
/* After a commit: offsets went on, and every letter passed over is in the dead-letter topic. */
void oracle_check_commit(const struct world *world, int64_t before[EVENT_TYPES][MODEL_PARTITIONS]);
/* At the end: totals, seen ids, dead letters and visits equal what the logs give up to the stored offsets. */
void oracle_check_end(const struct world *world);
/* Has this partition been folded as far as it can be? */
bool oracle_is_settled(const struct world *world, uint8_t topic, int32_t partition);
bool oracle_any_halted(const struct world *world);

#endif
