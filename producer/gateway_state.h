/* What the gateway's files share. Threads: the HTTP server's run the handlers, which wait for nothing; one polls Kafka and
 * gives the answers; the main one watches signals and the tokens file. */
#ifndef CITYTOTALS_PRODUCER_GATEWAY_STATE_H
#define CITYTOTALS_PRODUCER_GATEWAY_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/http.h"
#include "base/management.h"
#include "producer/gateway_metrics.h"
#include "producer/ingest.h"
#include "producer/sender.h"
#include "producer/settings.h"

#define GATEWAY_THREADS_MOST 16
#define GATEWAY_BODY_MOST (1024 * 1024) /* bytes of a body, and of what it unpacks to */

struct post;
struct questions;
struct visits;

struct gateway {
    struct gateway_options options;
    int64_t schema_ids[EVENT_TYPES]; /* settled before anybody is listened to */
    struct metrics *metrics;
    struct management *management;
    struct health health;
    struct http_server *server;
    struct sender *sender;
    atomic_bool broken; /* Kafka's client gave up for good */

    pthread_rwlock_t credentials_lock; /* of which credentials are in force */
    struct credentials *credentials;
    pthread_mutex_t buckets_lock; /* of what is in their buckets */

    pthread_mutex_t workers_lock; /* of the free ones; each handler takes one and gives it back */
    struct ingest *workers[GATEWAY_THREADS_MOST];
    size_t worker_count;

    pthread_mutex_t visits_lock; /* of the visitors' secret and the rates of addresses */
    struct visits *visits;

    pthread_mutex_t posts_lock;   /* of the requests that wait for Kafka, the oldest first */
    pthread_cond_t posts_changed; /* told when one comes while the polling thread has nothing to do */
    struct post *first_post, *last_post, *first_unsent;
    bool poller_idle;
    size_t unsent, wanted; /* posts: not handed to Kafka's client yet; so many the polling thread waits for */
    size_t unsent_events;
    unsigned waves; /* of the polling thread: handed to Kafka's client since nothing was due from it */
    size_t turn_answered, turn_unsent; /* of the polling thread: requests answered in its turn, and unsent at the first answer */
    bool turn_acked, turn_failed; /* of the polling thread: Kafka's verdicts in its turn */
    _Atomic int64_t acked_ms, failed_ms; /* on the monotonic clock: the latest event that Kafka acknowledged, or did not */
    atomic_size_t events_waiting; /* for their verdict, handed to Kafka or not yet */

    struct questions *questions;

    pthread_t poller;
    bool polling;
    atomic_bool stop_polling;
};

#define GATEWAY_SAFE_TO_REPEAT "repeating the request is safe: an event that arrived already counts once"

/* gateway_posts.c */
/* `ingested`, of which `good` records are for Kafka, as a post that owns it; NULL, and `ingested` is still the caller's, when the
 * queue is full or there is no memory. */
struct post *gateway_post_new(struct gateway *gateway, struct ingested *ingested, size_t good);
/* From here on it is the polling thread's, which sends it and answers `request`, inside whose handler this is called; NULL for page
 * visits, which nobody waits for. */
void gateway_post_hand_over(struct gateway *gateway, struct post *post, struct http_request *request);
/* On the polling thread, again and again: send what is there, give verdicts, answer those whose time is over. It waits up to a
 * bound when there is nothing to do. */
void gateway_posts_turn(struct gateway *gateway);
/* When nobody hands over any more: sends what is left and waits a little for its verdicts. */
void gateway_posts_finish(struct gateway *gateway);
void gateway_on_delivery(void *context, void *event_context, const struct sender_verdict *verdict);
struct http_response *gateway_verdicts(struct gateway *gateway, const struct ingested *ingested);

/* gateway_admit.c */
struct http_response *gateway_problem(unsigned status, const char *detail);
/* The credential of the request's token, one event taken from its bucket; or NULL and the answer, 401 or 429. Whoever calls
 * holds credentials_lock for as long as it looks at it. */
struct http_response *gateway_admit(struct gateway *gateway, const struct http_request *request, struct credential **ret_credential);

/* gateway_questions.c */
int gateway_open_questions(struct gateway *gateway, struct error *error);
void gateway_close_questions(struct gateway *gateway);
void gateway_get_event(struct http_request *request, void *context);
void gateway_get_refused(struct http_request *request, void *context);

/* gateway_watch.c: files that change, and whether Kafka is there */
struct gateway_watch {
    struct stat tokens, cert, key; /* as they were last seen */
    int64_t looked_ms, asked_ms, certificate_told_ms;
    bool certificate_over;
    bool reachable;
    const char *reason; /* why not ready; NULL: ready */
};
void gateway_watch_begin(struct gateway *gateway, struct gateway_watch *watch);
/* asked: by a signal; everything is read again. May wait for a broker's answer, up to a second. */
void gateway_watch_turn(struct gateway *gateway, struct gateway_watch *watch, bool asked);
/* The tokens in force; a bad file leaves those before. */
int gateway_load_tokens(struct gateway *gateway, struct error *error);
/* Its metric, and a warning when it does not last. */
void gateway_tell_certificate(struct gateway *gateway);

/* gateway_events.c */
void gateway_post_events(struct http_request *request, void *context);
/* A free worker for the thread that asks; there are as many as threads. */
struct ingest *gateway_take_worker(struct gateway *gateway);
void gateway_give_worker(struct gateway *gateway, struct ingest *worker);

/* gateway_upload.c */
void gateway_get_page(struct http_request *request, void *context);

/* gateway_visits.c */
int gateway_open_visits(struct gateway *gateway, struct error *error);
void gateway_close_visits(struct gateway *gateway);
void gateway_reload_secret(struct gateway *gateway);
void gateway_post_visit(struct http_request *request, void *context);
void gateway_get_visits(struct http_request *request, void *context);
void gateway_get_pixel(struct http_request *request, void *context);
void gateway_get_script(struct http_request *request, void *context);

#endif
