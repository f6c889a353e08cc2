/* Requests that wait for Kafka: handed over by the handlers' threads, sent together, answered by the thread that polls Kafka.
 *
 * Many clients send one event each. What comes while Kafka works on the events before goes out together, as a wave, when it is through
 * with them, or after HOLD_MS. Clients that were just answered mostly come again at once: for as many the next wave waits, and for those
 * that stood there before the first answer, GATHER_US at most, so that it has all of them in one request a partition; a request alone does
 * not wait. Those that came since that answer may be the answered ones: counted twice, they would never all be there. librdkafka does not
 * do that well by itself: it begins to send with the first message of many, in five small requests, and spins while others wait behind
 * them longer than its linger. So its linger is long, each wave is pushed out by a flush, and there are at most WAVES_MOST on their way. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "producer/gateway_state.h"

enum {
    PROBLEM_SIZE = 512,
    ANSWER_MOST = 8 * 1024 * 1024,
    RETRY_KAFKA_S = 2,
    IDLE_MS = 50,
    HOLD_MS = 10,
    GATHER_US = 1000,
    GATHERED_EVENTS = 1000, /* enough for a wave: more cost Kafka hardly less each */
    WAVES_MOST = 4,         /* fewer than the requests to a partition (5) at which librdkafka begins to spin */
    FLUSH_MS = 2000,
};

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

/* Is there as much as the polling thread waits for? Under the posts' lock. */
static bool gathered(const struct gateway *gateway)
{
    return gateway->unsent >= gateway->wanted || gateway->unsent_events >= GATHERED_EVENTS;
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
    gateway->unsent++;
    gateway->unsent_events += post->good;
    if (gateway->poller_idle && gathered(gateway))
        pthread_cond_signal(&gateway->posts_changed);
    pthread_mutex_unlock(&gateway->posts_lock);
}

static void unlink_post(struct gateway *gateway, struct post *post)
{
    pthread_mutex_lock(&gateway->posts_lock);
    *(post->previous ? &post->previous->next : &gateway->first_post) = post->next;
    *(post->next ? &post->next->previous : &gateway->last_post) = post->previous;
    if (gateway->turn_answered == 0)
        gateway->turn_unsent = gateway->unsent;
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
    char detail[PROBLEM_SIZE];
    snprintf(detail, sizeof detail, "%s; " GATEWAY_SAFE_TO_REPEAT, what);
    http_reply(post->request, http_response_later(http_problem(503, detail, NULL, 0), RETRY_KAFKA_S));
}

/* One verdict less, or the sending is through. */
static void post_settle(struct post *post)
{
    struct gateway *gateway = post->gateway;
    if (--post->waiting > 0)
        return;
    unlink_post(gateway, post);
    if (post->request && !post->answered) {
        gateway->turn_answered++;
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

static void send_items(struct gateway *gateway, struct post *post, struct sender_item *items, size_t count)
{
    struct error error = {0};
    if (count == 0 || sender_produce_many(gateway->sender, items, count, &error) >= 0)
        return;
    if (error.code == ERROR_REFUSED)
        atomic_store(&gateway->broken, true);
    for (size_t i = 0; i < count; i++) {
        if (items[i].taken)
            continue;
        event_failed(post);
        atomic_fetch_sub(&gateway->events_waiting, 1);
        post_settle(post);
    }
}

static void send_post(struct gateway *gateway, struct post *post)
{
    struct sender_item items[SENDER_MANY_MOST];
    size_t count = 0;
    post->waiting = post->good + 1;
    for (size_t i = 0; i < post->ingested.count; i++) {
        const struct ingest_record *record = &post->ingested.records[i];
        if (record->state != RECORD_GOOD)
            continue;
        if (count == SENDER_MANY_MOST || (count > 0 && items[0].message.type != record->type)) {
            send_items(gateway, post, items, count);
            count = 0;
        }
        post->tickets[i] = (struct ticket){post, (uint32_t)i};
        items[count++] = (struct sender_item){ingested_message(&post->ingested, record), &post->tickets[i], false};
    }
    send_items(gateway, post, items, count);
    post_settle(post);
}

/* Until there are so many as wanted. Under the posts' lock. */
static void wait_for_posts(struct gateway *gateway, struct timespec until)
{
    gateway->poller_idle = true;
    while (!gathered(gateway) && pthread_cond_timedwait(&gateway->posts_changed, &gateway->posts_lock, &until) == 0)
        ;
    gateway->poller_idle = false;
}

/* What is to be sent now, up to and with *ret_last; NULL: nothing. Waits for it when Kafka has nothing to do either. */
static struct post *take_unsent(struct gateway *gateway, bool idle, struct post **ret_last)
{
    pthread_mutex_lock(&gateway->posts_lock);
    if (idle) {
        gateway->wanted = gateway->turn_answered > 0 ? gateway->turn_answered + gateway->turn_unsent : 1;
        if (gateway->wanted > 1)
            wait_for_posts(gateway, clock_moment(clock_monotonic_ns() + GATHER_US * 1000));
        gateway->wanted = 1;
        if (!gateway->first_unsent)
            wait_for_posts(gateway, clock_deadline(IDLE_MS));
    }
    struct post *first = gateway->first_unsent;
    if (idle)
        gateway->waves = 0;
    if (first && (idle || (gateway->waves < WAVES_MOST && clock_monotonic_ms() - first->since_ms >= HOLD_MS))) {
        gateway->waves++;
        metrics_add(gateway->metrics, G_WAVES, NULL, 1);
        *ret_last = gateway->last_post;
        gateway->first_unsent = NULL;
        gateway->unsent = gateway->unsent_events = 0;
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
    gateway->turn_answered = 0;
    if (sender_pending(gateway->sender) > 0)
        sender_push(gateway->sender, HOLD_MS);
    else
        sender_poll(gateway->sender, 0);
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
