/* The run of `send`: settings, inputs, Kafka, and what is told at the end. */
#include "producer/send.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/program.h"
#include "producer/schema_ids.h"
#include "producer/send_state.h"
#include "producer/topics.h"
#include "schemas/rules.h"

enum { STOP_FLUSH_MS = 10000, LOOK_MS = 10000, CREATE_MS = 30000, SETTLE_MS = 3000, WAIT_SLICE_MS = 200 };

static void on_delivery(void *context, void *event_context, const struct sender_verdict *verdict)
{
    struct send *send = context;
    if (!verdict->failure) {
        send->acknowledged++;
        send_wait_delivered(send, event_context, verdict);
        return;
    }
    if (send->closing)
        return;
    if (send->failed++ < FAILURES_SHOWN_MOST)
        report_note(&send->report, LOG_LEVEL_ERROR, "%s: line %" PRIu64 ": kafka did not acknowledge it: %s",
                    send->names[place_input(event_context)], place_line(event_context), verdict->failure);
}

static int create_topics(struct send *send, struct error *error)
{
    struct topics topics;
    char missing[512];
    rd_kafka_t *kafka = sender_kafka(send->sender);
    const char *city = send->options.common.city;
    int result = topics_look(kafka, city, LOOK_MS, &topics, error);
    if (result < 0 || topics_missing(&topics, city, (1u << TOPICS) - 1, missing, sizeof missing) == 0)
        return result;
    result = topics_create(kafka, city, &topics, (int)send->options.partitions, CREATE_MS, send->stop, error);
    if (result < 0)
        return result;
    report_note(&send->report, LOG_LEVEL_INFO, "created %s with %" PRId64 " partitions and %d %s", missing, send->options.partitions,
                topics.brokers < 3 ? topics.brokers : 3, topics.brokers == 1 ? "replica" : "replicas");
    return 0;
}

int send_ready(struct send *send, struct error *error)
{
    struct topics topics;
    char missing[512];
    const char *city = send->options.common.city;
    rd_kafka_t *kafka = sender_kafka(send->sender);
    int result;
    if (!send->kafka_answered) {
        report_clear(&send->report);
        if ((result = kafka_wait(kafka, send->options.connect_timeout_ms, send->stop, NULL, error)) < 0)
            return result;
        send->kafka_answered = true;
        if (send->options.create_topics && (result = create_topics(send, error)) < 0)
            return result;
    }
    if ((send->types_wanted & ~send->types_there) == 0)
        return 0;
    int count;
    /* A topic made a moment ago may not be seen yet. */
    for (int64_t deadline = clock_monotonic_ms() + SETTLE_MS;;) {
        if ((result = topics_look(kafka, city, LOOK_MS, &topics, error)) < 0)
            return result;
        count = topics_missing(&topics, city, send->types_wanted, missing, sizeof missing);
        if (count == 0 || clock_monotonic_ms() >= deadline)
            break;
        if (*send->stop)
            return error_set(error, ERROR_INTERRUPTED, "interrupted");
        sender_poll(send->sender, WAIT_SLICE_MS);
    }
    if (count > 0)
        return error_set(error, ERROR_KAFKA, "kafka has no topic %s (or does not show %s to this user); --create-topics makes the "
                         "city's topics", missing, count == 1 ? "it" : "them");
    send->types_there |= send->types_wanted;
    return 0;
}

static bool same_file(const char *path, const struct stat *other)
{
    struct stat status;
    int result = strcmp(path, "-") == 0 ? fstat(STDIN_FILENO, &status) : stat(path, &status);
    return result == 0 && S_ISREG(status.st_mode) && status.st_dev == other->st_dev && status.st_ino == other->st_ino;
}

static int check_options(const struct send *send, struct error *error)
{
    const struct send_options *options = &send->options;
    struct stat rejects;
    size_t standard = 0;
    if (options->source && !id_is_valid(slice_of(options->source)))
        return error_set(error, ERROR_USAGE, "option --source: source is \"%s\"; allowed: 1 to 64 of a-z, 0-9 and -, the first not -",
                         options->source);
    if (options->rejects && !options->keep_going)
        return error_set(error, ERROR_USAGE, "option --rejects: it goes with --keep-going only; without, nothing of a file with a "
                                             "refused line is sent, so the whole file is to be repaired");
    if (options->wait && options->dry_run)
        return error_set(error, ERROR_USAGE, "option --wait: with --dry-run nothing is sent that could be waited for");
    for (size_t i = 0; i < send->name_count; i++)
        standard += strcmp(send->names[i], "-") == 0;
    if (standard > 1)
        return error_set(error, ERROR_USAGE, "- (standard input) is named %zu times; allowed: once", standard);
    if (options->rejects && stat(options->rejects, &rejects) == 0)
        for (size_t i = 0; i < send->name_count; i++)
            if (same_file(send->names[i], &rejects))
                return error_set(error, ERROR_USAGE, "option --rejects: %s is one of the inputs and would be overwritten",
                                 options->rejects);
    return 0;
}

static enum input_format format_of(const struct send *send, const char *name)
{
    return send->options.format == SEND_FORMAT_AUTO    ? input_format_of(name)
           : send->options.format == SEND_FORMAT_CSV ? FORMAT_CSV
                                                     : FORMAT_NDJSON;
}

/* Before anything is sent all inputs are looked at: a name with a slip of the pen is told now. All such are told. */
static int check_inputs(struct send *send, struct error *error)
{
    int result = 0;
    for (size_t i = 0; i < send->name_count; i++) {
        struct error one = {0};
        if (input_look(send->names[i], &one) == 0)
            continue;
        if (result < 0)
            report_note(&send->report, LOG_LEVEL_ERROR, "%s", error->text);
        *error = one;
        result = -(int)one.code;
    }
    return result;
}

static int open_send(struct send *send, struct error *error)
{
    struct send_options *options = &send->options;
    int result = check_options(send, error);
    if (result < 0 || (result = check_inputs(send, error)) < 0 || (result = parser_new(&send->parser, error)) < 0 ||
        (result = repeats_new(options->check_memory, &send->repeats, error)) < 0)
        return result;
    if (!options->dry_run) {
        if ((result = schema_ids_settle(&options->registry, options->common.city, options->registration == REGISTRATION_AUTO,
                                        send->stop, send->schema_ids, error)) < 0 ||
            (result = message_maker_new(send->schema_ids, &send->maker, error)) < 0)
            return result;
        if (options->wait && (result = send_wait_open(send, error)) < 0)
            return result;
        const struct sender_options sender = {.common = &options->common, .client_id = "citytotals-producer-send",
                                              .ack_timeout_ms = options->ack_timeout_ms, .on_delivery = on_delivery, .context = send};
        if ((result = sender_open(&sender, &send->sender, error)) < 0)
            return result;
        if (options->create_topics && (result = send_ready(send, error)) < 0)
            return result;
    }
    return options->rejects ? rejects_open(options->rejects, &send->rejects, error) : 0;
}

static int send_all(struct send *send, struct error *error)
{
    int result = 0;
    for (send->current = 0; send->current < send->name_count && result >= 0; send->current++) {
        const char *name = send->names[send->current];
        struct input *input = NULL;
        if (*send->stop)
            return error_set(error, ERROR_INTERRUPTED, "interrupted");
        if ((result = input_open(name, format_of(send, name), &input, error)) < 0)
            break;
        result = send_input(send, input, error);
        input_close(input);
    }
    return result;
}

/* All verdicts: until Kafka has acknowledged, or each event's own time-out; after a signal only a little while. */
static int wait_for_verdicts(struct send *send, int result, struct error *error)
{
    struct error late = {0};
    if (!send->sender || sender_pending(send->sender) == 0)
        return result;
    int flushed = 0;
    if (!*send->stop) {
        int64_t deadline = clock_monotonic_ms() + send->options.ack_timeout_ms + STOP_FLUSH_MS;
        do {
            report_progress(&send->report, "waiting", "for kafka", (int64_t)(send->acknowledged + send->failed),
                            (int64_t)send->submitted, send->lines);
            flushed = sender_flush(send->sender, WAIT_SLICE_MS, send->stop, &late);
        } while (flushed == -ERROR_TIMEOUT && clock_monotonic_ms() < deadline);
    }
    if (*send->stop) {
        report_clear(&send->report);
        if (sender_pending(send->sender))
            report_note(&send->report, LOG_LEVEL_INFO, "stopping: waiting up to 10 s for what is on its way");
        sender_flush(send->sender, STOP_FLUSH_MS, NULL, &late);
        if (result >= 0 && sender_pending(send->sender))
            return error_set(error, ERROR_INTERRUPTED, "interrupted");
        return result;
    }
    if (result >= 0 && flushed < 0) {
        *error = late;
        return flushed;
    }
    return result;
}

static void summarise(struct send *send, int result)
{
    struct report *report = &send->report;
    enum log_level level = LOG_LEVEL_INFO;
    report_clear(report);
    if (send->failed > FAILURES_SHOWN_MOST)
        report_note(report, LOG_LEVEL_ERROR, "and %" PRIu64 " more events that kafka did not acknowledge",
                    send->failed - FAILURES_SHOWN_MOST);
    if (send->options.dry_run)
        report_note(report, level, "dry run: %" PRIu64 " lines read: %" PRIu64 " events to send, %" PRIu64 " repeats, %" PRIu64
                    " refused; nothing was sent", send->lines, send->good, send->repeated, send->refused);
    else
        report_note(report, level, "%" PRIu64 " lines read: %" PRIu64 " events sent, %" PRIu64 " repeats, %" PRIu64 " refused; %" PRIu64
                    " acknowledged by kafka", send->lines, send->submitted, send->repeated, send->refused, send->acknowledged);
    if (send->waiting)
        report_note(report, level, "%" PRIu64 " counted, %" PRIu64 " had been counted before, %" PRIu64 " refused by the consumer (%" PRIu64
                    " conflicts, %" PRIu64 " dead letters), %" PRIu64 " not folded yet", send->counted, send->counted_before,
                    send->conflicts + send->dead_letters, send->conflicts, send->dead_letters, send->not_folded);
    if (send->refused_files)
        report_note(report, level, "%" PRIu64 " %s refused as a whole", send->refused_files,
                    send->refused_files == 1 ? "file was" : "files were");
    if (result < 0 && send->submitted)
        report_note(report, level, "to go on, send the same input again: what kafka has already counts once");
}

static int finish(struct send *send, int result, struct error *error)
{
    struct error late = {0};
    if (result < 0 && result != -ERROR_INTERRUPTED)
        report_note(&send->report, LOG_LEVEL_ERROR, "%s", error->text);
    result = wait_for_verdicts(send, result, error);
    int sent = result;
    if (send->waiting && result >= 0 && send->acknowledged == send->submitted &&
        (result = send_wait_settle(send, error)) < 0 && result != -ERROR_INTERRUPTED)
        report_note(&send->report, LOG_LEVEL_ERROR, "--wait: %s; kafka has every event, none is lost", error->text);
    send->closing = true;
    send->sender = sender_close(send->sender);
    if (result >= 0 && send->acknowledged < send->submitted)
        sent = result = error_set(error, ERROR_KAFKA, "kafka did not acknowledge %" PRIu64 " events", send->submitted - send->acknowledged);
    int closed = rejects_close(send->rejects, &late);
    send->rejects = NULL;
    if (closed < 0) {
        report_note(&send->report, LOG_LEVEL_ERROR, "%s", late.text);
        result = result < 0 ? result : closed;
    }
    if (result == -ERROR_INTERRUPTED)
        report_note(&send->report, LOG_LEVEL_ERROR, "stopped by %s", program_stop == SIGINT ? "SIGINT" : "SIGTERM");
    summarise(send, sent);
    return result;
}

int producer_send(int argc, char **argv)
{
    static char standard_input[] = "-";
    static char *only_standard_input[] = {standard_input, NULL};
    struct program_run frame;
    struct send *send = calloc(1, sizeof *send);
    if (!send) {
        log_error("out of memory");
        return error_exit_status(ERROR_MEMORY);
    }
    send->stop = &program_stop;
    send->bytes = BUFFER_BOUNDED(VALUE_SIZE_MOST);
    int result = program_begin(&frame, &producer_command_send, argc, argv, &send->options);
    if (result == 0)
        goto finish;
    report_begin(&send->report, (enum log_format)send->options.common.log_format);
    if (result < 0)
        goto failed;
    send->names = frame.operand_count ? frame.operands : only_standard_input;
    send->name_count = frame.operand_count ? (size_t)frame.operand_count : 1;
    send->defaults = (struct parser_defaults){.source = slice_of(send->options.source), .csv_type = send->options.csv_type - 1};
    program_catch_stop(true);
    if ((result = open_send(send, &frame.error)) < 0)
        goto failed;
    result = finish(send, send_all(send, &frame.error), &frame.error);
    goto finish;
failed:
    report_note(&send->report, LOG_LEVEL_ERROR, "citytotals-producer: %s", frame.error.text);
finish:;
    int status = result < 0 ? error_exit_status(frame.error.code)
                 : send->refused || send->refused_files || send->conflicts || send->dead_letters ? error_exit_status(ERROR_INPUT) : 0;
    send->closing = true;
    sender_close(send->sender);
    send_wait_close(send);
    rejects_close(send->rejects, NULL);
    repeats_free(send->repeats);
    marks_free(&send->marks);
    parser_free(send->parser);
    message_maker_free(send->maker);
    buffer_free(&send->bytes);
    free(send);
    program_close(&frame);
    return status;
}
