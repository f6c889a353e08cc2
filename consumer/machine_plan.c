/* The machine's part about partitions: what the group gives, where each stands in its log, halts and waits. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumer/machine_internal.h"

void plan_take_assignment(struct machine *machine, const struct input *input)
{
    struct partitions *partitions = &machine->partitions;
    machine_drop_batches(machine);
    machine->plan = PLAN_NONE;
    free(partitions->items);
    free(machine->checked.items);
    free(machine->parts);
    free(machine->offsets);
    *partitions = (struct partitions){.items = calloc(input->count + 1, sizeof *partitions->items)};
    machine->checked = (struct partitions){.items = calloc(input->count + 1, sizeof *partitions->items)};
    machine->parts = calloc(input->count + 1, sizeof *machine->parts);
    machine->offsets = calloc(input->count + 1, sizeof *machine->offsets);
    if (!partitions->items || !machine->checked.items || !machine->parts || !machine->offsets) {
        struct error error = {0};
        error_set(&error, ERROR_MEMORY, "out of memory for %zu partitions", input->count);
        machine_fail(machine, &error);
        return;
    }
    size_t left_out = 0;
    for (size_t i = 0; i < input->count; i++) {
        const struct topic_partition *part = &input->parts[i];
        if (part->topic >= EVENT_TYPES || part->partition < 0 || part->partition >= PARTITIONS_MOST) {
            left_out++;
            continue;
        }
        struct partition *partition = &partitions->items[partitions->count++];
        partition_init(partition, machine->city, (enum event_type)part->topic, part->partition);
        partition->end = machine->ends[part->topic][part->partition];
        partitions->index[part->topic][part->partition] = (uint16_t)partitions->count;
    }
    if (left_out)
        machine_note(machine, NOTE_ERROR, "%zu partitions are beyond the %d that one topic may have; they are left out",
                     left_out, PARTITIONS_MOST);
    machine_note(machine, NOTE_INFO, "assigned %zu partitions", partitions->count);
    if (input->visit_partitions > 0)
        machine->visit_partitions = input->visit_partitions;
    machine->assigned = true;
    machine->rebalanced = input->rebalanced;
}

/* Does this partition take part in the plan? Halted ones do not, waiting ones when their time has come. */
static bool takes_part(const struct machine *machine, const struct partition *partition)
{
    if (partition->state == PARTITION_WAITING)
        return machine->now_ms >= partition->retry_at_ms;
    return partition->state != PARTITION_HALTED;
}

void plan_next(struct machine *machine)
{
    struct partitions *partitions = &machine->partitions;
    struct action *action;
    switch (machine->plan) {
    case PLAN_NONE:
        machine_drop_batches(machine);
        machine->plan = PLAN_POSITIONS;
        machine->plan_cursor = machine->part_count = 0;
        machine->plan_slow = false;
        machine_ask(machine, ACTION_READ_POSITIONS)->partitions = partitions;
        return;
    case PLAN_POSITIONS:
    case PLAN_BOUNDS:
        machine->plan = PLAN_BOUNDS;
        while (machine->plan_cursor < partitions->count && !takes_part(machine, &partitions->items[machine->plan_cursor]))
            machine->plan_cursor++;
        if (machine->plan_cursor < partitions->count) {
            action = machine_ask(machine, ACTION_ASK_BOUNDS);
            action->partition = &partitions->items[machine->plan_cursor];
            action->wait_ms = machine->plan_slow ? BOUNDS_TIMEOUT_NEXT_MS : BOUNDS_TIMEOUT_MS;
            return;
        }
        machine->plan = PLAN_ASSIGN;
        action = machine_ask(machine, ACTION_ASSIGN);
        action->parts = machine->parts;
        action->offsets = machine->offsets;
        action->count = machine->part_count;
        return;
    case PLAN_GAP:
        action = machine_ask(machine, ACTION_RECORD_GAP);
        action->partition = &partitions->items[machine->plan_cursor];
        action->to = machine->gap_to;
        action->text = machine->options.accept_log_start ? "accepted by --accept-log-start" : "page visits are kept for a time";
        return;
    case PLAN_ASSIGN:
        return; /* its result ends the plan */
    }
}

static void join_plan(struct machine *machine, const struct partition *partition, int64_t start)
{
    machine->parts[machine->part_count] =
        (struct topic_partition){.topic = (uint8_t)partition->type, .partition = partition->id};
    machine->offsets[machine->part_count++] = start;
    machine->plan_cursor++;
}

static void bounds_result(struct machine *machine, const struct input *input)
{
    struct partition *partition = &machine->partitions.items[machine->plan_cursor];
    if (input->result < 0) {
        partition_wait(partition, "kafka does not tell where its log begins and ends: %s", input->error->text);
        machine->untold = machine->plan_slow = true;
        machine->plan_cursor++;
        return;
    }
    if (partition->end < 0)
        partition->end = machine->ends[partition->type][partition->id] = input->high;
    int64_t start = 0;
    switch (partition_meet_log(partition, input->low, input->high, machine->options.accept_log_start, &start)) {
    case PARTITION_HALT:
        machine->untold = true;
        machine->plan_cursor++;
        break;
    case PARTITION_SKIP:
        machine->plan = PLAN_GAP;
        machine->gap_to = input->low;
        break;
    case PARTITION_START:
        join_plan(machine, partition, start);
        break;
    }
}

void plan_ask_check(struct machine *machine)
{
    struct partition *items = machine->checked.items;
    memcpy(items, machine->partitions.items, machine->partitions.count * sizeof *items);
    machine->checked = machine->partitions;
    machine->checked.items = items;
    machine->check_at_ms = machine->now_ms + CHECK_EVERY_MS;
    machine_ask(machine, ACTION_READ_POSITIONS)->partitions = &machine->checked;
}

static void check_result(struct machine *machine)
{
    for (size_t i = 0; i < machine->partitions.count; i++) {
        const struct partition *partition = &machine->partitions.items[i], *stored = &machine->checked.items[i];
        if (partition->position == stored->position)
            continue;
        char text[PARTITION_FIELD_SIZE + 100];
        snprintf(text, sizeof text, "redis has %s at offset %" PRId64 ", not at %" PRId64, partition->field, stored->position,
                 partition->position);
        machine_doubt(machine, text);
        return;
    }
}

void plan_result(struct machine *machine, const struct input *input)
{
    struct partition *partition = machine->action.partition;
    switch (machine->action.kind) {
    case ACTION_ASK_BOUNDS:
        bounds_result(machine, input);
        break;
    case ACTION_READ_POSITIONS:
        if (input->result < 0 && input->error->code == ERROR_HALTED)
            machine_fail(machine, input->error);
        else if (input->result < 0)
            machine_doubt(machine, input->error->text);
        else if (machine->plan == PLAN_NONE)
            check_result(machine);
        break;
    case ACTION_RECORD_GAP:
        if (input->result < 0) {
            machine_doubt(machine, input->error->text);
            break;
        }
        machine_note(machine, NOTE_WARNING,
                     "%s: the log starts at offset %" PRId64 ", after the stored %" PRId64 "; the gap is recorded",
                     partition->field, machine->gap_to, partition->position);
        partition_skip_to(partition, machine->gap_to);
        join_plan(machine, partition, machine->gap_to);
        machine->plan = PLAN_BOUNDS;
        break;
    default: /* ACTION_ASSIGN */
        machine->plan = PLAN_NONE;
        if (input->result < 0)
            machine_doubt(machine, input->error->text);
        else
            machine->replan = false;
        machine->check_at_ms = machine->now_ms + CHECK_EVERY_MS;
        break;
    }
}

bool plan_tell(struct machine *machine)
{
    if (!machine->untold)
        return false;
    for (size_t i = 0; i < machine->partitions.count; i++) {
        struct partition *partition = &machine->partitions.items[i];
        bool halted = partition->state == PARTITION_HALTED;
        if (partition->told || (!halted && partition->state != PARTITION_WAITING))
            continue;
        partition->told = true;
        if (partition->schema_id >= 0) {
            partition->retry_at_ms = machine->now_ms + SCHEMA_LOOK_EVERY_MS;
        } else if (!halted) {
            /* Tried in vain shortly before: a longer pause, so that the others are less disturbed. */
            bool again = partition->wait_ms > 0 &&
                         machine->now_ms < partition->retry_at_ms + partition->wait_ms + LETTERS_TIMEOUT_MS;
            int64_t most = WAIT_GROWS_TO * machine->options.retry_ms;
            partition->wait_ms = again ? partition->wait_ms * 2 : machine->options.retry_ms;
            partition->wait_ms = partition->wait_ms < most ? partition->wait_ms : most;
            partition->retry_at_ms = machine->now_ms + partition->wait_ms;
        }
        /* What was read before a record that can't be decided is known: it is folded first. */
        if (partition->schema_id >= 0)
            machine->replan_once_folded = true;
        else if (machine->plan == PLAN_NONE)
            machine->replan = true;
        machine->told.level = halted ? NOTE_ERROR : NOTE_WARNING;
        snprintf(machine->told.text, sizeof machine->told.text, "%s %s: %s", partition->field,
                 halted ? "is halted" : "waits", partition->reason);
        struct action *action = machine_ask(machine, ACTION_NOTE);
        action->level = machine->told.level;
        action->text = machine->told.text;
        action->partition = partition;
        return true;
    }
    machine->untold = false;
    return false;
}

/* Has this waiting partition's time come? One that waits for a schema id is tried once there is an answer. */
static bool is_due(struct machine *machine, struct partition *partition)
{
    if (partition->state != PARTITION_WAITING || !partition->told || machine->now_ms < partition->retry_at_ms)
        return false;
    if (partition->schema_id < 0 || decoder_can_decide(machine->options.decoder, (uint32_t)partition->schema_id))
        return true;
    partition->retry_at_ms = machine->now_ms + SCHEMA_LOOK_EVERY_MS;
    return false;
}

void plan_retry_waiting(struct machine *machine)
{
    for (size_t i = 0; i < machine->partitions.count; i++)
        if (is_due(machine, &machine->partitions.items[i]))
            machine->replan = true;
}

bool plan_reached_end(const struct machine *machine)
{
    if (!machine->assigned || machine->current->count || machine->next->count)
        return false;
    for (size_t i = 0; i < machine->partitions.count; i++) {
        const struct partition *partition = &machine->partitions.items[i];
        if (partition->state != PARTITION_HALTED &&
            (partition->state != PARTITION_ACTIVE || partition->position < partition->end))
            return false;
    }
    return true;
}

bool plan_any_halted(const struct machine *machine)
{
    for (size_t i = 0; i < machine->partitions.count; i++)
        if (machine->partitions.items[i].state == PARTITION_HALTED)
            return true;
    return false;
}
