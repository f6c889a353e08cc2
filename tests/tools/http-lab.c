/* An HTTP server with a route of each kind, for the tests of base/http. Ends on SIGTERM; ARGV: settings as name=value. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/http.h"
#include "base/json_text.h"

static struct http_server *_Atomic server; /* NULL until http_start has returned, when requests may have come already */
static struct http_response *shared;
static atomic_int ticks, freed, ending;

static void hello(struct http_request *request, void *context)
{
    (void)context;
    http_reply(request, http_response_ref(shared));
}

/* What the request was, as JSON. */
static void echo(struct http_request *request, void *context)
{
    (void)context;
    struct buffer out = BUFFER_BOUNDED(16u << 20);
    buffer_text_append(&out, "{\"method\":");
    json_text_append(&out, slice_of(request->method));
    buffer_text_append(&out, ",\"client\":");
    json_text_append(&out, slice_of(request->client));
    buffer_text_append(&out, ",\"agent\":");
    json_text_append(&out, slice_of(http_header(request, "user-agent")));
    buffer_text_append(&out, ",\"parts\":[");
    for (size_t i = 0; i < request->part_count; i++) {
        buffer_text_append(&out, i ? "," : "");
        json_text_append(&out, request->parts[i]);
    }
    buffer_text_append(&out, "],\"parameters\":{");
    for (size_t i = 0; i < request->parameter_count; i++) {
        buffer_text_append(&out, i ? "," : "");
        json_text_append(&out, request->parameters[i].name);
        buffer_text_append(&out, ":");
        json_text_append(&out, request->parameters[i].value);
    }
    buffer_text_append(&out, "},\"body\":");
    json_text_append(&out, request->body);
    buffer_text_append(&out, "}\n");
    http_reply(request, http_response_take(200, "application/json", &out));
}

static void *answer_later(void *context)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    http_reply(context, http_response_new(200, "text/plain", "later\n", 6));
    return NULL;
}

static void later(struct http_request *request, void *context)
{
    (void)context;
    pthread_t thread;
    http_defer(request);
    if (pthread_create(&thread, NULL, answer_later, request) == 0)
        pthread_detach(thread);
    else
        http_reply(request, NULL);
}

enum { KEPT_MOST = 8 };
static struct http_request *kept[KEPT_MOST]; /* of the one thread that asks for it, and of main once the server has stopped */
static size_t kept_count;

static void never(struct http_request *request, void *context)
{
    (void)context;
    http_defer(request);
    if (kept_count < KEPT_MOST)
        kept[kept_count++] = request;
    else
        http_reply(request, NULL);
}

struct ticker {
    int seen;
    bool big, said_goodbye;
    char text[32];
};

static ssize_t tick(void *state, const char **ret_bytes)
{
    static const char block[65536];
    struct ticker *ticker = state;
    if (atomic_load(&ending)) {
        if (ticker->said_goodbye)
            return -1;
        ticker->said_goodbye = true;
        *ret_bytes = "goodbye\n";
        return 8;
    }
    int now = atomic_load(&ticks);
    if (ticker->seen == now && !ticker->big)
        return 0;
    ticker->seen = now;
    *ret_bytes = ticker->big ? block : ticker->text;
    return ticker->big ? (ssize_t)sizeof block : snprintf(ticker->text, sizeof ticker->text, "tick %d\n", now);
}

static void ticker_free(void *state)
{
    atomic_fetch_add(&freed, 1);
    free(state);
}

static void stream(struct http_request *request, void *context)
{
    (void)context;
    static const struct http_stream ticking = {tick, ticker_free};
    struct ticker *ticker = calloc(1, sizeof *ticker);
    if (ticker)
        ticker->big = http_parameter(request, "big").data;
    if (ticker)
        ticker->seen = -1;
    http_reply(request, ticker ? http_response_stream(200, "text/event-stream", &ticking, ticker) : NULL);
}

static void state(struct http_request *request, void *context)
{
    (void)context;
    char text[128];
    int size = snprintf(text, sizeof text, "{\"freed\":%d,\"connections\":%zu}\n", atomic_load(&freed),
                        atomic_load(&server) ? http_connections(server) : 0);
    http_reply(request, http_response_new(200, "application/json", text, (size_t)size));
}

static const char *const json_types[] = {"application/json", NULL};
static const char *const two_parameters[] = {"a", "b", NULL};
static const struct http_route routes[] = {
    {.method = "GET", .pattern = "/hello", .handle = hello},
    {.method = "GET", .pattern = "/echo", .handle = echo},
    {.method = "GET", .pattern = "/ab", .handle = echo, .parameters = two_parameters},
    {.method = "GET", .pattern = "/parts/{one}/x/{two}", .handle = echo},
    {.method = "POST", .pattern = "/echo", .handle = echo, .body_most = 1024 * 1024, .types = json_types},
    {.method = "GET", .pattern = "/later", .handle = later},
    {.method = "GET", .pattern = "/never", .handle = never},
    {.method = "GET", .pattern = "/stream", .handle = stream},
    {.method = "GET", .pattern = "/state", .handle = state},
    {0},
};

static long setting(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], name, strlen(name)) == 0 && argv[i][strlen(name)] == '=')
            return atol(argv[i] + strlen(name) + 1);
    return 0;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    sigset_t signals;
    int signal = 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    const char *origins[] = {"https://portal.example", "https://other.example"};
    const char *every[] = {"*"};
    struct http_options options = {.name = "lab",
                                   .address = "127.0.0.1:0",
                                   .routes = routes,
                                   .allow_headers = "Content-Type",
                                   .threads = (unsigned)setting(argc, argv, "threads"),
                                   .connections_most = (unsigned)setting(argc, argv, "connections"),
                                   .per_address_most = (unsigned)setting(argc, argv, "per_address"),
                                   .bodies_most = (size_t)setting(argc, argv, "bodies"),
                                   .idle_ms = setting(argc, argv, "idle_ms"),
                                   .request_ms = setting(argc, argv, "request_ms")};
    if (setting(argc, argv, "origins"))
        options.origins = (struct setting_list){origins, 2};
    if (setting(argc, argv, "every"))
        options.origins = (struct setting_list){every, 1};
    shared = http_response_header(http_response_new(200, "text/plain; charset=utf-8", "hello\n", 6), "ETag", "W/\"1\"");
    struct http_server *started = NULL;
    if (http_start(&options, &started, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        return error_exit_status(error.code);
    }
    atomic_store(&server, started);
    while (sigwait(&signals, &signal) == 0 && signal != SIGTERM) {
        atomic_fetch_add(&ticks, 1);
        http_streams_wake(server);
    }
    atomic_store(&ending, 1);
    http_stop(started, 1000);
    for (size_t i = 0; i < kept_count; i++)
        http_reply(kept[i], http_response_new(200, "text/plain", "too late\n", 9));
    http_response_unref(shared);
    fprintf(stderr, "freed %d\n", atomic_load(&freed));
    return 0;
}
