/* Hears of new changes at once: a connection that blocks on the changes stream, so that the server need not wait for its next
 * look at Redis. What it misses, the next look finds. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/redis.h"
#include "query/serve_state.h"

enum { CONNECT_MS = 2000, COMMAND_MS = 5000, BLOCK_MS = 1000, PAUSE_MS = 1000 };

struct wake_watch {
    struct serve *serve;
    int pipe;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    atomic_bool ending;
};

/* Until the connection fails or the server ends. */
static void listen_to(struct wake_watch *watch, struct redis *redis)
{
    char key[REDIS_KEY_SIZE];
    redis_key(key, watch->serve->options.common.city, "changes");
    while (!atomic_load(&watch->ending)) {
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

static void *run(void *context)
{
    struct wake_watch *watch = context;
    char key[REDIS_KEY_SIZE];
    redis_key(key, watch->serve->options.common.city, "changes");
    pthread_mutex_lock(&watch->lock);
    while (!watch->ending) {
        struct redis *redis = NULL;
        pthread_mutex_unlock(&watch->lock);
        if (redis_connect(&(struct redis_options){.place = watch->serve->options.common.redis,
                                                  .route_key = key,
                                                  .connect_timeout_ms = CONNECT_MS,
                                                  .command_timeout_ms = COMMAND_MS},
                          &redis, NULL) >= 0)
            listen_to(watch, redis);
        redis_free(redis);
        struct timespec until = clock_deadline(PAUSE_MS);
        pthread_mutex_lock(&watch->lock);
        if (!watch->ending)
            pthread_cond_timedwait(&watch->ended, &watch->lock, &until);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

int wake_watch_start(struct serve *serve, int pipe, struct wake_watch **ret_watch, struct error *error)
{
    struct wake_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return error_set(error, ERROR_MEMORY, "out of memory");
    *watch = (struct wake_watch){.serve = serve, .pipe = pipe};
    pthread_mutex_init(&watch->lock, NULL);
    clock_condition_init(&watch->ended);
    if (pthread_create(&watch->thread, NULL, run, watch) != 0) {
        free(watch);
        return error_set(error, ERROR_IO, "start the thread that hears of changes");
    }
    *ret_watch = watch;
    return 0;
}

struct wake_watch *wake_watch_stop(struct wake_watch *watch)
{
    if (!watch)
        return NULL;
    pthread_mutex_lock(&watch->lock);
    watch->ending = true;
    pthread_cond_signal(&watch->ended);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL); /* a wait for changes lasts a second at most */
    pthread_cond_destroy(&watch->ended);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
    return NULL;
}
