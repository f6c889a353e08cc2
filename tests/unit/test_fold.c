/* The two passes over a batch: what becomes of each record, what a window adds, what is sent, what follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on
#include <endian.h>
#include <stdio.h>

#include "consumer/fold.h"

enum { BATCH_MOST = 32, NOW_MS = 1600000000, PARTITIONS = 2 };

struct scene {
    struct decoder *decoder;
    struct encoder *encoder;
    struct lanes *lanes;
    struct fold *fold;
    struct batch *batch;
    struct partitions partitions;
    struct partition items[PARTITIONS];
    struct buffer values[BATCH_MOST];
    int64_t offsets[PARTITIONS];
    struct fold_counts counts;
    uint8_t stored[64 * SEEN_RECORD_SIZE]; /* the lane as Redis has it */
    size_t stored_count;
};

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    assert_int_equal(decoder_new(NULL, NULL, &scene->decoder, NULL), 0);
    assert_int_equal(encoder_new(&scene->encoder, NULL), 0);
    scene->lanes = lanes_new(1 << 20);
    scene->batch = batch_new(BATCH_MOST);
    assert_int_equal(fold_new("haiphong", scene->decoder, scene->lanes, BATCH_MOST, &scene->fold, NULL), 0);
    scene->partitions = (struct partitions){.items = scene->items, .count = PARTITIONS};
    for (int i = 0; i < PARTITIONS; i++) {
        partition_init(&scene->items[i], "haiphong", EVENT_HEADCOUNT_CHANGE, i);
        scene->items[i].state = PARTITION_ACTIVE;
        scene->partitions.index[EVENT_HEADCOUNT_CHANGE][i] = (uint16_t)(i + 1);
    }
    *state = scene;
    return 0;
}

static int free_scene(void **state)
{
    struct scene *scene = *state;
    for (size_t i = 0; i < BATCH_MOST; i++)
        buffer_free(&scene->values[i]);
    batch_free(scene->batch);
    fold_free(scene->fold);
    lanes_free(scene->lanes);
    decoder_free(scene->decoder);
    encoder_free(scene->encoder);
    free(scene);
    return 0;
}

static struct source_record *add_record(struct scene *scene, int32_t partition, enum record_kind kind)
{
    struct source_record *record = &scene->batch->records[scene->batch->count++];
    *record = (struct source_record){.topic = EVENT_HEADCOUNT_CHANGE, .partition = partition, .kind = (uint8_t)kind,
                                     .timestamp_ms = NOW_MS};
    record->offset = partition < PARTITIONS ? scene->offsets[partition]++ : 0;
    return record;
}

static void given_event(struct scene *scene, int32_t partition, const char *agency, uint8_t id, int32_t delta)
{
    struct buffer *value = &scene->values[scene->batch->count];
    struct event event = {.type = EVENT_HEADCOUNT_CHANGE, .effective_date = 18000, .occurred_at_ms = INT64_C(1000000000000)};
    event.agency = event.source = slice_of(agency);
    event.event_id.bytes[3] = id;
    event.headcount.reason = REASON_CORRECTION;
    event.headcount.delta = delta;
    buffer_free(value);
    *value = BUFFER_BOUNDED(4096);
    assert_int_equal(encoder_event(scene->encoder, &event, -1, value, NULL), 0);
    struct source_record *record = add_record(scene, partition, RECORD_MESSAGE);
    record->timestamp_ms = INT64_C(1600000000000);
    record->value = (struct slice){value->data, value->size};
}

static void decoded(struct scene *scene)
{
    fold_decode(scene->fold, &scene->partitions, scene->batch);
    scene->batch->high = scene->batch->count;
}

static void lanes_loaded(struct scene *scene)
{
    bool needed[SEEN_LANES];
    fold_lanes(scene->fold, scene->batch, SEEN_LANES, needed);
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++) {
        if (!needed[lane] || lane_is_loaded(scene->lanes, lane))
            continue;
        lane_begin(scene->lanes, lane);
        lane_loaded(scene->lanes, lane);
    }
}

/* Look up, settle against what is stored, sum. */
static void summed(struct scene *scene)
{
    const struct suspect *suspects;
    lanes_loaded(scene);
    size_t count = fold_prepare(scene->fold, scene->batch, &suspects);
    for (size_t i = 0; i < count; i++) {
        struct suspect suspect = suspects[i];
        const uint8_t *record;
        do {
            assert_in_range(suspect.index, 0, scene->stored_count - 1);
            record = scene->stored + suspect.index * SEEN_RECORD_SIZE;
        } while (!fold_settle(scene->fold, scene->batch, &suspect, record));
    }
    assert_int_equal(fold_sum(scene->fold, scene->batch, &scene->counts, NULL), 0);
}

static struct arguments arguments_of(struct scene *scene)
{
    struct arguments arguments;
    assert_int_equal(fold_arguments(scene->fold, scene->batch, "commit", "epoch", 4, &arguments, NULL), 0);
    return arguments;
}

static void expect_argument(const struct arguments *arguments, int at, const char *text)
{
    assert_in_range(at, 0, arguments->count - 1);
    if (!slice_equal((struct slice){arguments->values[at], arguments->sizes[at]}, slice_of(text)))
        fail_msg("argument %d is \"%.*s\", expected \"%s\"", at, (int)arguments->sizes[at], arguments->values[at], text);
}

/* Where the amount of a field stands; 0 when it is not there. */
static int find_argument(const struct arguments *arguments, const char *text)
{
    for (int i = 0; i < arguments->count; i++)
        if (slice_equal((struct slice){arguments->values[i], arguments->sizes[i]}, slice_of(text)))
            return i;
    return 0;
}

/* What was sent for the only lane, by the only partition, joins the stored one. */
static void committed(struct scene *scene)
{
    enum { RECORDS_AT = 14 };
    struct arguments arguments = arguments_of(scene);
    assert_int_equal(arguments.sizes[RECORDS_AT], scene->counts.events * SEEN_RECORD_SIZE);
    memcpy(scene->stored + scene->stored_count * SEEN_RECORD_SIZE, arguments.values[RECORDS_AT], arguments.sizes[RECORDS_AT]);
    scene->stored_count += (size_t)scene->counts.events;
    fold_committed(scene->fold, scene->batch);
    scene->batch->count = 0;
}

static void expect_letter(struct scene *scene, size_t *cursor, enum dead_letter_reason reason, const char *detail)
{
    struct dead_letter letter;
    assert_int_equal(fold_letters(scene->fold, scene->batch, cursor, &letter, 1), 1);
    assert_int_equal(letter.reason, reason);
    assert_true(slice_equal(letter.topic, slice_of("haiphong.headcount-changes")));
    if (letter.detail.size < strlen(detail) || memcmp(letter.detail.data, detail, strlen(detail)) != 0)
        fail_msg("the detail is \"%.*s\", expected \"%s\"", SLICE_ARG(letter.detail), detail);
}

static void test_poison_becomes_letters_with_their_reason(void **state)
{
    struct scene *scene = *state;
    char *large = calloc(1, VALUE_SIZE_MOST + 1);
    add_record(scene, 0, RECORD_MESSAGE);
    add_record(scene, 0, RECORD_MESSAGE)->value = slice_of("hello");
    add_record(scene, 0, RECORD_MESSAGE)->value = (struct slice){large, VALUE_SIZE_MOST + 1};
    given_event(scene, 0, "hong-bang", 1, 0);
    decoded(scene);
    summed(scene);
    size_t cursor = 0;
    expect_letter(scene, &cursor, LETTER_BAD_FRAMING, "a null value");
    expect_letter(scene, &cursor, LETTER_BAD_FRAMING, "neither C3 01");
    expect_letter(scene, &cursor, LETTER_TOO_LARGE, "262145 bytes, SHA-256 ");
    expect_letter(scene, &cursor, LETTER_RULE_VIOLATION, "delta");
    struct dead_letter none;
    assert_int_equal(fold_letters(scene->fold, scene->batch, &cursor, &none, 1), 0);
    assert_int_equal(scene->counts.letters, 4);
    assert_int_equal(scene->counts.folded, 4);
    free(large);
}

static void test_records_of_others_and_from_before_are_nothing(void **state)
{
    struct scene *scene = *state;
    scene->items[0].read_position = 5;
    given_event(scene, 0, "hong-bang", 1, 5); /* offset 0 */
    add_record(scene, 7, RECORD_MESSAGE);
    add_record(scene, 0, RECORD_ERROR);
    decoded(scene);
    for (size_t i = 0; i < scene->batch->count; i++)
        assert_int_equal(scene->batch->items[i].kind, ITEM_NOTHING);
}

static void test_markers_are_passed_and_gaps_counted(void **state)
{
    struct scene *scene = *state;
    scene->offsets[0] = 3;
    given_event(scene, 0, "hong-bang", 1, 5);
    scene->offsets[0] = 6;
    add_record(scene, 0, RECORD_EOF);
    decoded(scene);
    assert_int_equal(scene->batch->items[1].kind, ITEM_END);
    assert_int_equal(item_position_after(scene->batch, 1), 6);
    assert_int_equal(scene->batch->gaps, 3 + 2);
    summed(scene);
    struct arguments arguments = arguments_of(scene);
    expect_argument(&arguments, 8, "0"); /* read from */
    expect_argument(&arguments, 9, "6"); /* the markers are passed with it */
    assert_memory_equal(arguments.values[10], "3 1600000000000 ", 16);
}

static void test_commit_names_every_partition_once_with_its_last_record(void **state)
{
    struct scene *scene = *state;
    given_event(scene, 0, "hong-bang", 1, 5);
    given_event(scene, 1, "hong-bang", 2, 6);
    given_event(scene, 0, "hong-bang", 3, 7);
    decoded(scene);
    summed(scene);
    struct arguments arguments = arguments_of(scene);
    static const char *const begin[] = {"FCALL", "commit", "1", "{haiphong}:totals", "epoch", "2020-09-13T12:26:40.000Z", "2",
                                        "haiphong.headcount-changes/0", "0", "2"};
    for (int i = 0; i < 10; i++)
        expect_argument(&arguments, i, begin[i]);
    char last[LAST_RECORD_TEXT_SIZE];
    last_record_format(&(struct last_record){1, INT64_C(1600000000000), record_crc(scene->batch->records[2].value),
                                             INT64_C(1600000000000)},
                       last);
    expect_argument(&arguments, 10, last);
    expect_argument(&arguments, 11, "haiphong.headcount-changes/1");
    expect_argument(&arguments, 13, "1");
    assert_int_equal(find_argument(&arguments, "haiphong.headcount-changes/0"), 7);
    expect_argument(&arguments, arguments.count - 2, "haiphong.page-visits");
    expect_argument(&arguments, arguments.count - 1, "4");
    fold_committed(scene->fold, scene->batch);
    assert_int_equal(scene->items[0].position, 2);
    assert_int_equal(scene->items[1].position, 1);
}

static void test_repeat_and_conflict_within_a_window(void **state)
{
    struct scene *scene = *state;
    given_event(scene, 0, "hong-bang", 1, 5);
    given_event(scene, 1, "hong-bang", 1, 5);
    given_event(scene, 0, "hong-bang", 1, 6);
    given_event(scene, 0, "kien-an", 1, 6); /* another's id */
    decoded(scene);
    for (int again = 0; again < 2; again++) { /* a window that was refused is folded again, to the same end */
        summed(scene);
        assert_int_equal(scene->counts.events, 2);
        assert_int_equal(scene->counts.duplicates, 1);
        assert_int_equal(scene->counts.conflicts, 1);
        assert_int_equal(scene->counts.letters, 1);
        size_t cursor = 0;
        expect_letter(scene, &cursor, LETTER_CONFLICT, "another event with this type, agency and event id");
    }
}

/* Field after field of the refused record that begins at `at` with its lane; returns where the next begins. */
static int expect_refused(const struct arguments *arguments, int at, const char *agency, const char *const *pairs, int count)
{
    char lane[16], size[16];
    snprintf(lane, sizeof lane, "%u", lane_of_agency(slice_of(agency)));
    snprintf(size, sizeof size, "%d", count);
    expect_argument(arguments, at, lane);
    expect_argument(arguments, at + 1, size);
    for (int i = 0; i < count; i++)
        expect_argument(arguments, at + 2 + i, pairs[i]);
    return at + 2 + count;
}

#define CONFLICT "another event with this type, agency and event id was counted before, with another meaning"

static void test_refused_records_and_repeats_are_told_to_their_senders(void **state)
{
    struct scene *scene = *state;
    given_event(scene, 0, "hong-bang", 1, 5);
    given_event(scene, 1, "hong-bang", 1, 5); /* repeat */
    given_event(scene, 0, "hong-bang", 1, 6); /* conflict */
    given_event(scene, 1, "kien-an", 2, 0);   /* breaks a rule */
    struct source_record *poison = add_record(scene, 0, RECORD_MESSAGE);
    poison->value = slice_of("hello"); /* only its key says whose it is */
    poison->key = slice_of("duong-kinh");
    add_record(scene, 0, RECORD_MESSAGE)->key = slice_of("Nobody's"); /* and here nothing does */
    given_event(scene, 1, "hong-bang", 1, 5); /* repeat */
    decoded(scene);
    summed(scene);
    struct arguments arguments = arguments_of(scene);
    /* At the end stand the refused, the repeats, page visits, their topic, its partitions. */
    int at = find_argument(&arguments, CONFLICT) - 14; /* the count before the first, whose sixth pair this is */
    expect_argument(&arguments, at++, "3");
    static const char *const conflict[] = {
        "type", "headcount-change", "agency", "hong-bang", "event_id", "00000001-0000-0000-0000-000000000000", "source", "hong-bang",
        "reason", "conflict", "detail", CONFLICT, "at", "haiphong.headcount-changes/0", "offset", "1", "acknowledged_at", "2020-09-13T12:26:40.000Z"};
    at = expect_refused(&arguments, at, "hong-bang", conflict, 18);
    static const char *const rule[] = {
        "type", "headcount-change", "agency", "kien-an", "event_id", "00000002-0000-0000-0000-000000000000", "source", "kien-an",
        "reason", "rule_violation", "detail", "delta is 0; allowed: 1 to 1,000,000 either way, not 0", "at",
        "haiphong.headcount-changes/1", "offset", "1", "acknowledged_at", "2020-09-13T12:26:40.000Z"};
    at = expect_refused(&arguments, at, "kien-an", rule, 18);
    static const char *const poisoned[] = {
        "type", "headcount-change", "agency", "duong-kinh", "reason", "bad_framing", "detail",
        "neither C3 01 and a fingerprint nor 00 and a schema id at byte 0", "at", "haiphong.headcount-changes/0", "offset", "2",
        "acknowledged_at", "1970-01-19T12:26:40.000Z"};
    at = expect_refused(&arguments, at, "duong-kinh", poisoned, 14);
    static const uint8_t places[2][16] = {{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2}};
    assert_int_equal(arguments.sizes[at], 2 * REPEAT_RECORD_SIZE);
    for (int i = 0; i < 2; i++) {
        const char *record = arguments.values[at] + i * REPEAT_RECORD_SIZE;
        assert_memory_equal(record, scene->batch->items[0].identity.bytes, 16);
        assert_memory_equal(record + 16, places[i], 16);
    }
    assert_int_equal(at + 4, arguments.count);
}

static void test_repeat_and_conflict_against_the_lanes(void **state)
{
    struct scene *scene = *state;
    given_event(scene, 0, "hong-bang", 1, 5);
    decoded(scene);
    summed(scene);
    committed(scene);
    given_event(scene, 0, "hong-bang", 1, 5);
    given_event(scene, 0, "hong-bang", 1, 6);
    given_event(scene, 0, "hong-bang", 2, 6);
    decoded(scene);
    summed(scene);
    assert_int_equal(scene->counts.events, 1);
    assert_int_equal(scene->counts.duplicates, 1);
    assert_int_equal(scene->counts.conflicts, 1);
}

static void test_lookalikes_are_told_apart_by_the_whole_record(void **state)
{
    struct scene *scene = *state;
    lanes_weaken(scene->lanes, 1); /* every second id looks the same */
    for (uint8_t id = 1; id <= 20; id++)
        given_event(scene, 0, "hong-bang", id, id);
    decoded(scene);
    summed(scene);
    assert_int_equal(scene->counts.events, 20);
    committed(scene);
    for (uint8_t id = 1; id <= 20; id++)
        given_event(scene, 0, "hong-bang", id, id % 2 ? id : id + 100);
    given_event(scene, 0, "hong-bang", 21, 21);
    decoded(scene);
    summed(scene);
    assert_int_equal(scene->counts.events, 1);
    assert_int_equal(scene->counts.duplicates, 10);
    assert_int_equal(scene->counts.conflicts, 10);
}

static void test_window_is_cut_where_its_lanes_are_too_many(void **state)
{
    struct scene *scene = *state;
    bool needed[SEEN_LANES];
    given_event(scene, 0, "hong-bang", 1, 5);
    given_event(scene, 0, "hong-bang", 2, 5);
    given_event(scene, 0, "kien-an", 1, 5);
    decoded(scene);
    assert_int_not_equal(scene->batch->items[0].lane, scene->batch->items[2].lane);
    fold_lanes(scene->fold, scene->batch, 1, needed);
    assert_int_equal(scene->batch->high, 2);
    summed(scene);
    assert_int_equal(scene->counts.events, 2);
}

static void test_amounts_of_a_window_are_summed_and_do_not_leak_into_the_next(void **state)
{
    struct scene *scene = *state;
    for (int window = 0; window < 2; window++) {
        given_event(scene, 0, "hong-bang", (uint8_t)(10 * window + 1), 5);
        given_event(scene, 0, "hong-bang", (uint8_t)(10 * window + 2), -2);
        decoded(scene);
        summed(scene);
        struct arguments arguments = arguments_of(scene);
        int at = find_argument(&arguments, "2019-04-14:current:administrative");
        assert_true(at > 0);
        expect_argument(&arguments, at + 1, "3");
        committed(scene);
    }
}

#define STORY(name) cmocka_unit_test_setup_teardown(test_##name, make_scene, free_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(poison_becomes_letters_with_their_reason),
        STORY(records_of_others_and_from_before_are_nothing),
        STORY(markers_are_passed_and_gaps_counted),
        STORY(commit_names_every_partition_once_with_its_last_record),
        STORY(repeat_and_conflict_within_a_window),
        STORY(refused_records_and_repeats_are_told_to_their_senders),
        STORY(repeat_and_conflict_against_the_lanes),
        STORY(lookalikes_are_told_apart_by_the_whole_record),
        STORY(window_is_cut_where_its_lanes_are_too_many),
        STORY(amounts_of_a_window_are_summed_and_do_not_leak_into_the_next),
    };
    return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
