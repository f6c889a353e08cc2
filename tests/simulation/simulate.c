/* citytotals' simulator: consumers' machines, models of Kafka and Redis, and a schedule of faults, all drawn from a seed.
 * When the faults are over everybody folds to the end, and everything must equal a recomputation from the logs. */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h> /* program_invocation_name */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/simulation/actor.h"

enum { CALM_STEPS_MOST = 400000, STOP_STEPS_MOST = 20000 };

static const char *break_what = "";

_Noreturn void world_fail(const struct world *world, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    printf("seed %" PRIu64 ", step %" PRId64 ": ", world->seed, world->steps);
    vprintf(format, list);
    va_end(list);
    printf("\nagain: %s --seed %" PRIu64 " --trace%s%s\n", program_invocation_name, world->seed, *break_what ? " --break " : "",
           break_what);
    exit(1);
}

void world_rebalance(struct world *world)
{
    bool alive[MODEL_MEMBERS];
    for (int i = 0; i < MODEL_MEMBERS; i++)
        alive[i] = world->actors[i].machine && !world->actors[i].asleep && !world->actors[i].done;
    kafka_model_rebalance(&world->kafka, alive);
}

static void cut_all(struct world *world)
{
    for (int i = 0; i < world->actor_count; i++) {
        struct actor *actor = &world->actors[i];
        if (actor->request && !actor->request->executed) {
            request_drop(actor->request);
            actor->request = NULL;
        }
        actor_cut(world, actor);
    }
    for (int i = 0; i < REQUESTS_MOST; i++)
        if (world->requests[i].used)
            request_drop(&world->requests[i]);
}

static void move_a_log(struct world *world)
{
    struct random *random = &world->random;
    uint8_t topic = (uint8_t)random_below(random, EVENT_TYPES);
    int32_t partition = (int32_t)random_below(random, (uint32_t)world->kafka.partitions);
    struct log *log = &world->kafka.logs[topic][partition];
    struct last_record last;
    if (random_permille(random, 700)) {
        if (log->end > log->start && !log->remade)
            log->start = random_between(random, log->start, log->end);
        return;
    }
    /* Only where something was folded can a consumer know that the log is another. */
    if (!log->remade && last_record_parse(slice_of(world->redis.state.last[topic][partition]), &last) && last.offset >= 0 &&
        last.offset >= log->start)
        kafka_model_remake(&world->kafka, topic, partition);
}

static void fault(struct world *world)
{
    struct random *random = &world->random;
    struct actor *actor = &world->actors[random_below(random, (uint32_t)world->actor_count)];
    uint32_t draw = random_below(random, 100);
    if (world->trace)
        printf("%8" PRId64 "  fault %u at consumer %d\n", world->now_ms, draw, actor->number);
    if (draw < 20) {
        actor_cut(world, actor);
    } else if (draw < 28) {
        actor->frozen = true;
    } else if (draw < 34) {
        cut_all(world);
        world->redis_down_until_ms = world->now_ms + random_between(random, 0, 8000);
    } else if (draw < 50) {
        world_rebalance(world);
    } else if (draw < 60) {
        actor_kill(world, actor);
        world_rebalance(world);
        actor_start(world, actor, false);
    } else if (draw < 72) {
        actor->asleep = true;
        actor->ready_at_ms = world->now_ms + random_between(random, 10, 100000);
        world_rebalance(world);
    } else if (draw < 80) {
        world->kafka.letters_down_until_ms = world->now_ms + random_between(random, 0, 8000);
    } else if (draw < 84) {
        world->kafka.bounds_down_until_ms = world->now_ms + random_between(random, 0, 4000);
    } else if (draw < 88) {
        actor->stop = true;
    } else if (draw < 93 && world->loses_tail) {
        cut_all(world);
        world->lost = redis_model_lose_tail(&world->redis) || world->lost;
    } else if (draw < 95 && world->wipes) {
        redis_model_wipe(&world->redis);
        world->lost = true;
    } else if (world->moves_logs) {
        move_a_log(world);
    }
}

/* One thing happens: a fault, a record, a commit carried out, or a consumer's turn. */
static void step(struct world *world)
{
    struct random *random = &world->random;
    world->steps++;
    world->now_ms += random_below(random, 3);
    if (world->faults && random_permille(random, 12))
        fault(world);
    if (world->to_produce > 0 && random_permille(random, 120)) {
        world->to_produce--;
        generator_produce(world);
    }
    int choices[MODEL_MEMBERS + REQUESTS_MOST], count = 0;
    int64_t next_ms = INT64_MAX;
    for (int i = 0; i < world->actor_count; i++) {
        struct actor *actor = &world->actors[i];
        if (!actor->machine || actor->done)
            continue;
        if (actor->ready_at_ms <= world->now_ms)
            choices[count++] = i;
        else if (actor->ready_at_ms < next_ms)
            next_ms = actor->ready_at_ms;
    }
    for (int i = 0; i < REQUESTS_MOST; i++)
        if (world->requests[i].used && !world->requests[i].executed &&
            (world->requests[i].actor >= 0 || random_permille(random, 100)))
            choices[count++] = MODEL_MEMBERS + i;
    if (count == 0) {
        if (next_ms < INT64_MAX && next_ms > world->now_ms)
            world->now_ms = next_ms;
        return;
    }
    int choice = choices[random_below(random, (uint32_t)count)];
    if (choice >= MODEL_MEMBERS) {
        request_execute(world, &world->requests[choice - MODEL_MEMBERS]);
        return;
    }
    struct actor *actor = &world->actors[choice];
    actor_turn(world, actor);
    if (!actor->done || !world->faults)
        return;
    if (actor->exit_code != 0 || !actor->stop)
        world_fail(world, "consumer %d ended with %d (%s) though it was %s", choice, actor->exit_code,
                   actor->action->error->text, actor->stop ? "only asked to stop" : "not asked to stop");
    actor_kill(world, actor);
    world_rebalance(world);
    actor_start(world, actor, false);
}

static bool all_settled(const struct world *world)
{
    for (uint8_t topic = 0; topic < EVENT_TYPES; topic++)
        for (int32_t partition = 0; partition < world->kafka.partitions; partition++)
            if (!oracle_is_settled(world, topic, partition))
                return false;
    for (int i = 0; i < REQUESTS_MOST; i++)
        if (world->requests[i].used && world->requests[i].actor < 0)
            return false;
    return true;
}

static bool all_done(const struct world *world)
{
    for (int i = 0; i < world->actor_count; i++)
        if (world->actors[i].machine && !world->actors[i].done)
            return false;
    return true;
}

/* The faults are over: everybody reaches the end, stops when asked to, and one more run finds nothing left. */
static void calm_down(struct world *world)
{
    world->faults = false;
    world->redis_down_until_ms = world->kafka.letters_down_until_ms = world->kafka.bounds_down_until_ms = 0;
    world->kafka.stale_permille = 0;
    for (int i = 0; i < world->actor_count; i++)
        world->actors[i].stop = false;
    for (int64_t steps = 0; !all_settled(world); steps++) {
        if (steps > CALM_STEPS_MOST) {
            for (uint8_t topic = 0; topic < EVENT_TYPES; topic++)
                for (int32_t partition = 0; partition < world->kafka.partitions; partition++)
                    if (!oracle_is_settled(world, topic, partition))
                        printf("%s/%d stands at %" PRId64 " of %" PRId64 "\n", event_topic_suffix((enum event_type)topic),
                               partition, world->redis.state.offsets[topic][partition],
                               world->kafka.logs[topic][partition].end);
            world_fail(world, "the end is not reached though the faults are over");
        }
        step(world);
        for (int i = 0; i < world->actor_count; i++) {
            struct actor *actor = &world->actors[i];
            if (!actor->done)
                continue;
            if (actor->exit_code != 0)
                world_fail(world, "consumer %d ended with %d: %s", i, actor->exit_code, actor->action->error->text);
            actor_kill(world, actor);
            world_rebalance(world);
            actor_start(world, actor, false);
        }
    }
    for (int i = 0; i < world->actor_count; i++)
        world->actors[i].stop = true;
    for (int64_t steps = 0; !all_done(world); steps++) {
        if (steps > STOP_STEPS_MOST)
            world_fail(world, "a consumer does not stop");
        step(world);
    }
    for (int i = 0; i < world->actor_count; i++) {
        if (world->actors[i].exit_code != 0)
            world_fail(world, "consumer %d stopped with %d", i, world->actors[i].exit_code);
        actor_kill(world, &world->actors[i]);
    }
    world_rebalance(world);
    actor_start(world, &world->actors[0], true);
    for (int64_t steps = 0; !all_done(world); steps++) {
        if (steps > CALM_STEPS_MOST)
            world_fail(world, "the last run does not reach the end");
        step(world);
    }
    bool halted = oracle_any_halted(world);
    if (world->actors[0].exit_code != (halted ? -ERROR_HALTED : 0))
        world_fail(world, "the last run ended with %d (%s); a partition is %shalted", world->actors[0].exit_code,
                   world->actors[0].action->error->text, halted ? "" : "not ");
    actor_kill(world, &world->actors[0]);
}

static void begin(struct world *world, uint64_t seed, bool trace)
{
    struct random *random = &world->random;
    random->state = seed;
    world->seed = seed;
    world->trace = trace;
    world->now_ms = 1000;
    world->kafka_ms = INT64_C(1605877200000); /* 20:00 in the city: midnight comes while it runs */
    world->kafka.random = world->redis.random = random;
    world->kafka.partitions = (int)random_between(random, 1, MODEL_PARTITIONS);
    world->kafka.stale_permille = 30;
    world->redis.city = CITY;
    world->redis.without_fence = strcmp(break_what, "fence") == 0;
    world->redis.without_lane_length = strcmp(break_what, "lane-length") == 0;
    world->actor_count = (int)random_between(random, 1, MODEL_MEMBERS);
    world->batch_most = (size_t)random_between(random, 1, 24);
    world->seen_memory = random_between(random, 1, 24) * 4096;
    world->weak_bits = random_permille(random, 300) ? 4 : 64;
    world->to_produce = random_between(random, 20, 250);
    world->loses_tail = seed % 4 == 1;
    world->wipes = seed % 4 == 2;
    world->moves_logs = seed % 4 == 3;
    world->accept_log_start = world->moves_logs && random_permille(random, 500);
    world->faults = true;
    generator_begin(world);
    for (int i = 0; i < MODEL_MEMBERS; i++)
        world->actors[i].number = i;
    for (int i = 0; i < world->actor_count; i++)
        actor_start(world, &world->actors[i], false);
}

static void end(struct world *world)
{
    for (int i = 0; i < REQUESTS_MOST; i++)
        if (world->requests[i].used)
            request_drop(&world->requests[i]);
    redis_model_free(&world->redis);
    kafka_model_free(&world->kafka);
}

static int64_t number_of(const char *text)
{
    char *rest;
    int64_t number = text ? strtoll(text, &rest, 10) : -1;
    if (!text || !*text || *rest || number < 0) {
        fprintf(stderr, "simulate: \"%s\" is not a number\n", text ? text : "");
        exit(2);
    }
    return number;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 100;
    bool trace = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0)
            first = (uint64_t)number_of(argv[++i]), count = 1;
        else if (strcmp(argv[i], "--seeds") == 0)
            count = (uint64_t)number_of(argv[++i]);
        else if (strcmp(argv[i], "--first") == 0)
            first = (uint64_t)number_of(argv[++i]);
        else if (strcmp(argv[i], "--break") == 0 && i + 1 < argc)
            break_what = argv[++i];
        else if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else {
            fprintf(stderr, "Usage: simulate [--first N] [--seeds N] [--seed N] [--trace] [--break fence|lane-length]\n");
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct decoder *decoder = NULL;
    struct encoder *encoder = NULL;
    struct error error = {0};
    if (decoder_new(NULL, NULL, &decoder, &error) < 0 || encoder_new(&encoder, &error) < 0) {
        fprintf(stderr, "simulate: %s\n", error.text);
        return 1;
    }
    struct buffer value = BUFFER_BOUNDED(1 << 20);
    int64_t steps = 0, commits = 0, stale = 0, fenced = 0, reconnects = 0, letters = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct world *world = calloc(1, sizeof *world);
        assert(world);
        world->decoder = decoder;
        world->encoder = encoder;
        world->value = value;
        begin(world, seed, trace);
        int64_t most = random_between(&world->random, 500, 4000);
        while (world->steps < most || world->to_produce > 0)
            step(world);
        calm_down(world);
        oracle_check_end(world);
        steps += world->steps;
        commits += world->redis.commits;
        stale += world->counts_stale;
        fenced += world->counts_fenced;
        reconnects += world->counts_reconnects;
        letters += (int64_t)world->kafka.letter_count;
        value = world->value;
        end(world);
        free(world);
    }
    printf("%" PRIu64 " seeds from %" PRIu64 ": %" PRId64 " steps, %" PRId64 " commits, %" PRId64 " stale, %" PRId64
           " fenced, %" PRId64 " reconnects, %" PRId64 " letters; all exact\n",
           count, first, steps, commits, stale, fenced, reconnects, letters);
    buffer_free(&value);
    encoder_free(encoder);
    decoder_free(decoder);
    return 0;
}
