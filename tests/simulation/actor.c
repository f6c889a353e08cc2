/* Performs a machine's actions on the models of Kafka and Redis, as run.c does on the real ones. */
#include "tests/simulation/actor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct arguments arguments_copy(const struct arguments *arguments)
{
    struct arguments copy = {.count = arguments->count};
    copy.values = calloc((size_t)arguments->count, sizeof *copy.values);
    copy.sizes = calloc((size_t)arguments->count, sizeof *copy.sizes);
    assert(copy.values && copy.sizes);
    for (int i = 0; i < arguments->count; i++) {
        char *value = malloc(arguments->sizes[i] + 1);
        assert(value);
        memcpy(value, arguments->values[i], arguments->sizes[i]);
        copy.values[i] = value;
        copy.sizes[i] = arguments->sizes[i];
    }
    return copy;
}

void request_drop(struct request *request)
{
    for (int i = 0; i < request->arguments.count; i++)
        free((char *)(uintptr_t)request->arguments.values[i]);
    free(request->arguments.values);
    free(request->arguments.sizes);
    reply_free(&request->reply);
    *request = (struct request){0};
}

void request_execute(struct world *world, struct request *request)
{
    int64_t before[EVENT_TYPES][MODEL_PARTITIONS];
    memcpy(before, world->redis.state.offsets, sizeof before);
    redis_model_commit(&world->redis, &request->arguments, &request->reply);
    if (world->trace)
        printf("%8" PRId64 "  redis: commit of %d → %d %s\n", world->now_ms, request->actor, request->reply.commit.outcome,
               request->reply.commit.detail);
    if (request->reply.commit.outcome == COMMIT_OK)
        oracle_check_commit(world, before);
    request->executed = true;
    if (request->actor < 0) {
        request_drop(request);
        return;
    }
    struct actor *actor = &world->actors[request->actor];
    if (!actor->asleep && !actor->frozen && actor->action && actor->action->kind == ACTION_RECEIVE_COMMIT)
        actor->ready_at_ms = world->now_ms;
}

void actor_cut(struct world *world, struct actor *actor)
{
    struct request *request = actor->request;
    actor->cut = true;
    actor->request = NULL;
    if (!request)
        return;
    request->actor = -1;
    switch (random_below(&world->random, 3)) {
    case 0:
        if (!request->executed)
            request_execute(world, request);
        else
            request_drop(request);
        break;
    case 1: /* stays under way */
        if (request->executed)
            request_drop(request);
        break;
    case 2:
        request_drop(request);
        break;
    }
}

void actor_start(struct world *world, struct actor *actor, bool until_end)
{
    int number = actor->number;
    *actor = (struct actor){.number = number, .until_end = until_end, .ready_at_ms = world->now_ms};
    struct error error = {0};
    int result = machine_new(&(struct machine_options){.city = CITY,
                                                       .decoder = world->decoder,
                                                       .batch_most = world->batch_most,
                                                       .seen_memory = world->seen_memory,
                                                       .retry_ms = 1000,
                                                       .start_deadline_ms = INT64_MAX,
                                                       .until_end = until_end,
                                                       .accept_log_start = world->accept_log_start},
                             &actor->machine, &error);
    if (result < 0)
        world_fail(world, "a machine can't be made: %s", error.text);
    lanes_weaken(machine_lanes(actor->machine), world->weak_bits);
    lanes_set_seed(machine_lanes(actor->machine), world->seed);
    actor->action = machine_step(actor->machine, &(struct input){.now_ms = world->now_ms});
}

void actor_kill(struct world *world, struct actor *actor)
{
    actor_cut(world, actor);
    const struct machine_counts *counts = machine_counts(actor->machine);
    world->counts_stale += counts->stale;
    world->counts_fenced += counts->fenced;
    world->counts_reconnects += counts->reconnects;
    actor->machine = machine_free(actor->machine);
    actor->action = NULL;
    world->kafka.members[actor->number] = (struct member){0};
}

static int lost(struct error *error)
{
    return error_set(error, ERROR_REDIS, "the connection is gone");
}

static int connect_again(struct world *world, struct actor *actor, struct input *input, struct error *error)
{
    actor_cut(world, actor);
    actor->open = actor->frozen = false;
    if (world->now_ms < world->redis_down_until_ms)
        return error_set(error, ERROR_REDIS, "redis is away");
    actor->open = true;
    actor->cut = false;
    redis_model_open(&world->redis, actor->epoch);
    input->epoch = actor->epoch;
    return 0;
}

static int read_positions(struct world *world, struct actor *actor, struct partitions *partitions, struct error *error)
{
    const struct redis_state *state = &world->redis.state;
    if (strcmp(state->epoch, actor->epoch) != 0)
        return error_set(error, ERROR_REDIS, "the state was begun anew");
    for (size_t i = 0; i < partitions->count; i++) {
        struct partition *partition = &partitions->items[i];
        struct last_record last = LAST_RECORD_NONE;
        last_record_parse(slice_of(state->last[partition->type][partition->id]), &last);
        partition->position = partition->read_position = state->offsets[partition->type][partition->id];
        partition->last = last;
    }
    return 0;
}

static int load_lane(struct world *world, const struct action *action, struct error *error)
{
    const struct bytes *stored = &world->redis.state.lanes[action->lane];
    if (!lane_is_loaded(action->lanes, action->lane) && lane_length(action->lanes, action->lane) == 0)
        lane_begin(action->lanes, action->lane);
    size_t from = (size_t)lane_length(action->lanes, action->lane) * SEEN_RECORD_SIZE;
    if (from < stored->size) {
        int result = lane_append(action->lanes, action->lane, stored->data + from, (stored->size - from) / SEEN_RECORD_SIZE, error);
        if (result < 0)
            return result;
    }
    lane_loaded(action->lanes, action->lane);
    return 0;
}

static int write_letters(struct world *world, const struct action *action, struct error *error)
{
    bool down = world->now_ms < world->kafka.letters_down_until_ms;
    bool unheard = world->faults && random_permille(&world->random, 30);
    size_t written = down || unheard ? random_below(&world->random, (uint32_t)action->count + 1) : action->count;
    for (size_t i = 0; i < written; i++) {
        const struct dead_letter *letter = &action->letters[i];
        struct letter kept = {.partition = letter->partition, .offset = letter->offset, .reason = letter->reason};
        for (uint8_t topic = 0; topic < EVENT_TYPES; topic++) {
            char name[64];
            snprintf(name, sizeof name, CITY ".%s", event_topic_suffix((enum event_type)topic));
            if (slice_equal(letter->topic, slice_of(name)))
                kept.topic = topic;
        }
        kafka_model_add_letter(&world->kafka, kept);
    }
    return down || unheard ? error_set(error, ERROR_KAFKA, "not acknowledged in time") : 0;
}

static void send_commit(struct world *world, struct actor *actor, const struct action *action)
{
    assert(!actor->request);
    for (int i = 0; i < REQUESTS_MOST; i++) {
        struct request *request = &world->requests[i];
        if (request->used)
            continue;
        *request = (struct request){.used = true, .actor = actor->number, .arguments = arguments_copy(action->arguments)};
        actor->request = request;
        return;
    }
    world_fail(world, "too many commits are under way");
}

static int receive_commit(struct actor *actor, const struct action *action, struct input *input, struct error *error)
{
    struct request *request = actor->request;
    if (actor->frozen || !request || !request->executed)
        return 0; /* pending */
    int result = 0;
    input->commit = request->reply.commit;
    for (size_t i = 0; result >= 0 && i < request->reply.tail_count; i++) {
        const struct tail *tail = &request->reply.tails[i];
        result = lanes_take_tail(action->lanes, tail->lane, tail->stored, tail->records.data,
                                 tail->records.size / SEEN_RECORD_SIZE, error);
    }
    request_drop(request);
    actor->request = NULL;
    return result;
}

static int on_store(struct world *world, struct actor *actor, const struct action *action, struct input *input,
                    struct error *error)
{
    const struct bytes *lane = &world->redis.state.lanes[action->lane];
    if (!actor->open || actor->cut)
        return lost(error);
    switch (action->kind) {
    case ACTION_READ_POSITIONS:
        return read_positions(world, actor, action->partitions, error);
    case ACTION_RECORD_GAP:
        return redis_model_skip(&world->redis, actor->epoch, (uint8_t)action->partition->type, action->partition->id,
                                action->partition->position, action->to)
                   ? 0
                   : error_set(error, ERROR_REDIS, "the position was moved by somebody else");
    case ACTION_ASK_LANE_LENGTH:
        input->length = (int64_t)(lane->size / SEEN_RECORD_SIZE);
        return 0;
    case ACTION_LOAD_LANE:
        return load_lane(world, action, error);
    case ACTION_READ_RECORD:
        if ((size_t)(action->index + 1) * SEEN_RECORD_SIZE > lane->size)
            return error_set(error, ERROR_REDIS, "the lane became shorter");
        memcpy(action->record, lane->data + (size_t)action->index * SEEN_RECORD_SIZE, SEEN_RECORD_SIZE);
        return 0;
    case ACTION_SEND_COMMIT:
        send_commit(world, actor, action);
        return 0;
    default: /* ACTION_RECEIVE_COMMIT */
        return receive_commit(actor, action, input, error);
    }
}

static int perform(struct world *world, struct actor *actor, const struct action *action, struct input *input,
                   struct error *error)
{
    struct member *member = &world->kafka.members[actor->number];
    switch (action->kind) {
    case ACTION_CONNECT:
        return connect_again(world, actor, input, error);
    case ACTION_SUBSCRIBE:
        member->subscribed = true;
        world_rebalance(world);
        return 0;
    case ACTION_TAKE_ASSIGNMENT:
        input->parts = member->given;
        input->count = member->given_count;
        input->visit_partitions = world->kafka.partitions;
        return 0;
    case ACTION_ASK_BOUNDS: {
        const struct log *log = &world->kafka.logs[action->partition->type][action->partition->id];
        if (world->now_ms < world->kafka.bounds_down_until_ms && random_permille(&world->random, 500))
            return error_set(error, ERROR_KAFKA, "timed out");
        input->low = log->start;
        input->high = log->end;
        return 0;
    }
    case ACTION_ASSIGN:
        input->rebalanced = kafka_model_serve(&world->kafka, actor->number);
        if (!input->rebalanced)
            kafka_model_assign(&world->kafka, actor->number, action->parts, action->offsets, action->count);
        return 0;
    case ACTION_IDLE:
        input->rebalanced = kafka_model_serve(&world->kafka, actor->number);
        return 0;
    case ACTION_FETCH:
        input->rebalanced = kafka_model_serve(&world->kafka, actor->number);
        if (!input->rebalanced)
            input->count = kafka_model_fetch(&world->kafka, actor->number, action->batch->records, action->batch->capacity);
        return 0;
    case ACTION_WRITE_LETTERS:
        return write_letters(world, action, error);
    case ACTION_NOTE:
        if (world->trace)
            printf("%8" PRId64 "  consumer %d: %s\n", world->now_ms, actor->number, action->text);
        return 0;
    case ACTION_REPORT:
    case ACTION_EXIT:
        return 0;
    default:
        return on_store(world, actor, action, input, error);
    }
}

void actor_turn(struct world *world, struct actor *actor)
{
    const struct action *action = actor->action;
    if (actor->asleep) { /* the group has given it up meanwhile; it will hear of that, and join again */
        actor->asleep = false;
        world_rebalance(world);
    }
    if (!actor->waited && action->wait_ms > 0 &&
        (action->kind == ACTION_IDLE || action->kind == ACTION_FETCH ||
         (action->kind == ACTION_RECEIVE_COMMIT && actor->open && !actor->cut &&
          (actor->frozen || !actor->request || !actor->request->executed)))) {
        actor->waited = true;
        actor->ready_at_ms = world->now_ms + action->wait_ms;
        return;
    }
    struct error error = {0};
    struct input input = {.error = &error, .stop = actor->stop};
    input.result = perform(world, actor, action, &input, &error);
    input.now_ms = world->now_ms;
    actor->waited = false;
    actor->action = machine_step(actor->machine, &input);
    if (actor->action->kind != ACTION_EXIT)
        return;
    actor->done = true;
    actor->exit_code = actor->action->result;
    if (world->trace)
        printf("%8" PRId64 "  consumer %d ends: %d %s\n", world->now_ms, actor->number, actor->exit_code,
               actor->exit_code ? actor->action->error->text : "");
}
