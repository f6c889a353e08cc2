/* Requests that wait for Kafka: handed over by the handlers' threads, sent together, answered by the thread that polls Kafka.
 *
 * Many clients send one event each. What comes while Kafka works on the events before goes out together when it is through with them,
 * or after HOLD_MS: so a request alone does not wait, and many cost Kafka little. librdkafka does not do that well by itself: it has one
 * request with several messages on its way to a partition, and while messages wait behind it longer than its linger, it spins. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "producer/gateway_state.h"

enum { PROBLEM_SIZE = 512, ANSWER_MOST = 8 * 1024 * 1024, RETRY_KAFKA_S = 2, IDLE_MS = 50, HOLD_MS = 10, FLUSH_MS = 2000 };

/* One record on its way; Kafka's client gives it back with the verdict. */
struct ticket {
    struct post *post;
    uint32_t number;
};

/* A request's events. Freed by whoever brings the last verdict: always the polling thread. */
struct post {
    struct gateway *gateway;
    struct http_request *request; /* to be answered once; NULL: nobody waits */
    struct ingested ingested;
    struct ticket *tickets;
    size_t good;    /* events for Kafka */
    size_t waiting; /* verdicts that are due, and the sending itself; of the polling thread */
    bool answered, failed;
    int64_t since_ms;
    struct post *next, *previous;
};

struct post *gateway_post_new(struct gateway *gateway, struct ingested *ingested, size_t good)
{
    if (atomic_fetch_add(&gateway->events_waiting, good) + good > (size_t)gateway->options.queue_events)
        goto failed;
    struct post *post = calloc(1, sizeof *post);
    if (post)
        post->tickets = calloc(ingested->count, sizeof *post->tickets);
    if (!post || !post->tickets) {
        free(post);
        goto failed;
    }
    post->gateway = gateway;
    post->ingested = *ingested;
    post->good = good;
    *ingested = (struct ingested){0};
    return post;
failed:
    atomic_fetch_sub(&gateway->events_waiting, good);
    return NULL;
}

void gateway_post_hand_over(struct gateway *gateway, struct post *post, struct http_request *request)
{
    post->request = request;
    if (request)
        http_defer(request);
    post->since_ms = clock_monotonic_ms();
    pthread_mutex_lock(&gateway->posts_lock);
    post->previous = gateway->last_post;
    *(gateway->last_post ? &gateway->last_post->next : &gateway->first_post) = post;
    gateway->last_post = post;
    if (!gateway->first_unsent)
        gateway->first_unsent = post;
    if (gateway->poller_idle)
        pthread_cond_signal(&gateway->posts_changed);
    pthread_mutex_unlock(&gateway->posts_lock);
}

static void unlink_post(struct gateway *gateway, struct post *post)
{
    pthread_mutex_lock(&gateway->posts_lock);
    *(post->previous ? &post->previous->next : &gateway->first_post) = post->next;
    *(post->next ? &post->next->previous : &gateway->last_post) = post->previous;
    pthread_mutex_unlock(&gateway->posts_lock);
}

struct http_response *gateway_verdicts(struct gateway *gateway, const struct ingested *ingested)
{
    struct buffer body = BUFFER_BOUNDED(ANSWER_MOST);
    ingested_write(ingested, gateway->options.common.city, &body);
    if (!ingested->dry) {
        size_t accepted = ingested->count - ingested->repeats - ingested->refused;
        metrics_add(gateway->metrics, G_ACCEPTED, NULL, (int64_t)accepted);
        metrics_add(gateway->metrics, G_REPEATS, NULL, (int64_t)ingested->repeats);
        metrics_add(gateway->metrics, G_REFUSED, NULL, (int64_t)ingested->refused);
    }
    struct http_response *response = http_response_take(ingested->refused ? 207 : 200, "application/json", &body);
    return http_response_header(response, "Cache-Control", "no-store");
}

static void answer_failure(struct post *post, const char *what)
{
    char detail[PROBLEM_SIZE], seconds[16];
    snprintf(detail, sizeof detail, "%s; " GATEWAY_SAFE_TO_REPEAT, what);
    snprintf(seconds, sizeof seconds, "%d", RETRY_KAFKA_S);
    http_reply(post->request, http_response_header(http_problem(503, detail, NULL, 0), "Retry-After", seconds));
}

/* One verdict less, or the sending is through. */
static void post_settle(struct post *post)
{
    struct gateway *gateway = post->gateway;
    if (--post->waiting > 0)
        return;
    unlink_post(gateway, post);
    if (post->request && !post->answered) {
        if (post->failed)
            answer_failure(post, "kafka did not acknowledge every event");
        else
            http_reply(post->request, gateway_verdicts(gateway, &post->ingested));
    }
    ingested_free(&post->ingested);
    free(post->tickets);
    free(post);
}

static void event_failed(struct post *post)
{
    metrics_add(post->gateway->metrics, post->request ? G_UNACKNOWLEDGED : G_VISITS_LOST, NULL, 1);
    post->failed = true;
}

void gateway_on_delivery(void *context, void *event_context, const struct sender_verdict *verdict)
{
    struct gateway *gateway = context;
    struct ticket *ticket = event_context;
    struct post *post = ticket->post;
    *(verdict->failure ? &gateway->turn_failed : &gateway->turn_acked) = true;
    if (verdict->failure) {
        event_failed(post);
    } else {
        post->ingested.records[ticket->number].partition = verdict->partition;
        post->ingested.records[ticket->number].offset = verdict->offset;
    }
    atomic_fetch_sub(&gateway->events_waiting, 1);
    post_settle(post);
}

static void send_post(struct gateway *gateway, struct post *post)
{
    struct error error = {0};
    post->waiting = post->good + 1;
    for (size_t i = 0; i < post->ingested.count; i++) {
        const struct ingest_record *record = &post->ingested.records[i];
        if (record->state != RECORD_GOOD)
            continue;
        struct message message = ingested_message(&post->ingested, record);
        post->tickets[i] = (struct ticket){post, (uint32_t)i};
        if (sender_produce(gateway->sender, &message, &post->tickets[i], &error) >= 0)
            continue;
        if (error.code == ERROR_REFUSED)
            atomic_store(&gateway->broken, true);
        event_failed(post);
        atomic_fetch_sub(&gateway->events_waiting, 1);
        post_settle(post);
    }
    post_settle(post);
}

/* What is to be sent now, up to and with *ret_last; NULL: nothing. Waits for it when Kafka has nothing to do either. */
static struct post *take_unsent(struct gateway *gateway, bool idle, struct post **ret_last)
{
    pthread_mutex_lock(&gateway->posts_lock);
    if (!gateway->first_unsent && idle) {
        struct timespec until = clock_deadline(IDLE_MS);
        gateway->poller_idle = true;
        pthread_cond_timedwait(&gateway->posts_changed, &gateway->posts_lock, &until);
        gateway->poller_idle = false;
    }
    struct post *first = gateway->first_unsent;
    if (first && (idle || clock_monotonic_ms() - first->since_ms >= HOLD_MS)) {
        *ret_last = gateway->last_post;
        gateway->first_unsent = NULL;
    } else {
        first = NULL;
    }
    pthread_mutex_unlock(&gateway->posts_lock);
    return first;
}

/* A post is taken off the list before it goes, by this thread: those on it stay. */
static void expire(struct gateway *gateway)
{
    int64_t since_ms = clock_monotonic_ms() - gateway->options.ack_timeout_ms;
    pthread_mutex_lock(&gateway->posts_lock);
    for (struct post *post = gateway->first_post; post && post->since_ms <= since_ms; post = post->next)
        if (!post->answered) {
            post->answered = true;
            if (post->request)
                answer_failure(post, "kafka did not acknowledge within the time of --ack-timeout");
        }
    pthread_mutex_unlock(&gateway->posts_lock);
}

static void send_from(struct gateway *gateway, struct post *first, const struct post *last)
{
    for (bool more = first != NULL; more;) {
        struct post *post = first;
        more = post != last; /* who hands over writes the last one's link, and a post that was sent may be gone */
        first = more ? post->next : NULL;
        send_post(gateway, post);
    }
}

void gateway_posts_turn(struct gateway *gateway)
{
    struct post *last = NULL;
    struct post *first = take_unsent(gateway, sender_pending(gateway->sender) == 0, &last);
    send_from(gateway, first, last);
    gateway->turn_acked = gateway->turn_failed = false;
    sender_poll(gateway->sender, sender_pending(gateway->sender) > 0 ? HOLD_MS : 0);
    if (gateway->turn_failed)
        atomic_store(&gateway->failed_ms, clock_monotonic_ms());
    if (gateway->turn_acked)
        atomic_store(&gateway->acked_ms, clock_monotonic_ms());
    expire(gateway);
}

void gateway_posts_finish(struct gateway *gateway)
{
    struct error error = {0};
    send_from(gateway, gateway->first_unsent, gateway->last_post);
    gateway->first_unsent = NULL;
    if (sender_flush(gateway->sender, FLUSH_MS, NULL, &error) < 0)
        log_warning("at the end %s", error.text);
}
