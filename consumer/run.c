/* `citytotals-consumer run`: does what the machine asks for, with librdkafka and hiredis, and shows its state to the log,
 * the metrics and the health checks. Decides nothing. */
#include "consumer/run.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/program.h"
#include "base/management.h"
#include "consumer/consumer_metrics.h"
#include "consumer/letters.h"
#include "consumer/machine.h"
#include "consumer/resolver.h"
#include "consumer/settings.h"
#include "consumer/source.h"
#include "consumer/store.h"

enum {
    STUCK_AFTER_MS = 120000,
    KAFKA_ASK_MS = 1000,   /* between two looks whether Kafka is there again */
    CLUSTER_ID_MS = 10000, /* for a broker that answered a moment ago to tell its cluster's id */
    SCHEMA_WAIT_MS = 250, /* a batch with a new schema id gives the registry so long to say what it means */
};

struct run {
    struct run_options options;
    const struct run_mode *mode; /* NULL for `run` itself */
    const volatile sig_atomic_t *stop;
    struct health health;
    const char *unready;     /* why it does not fold, Kafka aside; NULL when it does */
    int64_t kafka_asked_ms;
    bool kafka_away;
    struct metrics *metrics;
    struct management *management;
    struct source *source;
    struct letters *letters;
    struct store *store;
    struct decoder *decoder;
    struct resolver *resolver; /* NULL without a schema registry */
    struct machine *machine;
    char *cluster_id;
    struct error error; /* of the latest action */
};

static void show_counts(struct run *run)
{
    const struct machine_counts *counts = machine_counts(run->machine);
    metrics_set(run->metrics, M_FOLDED, NULL, counts->folded);
    metrics_set(run->metrics, M_EVENTS, NULL, counts->events);
    metrics_set(run->metrics, M_VISITS, NULL, counts->visits);
    metrics_set(run->metrics, M_LATE_VISITS, NULL, counts->late_visits);
    metrics_set(run->metrics, M_DUPLICATES, NULL, counts->duplicates);
    metrics_set(run->metrics, M_CONFLICTS, NULL, counts->conflicts);
    for (int reason = 0; reason < LETTER_REASONS; reason++)
        metrics_set(run->metrics, M_LETTERS, dead_letter_reason_name((enum dead_letter_reason)reason), counts->letters_of[reason]);
    metrics_set(run->metrics, M_COMMITS, NULL, counts->commits);
    metrics_set(run->metrics, M_STALE, NULL, counts->stale);
    metrics_set(run->metrics, M_FENCED, NULL, counts->fenced);
    metrics_set(run->metrics, M_RECONNECTS, NULL, counts->reconnects);
    metrics_set(run->metrics, M_GAPS, NULL, counts->gaps);
    metrics_set(run->metrics, M_VERSION, NULL, counts->version);
    metrics_set(run->metrics, M_SEEN_MEMORY, NULL, lanes_memory(machine_lanes(run->machine)));
}

static void show_states(struct run *run)
{
    const struct partitions *partitions = machine_partitions(run->machine);
    metrics_set(run->metrics, M_PARTITIONS, NULL, (int64_t)partitions->count);
    metrics_set(run->metrics, M_REGISTRY_AWAY, NULL, run->resolver && resolver_is_away(run->resolver));
    for (size_t i = 0; i < partitions->count; i++) {
        const struct partition *partition = &partitions->items[i];
        metrics_set(run->metrics, M_HALTED, partition->field, partition->state == PARTITION_HALTED);
        metrics_set(run->metrics, M_WAITING, partition->field, partition->state == PARTITION_WAITING);
    }
}

static void forget_states(struct run *run)
{
    const struct partitions *partitions = machine_partitions(run->machine);
    for (size_t i = 0; i < partitions->count; i++) {
        metrics_remove(run->metrics, M_LAG, partitions->items[i].field);
        metrics_remove(run->metrics, M_HALTED, partitions->items[i].field);
        metrics_remove(run->metrics, M_WAITING, partitions->items[i].field);
    }
}

/* Lag, and the group's offsets, both for monitoring only. */
static void report(struct run *run)
{
    const struct partitions *partitions = machine_partitions(run->machine);
    struct topic_partition *parts = calloc(partitions->count, sizeof *parts);
    int64_t *offsets = calloc(partitions->count, sizeof *offsets);
    for (size_t i = 0; parts && offsets && i < partitions->count; i++) {
        const struct partition *partition = &partitions->items[i];
        parts[i] = (struct topic_partition){.topic = (uint8_t)partition->type, .partition = partition->id};
        offsets[i] = partition->position;
        int64_t end = source_known_end(run->source, (uint8_t)partition->type, partition->id);
        if (end >= 0)
            metrics_set(run->metrics, M_LAG, partition->field, end > partition->position ? end - partition->position : 0);
    }
    if (parts && offsets && !run->mode)
        source_commit_offsets(run->source, parts, offsets, partitions->count);
    free(parts);
    free(offsets);
    show_states(run);
}

static int connect_store(struct run *run, struct input *input, struct error *error)
{
    run->store = store_close(run->store);
    int result = store_open(&(struct store_options){.place = run->options.common.redis,
                                                    .city = run->options.common.city,
                                                    .generation = run->mode ? run->mode->generation : NULL,
                                                    .cluster_id = run->cluster_id,
                                                    .accepted_cluster = run->options.accept_cluster},
                            &run->store, error);
    if (result < 0) {
        run->unready = "redis is away";
        return result;
    }
    input->epoch = store_epoch(run->store);
    if (run->resolver)
        resolver_keep_again(run->resolver);
    return 0;
}

static void take_assignment(struct run *run, struct input *input)
{
    forget_states(run);
    source_assignment(run->source, &input->parts, &input->count);
    /* Partitions may have been added: the days of visits that are final depend on all of them. */
    source_topic_partition_count(run->source, EVENT_PAGE_VISIT, &input->visit_partitions, NULL);
}

static void fetch(struct run *run, const struct action *action, struct input *input)
{
    struct batch *batch = action->batch;
    ssize_t count = source_fetch(run->source, batch->records, batch->capacity, &batch->bytes, action->wait_ms,
                                 &input->rebalanced);
    input->count = count > 0 ? (size_t)count : 0;
    if (!run->resolver)
        return;
    resolver_meet(run->resolver, batch->records, input->count, SCHEMA_WAIT_MS);
    if (resolver_take_changed(run->resolver))
        decoder_forget_ids(run->decoder);
}

static int write_letters(struct run *run, const struct action *action, struct error *error)
{
    int64_t schema_id = -1;
    struct dead_letter wanted[LETTERS_AT_ONCE]; /* all, but in a mode that has an opinion */
    size_t count = 0;
    for (size_t i = 0; i < action->count; i++)
        if (!run->mode || run->mode->wants_letter(run->mode->context, &action->letters[i]))
            wanted[count++] = action->letters[i];
    if (count == 0)
        return 0;
    int result = run->resolver ? resolver_letter_id(run->resolver, action->wait_ms, &schema_id, error) : 0;
    return result < 0 ? result : letters_send(run->letters, wanted, count, schema_id, action->wait_ms, error);
}

static void tell(struct run *run, const struct action *action)
{
    static const enum log_level levels[] = {
        [NOTE_ERROR] = LOG_LEVEL_ERROR, [NOTE_WARNING] = LOG_LEVEL_WARNING, [NOTE_INFO] = LOG_LEVEL_INFO};
    log_write(levels[action->level], "%s", action->text);
    if (action->partition)
        show_states(run);
}

static int perform(struct run *run, const struct action *action, struct input *input, struct error *error)
{
    int result = 0;
    switch (action->kind) {
    case ACTION_CONNECT:
        return connect_store(run, input, error);
    case ACTION_SUBSCRIBE:
        log_info("folding %s from kafka cluster %s into redis", run->options.common.city, run->cluster_id);
        return run->mode ? source_take_all(run->source, error) : source_subscribe(run->source, error);
    case ACTION_TAKE_ASSIGNMENT:
        take_assignment(run, input);
        return 0;
    case ACTION_READ_POSITIONS:
        return store_positions(run->store, action->partitions, error);
    case ACTION_ASK_BOUNDS:
        return source_watermarks(run->source, (uint8_t)action->partition->type, action->partition->id, action->wait_ms,
                                 &input->low, &input->high, error);
    case ACTION_RECORD_GAP:
        return store_skip(run->store, action->partition, action->to, action->text, error);
    case ACTION_ASSIGN:
        result = source_assign(run->source, action->parts, action->offsets, action->count, error);
        if (result >= 0)
            run->unready = NULL;
        show_states(run);
        return result;
    case ACTION_IDLE:
        source_idle(run->source, action->wait_ms, &input->rebalanced);
        return source_fatal(run->source, error);
    case ACTION_FETCH:
        fetch(run, action, input);
        return source_fatal(run->source, error);
    case ACTION_ASK_LANE_LENGTH:
        return store_lane_length(run->store, action->lane, &input->length, error);
    case ACTION_LOAD_LANE:
        return store_load_lane(run->store, action->lanes, action->lane, error);
    case ACTION_READ_RECORD:
        return store_read_record(run->store, action->lane, action->index, action->record, error);
    case ACTION_WRITE_LETTERS:
#ifdef CITYTOTALS_LETTERS_AFTER_COMMIT
        raise(SIGSTOP); /* a test kills it here */
#endif
        return write_letters(run, action, error);
    case ACTION_SEND_COMMIT:
        return store_commit_send(run->store, action->arguments, error);
    case ACTION_RECEIVE_COMMIT:
        return store_commit_receive(run->store, action->lanes, action->wait_ms, &input->commit, error);
    case ACTION_REPORT:
        report(run);
        return 0;
    case ACTION_NOTE:
        tell(run, action);
        return 0;
    case ACTION_EXIT:
        return 0;
    }
    return 0;
}

/* Folding is over where Redis is away, and where no broker can be reached, whatever the group last gave us. */
static void look_about(struct run *run, int64_t now_ms)
{
    if (now_ms - run->kafka_asked_ms >= KAFKA_ASK_MS) {
        run->kafka_asked_ms = now_ms;
        run->kafka_away = source_is_away(run->source);
    }
    if (!run->mode)
        metrics_set(run->metrics, M_UNTAKEN, NULL, source_untaken(run->source, now_ms));
    health_set_ready(&run->health, run->unready ? run->unready : run->kafka_away ? "kafka is away" : NULL);
    health_turn(&run->health);
}

static int loop(struct run *run, struct error *error)
{
    struct input input = {.now_ms = clock_monotonic_ms(), .stop = *run->stop != 0};
    for (bool show = true;;) {
        const struct action *action = machine_step(run->machine, &input);
        if (show || action->kind == ACTION_REPORT || action->kind == ACTION_EXIT)
            show_counts(run);
        show = action->kind == ACTION_RECEIVE_COMMIT || action->kind == ACTION_CONNECT;
        if (action->kind == ACTION_EXIT) {
            if (action->result < 0)
                *error = *action->error;
            return action->result;
        }
        if (run->mode && (action->kind == ACTION_FETCH || action->kind == ACTION_IDLE)) {
            enum run_turn turned = RUN_ON;
            int result = run->mode->turn(run->mode->context, machine_partitions(run->machine), &turned, error);
            if (result >= 0 && turned == RUN_PARTITIONS)
                result = source_take_all(run->source, error);
            if (result < 0 || turned == RUN_DONE)
                return result;
        }
        input = (struct input){.error = &run->error};
        input.result = perform(run, action, &input, &run->error);
        input.rebalanced = input.rebalanced || source_rebalanced(run->source);
        input.stop = *run->stop != 0;
        input.now_ms = clock_monotonic_ms();
        look_about(run, input.now_ms);
    }
}

static void free_run(struct run *run)
{
    run->letters = letters_close(run->letters);
    run->source = source_close(run->source);
    run->store = store_close(run->store);
    run->machine = machine_free(run->machine);
    run->decoder = decoder_free(run->decoder);
    run->resolver = resolver_stop(run->resolver);
    run->management = management_stop(run->management);
    run->metrics = metrics_free(run->metrics);
    free(run->cluster_id);
}

/* Wait for the brokers and topics, and ask what must be known of them. Kafka may go away in between: then wait again. */
static int meet_kafka(struct run *run, int64_t deadline_ms, struct error *error)
{
    for (int64_t left = run->options.connect_timeout_ms;; left = deadline_ms - clock_monotonic_ms()) {
        left = left < 1 ? 1 : left;
        int result = source_wait(run->source, left, run->stop, &run->health, error);
        if (result < 0)
            return result;
        if ((run->cluster_id || (result = source_cluster_id(run->source, left < CLUSTER_ID_MS ? left : CLUSTER_ID_MS, &run->cluster_id, error)) >= 0) &&
            (result = source_check_topics(run->source, error)) >= 0)
            return 0;
        if (error->class != ERROR_CLASS_RETRY || *run->stop || clock_monotonic_ms() >= deadline_ms)
            return result;
        log_warning("%s; waiting for kafka again", error->text);
    }
}

static int open_run(struct run *run, struct error *error)
{
    const struct run_options *options = &run->options;
    int result;
    int64_t start_deadline_ms = clock_monotonic_ms() + options->connect_timeout_ms;
    run->health.stuck_after_ms = STUCK_AFTER_MS;
    health_turn(&run->health);
    health_set_ready(&run->health, run->unready = "starting");
    run->metrics = metrics_new(consumer_metrics, CONSUMER_METRICS);
    if (!run->metrics)
        return error_set(error, ERROR_MEMORY, "out of memory");
    const struct resolver_options resolver = {
        .registry = &options->registry, .redis = &options->common.redis, .city = options->common.city};
    if ((options->registry.url && (result = resolver_start(&resolver, &run->resolver, error)) < 0) ||
        (result = decoder_new(run->resolver ? resolver_lookup : NULL, run->resolver, &run->decoder, error)) < 0)
        return result;
    if (options->management &&
        (result = management_start(options->management, &run->health, run->metrics, &run->management, error)) < 0)
        return result;
    if ((result = source_open(&options->common, options->common.city, &run->source, error)) < 0 ||
        (result = meet_kafka(run, start_deadline_ms, error)) < 0 ||
        (result = letters_open(&options->common, options->common.city, &run->letters, error)) < 0)
        return result;
    return machine_new(&(struct machine_options){.city = options->common.city,
                                                 .generation = run->mode ? run->mode->generation : NULL,
                                                 .decoder = run->decoder,
                                                 .batch_most = (size_t)options->batch_events,
                                                 .seen_memory = options->seen_memory,
                                                 .retry_ms = options->retry_ms,
                                                 .start_deadline_ms = start_deadline_ms,
                                                 .until_end = options->until_end,
                                                 .accept_log_start = options->accept_log_start},
                       &run->machine, error);
}

int run_in_mode(const struct run_options *options, const struct run_mode *mode, const volatile sig_atomic_t *stop,
                struct error *error)
{
    struct run run = {.options = *options, .mode = mode, .stop = stop};
    int result = open_run(&run, error);
    if (result >= 0)
        result = loop(&run, error);
    free_run(&run);
    return result;
}

int consumer_run(int argc, char **argv)
{
    struct run run = {.stop = &program_stop};
    struct program_run frame;
    int result = program_begin(&frame, &consumer_command_run, argc, argv, &run.options);
    if (result <= 0 || (result = redis_place_check(&run.options.common.redis, &frame.error)) < 0)
        goto finish;
    program_catch_stop(false);
    result = open_run(&run, &frame.error);
    if (result >= 0)
        result = loop(&run, &frame.error);
    else if (program_stop)
        result = 0; /* stopped while waiting for Kafka: nothing was begun */
    if (result >= 0)
        log_info("stopped; %" PRId64 " records folded", run.machine ? machine_counts(run.machine)->folded : 0);
finish:
    free_run(&run);
    return program_end(&frame, result);
}
