/* Asks Kafka from time to time how much waits, beside the server that must not wait for it. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/redis.h"
#include "query/serve_state.h"

enum { PAUSE_MS = 2000, LAG_MS = 5000, CONNECT_MS = 2000, COMMAND_MS = 5000 };

struct lag_watch {
    struct serve *serve;
    struct lag *lag;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool ending, failed;
    volatile sig_atomic_t stop;
};

static int ask(struct lag_watch *watch, int64_t *ret_lag, struct error *error)
{
    const struct common_options *common = &watch->serve->options.common;
    char key[REDIS_KEY_SIZE];
    struct redis *redis = NULL;
    struct snapshot snapshot = {0};
    redis_key(key, common->city, snapshot_hash_suffix(SNAPSHOT_TOTALS));
    int result = redis_connect(&(struct redis_options){.place = common->redis,
                                                       .route_key = key,
                                                       .connect_timeout_ms = CONNECT_MS,
                                                       .command_timeout_ms = COMMAND_MS},
                               &redis, error);
    if (result >= 0)
        result = snapshot_read(redis, common->city, 0, &snapshot, error);
    redis_free(redis);
    if (result >= 0)
        result = lag_read(watch->lag, &snapshot, common->city, LAG_MS, &watch->stop, ret_lag, error);
    snapshot_free(&snapshot);
    return result;
}

static void *run(void *context)
{
    struct lag_watch *watch = context;
    pthread_mutex_lock(&watch->lock);
    while (!watch->ending) {
        struct error error = {0};
        int64_t lag = -1;
        pthread_mutex_unlock(&watch->lock);
        bool failed = ask(watch, &lag, &error) < 0;
        atomic_store(&watch->serve->lag, failed ? -1 : lag);
        if (failed != watch->failed && !watch->stop) {
            if (failed)
                log_warning("the lag is not known: %s", error.text);
            else
                log_info("the lag is known again");
        }
        watch->failed = failed;
        struct timespec until = clock_deadline(PAUSE_MS);
        pthread_mutex_lock(&watch->lock);
        if (!watch->ending)
            pthread_cond_timedwait(&watch->ended, &watch->lock, &until);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

int lag_watch_start(struct serve *serve, struct lag_watch **ret_watch, struct error *error)
{
    struct lag_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return error_set(error, ERROR_MEMORY, "out of memory");
    watch->serve = serve;
    int result = lag_open(&serve->options.common, &watch->lag, error);
    if (result < 0) {
        free(watch);
        return result;
    }
    pthread_mutex_init(&watch->lock, NULL);
    clock_condition_init(&watch->ended);
    if (pthread_create(&watch->thread, NULL, run, watch) != 0) {
        lag_close(watch->lag);
        free(watch);
        return error_set(error, ERROR_IO, "start the thread that asks for the lag");
    }
    *ret_watch = watch;
    return 0;
}

struct lag_watch *lag_watch_stop(struct lag_watch *watch)
{
    if (!watch)
        return NULL;
    pthread_mutex_lock(&watch->lock);
    watch->ending = true;
    watch->stop = 1;
    pthread_cond_signal(&watch->ended);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    lag_close(watch->lag);
    pthread_cond_destroy(&watch->ended);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
    return NULL;
}
