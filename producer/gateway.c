/* The run of `gateway`: settings, tokens, Kafka, the listener, and an end that answers who is waiting. */
#include "producer/gateway.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/listen.h"
#include "base/log.h"
#include "base/program.h"
#include "base/thread.h"
#include "producer/gateway_openapi.h"
#include "producer/gateway_state.h"
#include "producer/schema_ids.h"
#include "producer/topics.h"

enum {
    LOOK_MS = 5000,
    LOOK_AGAIN_MS = 200,
    LINGER_MS = 200, /* never waited for: gateway_posts.c says when */
    TURN_MS = 100,
    STUCK_AFTER_MS = 10000,
    REGISTRY_WAIT_MS = 60000, /* the requests at the start have bounds of their own */
    STOP_MORE_MS = 2000,
    EVENT_KIB = 1,      /* of the queue for each event that it may hold; a usual one has a tenth of it */
    QUEUE_KIB_MOST = 32 * 1024,
    BODIES_MOST = 24 * 1024 * 1024,
    HEADERS_MOST = 8 * 1024, /* ten thousand connections keep theirs */
    OTHER_FILES = 64 + 64,   /* the management listener's, and the program's own */
    VISIT_BODY_MOST = 1024, /* nothing of it is read */
};

#define NO_TOPIC "kafka has no topic %s (or does not show it to this user); `citytotals-producer send --create-topics` makes the city's topics"

static volatile sig_atomic_t reload_signal;

static void on_reload(int number)
{
    (void)number;
    reload_signal = 1;
}

static void on_answered(const struct http_request *request, unsigned status, void *context)
{
    (void)request;
    struct gateway *gateway = context;
    char text[16];
    snprintf(text, sizeof text, "%u", status);
    metrics_add(gateway->metrics, G_RESPONSES, text, 1);
}

static void *poll_kafka(void *context)
{
    struct gateway *gateway = context;
    while (!atomic_load(&gateway->stop_polling)) {
        gateway_posts_turn(gateway);
        metrics_set(gateway->metrics, G_PENDING, NULL, (int64_t)atomic_load(&gateway->events_waiting));
        health_turn(&gateway->health);
    }
    gateway_posts_finish(gateway);
    return NULL;
}

/* Wait for a broker and for the topics, which somebody may be making just now. */
static int wait_for_topics(struct gateway *gateway, struct error *error)
{
    struct topics topics;
    char missing[512];
    bool said = false;
    const char *city = gateway->options.common.city;
    rd_kafka_t *kafka = sender_kafka(gateway->sender);
    unsigned wanted = 1u << EVENT_HEADCOUNT_CHANGE | 1u << EVENT_UNIT_MERGER;
    if (gateway->options.visitor_secret)
        wanted |= 1u << EVENT_PAGE_VISIT;
    int64_t deadline = clock_monotonic_ms() + gateway->options.connect_timeout_ms;
    for (;;) {
        int64_t left = deadline - clock_monotonic_ms();
        int result = kafka_wait(kafka, left > 1 ? left : 1, &program_stop, &gateway->health, error);
        if (result >= 0)
            result = topics_look(kafka, city, LOOK_MS, &topics, error);
        if (result == -ERROR_KAFKA && said) /* the time is up: what is told is what it went by with */
            return error_set(error, ERROR_KAFKA, NO_TOPIC, missing);
        if (result < 0)
            return result;
        if (topics_missing(&topics, city, wanted, missing, sizeof missing) == 0)
            return 0;
        if (program_stop)
            return error_set(error, ERROR_INTERRUPTED, "interrupted while waiting for topics");
        if (clock_monotonic_ms() >= deadline)
            return error_set(error, ERROR_KAFKA, NO_TOPIC, missing);
        if (!said)
            log_warning("kafka has no topic %s; waiting for it (citytotals-producer send --create-topics makes the topics)", missing);
        said = true;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000L}, NULL);
    }
}

static int open_kafka(struct gateway *gateway, struct error *error)
{
    struct gateway_options *options = &gateway->options;
    int result;
    if (options->registry.url)
        health_turn_within(&gateway->health, REGISTRY_WAIT_MS);
    if ((result = schema_ids_settle(&options->registry, options->common.city, options->registration == REGISTRATION_AUTO, &program_stop,
                                    gateway->schema_ids, error)) < 0)
        return result;
    int64_t queue_kib = options->queue_events * EVENT_KIB;
    const struct sender_options sender = {
        .common = &options->common,
        .client_id = "citytotals-producer-gateway",
        .queue_events = options->queue_events,
        .queue_kib = queue_kib < QUEUE_KIB_MOST ? queue_kib : QUEUE_KIB_MOST,
        .linger_ms = LINGER_MS,
        .ack_timeout_ms = options->ack_timeout_ms,
        .on_delivery = gateway_on_delivery,
        .context = gateway,
    };
    if ((result = sender_open(&sender, &gateway->sender, error)) < 0)
        return result;
    return wait_for_topics(gateway, error);
}

static void get_description(struct http_request *request, void *context)
{
    (void)context;
    http_reply(request, http_response_header(http_response_new(200, "application/json", gateway_openapi.data, gateway_openapi.size),
                                             "Cache-Control", "public, max-age=3600"));
}

static int listen_for_requests(struct gateway *gateway, struct error *error)
{
    static const char *const dry_run[] = {"dry_run", NULL}, *const language[] = {"lang", NULL}, *const none[] = {NULL};
    static const char *const of_event[] = {"agency", "topic", "partition", "offset", NULL};
    static const char *const of_refused[] = {"agency", "limit", "before", NULL};
    static const struct http_route routes[] = {
        {.method = "POST", .pattern = "/v1/events", .handle = gateway_post_events, .body_most = GATEWAY_BODY_MOST,
         .parameters = dry_run},
        {.method = "GET", .pattern = "/v1/events/{event_id}", .handle = gateway_get_event, .parameters = of_event},
        {.method = "GET", .pattern = "/v1/refused", .handle = gateway_get_refused, .parameters = of_refused},
        {.method = "POST", .pattern = "/v1/visits", .handle = gateway_post_visit, .body_most = VISIT_BODY_MOST},
        {.method = "GET", .pattern = "/v1/visits", .handle = gateway_get_visits, .parameters = none},
        {.method = "GET", .pattern = "/v1/visit.gif", .handle = gateway_get_pixel},
        {.method = "GET", .pattern = "/beacon.js", .handle = gateway_get_script},
        {.method = "GET", .pattern = "/upload", .handle = gateway_get_page, .parameters = language},
        {.method = "GET", .pattern = "/upload.js", .handle = gateway_get_page, .parameters = none},
        {.method = "GET", .pattern = "/upload.css", .handle = gateway_get_page, .parameters = none},
        {.method = "GET", .pattern = "/headcount-change.csv", .handle = gateway_get_page, .parameters = none},
        {.method = "GET", .pattern = "/unit-merger.csv", .handle = gateway_get_page, .parameters = none},
        {.method = "GET", .pattern = "/openapi.json", .handle = get_description},
        {0},
    };
    const struct gateway_options *options = &gateway->options;
    const struct http_options http = {
        .name = "gateway",
        .address = options->listen,
        .tls_cert = options->tls_cert,
        .tls_key = options->tls_key,
        .routes = routes,
        .context = gateway,
        .answered = on_answered,
        .origins = options->origins,
        .stopping = "the gateway is stopping; " GATEWAY_SAFE_TO_REPEAT,
        .threads = (unsigned)options->threads,
        .connections_most = (unsigned)options->connections,
        .connection_memory = HEADERS_MOST,
        .bodies_most = BODIES_MOST,
    };
    int result = http_start(&http, &gateway->server, error);
    if (result >= 0 && options->tls_cert)
        gateway_tell_certificate(gateway);
    return result;
}

/* What can be said to be wrong before anything else is begun. */
static int check_listener(const struct gateway_options *options, struct error *error)
{
    int result = listen_allow_files("connections", options->connections, OTHER_FILES, error);
    if (result >= 0 && !options->tls_cert != !options->tls_key)
        return error_set(error, ERROR_USAGE, "option --%s is missing: --tls-cert and --tls-key go together",
                         options->tls_cert ? "tls-key" : "tls-cert");
    if (result >= 0 && options->tls_cert)
        result = http_check_certificate(options->tls_cert, options->tls_key, error);
    return result;
}

static int open_gateway(struct gateway *gateway, struct error *error)
{
    const struct gateway_options *options = &gateway->options;
    int result;
    gateway->health.stuck_after_ms = STUCK_AFTER_MS;
    health_turn(&gateway->health);
    health_set_ready(&gateway->health, "starting");
    gateway->metrics = metrics_new(gateway_metrics, GATEWAY_METRICS);
    if (!gateway->metrics)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if ((result = check_listener(options, error)) < 0 || (result = redis_place_check(&options->common.redis, error)) < 0 ||
        (result = gateway_load_tokens(gateway, error)) < 0 || (result = gateway_open_visits(gateway, error)) < 0)
        return result;
    for (; gateway->worker_count < (size_t)options->threads; gateway->worker_count++)
        if ((result = ingest_new(gateway->schema_ids, &gateway->workers[gateway->worker_count], error)) < 0)
            return result;
    if (options->management &&
        (result = management_start(options->management, &gateway->health, gateway->metrics, &gateway->management, error)) < 0)
        return result;
    if ((result = open_kafka(gateway, error)) < 0)
        return result;
    gateway->polling = thread_start(&gateway->poller, poll_kafka, gateway) == 0;
    if (!gateway->polling)
        return error_set(error, ERROR_IO, "start the thread that polls kafka");
    if ((result = gateway_open_questions(gateway, error)) < 0)
        return result;
    return listen_for_requests(gateway, error);
}

static int serve(struct gateway *gateway, struct error *error)
{
    struct gateway_watch watch;
    gateway_watch_begin(gateway, &watch);
    health_set_ready(&gateway->health, NULL);
    while (!program_stop && !atomic_load(&gateway->broken)) {
        nanosleep(&(struct timespec){.tv_nsec = TURN_MS * 1000000L}, NULL);
        bool asked = reload_signal;
        if (asked)
            reload_signal = 0;
        gateway_watch_turn(gateway, &watch, asked);
    }
    return atomic_load(&gateway->broken) ? error_set(error, ERROR_KAFKA, "kafka's client can't go on; start the gateway again") : 0;
}

static void close_gateway(struct gateway *gateway)
{
    health_set_ready(&gateway->health, "stopping");
    gateway->server = http_stop(gateway->server, gateway->options.ack_timeout_ms + STOP_MORE_MS);
    gateway_close_questions(gateway);
    atomic_store(&gateway->stop_polling, true);
    if (gateway->polling)
        pthread_join(gateway->poller, NULL);
    gateway->sender = sender_close(gateway->sender);
    gateway->management = management_stop(gateway->management);
    while (gateway->worker_count > 0)
        ingest_free(gateway->workers[--gateway->worker_count]);
    gateway->credentials = credentials_free(gateway->credentials);
    gateway_close_visits(gateway);
    gateway->metrics = metrics_free(gateway->metrics);
}

int producer_gateway(int argc, char **argv)
{
    struct program_run frame;
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (!gateway) {
        log_error("out of memory");
        return error_exit_status(ERROR_MEMORY);
    }
    pthread_rwlock_init(&gateway->credentials_lock, NULL);
    pthread_mutex_init(&gateway->buckets_lock, NULL);
    pthread_mutex_init(&gateway->workers_lock, NULL);
    pthread_mutex_init(&gateway->visits_lock, NULL);
    pthread_mutex_init(&gateway->posts_lock, NULL);
    clock_condition_init(&gateway->posts_changed);
    int result = program_begin(&frame, &producer_command_gateway, argc, argv, &gateway->options);
    if (result > 0) {
        program_catch_stop(false);
        sigaction(SIGHUP, &(struct sigaction){.sa_handler = on_reload}, NULL);
        result = open_gateway(gateway, &frame.error);
        if (result >= 0)
            result = serve(gateway, &frame.error);
        close_gateway(gateway);
        if (result == -ERROR_INTERRUPTED && program_stop)
            result = 0;
        if (result >= 0)
            log_info("stopped");
    }
    pthread_cond_destroy(&gateway->posts_changed);
    pthread_mutex_destroy(&gateway->posts_lock);
    pthread_mutex_destroy(&gateway->visits_lock);
    pthread_mutex_destroy(&gateway->workers_lock);
    pthread_mutex_destroy(&gateway->buckets_lock);
    pthread_rwlock_destroy(&gateway->credentials_lock);
    free(gateway);
    return program_end(&frame, result);
}
