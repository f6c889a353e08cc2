/* One input of `send`: checked whole, or block by block, before it is sent. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "producer/send_state.h"

enum {
    LOOK_EVERY = 1024, /* records between two looks at the clock and the signals */
    BLOCK_BYTES_MOST = 1000 * (LINE_MOST + 2),
};

static int look_up(struct send *send, struct input *input, const char *what, uint64_t done, struct error *error)
{
    if (done % LOOK_EVERY)
        return 0;
    if (*send->stop)
        return error_set(error, ERROR_INTERRUPTED, "interrupted");
    report_progress(&send->report, what, input_name(input), input_read_bytes(input), input_size(input), done);
    return 0;
}

static int refuse(struct send *send, struct input *input, uint64_t line, const struct reason *reason, struct error *error)
{
    int result = marks_set(&send->marks, reason->ordinal, MARK_REFUSED, error);
    if (result >= 0)
        result = marks_add_reason(&send->marks, *reason, error);
    reason_say(reason, "line", &send->problems);
    report_problems(&send->report, input_name(input), line, &send->problems);
    send->refused++;
    return result;
}

/* Every line so far is something else than JSON: most likely the file is. */
static void say_if_no_ndjson(struct send *send, struct input *input, uint64_t lines)
{
    if (send->no_objects == lines)
        report_note(&send->report, LOG_LEVEL_ERROR,
                    "%s: no line of it is NDJSON, which has one event, { … }, on each line; CSV is read with --format csv",
                    input_name(input));
}

/* A stream without an end outgrows any memory: its earlier lines are forgotten. Kafka's readers find repeats all the same. */
static int remember(struct send *send, struct input *input, const struct event *event, const struct record *record,
                    struct seen *ret_seen, struct error *error)
{
    const struct space *space = parser_space(send->parser, event);
    int result = repeats_add(send->repeats, event, space, record->line, record->ordinal, ret_seen, error);
    if (result != -ERROR_LIMIT || input_is_regular(input))
        return result;
    report_note(&send->report, LOG_LEVEL_INFO, "%s: line %" PRIu64 ": the memory for finding repeats is full: earlier lines are "
                "forgotten, and compared by the consumer only", input_name(input), record->line);
    repeats_reset(send->repeats);
    return repeats_add(send->repeats, event, space, record->line, record->ordinal, ret_seen, error);
}

/* Judge one record: its mark is set, problems are told. */
static int check_record(struct send *send, struct input *input, const struct record *record, struct error *error)
{
    struct event event;
    send->lines++;
    if (!input_parse(input, record, send->parser, &send->defaults, &event, &send->problems)) {
        report_problems(&send->report, input_name(input), record->line, &send->problems);
        send->refused++;
        send->no_objects += input_format(input) == FORMAT_NDJSON && send->problems.items[0].column == 1;
        return marks_set(&send->marks, record->ordinal, MARK_REFUSED, error);
    }
    send->types_wanted |= 1u << event.type;
    struct seen seen = {.kind = SEEN_NEW};
    int result = event.type == EVENT_PAGE_VISIT ? 0 : remember(send, input, &event, record, &seen, error);
    if (result < 0)
        return result;
    struct reason reason = {.ordinal = record->ordinal, .other_line = seen.line};
    switch (seen.kind) {
    case SEEN_NEW:
        send->good++;
        break;
    case SEEN_REPEAT:
        send->repeated++;
        report_repeat(&send->report, input_name(input), record->line, seen.line);
        return marks_set(&send->marks, record->ordinal, MARK_REPEAT, error);
    case SEEN_CONFLICT:
    case SEEN_DOUBLE_REVERSAL:
        reason.kind = seen.kind == SEEN_CONFLICT ? REASON_CONFLICT : REASON_DOUBLE_REVERSAL;
        return refuse(send, input, record->line, &reason, error);
    }
    if (seen.refuses_earlier && seen.earlier_ordinal >= send->marks.base &&
        marks_get(&send->marks, seen.earlier_ordinal) == MARK_SEND) {
        reason = (struct reason){seen.earlier_ordinal, record->line, REASON_REVERSED_LATER};
        send->good--;
        return refuse(send, input, seen.earlier_line, &reason, error);
    }
    return 0;
}

static int reject_record(struct send *send, struct input *input, const struct record *record, struct error *error)
{
    struct event event;
    if (!send->rejects || marks_get(&send->marks, record->ordinal) != MARK_REFUSED)
        return 0;
    if (input_parse(input, record, send->parser, &send->defaults, &event, &send->problems)) {
        const struct reason *reason = marks_reason(&send->marks, record->ordinal);
        if (!reason)
            return error_set(error, ERROR_IO, "line %" PRIu64 ": it was refused, and is not any more", record->line);
        reason_say(reason, "line", &send->problems);
    }
    return rejects_add(send->rejects, input, record, &send->problems, error);
}

static int send_record(struct send *send, struct input *input, const struct record *record, struct error *error)
{
    struct event event;
    struct message message;
    if (marks_get(&send->marks, record->ordinal) != MARK_SEND)
        return 0;
    if (send->failed)
        return error_set(error, ERROR_KAFKA, "kafka did not take all events");
    /* The bytes are those that were checked, and so is the time: this can't fail. */
    if (!input_parse(input, record, send->parser, &send->defaults, &event, &send->problems))
        return error_set(error, ERROR_IO, "line %" PRIu64 ": it was good, and is not any more: %s", record->line,
                         send->problems.items[0].text);
    buffer_reset(&send->bytes);
    void *place = place_of(send->current, event.type, record->line);
    int result = message_make(send->maker, &event, &send->bytes, &message, error);
    if (result >= 0)
        result = send_wait_add(send, &event, place, error);
    if (result >= 0)
        result = sender_submit(send->sender, &message, place, send->options.ack_timeout_ms, send->stop, error);
    if (result >= 0)
        send->submitted++;
    return result;
}

typedef int (*record_fn)(struct send *send, struct input *input, const struct record *record, struct error *error);

/* Read a regular file once, giving each record to `each`. */
static int pass(struct send *send, struct input *input, const char *what, record_fn each, struct error *error)
{
    struct record record;
    uint64_t header_line = 0;
    int result = input_begin(input, send->options.csv_type > 0, &send->problems, &header_line, error);
    if (result == -ERROR_INPUT && error->text[0] == '\0') {
        report_problems(&send->report, input_name(input), header_line, &send->problems);
        send->refused_files++;
        return result;
    }
    for (uint64_t done = 0; result >= 0; done++) {
        if ((result = look_up(send, input, what, done, error)) < 0)
            return result;
        result = input_next(input, &record, error);
        if (result == 0)
            return 0;
        if (result > 0)
            result = each(send, input, &record, error);
    }
    if (result == -ERROR_INPUT) {
        report_note(&send->report, LOG_LEVEL_ERROR, "%s: %s", input_name(input), error->text);
        send->refused_files++;
    }
    return result;
}

static int send_file(struct send *send, struct input *input, struct error *error)
{
    uint64_t refused = send->refused, lines = send->lines, good = send->good;
    send->defaults.now_ms = clock_wall_ms();
    marks_reset(&send->marks, 0);
    int result = pass(send, input, "checking", check_record, error);
    report_file_end(&send->report, input_name(input));
    refused = send->refused - refused;
    if (result == -ERROR_INPUT) {
        send->good = good; /* the file as a whole is refused */
        return 0;
    }
    if (result < 0)
        return result;
    if (refused)
        say_if_no_ndjson(send, input, send->lines - lines);
    if (refused && !send->options.keep_going) {
        report_note(&send->report, LOG_LEVEL_ERROR, "%s: %" PRIu64 " of %" PRIu64 " lines refused: nothing of it %s", input_name(input),
                    refused, send->lines - lines, send->options.dry_run ? "would be sent" : "was sent");
        send->good = good;
        return 0;
    }
    if (refused && send->rejects &&
        ((result = pass(send, input, "rejects", reject_record, error)) < 0 || (result = rejects_flush(send->rejects, error)) < 0))
        return result;
    if (send->options.dry_run || send->good == good)
        return 0;
    if ((result = send_ready(send, error)) < 0 || (result = pass(send, input, "sending", send_record, error)) < 0)
        return result;
    if (input_has_grown(input))
        report_note(&send->report, LOG_LEVEL_WARNING,
                    "%s: it grew while it was read: what was added at its end was not sent; send it again, what was sent counts once",
                    input_name(input));
    return 0;
}

struct block_record {
    struct record record;
    size_t at;
};
struct block {
    struct buffer bytes;
    struct block_record *records;
    size_t count, most;
};

static struct record block_record(const struct block *block, size_t i)
{
    struct record record = block->records[i].record;
    record.text.data = block->bytes.data + block->records[i].at;
    record.end.data = record.text.data + record.text.size;
    return record;
}

/* 1 when there may be more behind it, 0 at the end. */
static int fill_block(struct input *input, struct block *block, struct error *error)
{
    buffer_reset(&block->bytes);
    for (block->count = 0; block->count < block->most; block->count++) {
        struct block_record *next = &block->records[block->count];
        int result = input_next(input, &next->record, error);
        if (result <= 0)
            return result;
        next->at = block->bytes.size;
        buffer_slice_append(&block->bytes, next->record.text);
        buffer_slice_append(&block->bytes, next->record.end);
        if (buffer_failed(&block->bytes))
            return error_set(error, ERROR_MEMORY, "out of memory");
    }
    return 1;
}

static int each_of_block(struct send *send, struct input *input, const struct block *block, record_fn each, struct error *error)
{
    int result = 0;
    for (size_t i = 0; i < block->count && result >= 0; i++) {
        struct record record = block_record(block, i);
        result = each(send, input, &record, error);
    }
    return result;
}

/* 1 when the block is refused. */
static int send_block(struct send *send, struct input *input, const struct block *block, struct error *error)
{
    uint64_t refused = send->refused, good = send->good;
    send->defaults.now_ms = clock_wall_ms();
    marks_reset(&send->marks, block->records[0].record.ordinal);
    int result = each_of_block(send, input, block, check_record, error);
    if (result < 0)
        return result;
    refused = send->refused - refused;
    if (refused && !send->options.keep_going) {
        send->good = good;
        return 1;
    }
    if (refused && send->rejects &&
        ((result = each_of_block(send, input, block, reject_record, error)) < 0 || (result = rejects_flush(send->rejects, error)) < 0))
        return result;
    if (send->options.dry_run || send->good == good)
        return 0;
    if ((result = send_ready(send, error)) < 0)
        return result;
    result = each_of_block(send, input, block, send_record, error);
    if (result >= 0)
        sender_poll(send->sender, 0);
    return result;
}

static int send_blocks(struct send *send, struct input *input, struct block *block, struct error *error)
{
    uint64_t header_line = 0, blocks = 0;
    int result = input_begin(input, send->options.csv_type > 0, &send->problems, &header_line, error);
    if (result == -ERROR_INPUT && error->text[0] == '\0')
        report_problems(&send->report, input_name(input), header_line, &send->problems);
    while (result >= 0) {
        if ((result = look_up(send, input, "sending", 0, error)) < 0)
            return result;
        int more = fill_block(input, block, error);
        report_progress(&send->report, "sending", input_name(input), 0, -1, send->lines);
        if (more < 0) {
            result = more;
            break;
        }
        if (block->count > 0 && (result = send_block(send, input, block, error)) < 0)
            return result;
        if (result > 0) {
            report_file_end(&send->report, input_name(input));
            say_if_no_ndjson(send, input, block->records[block->count - 1].record.ordinal + 1);
            report_note(&send->report, LOG_LEVEL_ERROR, "%s: lines %" PRIu64 " to %" PRIu64 ": nothing of this block %s; reading ends "
                        "here%s", input_name(input), block->records[0].record.line, block->records[block->count - 1].record.line,
                        send->options.dry_run ? "would be sent" : "was sent", blocks ? ", the blocks before are sent" : "");
            return 0;
        }
        blocks++;
        if (more == 0)
            break;
    }
    if (result == -ERROR_INPUT) {
        if (error->text[0])
            report_note(&send->report, LOG_LEVEL_ERROR, "%s: %s", input_name(input), error->text);
        send->refused_files++;
        result = 0;
    }
    report_file_end(&send->report, input_name(input));
    return result;
}

static int send_stream(struct send *send, struct input *input, struct error *error)
{
    struct block block = {.bytes = BUFFER_BOUNDED(BLOCK_BYTES_MOST), .most = (size_t)send->options.block_lines};
    block.records = calloc(block.most, sizeof *block.records);
    int result = block.records ? send_blocks(send, input, &block, error) : error_set(error, ERROR_MEMORY, "out of memory");
    free(block.records);
    buffer_free(&block.bytes);
    return result;
}

int send_input(struct send *send, struct input *input, struct error *error)
{
    repeats_reset(send->repeats);
    send->no_objects = 0;
    int result = input_is_regular(input) ? send_file(send, input, error) : send_stream(send, input, error);
    report_clear(&send->report);
    if (result < 0 && result != -ERROR_INTERRUPTED && error->code != ERROR_KAFKA && error->code != ERROR_TIMEOUT)
        error_wrap(error, "%s", input_name(input));
    return result;
}
