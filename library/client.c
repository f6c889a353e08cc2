/* The client: a queue to Kafka, and one thread that brings the verdicts. */
#include "library/client.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "producer/schema_ids.h"
#include "producer/topics.h"
#include "schemas/identity.h"

enum {
    POLL_MS = 100,
    LOOK_MS = 1000, /* of one question to Kafka */
    PAUSE_MS = 50,  /* between two */
};

bool on_callback_thread(const struct citytotals_client *client)
{
    return client->polling && pthread_equal(pthread_self(), client->poller);
}

int refuse_time(int timeout_ms, struct citytotals_error **ret_error)
{
    if (timeout_ms >= 0 && timeout_ms <= CITYTOTALS_WAIT_MOST)
        return CITYTOTALS_OK;
    return fail(ret_error, CITYTOTALS_MISUSE, "timeout_ms is %d; allowed: 0 to %d", timeout_ms, CITYTOTALS_WAIT_MOST);
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
    client->polling = thread_start(&client->poller, poll_kafka, client) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return client->polling ? 0 : error_set(error, ERROR_MEMORY, "start the thread that brings the verdicts");
}

static int open_kafka(struct citytotals_client *client, struct error *error)
{
    const struct library_options *values = &client->options->values;
    for (int type = 0; type < EVENT_TYPES; type++)
        snprintf(client->topics[type], CLIENT_TOPIC_SIZE, "%s.%s", values->common.city, event_topic_suffix((enum event_type)type));
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
    clock_condition_init(&client->changed);
    pthread_mutex_init(&client->lock, NULL);
    if (!options->values.check_only && open_kafka(client, &error) < 0) {
        free_client(client);
        return fail_below(ret_error, 0, &error);
    }
    *ret_client = client;
    return CITYTOTALS_OK;
}

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
    struct timespec deadline = clock_deadline(timeout_ms);
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
