/* A record whose schema id can't be decided, through the whole step machine: what was read before it is folded, its
 * partition waits, the others go on, and it is read again once the id is known. No Kafka, no Redis, no registry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include <stdio.h>

#include "consumer/machine.h"

#define KNOWN 7
#define ASKED 8
enum { PARTITIONS = 2, LOG_MOST = 64, VALUE_MOST = 256, STEPS_MOST = 2000 };

struct value {
    char bytes[VALUE_MOST];
    size_t size;
};

/* Everything that the machine is told: the logs, what the store has, what ids mean. */
struct world {
    struct machine *machine;
    struct decoder *decoder;
    struct encoder *encoder;
    struct value logs[PARTITIONS][LOG_MOST];
    int64_t ends[PARTITIONS], stored[PARTITIONS], reading[PARTITIONS]; /* reading: -1 = not assigned */
    enum schema_lookup asked;                                          /* what the lookup says of ASKED */
    int64_t now_ms;
    bool in_flight;
    size_t commits, letters, plans, note_count;
    char notes[16][1200];
};

static enum schema_lookup look_up(void *context, uint32_t id, const char **ret_json, size_t *ret_size)
{
    struct world *world = context;
    enum schema_lookup found = id == KNOWN ? SCHEMA_LOOKUP_FOUND : world->asked;
    *ret_json = found == SCHEMA_LOOKUP_FOUND ? schema_text(RECORD_HEADCOUNT_CHANGE) : "the registry sleeps";
    *ret_size = strlen(*ret_json);
    return found;
}

static void given(struct world *world, int partition, uint32_t schema_id)
{
    int64_t offset = world->ends[partition]++;
    struct event event = {.type = EVENT_HEADCOUNT_CHANGE,
                          .source = slice_of("hong-bang"),
                          .agency = slice_of("hong-bang"),
                          .occurred_at_ms = INT64_C(1600000000000),
                          .effective_date = 18000};
    event.event_id.bytes[0] = (uint8_t)(1 + partition);
    event.event_id.bytes[15] = (uint8_t)offset;
    event.headcount.reason = REASON_RECRUITED;
    event.headcount.delta = 1;
    struct buffer out = BUFFER_BOUNDED(VALUE_MOST);
    assert_int_equal(encoder_event(world->encoder, &event, schema_id, &out, NULL), 0);
    struct value *value = &world->logs[partition][offset];
    memcpy(value->bytes, out.data, out.size);
    value->size = out.size;
    buffer_free(&out);
}

static void fetch(struct world *world, const struct action *action, struct input *input)
{
    struct batch *batch = action->batch;
    for (int partition = 0; partition < PARTITIONS; partition++) {
        while (world->reading[partition] >= 0 && world->reading[partition] < world->ends[partition]) {
            int64_t offset = world->reading[partition]++;
            const struct value *value = &world->logs[partition][offset];
            batch->records[input->count++] = (struct source_record){.topic = EVENT_HEADCOUNT_CHANGE,
                                                                    .kind = RECORD_MESSAGE,
                                                                    .partition = partition,
                                                                    .offset = offset,
                                                                    .timestamp_ms = INT64_C(1600000000000),
                                                                    .value = {value->bytes, value->size}};
        }
    }
    if (input->count == 0)
        world->now_ms += action->wait_ms;
}

static const char *word(const struct arguments *arguments, int at, char text[64])
{
    snprintf(text, 64, "%.*s", (int)arguments->sizes[at], arguments->values[at]);
    return text;
}

/* The commit's partitions: field, position before, after, last record. */
static void commit(struct world *world, const struct arguments *arguments)
{
    char text[64];
    int count = atoi(word(arguments, 6, text));
    for (int i = 0; i < count; i++) {
        int at = 7 + 4 * i, partition = strstr(word(arguments, at, text), "/1") != NULL;
        assert_int_equal(atoll(word(arguments, at + 1, text)), world->stored[partition]); /* the fence */
        world->stored[partition] = atoll(word(arguments, at + 2, text));
    }
    world->commits++;
}

static void perform(struct world *world, const struct action *action, struct input *input)
{
    static const struct topic_partition parts[PARTITIONS] = {{.topic = EVENT_HEADCOUNT_CHANGE, .partition = 0},
                                                             {.topic = EVENT_HEADCOUNT_CHANGE, .partition = 1}};
    switch (action->kind) {
    case ACTION_CONNECT:
        input->epoch = "e";
        break;
    case ACTION_SUBSCRIBE:
        input->rebalanced = true;
        break;
    case ACTION_TAKE_ASSIGNMENT:
        input->parts = parts;
        input->count = PARTITIONS;
        break;
    case ACTION_READ_POSITIONS:
        for (size_t i = 0; i < action->partitions->count; i++) {
            struct partition *partition = &action->partitions->items[i];
            partition->position = partition->read_position = world->stored[partition->id];
            partition->last =
                LAST_RECORD_NONE; /* nothing to compare: that is tested elsewhere */
        }
        break;
    case ACTION_ASK_BOUNDS:
        input->high = world->ends[action->partition->id];
        break;
    case ACTION_ASSIGN:
        world->plans++;
        for (int i = 0; i < PARTITIONS; i++)
            world->reading[i] = -1;
        for (size_t i = 0; i < action->count; i++)
            world->reading[action->parts[i].partition] = action->offsets[i];
        break;
    case ACTION_FETCH:
        fetch(world, action, input);
        break;
    case ACTION_IDLE:
        world->now_ms += action->wait_ms;
        break;
    case ACTION_LOAD_LANE:
        lane_begin(action->lanes, action->lane);
        lane_loaded(action->lanes, action->lane);
        break;
    case ACTION_WRITE_LETTERS:
        world->letters += action->count;
        break;
    case ACTION_SEND_COMMIT:
        commit(world, action->arguments);
        world->in_flight = true;
        break;
    case ACTION_RECEIVE_COMMIT:
        input->commit.outcome = COMMIT_OK;
        world->in_flight = false;
        break;
    case ACTION_NOTE:
        assert_true(world->note_count < 16);
        snprintf(world->notes[world->note_count++], sizeof world->notes[0], "%s", action->text);
        break;
    default:
        break;
    }
}

static void begin(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->reading[0] = world->reading[1] = -1;
    assert_int_equal(encoder_new(&world->encoder, NULL), 0);
    assert_int_equal(decoder_new(look_up, world, &world->decoder, NULL), 0);
    const struct machine_options options = {.city = "haiphong",
                                            .decoder = world->decoder,
                                            .batch_most = 64,
                                            .seen_memory = 1 << 20,
                                            .retry_ms = 5000,
                                            .start_deadline_ms = 1000};
    assert_int_equal(machine_new(&options, &world->machine, NULL), 0);
}

/* Steps until both partitions stand there; -1 = wherever. */
static void run_until(struct world *world, struct input *input, int64_t first, int64_t second)
{
    for (int i = 0; i < STEPS_MOST; i++) {
        input->now_ms = world->now_ms;
        const struct action *action = machine_step(world->machine, input);
        assert_int_not_equal(action->kind, ACTION_EXIT);
        *input = (struct input){0};
        perform(world, action, input);
        if (world->stored[0] == first && world->stored[1] == second && action->kind == ACTION_FETCH &&
            input->count == 0 && !world->in_flight)
            return;
    }
    fail_msg("the partitions stand at %d and %d", (int)world->stored[0], (int)world->stored[1]);
}

static void end(struct world *world)
{
    machine_free(world->machine);
    decoder_free(world->decoder);
    encoder_free(world->encoder);
}

static struct world world;

static void expect_note(const char *text)
{
    for (size_t i = 0; i < world.note_count; i++)
        if (strstr(world.notes[i], text))
            return;
    fail_msg("nothing was told like \"%s\"", text);
}

static void what_is_known_is_folded_and_the_others_go_on(void **state)
{
    (void)state;
    struct input input = {0};
    begin(&world);
    world.asked = SCHEMA_LOOKUP_AWAY;
    for (int i = 0; i < 3; i++)
        given(&world, 0, KNOWN);
    given(&world, 0, ASKED);
    given(&world, 0, KNOWN);
    for (int i = 0; i < 4; i++)
        given(&world, 1, KNOWN);
    run_until(&world, &input, 3, 4);
    expect_note("haiphong.headcount-changes/0 waits: the schema id 8 of offset 3 is not known: the registry sleeps");
    assert_int_equal(world.reading[0], -1); /* left out */
    size_t plans = world.plans, notes = world.note_count;
    given(&world, 1, KNOWN);
    run_until(&world, &input, 3, 5);
    world.now_ms += 60000; /* a long outage: nothing is planned or told again */
    given(&world, 1, KNOWN);
    run_until(&world, &input, 3, 6);
    assert_int_equal(world.plans, plans);
    assert_int_equal(world.note_count, notes);
    world.asked = SCHEMA_LOOKUP_FOUND;
    run_until(&world, &input, 5, 6);
    assert_int_equal(world.plans, plans + 1);
    assert_int_equal(world.letters, 0);
    assert_int_equal(machine_counts(world.machine)->events, 5 + 6);
    end(&world);
}

static void an_unknown_id_becomes_a_letter_and_a_changed_one_halts(void **state)
{
    (void)state;
    struct input input = {0};
    begin(&world);
    world.asked = SCHEMA_LOOKUP_UNKNOWN;
    given(&world, 0, KNOWN);
    given(&world, 0, ASKED);
    run_until(&world, &input, 2, 0);
    assert_int_equal(world.letters, 1);
    world.asked = SCHEMA_LOOKUP_CHANGED;
    given(&world, 0, ASKED);
    given(&world, 1, KNOWN);
    run_until(&world, &input, 2, 1);
    expect_note("haiphong.headcount-changes/0 is halted: offset 2: the registry sleeps");
    assert_int_equal(world.letters, 1);
    end(&world);
}

static void an_id_that_is_known_at_the_next_look_costs_a_moment(void **state)
{
    (void)state;
    struct input input = {0};
    begin(&world);
    world.asked = SCHEMA_LOOKUP_AWAY;
    given(&world, 0, ASKED);
    run_until(&world, &input, 0, 0);
    int64_t begun = world.now_ms;
    world.asked = SCHEMA_LOOKUP_FOUND;
    run_until(&world, &input, 1, 0);
    assert_true(world.now_ms - begun <= 2 * SCHEMA_LOOK_EVERY_MS + IDLE_WAIT_MS);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_is_folded_and_the_others_go_on),
        cmocka_unit_test(an_unknown_id_becomes_a_letter_and_a_changed_one_halts),
        cmocka_unit_test(an_id_that_is_known_at_the_next_look_costs_a_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
