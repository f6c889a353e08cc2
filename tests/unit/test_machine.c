/* The machine's reactions, one story each: the test plays Kafka, Redis and the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "consumer/machine.h"

enum { MEGABYTE = 1 << 20, RETRY_MS = 1000 };

struct scene {
    struct machine *machine;
    struct decoder *decoder;
    struct encoder *encoder;
    const struct action *action;
    struct error error;
    struct input input; /* for the next step */
    struct buffer values[8];
    int64_t next_offset;
    char note[2048]; /* the latest */
    int notes;
    bool until_end;
};

/* --- the other side's verbs --- */

static void step(struct scene *scene)
{
    scene->input.error = &scene->error;
    scene->action = machine_step(scene->machine, &scene->input);
    while (scene->action->kind == ACTION_NOTE) {
        snprintf(scene->note, sizeof scene->note, "%s", scene->action->text);
        scene->notes++;
        scene->action = machine_step(scene->machine, &(struct input){.now_ms = scene->input.now_ms, .error = &scene->error});
    }
    scene->input = (struct input){.now_ms = scene->input.now_ms, .stop = scene->input.stop};
    if (scene->action->kind == ACTION_REPORT)
        step(scene);
}

static void expect_action(const struct scene *scene, enum action_kind kind)
{
    assert_int_equal(scene->action->kind, kind);
}

static void expect_note(const struct scene *scene, const char *part)
{
    if (!strstr(scene->note, part))
        fail_msg("the note is \"%s\", expected \"%s\" in it", scene->note, part);
}

static void time_passes(struct scene *scene, int64_t ms)
{
    scene->input.now_ms += ms;
}

static void succeeds(struct scene *scene, enum action_kind kind)
{
    expect_action(scene, kind);
    step(scene);
}

static void fails(struct scene *scene, enum action_kind kind, enum error_code code, const char *text)
{
    expect_action(scene, kind);
    scene->input.result = error_set(&scene->error, code, "%s", text);
    step(scene);
}

static void connects(struct scene *scene)
{
    while (scene->action->kind == ACTION_IDLE) {
        time_passes(scene, scene->action->wait_ms);
        step(scene);
    }
    expect_action(scene, ACTION_CONNECT);
    scene->input.epoch = "epoch";
    step(scene);
}

static void group_gives(struct scene *scene, int partitions)
{
    static const struct topic_partition parts[] = {{EVENT_HEADCOUNT_CHANGE, 0}, {EVENT_HEADCOUNT_CHANGE, 1}};
    expect_action(scene, ACTION_TAKE_ASSIGNMENT);
    scene->input.parts = parts;
    scene->input.count = (size_t)partitions;
    scene->input.visit_partitions = 1;
    step(scene);
}

static void rebalance_comes(struct scene *scene)
{
    expect_action(scene, ACTION_FETCH);
    scene->input.rebalanced = true;
    step(scene);
}

static void positions_are(struct scene *scene, int64_t position)
{
    expect_action(scene, ACTION_READ_POSITIONS);
    for (size_t i = 0; i < scene->action->partitions->count; i++) {
        struct partition *partition = &scene->action->partitions->items[i];
        partition->position = partition->read_position = position;
        partition->last = LAST_RECORD_NONE;
    }
    step(scene);
}

static void log_is(struct scene *scene, int64_t low, int64_t high)
{
    expect_action(scene, ACTION_ASK_BOUNDS);
    scene->input.low = low;
    scene->input.high = high;
    step(scene);
}

static const char *add_event(struct scene *scene, size_t number, size_t *ret_size)
{
    struct event event = {.type = EVENT_HEADCOUNT_CHANGE, .effective_date = 18000, .occurred_at_ms = 1600000000000};
    event.agency = event.source = slice_of("hong-bang");
    event.event_id.bytes[0] = 1;
    event.event_id.bytes[1] = (uint8_t)scene->next_offset;
    event.headcount.reason = REASON_CORRECTION;
    event.headcount.delta = 5;
    struct buffer *value = &scene->values[number];
    buffer_free(value);
    *value = BUFFER_BOUNDED(4096);
    assert_int_equal(encoder_event(scene->encoder, &event, -1, value, NULL), 0);
    *ret_size = value->size;
    return value->data;
}

/* The fetch gives so many events, then so much poison, of one partition. */
static void fetched_of(struct scene *scene, int32_t partition, size_t events, size_t poison)
{
    expect_action(scene, ACTION_FETCH);
    struct source_record *records = scene->action->batch->records;
    for (size_t i = 0; i < events + poison; i++) {
        records[i] = (struct source_record){.topic = EVENT_HEADCOUNT_CHANGE, .partition = partition, .kind = RECORD_MESSAGE,
                                            .offset = scene->next_offset, .timestamp_ms = 1600000000000};
        if (i < events)
            records[i].value.data = add_event(scene, i, &records[i].value.size);
        scene->next_offset++;
    }
    scene->input.count = events + poison;
    step(scene);
}

static void fetched(struct scene *scene, size_t events, size_t poison)
{
    fetched_of(scene, 0, events, poison);
}

static void nothing_fetched(struct scene *scene)
{
    expect_action(scene, ACTION_FETCH);
    step(scene);
}

static void lane_is_empty(struct scene *scene)
{
    succeeds(scene, ACTION_ASK_LANE_LENGTH);
    expect_action(scene, ACTION_LOAD_LANE);
    lane_begin(scene->action->lanes, scene->action->lane);
    lane_loaded(scene->action->lanes, scene->action->lane);
    step(scene);
}

static void reply_is(struct scene *scene, enum commit_outcome outcome)
{
    expect_action(scene, ACTION_RECEIVE_COMMIT);
    scene->input.commit.outcome = outcome;
    step(scene);
}

/* --- the beginning of every story --- */

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    assert_int_equal(decoder_new(NULL, NULL, &scene->decoder, NULL), 0);
    assert_int_equal(encoder_new(&scene->encoder, NULL), 0);
    *state = scene;
    return 0;
}

static int free_scene(void **state)
{
    struct scene *scene = *state;
    machine_free(scene->machine);
    decoder_free(scene->decoder);
    encoder_free(scene->encoder);
    for (size_t i = 0; i < sizeof scene->values / sizeof *scene->values; i++)
        buffer_free(&scene->values[i]);
    free(scene);
    return 0;
}

static void given_a_start(struct scene *scene)
{
    assert_int_equal(machine_new(&(struct machine_options){.city = "haiphong", .decoder = scene->decoder, .batch_most = 64,
                                                           .seen_memory = MEGABYTE, .retry_ms = RETRY_MS,
                                                           .start_deadline_ms = 10000, .until_end = scene->until_end},
                                 &scene->machine, NULL),
                     0);
    scene->input.now_ms = 1;
    step(scene);
}

static void given_folding(struct scene *scene, int partitions)
{
    given_a_start(scene);
    connects(scene);
    succeeds(scene, ACTION_SUBSCRIBE);
    rebalance_comes(scene);
    group_gives(scene, partitions);
    positions_are(scene, 0);
    for (int i = 0; i < partitions; i++)
        log_is(scene, 0, 0);
    assert_int_equal(scene->action->count, partitions);
    succeeds(scene, ACTION_ASSIGN);
    expect_action(scene, ACTION_FETCH);
}

static void given_commit_in_flight(struct scene *scene)
{
    given_folding(scene, 1);
    fetched(scene, 2, 0);
    lane_is_empty(scene);
    succeeds(scene, ACTION_SEND_COMMIT);
    nothing_fetched(scene); /* the next batch is looked for before the reply */
    expect_action(scene, ACTION_RECEIVE_COMMIT);
}

/* After any doubt: a pause, a connection, the stored positions, the log, the assignment, in this order. */
static void expect_start_over(struct scene *scene, int64_t position)
{
    expect_action(scene, ACTION_IDLE);
    assert_int_equal(lanes_memory(machine_lanes(scene->machine)), 0);
    connects(scene);
    positions_are(scene, position);
    log_is(scene, 0, scene->next_offset);
    expect_action(scene, ACTION_ASSIGN);
    assert_int_equal(scene->action->count, 1);
    assert_int_equal(scene->action->offsets[0], position);
    scene->next_offset = position;
    step(scene);
    expect_action(scene, ACTION_FETCH);
}

/* --- the stories --- */

static void test_reply_lost_after_commit_is_not_taken_as_not_done(void **state)
{
    struct scene *scene = *state;
    given_commit_in_flight(scene);
    fails(scene, ACTION_RECEIVE_COMMIT, ERROR_REDIS, "commit: connection reset");
    expect_note(scene, "reading the stored offsets again");
    expect_start_over(scene, 2); /* it was done */
    assert_int_equal(machine_counts(scene->machine)->folded, 0);
}

static void test_fenced_and_epoch_start_over(void **state)
{
    struct scene *scene = *state;
    given_commit_in_flight(scene);
    reply_is(scene, COMMIT_FENCED);
    expect_start_over(scene, 0);
    fetched(scene, 1, 0);
    lane_is_empty(scene);
    succeeds(scene, ACTION_SEND_COMMIT);
    nothing_fetched(scene);
    reply_is(scene, COMMIT_EPOCH);
    expect_start_over(scene, 0);
    assert_int_equal(machine_counts(scene->machine)->fenced, 2);
    assert_int_equal(machine_counts(scene->machine)->reconnects, 2);
}

static void test_silent_redis_is_given_up_after_its_time(void **state)
{
    struct scene *scene = *state;
    given_commit_in_flight(scene);
    for (int64_t waited = 0; waited + 1000 < COMMIT_TIMEOUT_MS; waited += 1000) {
        time_passes(scene, 1000);
        reply_is(scene, COMMIT_PENDING);
        expect_action(scene, ACTION_RECEIVE_COMMIT);
    }
    time_passes(scene, 1000);
    reply_is(scene, COMMIT_PENDING);
    expect_start_over(scene, 2);
}

static void test_two_stales_halve_the_window_and_a_commit_restores_it(void **state)
{
    struct scene *scene = *state;
    given_folding(scene, 1);
    fetched(scene, 8, 0);
    lane_is_empty(scene);
    static const size_t windows[] = {8, 8, 4, 2, 1, 1};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        struct batch *batches[2];
        expect_action(scene, ACTION_SEND_COMMIT);
        machine_batches(scene->machine, batches);
        assert_int_equal(batches[0]->high - batches[0]->low, windows[i]);
        step(scene);
        nothing_fetched(scene);
        reply_is(scene, COMMIT_STALE);
    }
    succeeds(scene, ACTION_SEND_COMMIT);
    nothing_fetched(scene);
    reply_is(scene, COMMIT_OK);
    struct batch *batches[2];
    machine_batches(scene->machine, batches);
    expect_action(scene, ACTION_SEND_COMMIT);
    assert_int_equal(batches[0]->low, 1);
    assert_int_equal(batches[0]->high, 8);
    assert_int_equal(machine_counts(scene->machine)->stale, 6);
}

static void test_letters_are_acknowledged_before_the_commit_is_sent(void **state)
{
    struct scene *scene = *state;
    given_folding(scene, 1);
    fetched(scene, 0, 3);
    expect_action(scene, ACTION_WRITE_LETTERS);
    assert_int_equal(scene->action->count, 3);
    step(scene);
    succeeds(scene, ACTION_SEND_COMMIT);
    nothing_fetched(scene);
    reply_is(scene, COMMIT_OK);
    assert_int_equal(machine_counts(scene->machine)->letters, 3);
}

static void test_unwritable_letter_makes_its_partition_wait_and_the_other_goes_on(void **state)
{
    struct scene *scene = *state;
    given_folding(scene, 2);
    fetched(scene, 0, 1);
    fails(scene, ACTION_WRITE_LETTERS, ERROR_KAFKA, "not acknowledged");
    expect_note(scene, "headcount-changes/0 waits: the dead letter of offset 0 can't be written: not acknowledged");
    positions_are(scene, 0);
    log_is(scene, 0, 1); /* of partition 1 alone */
    expect_action(scene, ACTION_ASSIGN);
    assert_int_equal(scene->action->count, 1);
    assert_int_equal(scene->action->parts[0].partition, 1);
    step(scene);
    time_passes(scene, RETRY_MS);
    scene->next_offset = 0;
    fetched_of(scene, 1, 0, 0);
    positions_are(scene, 0); /* its time has come: both are asked */
    log_is(scene, 0, 1);
    log_is(scene, 0, 1);
    assert_int_equal(scene->action->count, 2);
}

static void test_rebalance_while_a_commit_is_in_flight_waits_for_its_reply(void **state)
{
    struct scene *scene = *state;
    given_folding(scene, 1);
    fetched(scene, 2, 0);
    lane_is_empty(scene);
    succeeds(scene, ACTION_SEND_COMMIT);
    rebalance_comes(scene);
    reply_is(scene, COMMIT_OK);
    assert_int_equal(machine_counts(scene->machine)->folded, 2);
    group_gives(scene, 1);
    positions_are(scene, 2);
    log_is(scene, 0, 2);
    expect_action(scene, ACTION_ASSIGN);
    assert_int_equal(scene->action->offsets[0], 2);
}

static void test_stop_waits_for_the_commit_in_flight_then_exits_0(void **state)
{
    struct scene *scene = *state;
    given_commit_in_flight(scene);
    scene->input.stop = true;
    reply_is(scene, COMMIT_PENDING);
    reply_is(scene, COMMIT_OK);
    expect_action(scene, ACTION_EXIT);
    assert_int_equal(scene->action->result, 0);
    assert_int_equal(machine_counts(scene->machine)->folded, 2);
}

static void test_stop_is_bounded_when_redis_is_silent(void **state)
{
    struct scene *scene = *state;
    given_commit_in_flight(scene);
    scene->input.stop = true;
    reply_is(scene, COMMIT_PENDING);
    time_passes(scene, STOP_TIMEOUT_MS);
    reply_is(scene, COMMIT_PENDING);
    expect_action(scene, ACTION_EXIT);
    assert_int_equal(scene->action->result, 0);
}

static void test_stop_commits_a_window_whose_letters_are_written(void **state)
{
    struct scene *scene = *state;
    given_folding(scene, 1);
    fetched(scene, 0, 1);
    scene->input.stop = true;
    succeeds(scene, ACTION_WRITE_LETTERS);
    scene->input.stop = true;
    succeeds(scene, ACTION_SEND_COMMIT);
    reply_is(scene, COMMIT_OK); /* and nothing more is fetched */
    expect_action(scene, ACTION_EXIT);
}

static void test_stop_lets_go_of_what_is_only_decoded(void **state)
{
    struct scene *scene = *state;
    given_folding(scene, 1);
    scene->input.stop = true;
    fetched(scene, 2, 0);
    expect_action(scene, ACTION_EXIT);
    assert_int_equal(scene->action->result, 0);
    assert_int_equal(machine_counts(scene->machine)->folded, 0);
}

static void test_fenced_static_member_ends_the_run_with_its_error(void **state)
{
    struct scene *scene = *state;
    given_folding(scene, 1);
    expect_action(scene, ACTION_FETCH);
    scene->input.result = error_set_class(&scene->error, ERROR_KAFKA, ERROR_CLASS_FATAL, "fenced by another member");
    step(scene);
    expect_action(scene, ACTION_EXIT);
    assert_int_equal(scene->action->result, -ERROR_KAFKA);
    assert_string_equal(scene->action->error->text, "fenced by another member");
}

static void test_error_at_an_offset_halts_its_partition(void **state)
{
    struct scene *scene = *state;
    given_folding(scene, 1);
    scene->action->batch->records[0] = (struct source_record){
        .topic = EVENT_HEADCOUNT_CHANGE, .kind = RECORD_ERROR, .offset = 7, .error_text = "bad checksum"};
    scene->input.count = 1;
    step(scene);
    expect_note(scene, "headcount-changes/0 is halted: offset 7: bad checksum");
    positions_are(scene, 0);
    expect_action(scene, ACTION_ASSIGN);
    assert_int_equal(scene->action->count, 0);
}

static void test_error_without_an_offset_waits_and_does_not_spin(void **state)
{
    struct scene *scene = *state;
    given_folding(scene, 1);
    scene->action->batch->records[0] = (struct source_record){
        .topic = EVENT_HEADCOUNT_CHANGE, .kind = RECORD_ERROR, .offset = -1, .error_text = "topic is gone"};
    scene->input.count = 1;
    step(scene);
    expect_note(scene, "waits: kafka: topic is gone");
    positions_are(scene, 0);
    succeeds(scene, ACTION_ASSIGN);
    time_passes(scene, RETRY_MS - 1);
    nothing_fetched(scene);
    time_passes(scene, 1);
    nothing_fetched(scene);
    positions_are(scene, 0);
    expect_action(scene, ACTION_ASK_BOUNDS);
}

static void test_commit_that_never_succeeds_is_tried_more_and_more_slowly(void **state)
{
    struct scene *scene = *state;
    given_commit_in_flight(scene);
    int64_t before = 0, pause = 0;
    for (int i = 0; i < 9; i++) {
        fails(scene, ACTION_RECEIVE_COMMIT, ERROR_REDIS, "a counter is not a number");
        before = scene->input.now_ms;
        expect_start_over(scene, 0);
        assert_true(scene->input.now_ms - before >= pause);
        pause = scene->input.now_ms - before;
        fetched(scene, 1, 0);
        lane_is_empty(scene);
        succeeds(scene, ACTION_SEND_COMMIT);
        nothing_fetched(scene);
    }
    assert_int_equal(pause, CONNECT_PAUSE_MOST_MS);
}

static void test_wrong_redis_at_the_start_ends_the_run_but_later_is_tried_again(void **state)
{
    struct scene *scene = *state;
    given_folding(scene, 1);
    time_passes(scene, CHECK_EVERY_MS);
    nothing_fetched(scene);
    fails(scene, ACTION_READ_POSITIONS, ERROR_REDIS, "connection reset");
    while (scene->action->kind == ACTION_IDLE) {
        time_passes(scene, scene->action->wait_ms);
        step(scene);
    }
    fails(scene, ACTION_CONNECT, ERROR_REFUSED, "it is a replica");
    expect_note(scene, "it is a replica; trying again");
    expect_action(scene, ACTION_IDLE);

    struct machine *first = scene->machine;
    given_a_start(scene);
    fails(scene, ACTION_CONNECT, ERROR_REFUSED, "it is a replica");
    expect_action(scene, ACTION_EXIT);
    assert_int_equal(scene->action->result, -ERROR_REFUSED);
    machine_free(first);
}

static void test_idle_consumer_notices_that_redis_lost_its_tail(void **state)
{
    struct scene *scene = *state;
    given_commit_in_flight(scene);
    reply_is(scene, COMMIT_OK);
    time_passes(scene, CHECK_EVERY_MS);
    nothing_fetched(scene);
    positions_are(scene, 1);
    expect_note(scene, "redis has haiphong.headcount-changes/0 at offset 1, not at 2");
    expect_start_over(scene, 1);
}

static void test_slow_leader_gets_less_time_for_the_next_question(void **state)
{
    struct scene *scene = *state;
    given_a_start(scene);
    connects(scene);
    succeeds(scene, ACTION_SUBSCRIBE);
    rebalance_comes(scene);
    group_gives(scene, 2);
    positions_are(scene, 0);
    assert_int_equal(scene->action->wait_ms, BOUNDS_TIMEOUT_MS);
    fails(scene, ACTION_ASK_BOUNDS, ERROR_KAFKA, "timed out");
    expect_note(scene, "/0 waits: kafka does not tell where its log begins and ends: timed out");
    assert_int_equal(scene->action->wait_ms, BOUNDS_TIMEOUT_NEXT_MS);
    log_is(scene, 0, 0);
    expect_action(scene, ACTION_ASSIGN);
    assert_int_equal(scene->action->count, 1);
}

static void test_until_end_takes_the_end_as_it_was_and_passes_markers(void **state)
{
    struct scene *scene = *state;
    scene->until_end = true;
    given_a_start(scene);
    connects(scene);
    succeeds(scene, ACTION_SUBSCRIBE);
    rebalance_comes(scene);
    group_gives(scene, 1);
    positions_are(scene, 0);
    log_is(scene, 0, 2); /* one event and a marker */
    succeeds(scene, ACTION_ASSIGN);
    fetched(scene, 1, 0);
    lane_is_empty(scene);
    succeeds(scene, ACTION_SEND_COMMIT);
    rebalance_comes(scene);
    reply_is(scene, COMMIT_OK);
    group_gives(scene, 1);
    positions_are(scene, 1);
    log_is(scene, 0, 50); /* it has grown; the end stays 2 */
    succeeds(scene, ACTION_ASSIGN);
    expect_action(scene, ACTION_FETCH);
    scene->action->batch->records[0] =
        (struct source_record){.topic = EVENT_HEADCOUNT_CHANGE, .kind = RECORD_EOF, .offset = 2};
    scene->input.count = 1;
    step(scene);
    succeeds(scene, ACTION_SEND_COMMIT);
    nothing_fetched(scene);
    reply_is(scene, COMMIT_OK);
    expect_action(scene, ACTION_EXIT);
    assert_int_equal(scene->action->result, 0);
    assert_int_equal(machine_counts(scene->machine)->gaps, 1);
}

static void test_until_end_with_a_halted_partition_ends_with_its_error(void **state)
{
    struct scene *scene = *state;
    scene->until_end = true;
    given_a_start(scene);
    connects(scene);
    succeeds(scene, ACTION_SUBSCRIBE);
    rebalance_comes(scene);
    group_gives(scene, 1);
    positions_are(scene, 9);
    log_is(scene, 0, 2);
    expect_note(scene, "beyond the end of the log");
    succeeds(scene, ACTION_ASSIGN);
    expect_action(scene, ACTION_EXIT);
    assert_int_equal(scene->action->result, -ERROR_HALTED);
}

#define STORY(name) cmocka_unit_test_setup_teardown(test_##name, make_scene, free_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(reply_lost_after_commit_is_not_taken_as_not_done),
        STORY(fenced_and_epoch_start_over),
        STORY(silent_redis_is_given_up_after_its_time),
        STORY(two_stales_halve_the_window_and_a_commit_restores_it),
        STORY(letters_are_acknowledged_before_the_commit_is_sent),
        STORY(unwritable_letter_makes_its_partition_wait_and_the_other_goes_on),
        STORY(rebalance_while_a_commit_is_in_flight_waits_for_its_reply),
        STORY(stop_waits_for_the_commit_in_flight_then_exits_0),
        STORY(stop_is_bounded_when_redis_is_silent),
        STORY(stop_commits_a_window_whose_letters_are_written),
        STORY(stop_lets_go_of_what_is_only_decoded),
        STORY(fenced_static_member_ends_the_run_with_its_error),
        STORY(error_at_an_offset_halts_its_partition),
        STORY(error_without_an_offset_waits_and_does_not_spin),
        STORY(commit_that_never_succeeds_is_tried_more_and_more_slowly),
        STORY(wrong_redis_at_the_start_ends_the_run_but_later_is_tried_again),
        STORY(idle_consumer_notices_that_redis_lost_its_tail),
        STORY(slow_leader_gets_less_time_for_the_next_question),
        STORY(until_end_takes_the_end_as_it_was_and_passes_markers),
        STORY(until_end_with_a_halted_partition_ends_with_its_error),
    };
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
