/* The machine's frame: takes each result in, decides what is next; the store's connection, notes, the end. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumer/machine_internal.h"

int machine_new(const struct machine_options *options, struct machine **ret_machine, struct error *error)
{
    struct machine *machine = calloc(1, sizeof *machine);
    if (!machine)
        return error_set(error, ERROR_MEMORY, "out of memory");
    machine->options = *options;
    machine->replan = true;
    memset(machine->ends, -1, sizeof machine->ends);
    machine->lanes = lanes_new(options->seen_memory);
    machine->current = batch_new(options->batch_most);
    machine->next = batch_new(options->batch_most);
    int result = 0;
    if (!machine->lanes || !machine->current || !machine->next)
        result = error_set(error, ERROR_MEMORY, "out of memory");
    else
        result = fold_new(options->city, options->decoder, machine->lanes, options->batch_most, &machine->fold, error);
    if (result < 0) {
        machine_free(machine);
        return result;
    }
    if (options->generation)
        fold_set_generation(machine->fold, options->generation);
    snprintf(machine->city, sizeof machine->city, "%s", options->city);
    machine->options.city = machine->city;
    *ret_machine = machine;
    return 0;
}

struct machine *machine_free(struct machine *machine)
{
    if (!machine)
        return NULL;
    batch_free(machine->current);
    batch_free(machine->next);
    fold_free(machine->fold);
    lanes_free(machine->lanes);
    free(machine->partitions.items);
    free(machine->checked.items);
    free(machine->parts);
    free(machine->offsets);
    free(machine);
    return NULL;
}

void machine_batches(struct machine *machine, struct batch *ret_batches[2])
{
    ret_batches[0] = machine->current;
    ret_batches[1] = machine->next;
}

const struct partitions *machine_partitions(const struct machine *machine)
{
    return &machine->partitions;
}

const struct machine_counts *machine_counts(const struct machine *machine)
{
    return &machine->counts;
}

struct lanes *machine_lanes(struct machine *machine)
{
    return machine->lanes;
}

struct action *machine_ask(struct machine *machine, enum action_kind kind)
{
    machine->action = (struct action){.kind = kind};
    machine->started = true;
    return &machine->action;
}

void machine_note(struct machine *machine, enum note_level level, const char *format, ...)
{
    assert(machine->note_count < NOTES_MOST); /* a step makes few, and all are told before the next */
    va_list list;
    va_start(list, format);
    machine->notes[machine->note_count].level = level;
    vsnprintf(machine->notes[machine->note_count].text, NOTE_SIZE, format, list);
    va_end(list);
    machine->note_count++;
}

void machine_drop_batches(struct machine *machine)
{
    for (int i = 0; i < 2; i++) {
        struct batch *batch = i ? machine->next : machine->current;
        batch->count = batch->low = batch->high = 0;
    }
    machine->window = WINDOW_NONE;
    machine->stale_in_a_row = 0;
    machine->replan_once_folded = false;
    machine->replan = true;
}

/* The next connection comes after a pause that grows until a commit goes through. */
static void connect_later(struct machine *machine)
{
    int64_t pause = machine->connect_pause_ms ? machine->connect_pause_ms * 2 : CONNECT_PAUSE_FIRST_MS;
    machine->connect_pause_ms = pause < CONNECT_PAUSE_MOST_MS ? pause : CONNECT_PAUSE_MOST_MS;
    machine->connect_at_ms = machine->now_ms + machine->connect_pause_ms;
    machine->connected = false;
}

void machine_doubt(struct machine *machine, const char *sentence)
{
    machine_note(machine, NOTE_WARNING, "%s; reading the stored offsets again", sentence);
    connect_later(machine);
    lanes_drop_all(machine->lanes);
    machine_drop_batches(machine);
    machine->plan = PLAN_NONE;
    machine->counts.reconnects++;
}

void machine_fail(struct machine *machine, const struct error *error)
{
    machine->failed = true;
    machine->failure = *error;
}

/* What halted a partition was said of another state: a rebuild or a snapshot has taken its place. */
static void revive_halted(struct machine *machine)
{
    for (size_t i = 0; i < machine->partitions.count; i++)
        if (machine->partitions.items[i].state == PARTITION_HALTED)
            machine->partitions.items[i].state = PARTITION_UNREAD;
}

static void connect_result(struct machine *machine, const struct input *input)
{
    if (input->result >= 0) {
        if (machine->was_connected && strcmp(machine->epoch, input->epoch) != 0)
            revive_halted(machine);
        snprintf(machine->epoch, sizeof machine->epoch, "%s", input->epoch);
        machine->connected = machine->replan = true;
        machine->away_told = false;
        if (machine->was_connected)
            machine_note(machine, NOTE_INFO, "redis is back");
        machine->was_connected = true;
        return;
    }
    bool fatal = input->error->class == ERROR_CLASS_FATAL;
    if (!machine->was_connected && (fatal || machine->now_ms >= machine->options.start_deadline_ms)) {
        machine_fail(machine, input->error);
        return;
    }
    if (!machine->away_told || fatal)
        machine_note(machine, NOTE_WARNING, "%s; trying again", input->error->text);
    machine->away_told = true;
    connect_later(machine);
}

/* A Kafka library that can't go on, or no memory: nothing that a later try could mend. */
static bool ends_the_run(const struct input *input)
{
    return input->result < 0 && (input->error->code == ERROR_MEMORY || (input->error->code == ERROR_KAFKA &&
                                                                        input->error->class == ERROR_CLASS_FATAL));
}

static void take_result(struct machine *machine, const struct input *input)
{
    machine->rebalanced = machine->rebalanced || input->rebalanced;
    if (ends_the_run(input)) {
        machine_fail(machine, input->error);
        return;
    }
    switch (machine->action.kind) {
    case ACTION_CONNECT:
        connect_result(machine, input);
        break;
    case ACTION_SUBSCRIBE:
        machine->subscribed = true;
        if (input->result < 0)
            machine_fail(machine, input->error);
        break;
    case ACTION_TAKE_ASSIGNMENT:
        plan_take_assignment(machine, input);
        break;
    case ACTION_READ_POSITIONS:
    case ACTION_ASK_BOUNDS:
    case ACTION_RECORD_GAP:
    case ACTION_ASSIGN:
        plan_result(machine, input);
        break;
    case ACTION_FETCH:
        window_fetched(machine, input);
        break;
    case ACTION_ASK_LANE_LENGTH:
    case ACTION_LOAD_LANE:
    case ACTION_READ_RECORD:
    case ACTION_WRITE_LETTERS:
    case ACTION_SEND_COMMIT:
    case ACTION_RECEIVE_COMMIT:
        window_result(machine, input);
        break;
    case ACTION_IDLE:
    case ACTION_REPORT:
    case ACTION_NOTE:
    case ACTION_EXIT:
        break;
    }
}

static void ask_note(struct machine *machine)
{
    machine->told = machine->notes[0];
    machine->note_count--;
    memmove(&machine->notes[0], &machine->notes[1], machine->note_count * sizeof machine->notes[0]);
    struct action *action = machine_ask(machine, ACTION_NOTE);
    action->level = machine->told.level;
    action->text = machine->told.text;
}

static void ask_exit(struct machine *machine)
{
    if (!machine->failed && !machine->stop && machine->options.until_end && plan_any_halted(machine)) {
        struct error error = {0};
        error_set(&error, ERROR_HALTED, "a partition is halted");
        machine_fail(machine, &error);
    }
    if (!machine->failed && !machine->reported_last && machine->partitions.count > 0) {
        machine->reported_last = true;
        machine_ask(machine, ACTION_REPORT);
        return;
    }
    struct action *action = machine_ask(machine, ACTION_EXIT);
    action->result = machine->failed ? -(int)machine->failure.code : 0;
    action->error = &machine->failure;
}

static void ask_connect(struct machine *machine)
{
    if (machine->now_ms >= machine->connect_at_ms) {
        machine_ask(machine, ACTION_CONNECT);
        return;
    }
    int64_t left = machine->connect_at_ms - machine->now_ms;
    machine_ask(machine, ACTION_IDLE)->wait_ms = left < IDLE_WAIT_MS ? left : IDLE_WAIT_MS;
}

/* Nothing is in flight and nothing is planned: fold what is there, or look for more. */
static void fold_or_fetch(struct machine *machine)
{
    if (machine->partitions.count > 0 && machine->now_ms >= machine->report_at_ms) {
        machine->report_at_ms = machine->now_ms + REPORT_EVERY_MS;
        machine_ask(machine, ACTION_REPORT);
        return;
    }
    if (window_begin(machine))
        return;
    if (machine->replan_once_folded) {
        machine->replan_once_folded = false;
        machine->replan = true;
        return;
    }
    if (machine->options.until_end && plan_reached_end(machine)) {
        ask_exit(machine);
        return;
    }
    if (machine->partitions.count > 0 && machine->now_ms >= machine->check_at_ms) {
        plan_ask_check(machine);
        return;
    }
    if (fold_is_full(machine->fold))
        fold_forget(machine->fold);
    struct action *action = machine_ask(machine, ACTION_FETCH);
    action->batch = machine->next;
    action->wait_ms = IDLE_WAIT_MS;
}

/* Set machine->action, or change the state so that it must be decided again: then false. */
static bool decide(struct machine *machine)
{
    machine->started = false;
    if (machine->note_count > 0)
        ask_note(machine);
    else if (machine->failed || (machine->stop && !window_is_committing(machine)))
        ask_exit(machine);
    else if (!machine->connected)
        ask_connect(machine);
    else if (!machine->subscribed)
        machine_ask(machine, ACTION_SUBSCRIBE);
    else if (plan_tell(machine))
        ;
    else if (machine->window != WINDOW_NONE)
        window_next(machine);
    else if (machine->rebalanced)
        machine_ask(machine, ACTION_TAKE_ASSIGNMENT);
    else if (machine->replan && machine->assigned)
        plan_next(machine);
    else
        fold_or_fetch(machine);
    return machine->started;
}

const struct action *machine_step(struct machine *machine, const struct input *input)
{
    assert(!machine->started || machine->action.kind != ACTION_EXIT);
    machine->now_ms = input->now_ms;
    machine->stop = machine->stop || input->stop;
    if (machine->started)
        take_result(machine, input);
    plan_retry_waiting(machine);
    while (!decide(machine))
        ;
    return &machine->action;
}
