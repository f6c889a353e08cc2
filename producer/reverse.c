/* The run of `reverse`: find the originals in the log, tell what is found, send their reversals, wait for Kafka. */
#include "producer/reverse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/program.h"
#include "producer/report.h"
#include "producer/reversal.h"
#include "producer/schema_ids.h"
#include "producer/sender.h"
#include "producer/settings.h"
#include "producer/text.h"
#include "schemas/event_json.h"
#include "schemas/event_log.h"
#include "schemas/identity.h"
#include "schemas/rules.h"

enum { LINE_SIZE_MOST = 1024 * 1024, STOP_FLUSH_MS = 10000, DECISION_SIZE_MOST = 128 };

struct reverse {
    struct reverse_options options;
    struct reversal *reversals;
    size_t count, refused, there, acknowledged, submitted;
    struct slice agency, decision;
    struct arena arena;
    struct report report;
    struct sender *sender;
    int64_t schema_ids[EVENT_TYPES];
    struct message_maker *maker; /* NULL when dry */
};

static void on_delivery(void *context, void *event_context, const struct sender_verdict *verdict)
{
    struct reverse *reverse = context;
    const struct reversal *reversal = event_context;
    char id[EVENT_ID_TEXT_SIZE];
    if (!verdict->failure) {
        reverse->acknowledged++;
        report_note(&reverse->report, LOG_LEVEL_INFO, "%s: reversed, at %s.%s/%" PRId32 " offset %" PRId64,
                    event_id_format(reversal->id, id), reverse->options.common.city, event_topic_suffix(reversal->original->type),
                    verdict->partition, verdict->offset);
        return;
    }
    report_note(&reverse->report, LOG_LEVEL_ERROR, "%s: kafka did not acknowledge its reversal: %s",
                event_id_format(reversal->id, id), verdict->failure);
}

static int on_event(void *context, const struct logged_event *logged, struct error *error)
{
    struct reverse *reverse = context;
    if (!logged->decoded || (reverse->agency.data && !slice_equal(logged->event.agency, reverse->agency)))
        return 0;
    return reversals_meet(reverse->reversals, reverse->count, &logged->event, logged->reason,
                          (struct found_at){logged->event.type, logged->partition, logged->offset, logged->timestamp_ms}, error);
}

static void on_progress(void *context, int64_t done, int64_t total)
{
    struct reverse *reverse = context;
    report_progress(&reverse->report, "reading", "the log", done, total, (uint64_t)done);
}

static bool all_found(const struct reverse *reverse)
{
    size_t found = 0;
    for (size_t i = 0; i < reverse->count; i++)
        found += reverse->reversals[i].original != NULL;
    return found == reverse->count;
}

/* One pass over the agency's partitions, or over the others, or over all. */
static int read_log(struct reverse *reverse, struct event_log *log, bool own, bool others, struct error *error)
{
    size_t count;
    struct kafka_log_part *parts = event_log_parts(log, &count);
    int64_t *ends = calloc(count ? count : 1, sizeof *ends);
    int of_topic[EVENT_TYPES] = {0};
    if (!ends)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++)
        of_topic[parts[i].tag]++;
    for (size_t i = 0; i < count; i++) {
        ends[i] = parts[i].end;
        bool is_own = reverse->agency.data && event_log_partition_of(reverse->agency, of_topic[parts[i].tag]) == parts[i].partition;
        if (is_own ? !own : !others)
            parts[i].end = parts[i].begin;
    }
    int result = event_log_read(log, on_event, on_progress, reverse, error);
    for (size_t i = 0; i < count; i++)
        parts[i].end = ends[i];
    free(ends);
    report_clear(&reverse->report);
    return result;
}

static int find(struct reverse *reverse, struct error *error)
{
    const struct reverse_options *options = &reverse->options;
    const struct event_log_options log_options = {
        .common = &options->common, .registry = &options->registry, .client_id = "citytotals-producer-reverse",
        .connect_timeout_ms = options->connect_timeout_ms, .stop = &program_stop,
        .types = options->type ? 1u << (options->type - 1) : 1u << EVENT_HEADCOUNT_CHANGE | 1u << EVENT_UNIT_MERGER};
    struct event_log *log = NULL;
    int result = event_log_open(&log_options, &log, error);
    if (result >= 0 && reverse->agency.data) {
        result = read_log(reverse, log, true, false, error);
        if (result >= 0 && !all_found(reverse)) /* a foreign producer may have chosen another partition */
            result = read_log(reverse, log, false, true, error);
    } else if (result >= 0) {
        result = read_log(reverse, log, true, true, error);
    }
    event_log_close(log);
    return result;
}

static const char *place(const struct reverse *reverse, struct found_at at, char text[256])
{
    char time[TIMESTAMP_TEXT_SIZE];
    snprintf(text, 256, "%s.%s/%" PRId32 " offset %" PRId64 ", %s", reverse->options.common.city, event_topic_suffix(at.type),
             at.partition, at.offset, timestamp_format(at.timestamp_ms, time));
    return text;
}

/* Say what is known of each. */
static void tell(struct reverse *reverse)
{
    for (size_t i = 0; i < reverse->count; i++) {
        const struct reversal *reversal = &reverse->reversals[i];
        char id[EVENT_ID_TEXT_SIZE], at[256];
        struct report *report = &reverse->report;
        enum reversal_state state = reversal_state(reversal);
        event_id_format(reversal->id, id);
        reverse->there += state == REVERSAL_THERE;
        reverse->refused += state != REVERSAL_THERE && state != REVERSAL_WANTED;
        switch (state) {
        case REVERSAL_WANTED:
            report_note(report, LOG_LEVEL_INFO, "%s: found at %s", id, place(reverse, reversal->at, at));
            break;
        case REVERSAL_THERE:
            report_note(report, LOG_LEVEL_INFO, "%s: it was reversed already, at %s%s%.*s%s; nothing is sent", id,
                        place(reverse, reversal->earlier_at, at), reversal->earlier->decision.data ? " (decision " : "",
                        SLICE_ARG(reversal->earlier->decision), reversal->earlier->decision.data ? ")" : "");
            break;
        case REVERSAL_THERE_WRONG:
            report_note(report, LOG_LEVEL_ERROR, "%s: refused: a reversal that is no copy of it came first, at %s, and counts; put the "
                        "difference right by correction events", id, place(reverse, reversal->earlier_at, at));
            break;
        case REVERSAL_NOT_FOUND:
            report_note(report, LOG_LEVEL_ERROR, "%s: refused: it is not in the log%s%s", id,
                        reverse->agency.data ? " as an event of " : "", reverse->agency.data ? reverse->agency.data : "");
            break;
        case REVERSAL_NOT_COUNTED:
            report_note(report, LOG_LEVEL_ERROR, "%s: refused: it never counted: %s makes the record at %s a dead letter", id,
                        dead_letter_reason_name(reversal->refused), place(reverse, reversal->refused_at, at));
            break;
        case REVERSAL_OF_REVERSAL:
            report_note(report, LOG_LEVEL_ERROR, "%s: refused: it is itself a reversal (at %s), which is not reversed; send a new event "
                        "with a new id", id, place(reverse, reversal->at, at));
            break;
        case REVERSAL_AMBIGUOUS:
            report_note(report, LOG_LEVEL_ERROR, reversal->other_identity
                            ? "%s: refused: several agencies or types have an event with this id, one at %s; give --agency and --type"
                            : "%s: refused: two partitions have it with different meanings, one at %s; the dead letters tell which one "
                              "did not count", id, place(reverse, reversal->at, at));
            break;
        }
    }
}

static int show(const struct event *event, struct error *error)
{
    struct buffer line = BUFFER_BOUNDED(LINE_SIZE_MOST);
    buffer_text_append(&line, "{");
    event_json_append_reversal(&line, event);
    buffer_text_append(&line, "}\n");
    bool ok = !buffer_failed(&line) && fwrite(line.data, 1, line.size, stdout) == line.size && fflush(stdout) == 0;
    buffer_free(&line);
    return ok ? 0 : error_set(error, ERROR_IO, "write to standard output failed");
}

static int open_sender(struct reverse *reverse, struct error *error)
{
    const struct reverse_options *options = &reverse->options;
    int result = schema_ids_settle(&options->registry, options->common.city, options->registration == REGISTRATION_AUTO, &program_stop,
                                   reverse->schema_ids, error);
    if (result >= 0)
        result = message_maker_new(reverse->schema_ids, &reverse->maker, error);
    const struct sender_options sender = {.common = &options->common, .client_id = "citytotals-producer-reverse",
                                          .ack_timeout_ms = options->ack_timeout_ms, .on_delivery = on_delivery, .context = reverse};
    return result < 0 ? result : sender_open(&sender, &reverse->sender, error);
}

static int submit(struct reverse *reverse, const struct event *event, struct reversal *reversal, struct error *error)
{
    struct buffer bytes = BUFFER_BOUNDED(VALUE_SIZE_MOST);
    struct message message;
    int result = message_make(reverse->maker, event, &bytes, &message, error);
    if (result >= 0)
        result = sender_submit(reverse->sender, &message, reversal, reverse->options.ack_timeout_ms, &program_stop, error);
    reverse->submitted += result >= 0;
    buffer_free(&bytes);
    return result;
}

static int send_all(struct reverse *reverse, struct error *error)
{
    const struct reverse_options *options = &reverse->options;
    int64_t now_ms = clock_wall_ms();
    int result = 0;
    if (reverse->refused + reverse->there == reverse->count || (reverse->refused && !options->keep_going))
        return 0;
    if (!options->dry_run && (result = open_sender(reverse, error)) < 0)
        return result;
    for (size_t i = 0; i < reverse->count && result >= 0; i++) {
        struct reversal *reversal = &reverse->reversals[i];
        if (reversal_state(reversal) != REVERSAL_WANTED)
            continue;
        struct event event = reversal_make(reversal->original, reverse->decision, now_ms);
        struct rule_violation violation;
        if (event_check(&event, now_ms, &violation) != LETTER_NONE)
            return error_set(error, ERROR_USAGE, "the reversal breaks a rule: %s", violation.text);
        if ((result = show(&event, error)) >= 0 && !options->dry_run)
            result = submit(reverse, &event, reversal, error);
    }
    if (reverse->sender && result >= 0)
        result = sender_flush(reverse->sender, options->ack_timeout_ms + STOP_FLUSH_MS, &program_stop, error);
    if (result >= 0 && reverse->acknowledged < reverse->submitted)
        result = error_set(error, ERROR_KAFKA, "kafka did not acknowledge %zu reversals", reverse->submitted - reverse->acknowledged);
    return result;
}

static int check_options(struct reverse *reverse, struct error *error)
{
    const struct reverse_options *options = &reverse->options;
    size_t given = options->event_ids.count;
    reverse->agency = slice_of(options->agency);
    if (given == 0)
        return error_set(error, ERROR_USAGE, "no event id given; --event-id UUID says which event to take away");
    if (options->agency && !id_is_valid(reverse->agency))
        return error_set(error, ERROR_USAGE, "option --agency: \"%s\"; allowed: 1 to 64 of a-z, 0-9 and -, the first not -",
                         options->agency);
    if (options->decision) {
        struct slice text = slice_of(options->decision);
        if (!text_is_utf8(text) || text_has_control(text) || text_is_blank(text) ||
            !text_normalise(text, &reverse->arena, &reverse->decision) || reverse->decision.size > DECISION_SIZE_MOST)
            return error_set(error, ERROR_USAGE, "option --decision: allowed: 1 to %d bytes of UTF-8 without control characters, not blank",
                             DECISION_SIZE_MOST);
    }
    reverse->reversals = calloc(given, sizeof *reverse->reversals);
    if (!reverse->reversals)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < given; i++) {
        struct event_id id;
        bool again = false;
        if (!event_id_parse(slice_of(options->event_ids.items[i]), &id) || event_id_is_nil(id))
            return error_set(error, ERROR_USAGE, "option --event-id: \"%s\"; allowed: a UUID of 36 characters, not nil",
                             options->event_ids.items[i]);
        for (size_t before = 0; before < reverse->count; before++)
            again = again || memcmp(reverse->reversals[before].id.bytes, id.bytes, sizeof id.bytes) == 0;
        if (!again)
            reverse->reversals[reverse->count++] = (struct reversal){.id = id, .refused = LETTER_NONE};
    }
    return 0;
}

static void summarise(struct reverse *reverse)
{
    size_t wanted = reverse->count - reverse->there - reverse->refused;
    if (reverse->options.dry_run)
        report_note(&reverse->report, LOG_LEVEL_INFO, "dry run: %zu reversals to send, %zu were there already, %zu refused; nothing was sent",
                    wanted, reverse->there, reverse->refused);
    else
        report_note(&reverse->report, LOG_LEVEL_INFO, "%zu reversals sent, %zu were there already, %zu refused; %zu acknowledged by kafka",
                    reverse->submitted, reverse->there, reverse->refused, reverse->acknowledged);
    if (reverse->refused && wanted && !reverse->options.keep_going)
        report_note(&reverse->report, LOG_LEVEL_INFO, "nothing is sent while one is refused; --keep-going sends the others");
}

int producer_reverse(int argc, char **argv)
{
    struct program_run frame;
    struct reverse *reverse = calloc(1, sizeof *reverse);
    if (!reverse) {
        log_error("out of memory");
        return error_exit_status(ERROR_MEMORY);
    }
    int begun = program_begin(&frame, &producer_command_reverse, argc, argv, &reverse->options), result = begun;
    report_begin(&reverse->report, (enum log_format)reverse->options.common.log_format);
    if (begun > 0) {
        program_catch_stop(true);
        result = check_options(reverse, &frame.error);
    }
    if (begun > 0 && result >= 0)
        result = find(reverse, &frame.error);
    if (begun > 0 && result >= 0) {
        tell(reverse);
        result = send_all(reverse, &frame.error);
        reverse->sender = sender_close(reverse->sender);
        summarise(reverse);
    }
    report_clear(&reverse->report);
    if (result >= 0 && reverse->refused)
        result = -ERROR_INPUT; /* each was told of */
    else if (result < 0)
        report_note(&reverse->report, LOG_LEVEL_ERROR, "citytotals-producer: %s", frame.error.text);
    sender_close(reverse->sender);
    message_maker_free(reverse->maker);
    reversals_free(reverse->reversals, reverse->count);
    free(reverse->reversals);
    free(reverse);
    program_close(&frame);
    return result < 0 ? error_exit_status((enum error_code)-result) : 0;
}
