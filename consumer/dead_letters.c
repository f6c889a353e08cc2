/* Reads the dead-letter topic once and does with each letter that passes the filter what was asked for. */
#include "consumer/dead_letters.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/program.h"
#include "consumer/fold.h"
#include "consumer/letter_print.h"
#include "consumer/letters_log.h"
#include "consumer/letters_replay.h"
#include "consumer/places.h"
#include "consumer/settings.h"
#include "consumer/store_replayed.h"

enum { REPLAY_TIMEOUT_MS = 60000, OUTPUT_MOST = 64 * 1024 * 1024, PATH_SIZE = 4096, EXIT_SOME_REFUSED = 3 };
enum action { LIST, SHOW, EXPORT, REPLAY };
static const char *const action_names[] = {"list", "show", "export", "replay"};

struct work {
    const struct dead_letters_options *options;
    enum action action;
    char **places; /* "<topic>/<partition>/<offset>", when some were named */
    int place_count;
    uint8_t reasons; /* a bit for each that passes */
    int64_t since_ms, until_ms;
    struct places *seen; /* the topic may repeat a letter */
    struct buffer out;
    struct replayer *replayer;
    struct replayed_store *store;
    struct dead_letter held[REPLAY_AT_ONCE]; /* with copies of topic, key and value */
    size_t held_count;
    int64_t done, refused, again; /* letters */
};

static int event_type_of(const struct work *work, struct slice topic)
{
    char name[128];
    for (int type = 0; type < EVENT_TYPES; type++) {
        snprintf(name, sizeof name, "%s.%s", work->options->common.city, event_topic_suffix((enum event_type)type));
        if (slice_equal(topic, slice_of(name)))
            return type;
    }
    return -1;
}

static void place_text(const struct dead_letter *letter, char *text, size_t size)
{
    snprintf(text, size, "%.*s/%" PRId32 "/%" PRId64, SLICE_ARG(letter->topic), letter->partition, letter->offset);
}

static bool is_wanted(const struct work *work, const struct dead_letter *letter, int type)
{
    const struct dead_letters_options *options = work->options;
    if (!(work->reasons & 1u << letter->reason) || letter->timestamp_ms < work->since_ms || letter->timestamp_ms > work->until_ms)
        return false;
    if (options->topic && !slice_equal(letter->topic, slice_of(options->topic)) &&
        strcmp(options->topic, event_topic_suffix((enum event_type)type)) != 0)
        return false;
    char place[256];
    place_text(letter, place, sizeof place);
    for (int i = 0; i < work->place_count; i++)
        if (strcmp(work->places[i], place) == 0)
            return true;
    return work->place_count == 0;
}

static int flush_output(struct work *work, struct error *error)
{
    int result = 0;
    if (buffer_failed(&work->out))
        result = error_set(error, ERROR_MEMORY, "out of memory for the output");
    else if (work->out.size && fwrite(work->out.data, 1, work->out.size, stdout) != work->out.size)
        result = error_set(error, ERROR_IO, "write to standard output: %s", strerror(errno));
    buffer_reset(&work->out);
    return result;
}

static int write_file(const char *path, const void *data, size_t size, struct error *error)
{
    FILE *file = fopen(path, "wb");
    bool ok = file && (size == 0 || fwrite(data, 1, size, file) == size);
    ok = file && fclose(file) == 0 && ok;
    return ok ? 0 : error_set(error, ERROR_IO, "write %s: %s", path, strerror(errno));
}

/* <topic>-<partition>-<offset>.json, .key and .value; a null one has no file. The topic is one of the city's. */
static int export_letter(struct work *work, const struct dead_letter *letter, struct error *error)
{
    static const char *const endings[] = {"json", "key", "value"};
    char path[PATH_SIZE];
    int result = 0;
    letter_json(letter, false, &work->out);
    buffer_text_append(&work->out, "\n");
    if (buffer_failed(&work->out))
        return error_set(error, ERROR_MEMORY, "out of memory for the output");
    const struct slice parts[] = {{work->out.data, work->out.size}, letter->key, letter->value};
    for (int i = 0; i < 3 && result >= 0; i++) {
        if (!parts[i].data)
            continue;
        int size = snprintf(path, sizeof path, "%s/%.*s-%" PRId32 "-%" PRId64 ".%s", work->options->output,
                            SLICE_ARG(letter->topic), letter->partition, letter->offset, endings[i]);
        if (size < 0 || size >= (int)sizeof path)
            return error_set(error, ERROR_USAGE, "--output %s: the name is too long", work->options->output);
        result = write_file(path, parts[i].data, parts[i].size, error);
    }
    buffer_reset(&work->out);
    return result;
}

static void let_held_go(struct work *work)
{
    for (size_t i = 0; i < work->held_count; i++)
        free((char *)(uintptr_t)work->held[i].topic.data);
    work->held_count = 0;
}

static int replay_held(struct work *work, struct error *error)
{
    struct replayed replayed[REPLAY_AT_ONCE];
    size_t count = work->held_count;
    int result = count ? replayer_send(work->replayer, work->held, count, REPLAY_TIMEOUT_MS, &program_stop, replayed, error) : 0;
    for (size_t i = 0; i < count && result >= 0; i++) {
        result = replayed_store_add(work->store, &work->held[i], replayed[i].partition, replayed[i].offset, error);
        char place[256];
        place_text(&work->held[i], place, sizeof place);
        buffer_printf(&work->out, "%s -> %" PRId32 "/%" PRId64 "\n", place, replayed[i].partition, replayed[i].offset);
        work->done++;
    }
    if (result >= 0)
        result = flush_output(work, error);
    let_held_go(work);
    return result;
}

static int hold(struct work *work, const struct dead_letter *letter, struct error *error)
{
    char *copy = malloc(letter->topic.size + letter->key.size + letter->value.size + 1);
    if (!copy)
        return error_set(error, ERROR_MEMORY, "out of memory for a record of %zu bytes", letter->value.size);
    struct dead_letter *held = &work->held[work->held_count++];
    *held = *letter;
    memcpy(copy, letter->topic.data, letter->topic.size);
    held->topic.data = copy;
    copy += letter->topic.size;
    if (letter->key.data) {
        memcpy(copy, letter->key.data, letter->key.size);
        held->key.data = copy;
    }
    copy += letter->key.size;
    memcpy(copy, letter->value.data, letter->value.size);
    held->value.data = copy;
    return work->held_count == REPLAY_AT_ONCE ? replay_held(work, error) : 0;
}

static int replay_letter(struct work *work, const struct dead_letter *letter, struct error *error)
{
    char place[256];
    place_text(letter, place, sizeof place);
    if (!letter->value.data) {
        log_warning("%s can't be replayed: its letter holds no value", place);
        work->refused++;
        return 0;
    }
    bool has = false;
    int result = work->options->again ? 0 : replayed_store_has(work->store, letter, &has, error);
    if (result < 0)
        return result;
    if (has) {
        work->again++;
        return 0;
    }
    if (work->options->dry_run) {
        buffer_printf(&work->out, "%s\n", place);
        work->done++;
        return flush_output(work, error);
    }
    return hold(work, letter, error);
}

static int take(void *context, const struct dead_letter *letter, const struct letter_place *at, struct error *error)
{
    struct work *work = context;
    (void)at;
    int type = letter ? event_type_of(work, letter->topic) : -1;
    if (type < 0 || letter->partition >= PARTITIONS_MOST || letter->offset < 0 || letter->offset >= INT64_C(1) << 48)
        return 0;
    if (!is_wanted(work, letter, type))
        return 0;
    uint8_t *seen = places_get(work->seen, (uint8_t)type, letter->partition, letter->offset);
    if (!seen)
        return error_set(error, ERROR_MEMORY, "out of memory for the dead letters");
    /* A record is sent once, though it may have letters of two reasons. */
    bool repeated = work->action == REPLAY || work->action == EXPORT ? *seen : *seen & 1u << letter->reason;
    *seen |= (uint8_t)(1u << letter->reason);
    if (repeated)
        return 0;
    if (work->action == REPLAY)
        return replay_letter(work, letter, error);
    work->done++;
    if (work->action == EXPORT)
        return export_letter(work, letter, error);
    if (work->options->format == LETTERS_JSON) {
        letter_json(letter, work->action == SHOW, &work->out);
        buffer_text_append(&work->out, "\n");
    } else if (work->action == SHOW) {
        letter_text(letter, &work->out);
    } else {
        if (work->done == 1)
            letter_table_head(&work->out);
        letter_table_row(letter, &work->out);
    }
    return flush_output(work, error);
}

static int take_time(const char *name, const char *text, int64_t *ret_ms, struct error *error)
{
    int32_t day;
    if (!text || timestamp_parse(slice_of(text), ret_ms))
        return 0;
    if (!date_parse(slice_of(text), &day))
        return error_set(error, ERROR_USAGE, "--%s: \"%s\"; allowed: YYYY-MM-DD, or RFC 3339 with an offset", name, text);
    *ret_ms = day * MILLISECONDS_PER_DAY - CITY_UTC_OFFSET_MS;
    return 0;
}

/* By default a replay leaves out what would be refused for the same reason at once. */
static int take_reasons(struct work *work, struct error *error)
{
    const struct setting_list *list = &work->options->reasons;
    work->reasons = 0xFF;
    if (list->count == 0) {
        if (work->action == REPLAY && work->place_count == 0)
            work->reasons = (uint8_t)~(1u << LETTER_CONFLICT | 1u << LETTER_TOO_LARGE);
        return 0;
    }
    work->reasons = 0;
    for (size_t i = 0; i < list->count; i++) {
        int reason = 0;
        while (reason < LETTER_REASONS && strcmp(dead_letter_reason_name((enum dead_letter_reason)reason), list->items[i]) != 0)
            reason++;
        if (reason == LETTER_REASONS)
            return error_set(error, ERROR_USAGE,
                             "--reason: \"%s\"; allowed: too_large, bad_framing, unknown_schema, bad_encoding, trailing_bytes, "
                             "rule_violation, out_of_window, conflict",
                             list->items[i]);
        work->reasons |= (uint8_t)(1u << reason);
    }
    return 0;
}

static int take_words(struct work *work, char **operands, int count, struct error *error)
{
    int action = 0;
    while (count > 0 && action <= REPLAY && strcmp(operands[0], action_names[action]) != 0)
        action++;
    if (count == 0 || action > REPLAY)
        return error_set(error, ERROR_USAGE, "dead-letters %s; allowed: list, show, export, replay",
                         count ? operands[0] : "needs a word that says what to do");
    work->action = (enum action)action;
    work->places = operands + 1;
    work->place_count = count - 1;
    if (work->action == SHOW && work->place_count == 0)
        return error_set(error, ERROR_USAGE, "dead-letters show: name a record as TOPIC/PARTITION/OFFSET, as list does");
    if (work->action == EXPORT && !work->options->output)
        return error_set(error, ERROR_USAGE, "dead-letters export: give a folder by --output");
    work->since_ms = INT64_MIN;
    work->until_ms = INT64_MAX;
    int result = take_reasons(work, error);
    if (result >= 0)
        result = take_time("since", work->options->since, &work->since_ms, error);
    return result < 0 ? result : take_time("until", work->options->until, &work->until_ms, error);
}

static int do_work(struct work *work, struct error *error)
{
    const struct dead_letters_options *options = work->options;
    struct letters_log log;
    int result = 0;
    if (work->action == EXPORT && mkdir(options->output, 0777) != 0 && errno != EEXIST)
        return error_set(error, ERROR_IO, "make %s: %s", options->output, strerror(errno));
    if (work->action == REPLAY && ((result = replayed_store_open(&options->common.redis, options->common.city, &work->store, error)) < 0 ||
                                   (result = replayer_open(&options->common, &work->replayer, error)) < 0))
        return result;
    result = letters_log_read(&options->common, options->connect_timeout_ms, &program_stop, take, work, &log, error);
    if (result >= 0)
        result = replay_held(work, error);
    if (result >= 0 && fflush(stdout) != 0)
        result = error_set(error, ERROR_IO, "write to standard output: %s", strerror(errno));
    if (result < 0)
        return result;
    if (work->action == REPLAY)
        log_info("%" PRId64 " records %s again, %" PRId64 " had been before, %" PRId64 " can't be", work->done,
                 options->dry_run ? "would be sent" : "were sent", work->again, work->refused);
    else if (work->action == EXPORT)
        log_info("%" PRId64 " dead letters are in %s", work->done, options->output);
    if (work->action == SHOW && work->done == 0)
        return error_set(error, ERROR_INPUT, "there is no dead letter of that record");
    return 0;
}

int consumer_dead_letters(int argc, char **argv)
{
    struct dead_letters_options options = {0};
    struct work work = {.options = &options, .seen = places_new(), .out = BUFFER_BOUNDED(OUTPUT_MOST)};
    struct program_run frame;
    int begun = program_begin(&frame, &consumer_command_dead_letters, argc, argv, &options), result = begun;
    if (begun > 0)
        result = work.seen ? take_words(&work, frame.operands, frame.operand_count, &frame.error)
                           : error_set(&frame.error, ERROR_MEMORY, "out of memory");
    if (begun > 0 && result >= 0) {
        program_catch_stop(false);
        result = do_work(&work, &frame.error);
    }
    let_held_go(&work);
    replayer_close(work.replayer);
    replayed_store_close(work.store);
    places_free(work.seen);
    buffer_free(&work.out);
    int status = program_end(&frame, result);
    return result >= 0 && work.refused > 0 ? EXIT_SOME_REFUSED : status;
}
