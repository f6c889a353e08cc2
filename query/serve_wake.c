/* Hears of new changes at once: a connection that blocks on the changes stream, so that the server need not wait for its next
 * look at Redis. What it misses, the next look finds. */
#include <stdlib.h>
#include <unistd.h>

#include "base/redis.h"
#include "query/serve_beside.h"
#include "query/serve_state.h"

enum { CONNECT_MS = 2000, COMMAND_MS = 5000, BLOCK_MS = 1000, PAUSE_MS = 1000 };

struct wake_watch {
    struct serve *serve;
    int pipe;
    struct beside *beside;
};

/* Until the connection fails or the server ends. */
static void listen_to(struct wake_watch *watch, struct redis *redis, const char *key, const volatile sig_atomic_t *stop)
{
    while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
        redisReply *reply = NULL;
        if (redis_callf(redis, &reply, NULL, "XREAD COUNT 1 BLOCK %d STREAMS %s $", BLOCK_MS, key) < 0)
            return;
        if (reply->type == REDIS_REPLY_ARRAY) { /* nil when nothing came in time */
            ssize_t ignored = write(watch->pipe, "", 1); /* full: a wake-up is waiting already */
            (void)ignored;
        }
        freeReplyObject(reply);
    }
}

static void look(void *context, const volatile sig_atomic_t *stop)
{
    struct wake_watch *watch = context;
    char key[REDIS_KEY_SIZE];
    struct redis *redis = NULL;
    redis_key(key, watch->serve->options.common.city, "changes");
    if (redis_connect(&(struct redis_options){.place = watch->serve->options.common.redis,
                                              .route_key = key,
                                              .connect_timeout_ms = CONNECT_MS,
                                              .command_timeout_ms = COMMAND_MS},
                      &redis, NULL) >= 0)
        listen_to(watch, redis, key, stop);
    redis_free(redis);
}

int wake_watch_start(struct serve *serve, int pipe, struct wake_watch **ret_watch, struct error *error)
{
    struct wake_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return error_set(error, ERROR_MEMORY, "out of memory");
    *watch = (struct wake_watch){.serve = serve, .pipe = pipe};
    int result = beside_start(&(struct beside_work){.look = look, .context = watch, .pause_ms = PAUSE_MS, .does = "hears of changes"},
                              &watch->beside, error);
    if (result < 0)
        wake_watch_stop(watch);
    else
        *ret_watch = watch;
    return result;
}

struct wake_watch *wake_watch_stop(struct wake_watch *watch)
{
    if (!watch)
        return NULL;
    beside_stop(watch->beside); /* a wait for changes lasts a second at most */
    free(watch);
    return NULL;
}
