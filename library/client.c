/* The client: a pool of checkers, a queue to Kafka, and one thread that brings the verdicts. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "library/library.h"
#include "producer/message.h"
#include "producer/parser.h"
#include "producer/schema_ids.h"
#include "producer/sender.h"
#include "producer/topics.h"
#include "schemas/identity.h"

enum {
    CHECKERS_MOST = 16, /* events that are checked at once; each has about a MiB once it was needed */
    POLL_MS = 100,
    LOOK_MS = 1000,     /* of one question to Kafka */
    PAUSE_MS = 50,      /* between two */
    TOPIC_SIZE = 128,
    REASON_SIZE = 256,
};
_Static_assert(EVENT_ID_TEXT_SIZE == CITYTOTALS_EVENT_ID_SIZE, "event ids as text");

/* What one thread needs to make a message of what it is given. */
struct checker {
    struct parser *parser;
    struct message_maker *maker; /* NULL in a client that only checks */
    struct problems problems;
    struct buffer bytes;
    struct checker *next;
};

/* A submitted event. */
struct ticket {
    void *event_context;
    enum event_type type;
    struct event_id id;
    struct ticket *previous, *next;
};

struct citytotals_client {
    struct citytotals_options *options;
    int64_t schema_ids[EVENT_TYPES];
    char topics[EVENT_TYPES][TOPIC_SIZE];
    struct sender *sender; /* NULL in a client that only checks */
    pthread_t poller;
    bool polling;
    atomic_bool stop;
    atomic_int flushing; /* calls of flush that wait */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed; /* a checker is free, or a verdict was delivered */
    struct checker *checkers;
    size_t checkers_made;
    struct ticket tickets; /* the ring's anchor */
    size_t pending;
    uint64_t delivered, failed; /* failed: since a flush told of it */
    char reason[REASON_SIZE]; /* of the first of them */
    bool closing;
};

/* What a call is given: an event put together, or one as JSON. */
struct given {
    const struct citytotals_event *event;
    struct slice json;
};

static struct timespec deadline_in(int timeout_ms)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += timeout_ms / 1000;
    time.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (time.tv_nsec >= 1000000000L) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000L;
    }
    return time;
}

static bool on_callback_thread(const struct citytotals_client *client)
{
    return client->polling && pthread_equal(pthread_self(), client->poller);
}

static int refuse_time(int timeout_ms, struct citytotals_error **ret_error)
{
    if (timeout_ms >= 0 && timeout_ms <= CITYTOTALS_WAIT_MOST)
        return CITYTOTALS_OK;
    return fail(ret_error, CITYTOTALS_MISUSE, "timeout_ms is %d; allowed: 0 to %d", timeout_ms, CITYTOTALS_WAIT_MOST);
}

/* --- checkers --- */

static struct checker *checker_free(struct checker *checker)
{
    if (!checker)
        return NULL;
    parser_free(checker->parser);
    message_maker_free(checker->maker);
    buffer_free(&checker->bytes);
    free(checker);
    return NULL;
}

static struct checker *checker_new(const struct citytotals_client *client)
{
    struct checker *checker = calloc(1, sizeof *checker);
    if (!checker)
        return NULL;
    checker->bytes = BUFFER_BOUNDED(VALUE_SIZE_MOST);
    if (parser_new(&checker->parser, NULL) < 0 ||
        (!client->options->values.check_only && message_maker_new(client->schema_ids, &checker->maker, NULL) < 0))
        return checker_free(checker);
    return checker;
}

/* Nobody keeps one while it waits for anything but the processor. NULL: out of memory. */
static struct checker *take_checker(struct citytotals_client *client)
{
    pthread_mutex_lock(&client->lock);
    while (!client->checkers && client->checkers_made == CHECKERS_MOST)
        pthread_cond_wait(&client->changed, &client->lock);
    struct checker *checker = client->checkers;
    if (checker)
        client->checkers = checker->next;
    else
        client->checkers_made++;
    pthread_mutex_unlock(&client->lock);
    if (checker || (checker = checker_new(client)))
        return checker;
    pthread_mutex_lock(&client->lock);
    client->checkers_made--;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
    return NULL;
}

static void give_checker(struct citytotals_client *client, struct checker *checker)
{
    pthread_mutex_lock(&client->lock);
    bool waited_for = !client->checkers && client->checkers_made == CHECKERS_MOST;
    checker->next = client->checkers;
    client->checkers = checker;
    if (waited_for)
        pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

/* The event, which lives until the checker is used again. */
static int judge(const struct citytotals_client *client, struct checker *checker, const struct given *given, struct event *ret_event,
                 struct citytotals_error **ret_error)
{
    const struct parser_defaults defaults = {.source = slice_of(client->options->values.source), .csv_type = -1, .now_ms = clock_wall_ms()};
    struct problems *problems = &checker->problems;
    bool good = given->event ? parser_fields(checker->parser, &given->event->fields, &defaults, ret_event, problems)
                             : parser_json(checker->parser, given->json, &defaults, ret_event, problems);
    if (good && ret_event->type == EVENT_PAGE_VISIT) {
        good = false;
        problem_add(problems, "type", 0, "type is \"page-visit\"; allowed: headcount-change, unit-merger (page visits come in by the "
                                         "gateway)");
    }
    return good ? CITYTOTALS_OK : fail_event(ret_error, problems);
}

static int check(struct citytotals_client *client, const struct given *given, char *ret_event_id, struct citytotals_error **ret_error)
{
    struct event event;
    struct checker *checker = take_checker(client);
    if (!checker)
        return fail(ret_error, CITYTOTALS_MEMORY, "out of memory");
    int result = judge(client, checker, given, &event, ret_error);
    if (result == CITYTOTALS_OK && ret_event_id)
        event_id_format(event.event_id, ret_event_id);
    give_checker(client, checker);
    return result;
}

/* What both ways of giving an event must be. */
static int refuse_given(const struct citytotals_client *client, const struct given *given, struct citytotals_error **ret_error)
{
    no_error(ret_error);
    if (!client)
        return fail(ret_error, CITYTOTALS_MISUSE, "client is NULL");
    if (!given->event && !given->json.data)
        return fail(ret_error, CITYTOTALS_MISUSE, "the event is NULL");
    return CITYTOTALS_OK;
}

int citytotals_check(struct citytotals_client *client, const struct citytotals_event *event, char *ret_event_id,
                     struct citytotals_error **ret_error)
{
    const struct given given = {.event = event};
    int result = refuse_given(client, &given, ret_error);
    return result < 0 ? result : check(client, &given, ret_event_id, ret_error);
}

int citytotals_check_json(struct citytotals_client *client, const char *json, size_t size, char *ret_event_id,
                          struct citytotals_error **ret_error)
{
    const struct given given = {.json = {json, size}};
    int result = refuse_given(client, &given, ret_error);
    return result < 0 ? result : check(client, &given, ret_event_id, ret_error);
}

/* --- verdicts --- */

static void link_ticket(struct citytotals_client *client, struct ticket *ticket)
{
    ticket->previous = client->tickets.previous;
    ticket->next = &client->tickets;
    ticket->previous->next = ticket->next->previous = ticket;
    client->pending++;
}

static void unlink_ticket(struct citytotals_client *client, struct ticket *ticket)
{
    ticket->previous->next = ticket->next;
    ticket->next->previous = ticket->previous;
    client->pending--;
}

static void deliver(struct citytotals_client *client, struct ticket *ticket, const struct sender_verdict *verdict)
{
    const struct citytotals_options *options = client->options;
    char id[EVENT_ID_TEXT_SIZE];
    if (options->on_delivery) {
        const struct citytotals_delivery delivery = {
            .code = verdict->failure ? CITYTOTALS_KAFKA : CITYTOTALS_OK,
            .text = verdict->failure ? verdict->failure : "",
            .event_context = ticket->event_context,
            .event_id = event_id_format(ticket->id, id),
            .topic = client->topics[ticket->type],
            .partition = verdict->partition,
            .offset = verdict->offset,
        };
        options->on_delivery(options->delivery_context, &delivery);
    }
    pthread_mutex_lock(&client->lock);
    unlink_ticket(client, ticket);
    client->delivered++;
    if (verdict->failure && client->failed++ == 0)
        snprintf(client->reason, sizeof client->reason, "%s", verdict->failure);
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
    free(ticket);
}

static void on_delivery(void *context, void *event_context, const struct sender_verdict *verdict)
{
    deliver(context, event_context, verdict);
}

static void on_log(void *context, int level, const char *text)
{
    const struct citytotals_options *options = ((struct citytotals_client *)context)->options;
    if (options->on_log)
        options->on_log(options->log_context, level, text);
}

static void *poll_kafka(void *context)
{
    struct citytotals_client *client = context;
    while (!client->stop) {
        if (client->flushing && sender_pending(client->sender))
            sender_flush(client->sender, POLL_MS, NULL, NULL); /* does not wait for the linger time */
        else
            sender_poll(client->sender, POLL_MS);
    }
    return NULL;
}

/* --- open --- */

/* A peer that hangs up must not end the process: libcurl writes with the signal's usual effect. */
static int settle_ids(struct citytotals_client *client, struct error *error)
{
    const struct library_options *values = &client->options->values;
    sigset_t pipe, pending, before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    int result = schema_ids_settle(&values->registry, values->common.city, values->registration == 0, NULL, client->schema_ids, error);
    while (!sigismember(&pending, SIGPIPE) && sigtimedwait(&pipe, NULL, &(struct timespec){0}) < 0 && errno == EINTR)
        ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

/* The host's signals are for its own threads. */
static int start_poller(struct citytotals_client *client, struct error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    client->polling = pthread_create(&client->poller, NULL, poll_kafka, client) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return client->polling ? 0 : error_set(error, ERROR_MEMORY, "start the thread that brings the verdicts");
}

static int open_kafka(struct citytotals_client *client, struct error *error)
{
    const struct library_options *values = &client->options->values;
    for (int type = 0; type < EVENT_TYPES; type++)
        snprintf(client->topics[type], TOPIC_SIZE, "%s.%s", values->common.city, event_topic_suffix((enum event_type)type));
    int result = settle_ids(client, error);
    const struct sender_options sender = {
        .common = &values->common,
        .client_id = values->client_id,
        .queue_events = values->queue_events,
        .queue_kib = values->queue_bytes / 1024,
        .linger_ms = values->linger_ms,
        .ack_timeout_ms = values->ack_timeout_ms,
        .on_delivery = on_delivery,
        .on_log = on_log,
        .context = client,
    };
    if (result >= 0)
        result = sender_open(&sender, &client->sender, error);
    return result < 0 ? result : start_poller(client, error);
}

static void free_client(struct citytotals_client *client)
{
    client->stop = true;
    if (client->polling)
        pthread_join(client->poller, NULL);
    client->polling = false;
    pthread_mutex_lock(&client->lock);
    client->closing = true;
    pthread_mutex_unlock(&client->lock);
    sender_close(client->sender);
    /* Those that Kafka's client did not give back in time. */
    const struct sender_verdict given_up = {.failure = "given up", .partition = -1, .offset = -1};
    while (client->tickets.next != &client->tickets)
        deliver(client, client->tickets.next, &given_up);
    for (struct checker *checker = client->checkers, *next; checker; checker = next) {
        next = checker->next;
        checker_free(checker);
    }
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    citytotals_options_free(client->options);
    free(client);
}

int citytotals_open(struct citytotals_options *options, struct citytotals_client **ret_client, struct citytotals_error **ret_error)
{
    struct error error = {0};
    no_error(ret_error);
    if (!options || !ret_client)
        return fail(ret_error, CITYTOTALS_MISUSE, "%s is NULL", options ? "ret_client" : "options");
    int taken = options_take(options, ret_error);
    if (taken < 0)
        return taken;
    struct citytotals_client *client = calloc(1, sizeof *client);
    if (!client) {
        citytotals_options_free(options);
        return fail(ret_error, CITYTOTALS_MEMORY, "out of memory");
    }
    client->options = options;
    client->tickets.previous = client->tickets.next = &client->tickets;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&client->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&client->lock, NULL);
    if (!options->values.check_only && open_kafka(client, &error) < 0) {
        free_client(client);
        return fail_below(ret_error, 0, &error);
    }
    *ret_client = client;
    return CITYTOTALS_OK;
}

/* --- with Kafka --- */

/* A call that has to do with Kafka, on this client, from this thread. */
static int refuse_waiting(const struct citytotals_client *client, int timeout_ms, struct citytotals_error **ret_error)
{
    no_error(ret_error);
    if (!client)
        return fail(ret_error, CITYTOTALS_MISUSE, "client is NULL");
    if (on_callback_thread(client) || client->closing)
        return fail(ret_error, CITYTOTALS_MISUSE, "a delivery callback may not wait for verdicts");
    return refuse_time(timeout_ms, ret_error);
}

int citytotals_wait_ready(struct citytotals_client *client, int timeout_ms, struct citytotals_error **ret_error)
{
    struct error error = {0};
    struct topics topics;
    char missing[512];
    int result = refuse_waiting(client, timeout_ms, ret_error);
    if (result < 0)
        return result;
    if (!client->sender)
        return fail(ret_error, CITYTOTALS_MISUSE, "the client only checks: it has nothing to do with kafka");
    const char *city = client->options->values.common.city;
    for (int64_t end = clock_monotonic_ms() + timeout_ms;;) {
        int64_t left = end - clock_monotonic_ms();
        if (topics_look(sender_kafka(client->sender), city, left < 1 ? 1 : left > LOOK_MS ? LOOK_MS : left, &topics, &error) >= 0) {
            if (topics_missing(&topics, city, 1u << EVENT_HEADCOUNT_CHANGE | 1u << EVENT_UNIT_MERGER, missing, sizeof missing) == 0)
                return CITYTOTALS_OK;
            error_set(&error, ERROR_KAFKA, "kafka has no topic %s, or does not show it to this user", missing);
        }
        if (clock_monotonic_ms() >= end)
            return fail_below(ret_error, CITYTOTALS_KAFKA, &error);
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
}

/* A place in the queue for the ticket, before `deadline`. */
static bool reserve(struct citytotals_client *client, struct ticket *ticket, const struct timespec *deadline)
{
    int expired = 0;
    pthread_mutex_lock(&client->lock);
    while (client->pending >= (size_t)client->options->values.queue_events && deadline && !expired)
        expired = pthread_cond_timedwait(&client->changed, &client->lock, deadline);
    bool there = client->pending < (size_t)client->options->values.queue_events;
    if (there)
        link_ticket(client, ticket);
    pthread_mutex_unlock(&client->lock);
    return there;
}

/* Until a verdict after the `seen`th was delivered; false: not before `deadline`. */
static bool wait_for_room(struct citytotals_client *client, uint64_t seen, const struct timespec *deadline)
{
    int expired = 0;
    pthread_mutex_lock(&client->lock);
    while (client->delivered == seen && deadline && !expired)
        expired = pthread_cond_timedwait(&client->changed, &client->lock, deadline);
    bool changed = client->delivered != seen;
    pthread_mutex_unlock(&client->lock);
    return changed;
}

/* A message into the queue, waiting until `deadline`, or not at all when that is NULL. */
static int enqueue(struct citytotals_client *client, struct ticket *ticket, const struct message *message, const struct timespec *deadline,
                   struct error *error)
{
    if (!reserve(client, ticket, deadline))
        return error_set(error, ERROR_TIMEOUT, "the queue is full: %" PRId64 " events have no verdict; the event was not queued",
                         client->options->values.queue_events);
    for (;;) {
        pthread_mutex_lock(&client->lock);
        uint64_t seen = client->delivered;
        pthread_mutex_unlock(&client->lock);
        int result = sender_produce(client->sender, message, ticket, error);
        if (result >= 0)
            return 0;
        if (result != -ERROR_TIMEOUT || !wait_for_room(client, seen, deadline)) {
            pthread_mutex_lock(&client->lock);
            unlink_ticket(client, ticket);
            client->delivered++; /* its place is free */
            pthread_cond_broadcast(&client->changed);
            pthread_mutex_unlock(&client->lock);
            return result == -ERROR_TIMEOUT
                       ? error_set(error, ERROR_TIMEOUT, "the queue is full: its %" PRId64 " bytes are taken; the event was not queued",
                                   client->options->values.queue_bytes)
                       : result;
        }
    }
}

static int make(const struct citytotals_client *client, struct checker *checker, const struct given *given, struct ticket *ticket,
                struct message *ret_message, struct citytotals_error **ret_error)
{
    struct error error = {0};
    struct event event;
    int result = judge(client, checker, given, &event, ret_error);
    if (result < 0)
        return result;
    buffer_reset(&checker->bytes);
    if (message_make(checker->maker, &event, &checker->bytes, ret_message, &error) < 0)
        return fail_below(ret_error, 0, &error);
    ticket->type = event.type;
    ticket->id = event.event_id;
    return CITYTOTALS_OK;
}

/* The checker is given back; the ticket is the queue's when it returns CITYTOTALS_OK. `deadline` NULL: without waiting. */
static int make_and_enqueue(struct citytotals_client *client, struct checker *checker, const struct given *given, struct ticket *ticket,
                            const struct timespec *deadline, char *ret_event_id, struct citytotals_error **ret_error)
{
    struct error error = {0};
    struct message message;
    struct buffer bytes = {0};
    int made = make(client, checker, given, ticket, &message, ret_error);
    struct event_id id = ticket->id; /* once queued the ticket may go at any moment */
    int result = made < 0 ? 0 : enqueue(client, ticket, &message, NULL, &error);
    if (result == -ERROR_TIMEOUT && deadline) {
        bytes = checker->bytes; /* the message goes along: the checker is for others while this call waits */
        checker->bytes = BUFFER_BOUNDED(VALUE_SIZE_MOST);
    }
    give_checker(client, checker);
    if (result == -ERROR_TIMEOUT && deadline)
        result = enqueue(client, ticket, &message, deadline, &error);
    buffer_free(&bytes);
    if (made < 0)
        return made;
    if (result < 0)
        return fail_below(ret_error, 0, &error);
    if (ret_event_id)
        event_id_format(id, ret_event_id);
    return CITYTOTALS_OK;
}

static int submit(struct citytotals_client *client, const struct given *given, void *event_context, int timeout_ms, char *ret_event_id,
                  struct citytotals_error **ret_error)
{
    struct timespec deadline;
    int result = refuse_given(client, given, ret_error);
    if (result < 0 || (result = refuse_time(timeout_ms, ret_error)) < 0)
        return result;
    if (!client->sender || client->closing)
        return fail(ret_error, CITYTOTALS_MISUSE, client->sender ? "the client is being closed" : "the client only checks (check-only)");
    bool waits = timeout_ms > 0 && !on_callback_thread(client); /* that thread makes the room */
    if (waits)
        deadline = deadline_in(timeout_ms);
    struct ticket *ticket = calloc(1, sizeof *ticket);
    struct checker *checker = ticket ? take_checker(client) : NULL;
    if (!checker) {
        free(ticket);
        return fail(ret_error, CITYTOTALS_MEMORY, "out of memory");
    }
    ticket->event_context = event_context;
    result = make_and_enqueue(client, checker, given, ticket, waits ? &deadline : NULL, ret_event_id, ret_error);
    if (result < 0)
        free(ticket);
    return result;
}

int citytotals_submit(struct citytotals_client *client, const struct citytotals_event *event, void *event_context, int timeout_ms,
                      char *ret_event_id, struct citytotals_error **ret_error)
{
    const struct given given = {.event = event};
    return submit(client, &given, event_context, timeout_ms, ret_event_id, ret_error);
}

int citytotals_submit_json(struct citytotals_client *client, const char *json, size_t size, void *event_context, int timeout_ms,
                           char *ret_event_id, struct citytotals_error **ret_error)
{
    const struct given given = {.json = {json, size}};
    return submit(client, &given, event_context, timeout_ms, ret_event_id, ret_error);
}

size_t citytotals_pending(struct citytotals_client *client)
{
    if (!client)
        return 0;
    pthread_mutex_lock(&client->lock);
    size_t pending = client->pending;
    pthread_mutex_unlock(&client->lock);
    return pending;
}

static int flush(struct citytotals_client *client, int timeout_ms, struct citytotals_error **ret_error)
{
    int expired = 0, result = CITYTOTALS_OK;
    struct timespec deadline = deadline_in(timeout_ms);
    client->flushing++;
    pthread_mutex_lock(&client->lock);
    while (client->pending > 0 && !expired)
        expired = pthread_cond_timedwait(&client->changed, &client->lock, &deadline);
    if (client->pending > 0) {
        result = fail(ret_error, CITYTOTALS_TIMEOUT, "%zu events have no verdict after %d ms", client->pending, timeout_ms);
    } else if (client->failed) {
        result = fail(ret_error, CITYTOTALS_KAFKA, "%" PRIu64 " events were not acknowledged: %s; sending them again is safe",
                      client->failed, client->reason);
        client->failed = 0;
    }
    pthread_mutex_unlock(&client->lock);
    client->flushing--;
    return result;
}

int citytotals_flush(struct citytotals_client *client, int timeout_ms, struct citytotals_error **ret_error)
{
    int result = refuse_waiting(client, timeout_ms, ret_error);
    return result < 0 ? result : flush(client, timeout_ms, ret_error);
}

int citytotals_close(struct citytotals_client *client, int timeout_ms, struct citytotals_error **ret_error)
{
    no_error(ret_error);
    if (!client)
        return CITYTOTALS_OK;
    int result = refuse_waiting(client, timeout_ms, ret_error);
    if (result < 0)
        return result;
    result = flush(client, timeout_ms, ret_error);
    free_client(client);
    return result;
}
