/* `citytotals-query serve`: reads each state once from Redis and shares it with every client over HTTP. */
#include "query/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/listen.h"
#include "base/log.h"
#include "base/management.h"
#include "base/program.h"
#include "base/redis.h"
#include "query/query_metrics.h"
#include "query/serve_state.h"

enum {
    CONNECT_MS = 2000,
    COMMAND_MS = 5000,
    HEARTBEAT_MS = 15000,
    RENDER_MS = 1000,      /* the time of reading is at most this old */
    AWAY_PAUSE_MS = 500,   /* between attempts while Redis is away */
    READ_SHARE = 20,       /* reading whole snapshots takes at most one part in so many of the time */
    STUCK_AFTER_MS = 60000,
    GRACE_MS = 5000,
    OTHER_CONNECTIONS = 1024, /* beside the streams */
    OTHER_FILES = 64,
    CONNECTION_MEMORY = 8 * 1024, /* ten thousand streams keep theirs */
};

struct loop {
    struct serve serve;
    struct redis *redis;
    struct http_server *server;
    struct management *management;
    struct lag_watch *lag_watch;
    struct wake_watch *wake_watch;
    struct health health;
    struct shared_figures *figures; /* the latest; NULL at first */
    struct totals totals;           /* of the latest reading; its pilots belong to the figures */
    int64_t read_ms, rendered_ms, published_ms, beat_ms, next_whole_ms; /* on the monotonic clock */
    bool away;
    char said[ERROR_TEXT_SIZE]; /* why, as it was logged */
    char published[ETAG_SIZE];
    bool published_stale;
};

static int wake_pipe[2] = {-1, -1};

static int redis_open(struct loop *loop, struct error *error)
{
    const struct common_options *common = &loop->serve.options.common;
    char key[REDIS_KEY_SIZE];
    if (loop->redis)
        return 0;
    redis_key(key, common->city, snapshot_hash_suffix(SNAPSHOT_TOTALS));
    return redis_connect(&(struct redis_options){.place = common->redis,
                                                 .route_key = key,
                                                 .connect_timeout_ms = CONNECT_MS,
                                                 .command_timeout_ms = COMMAND_MS,
                                                 .socket = &program_stop_socket},
                         &loop->redis, error);
}

/* Does what Redis says now differ from the figures that we have? */
static int is_new(const struct loop *loop, const struct snapshot *now, bool *ret_new, struct error *error)
{
    int64_t version;
    int result = counter_find(now, SNAPSHOT_TOTALS, loop->serve.options.common.city, "version", &version, NULL, error);
    if (result < 0)
        return result;
    *ret_new = true;
    if (!loop->figures)
        return 0;
    const struct figures *figures = &loop->figures->figures;
    *ret_new = version != figures->totals.version || !slice_equal(now->epoch, figures->snapshot.epoch) ||
               date_in_city(now->now_ms) != date_in_city(figures->snapshot.now_ms); /* "later than today" moves at midnight */
    return 0;
}

static int read_whole(struct loop *loop, struct error *error)
{
    const char *city = loop->serve.options.common.city;
    struct snapshot snapshot = {0};
    int64_t began = clock_monotonic_ms();
    int result = snapshot_read(loop->redis, city, SNAPSHOT_EVERYTHING, &snapshot, error);
    if (result < 0)
        return result;
    struct shared_figures *shared = calloc(1, sizeof *shared);
    result = shared ? figures_make(&snapshot, city, loop->serve.names, &shared->figures, error)
                    : error_set(error, ERROR_MEMORY, "out of memory");
    snapshot_free(&snapshot);
    if (result < 0) {
        free(shared);
        return result;
    }
    atomic_init(&shared->references, 1);
    shared_figures_unref(loop->figures);
    loop->figures = shared;
    loop->totals = shared->figures.totals;
    metrics_add(loop->serve.metrics, M_SNAPSHOTS, NULL, 1);
    loop->next_whole_ms = clock_monotonic_ms() + (clock_monotonic_ms() - began) * READ_SHARE;
    return 0;
}

/* One look at Redis: the few figures that move by themselves each time, everything when the version is new. */
static int look(struct loop *loop, bool *ret_changed, struct error *error)
{
    struct snapshot now = {0};
    bool new = false;
    int result = redis_open(loop, error);
    if (result >= 0)
        result = snapshot_read(loop->redis, loop->serve.options.common.city, 0, &now, error);
    if (result >= 0)
        result = is_new(loop, &now, &new, error);
    if (result >= 0 && new && clock_monotonic_ms() >= loop->next_whole_ms) {
        result = read_whole(loop, error);
        *ret_changed = result >= 0;
    } else if (result >= 0 && loop->figures && !new) {
        *ret_changed = memcmp(&loop->totals.visitors, &now.visitors, sizeof now.visitors) != 0;
        loop->totals.visitors = now.visitors;
        loop->totals.read_at_ms = now.now_ms;
    }
    snapshot_free(&now);
    if (result < 0)
        loop->redis = redis_free(loop->redis);
    else
        loop->read_ms = clock_monotonic_ms();
    return result;
}

static void tell_trouble(struct loop *loop, const struct error *error)
{
    metrics_add(loop->serve.metrics, M_REDIS_ERRORS, NULL, 1);
    if (strcmp(loop->said, error->text) != 0)
        log_warning("%s; %s", error->text, loop->figures ? "serving what was read last, marked stale" : "trying again");
    snprintf(loop->said, sizeof loop->said, "%s", error->text);
    health_set_ready(&loop->health, error->class == ERROR_CLASS_RETRY ? "redis is away" : "redis can't be read as it is");
}

static void publish(struct loop *loop, const struct view *view)
{
    struct buffer text = BUFFER_BOUNDED(TOTALS_JSON_MOST);
    const struct document *document = &view->documents[VIEW_TOTALS];
    if (strcmp(document->etag, loop->published) == 0 && loop->totals.stale == loop->published_stale)
        return;
    char id[HUB_ID_SIZE];
    const struct slice epoch = loop->figures->figures.snapshot.epoch;
    snprintf(id, sizeof id, "%.*s-%" PRId64, (int)(epoch.size < 48 ? epoch.size : 48), epoch.data, loop->totals.version);
    if (totals_json(&loop->totals, &text, NULL) >= 0 &&
        hub_publish(loop->serve.hub, id, (struct slice){text.data, text.size - 1})) {
        snprintf(loop->published, sizeof loop->published, "%s", document->etag);
        loop->published_stale = loop->totals.stale;
        loop->published_ms = clock_monotonic_ms();
        metrics_add(loop->serve.metrics, M_MESSAGES, NULL, 1);
        http_streams_wake(loop->server);
    }
    buffer_free(&text);
}

/* The documents of what is known now, in place of those before. */
static void show(struct loop *loop, bool changed)
{
    struct serve *serve = &loop->serve;
    int64_t now = clock_monotonic_ms(), lag = atomic_load(&serve->lag);
    bool stale = loop->away, other = changed || stale != loop->totals.stale || lag != (loop->totals.has_lag ? loop->totals.lag : -1);
    if (!loop->figures || (!other && now - loop->rendered_ms < RENDER_MS))
        return;
    loop->totals.stale = stale;
    loop->totals.has_lag = lag >= 0;
    loop->totals.lag = lag < 0 ? 0 : lag;
    struct view *view = view_new(shared_figures_ref(loop->figures), &loop->totals, stale ? now - loop->read_ms + 1 : 0);
    if (!view) {
        log_error("out of memory; the documents stay as they are");
        return;
    }
    loop->rendered_ms = now;
    pthread_mutex_lock(&serve->lock);
    struct view *old = serve->view;
    serve->view = view_ref(view);
    pthread_mutex_unlock(&serve->lock);
    view_unref(old);
    publish(loop, view);
    view_unref(view);
}

static void turn(struct loop *loop)
{
    struct error error = {0};
    bool changed = false;
    int64_t began = clock_monotonic_ms();
    int result = look(loop, &changed, &error);
    /* A connection that had gone is tried once more before anybody hears of it; one that does not answer is not waited for twice. */
    if (result < 0 && !program_stop && clock_monotonic_ms() - began < CONNECT_MS)
        result = look(loop, &changed, &error);
    if (program_stop)
        return;
    loop->away = result < 0;
    if (result < 0) {
        tell_trouble(loop, &error);
    } else {
        if (loop->said[0])
            log_info("redis can be read again");
        loop->said[0] = '\0';
    }
    show(loop, changed);
    if (result >= 0 && loop->serve.view) /* this thread alone changes it */
        health_set_ready(&loop->health, NULL);
    int64_t now = clock_monotonic_ms();
    health_turn(&loop->health);
    if (now - loop->beat_ms >= HEARTBEAT_MS) {
        loop->beat_ms = now;
        hub_beat(loop->serve.hub);
        http_streams_wake(loop->server);
    }
    metrics_set(loop->serve.metrics, M_STREAMS, NULL, (int64_t)hub_clients(loop->serve.hub));
    metrics_set(loop->serve.metrics, M_CONNECTIONS, NULL, (int64_t)http_connections(loop->server));
    metrics_set(loop->serve.metrics, M_STATE_VERSION, NULL, loop->totals.version);
    metrics_set(loop->serve.metrics, M_STALE_MS, NULL, loop->away ? now - loop->read_ms : 0);
}

static int start(struct loop *loop, struct error *error)
{
    struct serve *serve = &loop->serve;
    const struct serve_options *options = &serve->options;
    static const char *every[] = {"*"};
    int result = 0;
    serve->metrics = metrics_new(query_metrics, QUERY_METRICS);
    serve->hub = hub_new();
    if (!serve->metrics || !serve->hub)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if ((result = redis_place_check(&options->common.redis, error)) < 0 || (result = listen_allow_files("streams", options->streams, OTHER_CONNECTIONS + OTHER_FILES, error)) < 0 ||
        (options->agencies && (result = names_read(options->agencies, &serve->names, error)) < 0) ||
        (result = serve_routes_make(serve, error)) < 0)
        return result;
    loop->health.stuck_after_ms = STUCK_AFTER_MS;
    health_turn(&loop->health);
    health_set_ready(&loop->health, "starting");
    if (options->management &&
        (result = management_start(options->management, &loop->health, serve->metrics, &loop->management, error)) < 0)
        return result;
    if (options->common.brokers && (result = lag_watch_start(serve, &loop->lag_watch, error)) < 0)
        return result;
    if ((result = wake_watch_start(serve, wake_pipe[1], &loop->wake_watch, error)) < 0)
        return result;
    return http_start(&(struct http_options){.name = "http",
                                             .address = options->listen,
                                             .routes = serve->routes,
                                             .context = serve,
                                             .origins = options->origins.count ? options->origins
                                                                               : (struct setting_list){every, 1},
                                             .allow_headers = "Last-Event-ID, If-None-Match",
                                             .answered = serve_answered,
                                             .threads = (unsigned)options->threads,
                                             .connections_most = (unsigned)options->streams + OTHER_CONNECTIONS,
                                             .per_address_most = (unsigned)options->per_address,
                                             .connection_memory = CONNECTION_MEMORY,
                                             .bodies_most = 1},
                      &loop->server, error);
}

/* Until the next look: the interval, or sooner when Redis has changes; but updates are an interval apart, and whole
 * readings leave Redis its time. */
static void pause_loop(struct loop *loop)
{
    struct pollfd wake = {.fd = wake_pipe[0], .events = POLLIN};
    char bytes[64];
    poll(&wake, 1, (int)(loop->away ? AWAY_PAUSE_MS : loop->serve.options.interval_ms));
    while (read(wake_pipe[0], bytes, sizeof bytes) > 0)
        continue;
    int64_t due = loop->published_ms + loop->serve.options.interval_ms;
    due = due > loop->next_whole_ms ? due : loop->next_whole_ms;
    int64_t early = due - clock_monotonic_ms();
    if (early > 0 && !program_stop)
        poll(NULL, 0, (int)(early < loop->serve.options.interval_ms ? early : loop->serve.options.interval_ms));
}

static int run(struct loop *loop, struct error *error)
{
    int result = start(loop, error);
    if (result < 0)
        return result;
    loop->beat_ms = clock_monotonic_ms();
    while (!program_stop) {
        turn(loop);
        if (!program_stop)
            pause_loop(loop);
    }
    log_info("stopping: %zu streams get a goodbye", hub_clients(loop->serve.hub));
    health_set_ready(&loop->health, "stopping");
    return 0;
}

static int make_pipe(struct error *error)
{
    if (pipe(wake_pipe) < 0 || fcntl(wake_pipe[0], F_SETFL, O_NONBLOCK) < 0 || fcntl(wake_pipe[1], F_SETFL, O_NONBLOCK) < 0)
        return error_set(error, ERROR_IO, "make a pipe: %s", strerror(errno));
    program_stop_pipe = wake_pipe[1];
    return 0;
}

int query_serve(int argc, char **argv)
{
    static struct loop loop;
    struct program_run frame;
    int begun = program_begin(&frame, &query_command_serve, argc, argv, &loop.serve.options), result = begun;
    pthread_mutex_init(&loop.serve.lock, NULL);
    atomic_init(&loop.serve.lag, -1);
    if (begun > 0 && (result = make_pipe(&frame.error)) >= 0) {
        program_catch_stop(false);
        result = run(&loop, &frame.error);
    }
    if (loop.serve.hub)
        hub_end(loop.serve.hub);
    loop.server = http_stop(loop.server, GRACE_MS);
    loop.management = management_stop(loop.management);
    loop.lag_watch = lag_watch_stop(loop.lag_watch);
    loop.wake_watch = wake_watch_stop(loop.wake_watch);
    loop.redis = redis_free(loop.redis);
    view_unref(loop.serve.view);
    shared_figures_unref(loop.figures);
    serve_routes_free(&loop.serve);
    hub_free(loop.serve.hub);
    names_free(loop.serve.names);
    metrics_free(loop.serve.metrics);
    return program_end(&frame, result);
}
