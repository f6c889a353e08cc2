/* Submitting: an event is judged, made a message and queued; a call may wait for room. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "library/client.h"
#include "schemas/identity.h"

void link_ticket(struct citytotals_client *client, struct ticket *ticket)
{
    ticket->previous = client->tickets.previous;
    ticket->next = &client->tickets;
    ticket->previous->next = ticket->next->previous = ticket;
    client->pending++;
}

void unlink_ticket(struct citytotals_client *client, struct ticket *ticket)
{
    ticket->previous->next = ticket->next;
    ticket->next->previous = ticket->previous;
    client->pending--;
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
    checker_give(client, checker);
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
        deadline = clock_deadline(timeout_ms);
    struct ticket *ticket = calloc(1, sizeof *ticket);
    struct checker *checker = ticket ? checker_take(client) : NULL;
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
