/* The machine's part about one window: its lanes, lookalikes, sums, dead letters, commit, and the commit's reply. */
#include <inttypes.h>
#include <stdio.h>

#include "consumer/machine_internal.h"

/* A build for tests breaks the order on purpose, to see that a test notices. */
#ifdef CITYTOTALS_LETTERS_AFTER_COMMIT
static const bool letters_after_commit = true;
#else
static const bool letters_after_commit = false;
#endif

/* Two consumers that fold into one hot lane refuse each other's commits; smaller windows get through. */
static size_t window_most(const struct machine *machine)
{
    size_t most = machine->current->count;
    for (int i = 1; i < machine->stale_in_a_row && most > 1; i++)
        most /= 2;
    return most;
}

/* Which lanes does the window need? It is cut where they would be more than lanes_most. */
static void measure(struct machine *machine)
{
    fold_lanes(machine->fold, machine->current, machine->lanes_most, machine->needed);
    machine->window = WINDOW_MEASURE;
    machine->lane = 0;
    machine->lane_bytes = 0;
}

bool window_begin(struct machine *machine)
{
    for (int i = 0; i < 2; i++) {
        struct batch *batch = machine->current;
        while (batch->low < batch->count && batch->items[batch->low].kind == ITEM_NOTHING)
            batch->low++;
        if (batch->low < batch->count) {
            size_t most = window_most(machine);
            batch->high = most < batch->count - batch->low ? batch->low + most : batch->count;
            machine->lanes_most = SEEN_LANES;
            machine->letters_begun = machine->fetched_ahead = false;
            measure(machine);
            return true;
        }
        machine->counts.gaps += batch->gaps;
        batch->count = batch->low = batch->high = 0;
        batch->gaps = 0;
        machine->current = machine->next;
        machine->next = batch;
    }
    return false;
}

bool window_is_committing(const struct machine *machine)
{
    return machine->window == WINDOW_SENT || (machine->window != WINDOW_NONE && machine->letters_begun);
}

/* From machine->lane on, the next lane that is needed and not held. */
static bool next_lane(struct machine *machine)
{
    while (machine->lane < SEEN_LANES &&
           (!machine->needed[machine->lane] || lane_is_loaded(machine->lanes, machine->lane)))
        machine->lane++;
    return machine->lane < SEEN_LANES;
}

static void ask_lane(struct machine *machine, enum action_kind kind)
{
    struct action *action = machine_ask(machine, kind);
    action->lane = machine->lane;
    action->lanes = machine->lanes;
}

static void look_up(struct machine *machine)
{
    machine->suspect_count = fold_prepare(machine->fold, machine->current, &machine->suspects);
    machine->suspect_at = 0;
    if (machine->suspect_count > 0)
        machine->suspect = machine->suspects[0];
    machine->window = WINDOW_SETTLE;
}

static void sum(struct machine *machine)
{
    struct error error = {0};
    if (fold_sum(machine->fold, machine->current, &machine->window_counts, &error) < 0)
        machine_fail(machine, &error);
    machine->letter_cursor = machine->current->low;
    machine->window = letters_after_commit ? WINDOW_SEND : WINDOW_LETTERS;
}

static void committed(struct machine *machine)
{
    const struct fold_counts *counts = &machine->window_counts;
    machine->counts.folded += counts->folded;
    machine->counts.events += counts->events;
    machine->counts.visits += counts->visits;
    machine->counts.duplicates += counts->duplicates;
    machine->counts.conflicts += counts->conflicts;
    machine->counts.letters += counts->letters;
    for (int reason = 0; reason < LETTER_REASONS; reason++)
        machine->counts.letters_of[reason] += counts->letters_of[reason];
    machine->counts.commits++;
    machine->stale_in_a_row = 0;
    machine->connect_pause_ms = 0;
    machine->check_at_ms = machine->now_ms + CHECK_EVERY_MS;
    machine->window = WINDOW_NONE;
    fold_committed(machine->fold, machine->current);
}

static void send_commit(struct machine *machine)
{
    struct error error = {0};
    if (fold_arguments(machine->fold, machine->current, citytotals_function_commit, machine->epoch, machine->visit_partitions,
                       &machine->arguments, &error) < 0)
        machine_fail(machine, &error);
    else
        machine_ask(machine, ACTION_SEND_COMMIT)->arguments = &machine->arguments;
}

static void ask_letters(struct machine *machine)
{
    size_t count =
        fold_letters(machine->fold, machine->current, &machine->letter_cursor, machine->letters, LETTERS_AT_ONCE);
    if (count == 0 && letters_after_commit) {
        committed(machine);
    } else if (count == 0) {
        machine->window = WINDOW_SEND;
    } else {
        struct action *action = machine_ask(machine, ACTION_WRITE_LETTERS);
        action->letters = machine->letters;
        action->count = count;
        action->wait_ms = LETTERS_TIMEOUT_MS;
        machine->letters_begun = true;
    }
}

/* A commit is in flight: read and decode the next batch, then see to the reply. */
static void while_in_flight(struct machine *machine)
{
    if (!machine->fetched_ahead && !machine->stop && !machine->replan_once_folded && machine->next->count == 0 && !fold_is_full(machine->fold)) {
        machine->fetched_ahead = true;
        machine_ask(machine, ACTION_FETCH)->batch = machine->next;
        return;
    }
    int64_t left = machine->reply_deadline_ms - machine->now_ms;
    machine_ask(machine, ACTION_RECEIVE_COMMIT)->wait_ms = left < 0 ? 0 : left < REPLY_WAIT_MS ? left : REPLY_WAIT_MS;
    machine->action.lanes = machine->lanes;
}

void window_next(struct machine *machine)
{
    switch (machine->window) {
    case WINDOW_NONE:
        return;
    case WINDOW_MEASURE:
        if (next_lane(machine)) {
            ask_lane(machine, ACTION_ASK_LANE_LENGTH);
        } else if (lanes_make_room(machine->lanes, machine->needed, machine->lane_bytes) || machine->lanes_most == 1) {
            machine->window = WINDOW_LOAD;
            machine->lane = 0;
        } else {
            machine->lanes_most /= 2;
            measure(machine);
        }
        return;
    case WINDOW_LOAD:
        if (next_lane(machine))
            ask_lane(machine, ACTION_LOAD_LANE);
        else
            look_up(machine);
        return;
    case WINDOW_SETTLE:
        if (machine->suspect_at < machine->suspect_count) {
            struct action *action = machine_ask(machine, ACTION_READ_RECORD);
            action->lane = machine->suspect.lane;
            action->index = machine->suspect.index;
            action->record = machine->record;
        } else {
            sum(machine);
        }
        return;
    case WINDOW_LETTERS:
        ask_letters(machine);
        return;
    case WINDOW_SEND:
        send_commit(machine);
        return;
    case WINDOW_SENT:
        while_in_flight(machine);
        return;
    }
}

/* Every partition of the window with a dead letter waits; the others go on from what is stored. */
static void letters_failed(struct machine *machine, const char *why)
{
    const struct batch *batch = machine->current;
    for (size_t i = batch->low; i < batch->high; i++) {
        const struct item *item = &batch->items[i];
        if (!item_is_letter(item) || item->partition->state == PARTITION_WAITING)
            continue;
        partition_wait(item->partition, "the dead letter of offset %" PRId64 " can't be written: %s",
                       batch->records[i].offset, why);
        machine->untold = true;
    }
    machine_drop_batches(machine);
}

static void receive_result(struct machine *machine, const struct input *input)
{
    const struct commit_result *commit = &input->commit;
    char text[sizeof commit->detail + 32];
    switch (commit->outcome) {
    case COMMIT_PENDING:
        if (machine->stop && machine->reply_deadline_ms > machine->now_ms + STOP_TIMEOUT_MS)
            machine->reply_deadline_ms = machine->now_ms + STOP_TIMEOUT_MS;
        if (machine->now_ms >= machine->reply_deadline_ms)
            machine_doubt(machine, "redis did not answer a commit in time");
        return;
    case COMMIT_OK:
        machine->counts.version = commit->version;
        machine->counts.late_visits += commit->late_visits;
        if (commit->late_visits)
            machine_note(machine, NOTE_WARNING,
                         "%" PRId64 " page visits of days that are final were not counted: their Kafka timestamps went back",
                         commit->late_visits);
        if (letters_after_commit)
            machine->window = WINDOW_LETTERS;
        else
            committed(machine);
        return;
    case COMMIT_STALE:
        machine->counts.stale++;
        machine->stale_in_a_row++;
        machine->window = WINDOW_NONE;
        return;
    case COMMIT_FENCED:
        machine->counts.fenced++;
        snprintf(text, sizeof text, "fenced: %s", commit->detail);
        machine_doubt(machine, text);
        return;
    case COMMIT_EPOCH:
        machine->counts.fenced++;
        machine_doubt(machine, "fenced: the state in redis was begun anew");
        return;
    }
}

void window_result(struct machine *machine, const struct input *input)
{
    if (input->result < 0) {
        if (machine->action.kind == ACTION_WRITE_LETTERS)
            letters_failed(machine, input->error->text);
        else if (input->error->code == ERROR_HALTED)
            machine_fail(machine, input->error);
        else
            machine_doubt(machine, input->error->text);
        return;
    }
    switch (machine->action.kind) {
    case ACTION_ASK_LANE_LENGTH:
        machine->lane_bytes += lane_memory_of(input->length);
        machine->lane++;
        break;
    case ACTION_READ_RECORD:
        if (fold_settle(machine->fold, machine->current, &machine->suspect, machine->record) &&
            ++machine->suspect_at < machine->suspect_count)
            machine->suspect = machine->suspects[machine->suspect_at];
        break;
    case ACTION_SEND_COMMIT:
        machine->window = WINDOW_SENT;
        machine->reply_deadline_ms = machine->now_ms + COMMIT_TIMEOUT_MS;
        break;
    case ACTION_RECEIVE_COMMIT:
        receive_result(machine, input);
        break;
    default: /* a loaded lane is passed over; letters go on from the cursor */
        break;
    }
}

/* Errors of a partition that name an offset halt it: something there can't be read. Others make it wait. */
static void take_errors(struct machine *machine, const struct batch *batch)
{
    const char *unplaced = NULL;
    for (size_t i = 0; batch->errors > 0 && i < batch->count; i++) {
        const struct source_record *record = &batch->records[i];
        if (record->kind != RECORD_ERROR)
            continue;
        const char *text = record->error_text ? record->error_text : "unknown error";
        struct partition *partition = partition_find(&machine->partitions, record->topic, record->partition);
        if (!partition)
            unplaced = text;
        else if (record->offset >= 0)
            partition_halt(partition, "offset %" PRId64 ": %s", record->offset, text);
        else if (partition->state != PARTITION_HALTED)
            partition_wait(partition, "kafka: %s", text);
    }
    if (unplaced)
        machine_note(machine, NOTE_WARNING, "kafka: %s", unplaced);
}

void window_fetched(struct machine *machine, const struct input *input)
{
    struct batch *batch = machine->next;
    batch->count = input->rebalanced ? 0 : input->count;
    fold_decode(machine->fold, &machine->partitions, batch);
    take_errors(machine, batch);
    machine->untold = true; /* a record may have shown that its log is not the one that was folded */
}
