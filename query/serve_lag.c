/* Asks Kafka from time to time how much waits, beside the server that must not wait for it. */
#include <stdlib.h>

#include "base/log.h"
#include "base/redis.h"
#include "query/serve_beside.h"
#include "query/serve_state.h"

enum { PAUSE_MS = 2000, LAG_MS = 5000, CONNECT_MS = 2000, COMMAND_MS = 5000 };

struct lag_watch {
    struct serve *serve;
    struct lag *lag;
    struct beside *beside;
    bool failed; /* the latest look */
};

static int ask(struct lag_watch *watch, const volatile sig_atomic_t *stop, int64_t *ret_lag, struct error *error)
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
        result = lag_read(watch->lag, &snapshot, common->city, LAG_MS, stop, ret_lag, error);
    snapshot_free(&snapshot);
    return result;
}

static void look(void *context, const volatile sig_atomic_t *stop)
{
    struct lag_watch *watch = context;
    struct error error = {0};
    int64_t lag = -1;
    bool failed = ask(watch, stop, &lag, &error) < 0;
    atomic_store(&watch->serve->lag, failed ? -1 : lag);
    if (failed != watch->failed && !__atomic_load_n(stop, __ATOMIC_RELAXED)) {
        if (failed)
            log_warning("the lag is not known: %s", error.text);
        else
            log_info("the lag is known again");
    }
    watch->failed = failed;
}

int lag_watch_start(struct serve *serve, struct lag_watch **ret_watch, struct error *error)
{
    struct lag_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return error_set(error, ERROR_MEMORY, "out of memory");
    watch->serve = serve;
    int result = lag_open(&serve->options.common, &watch->lag, error);
    if (result >= 0)
        result = beside_start(&(struct beside_work){.look = look, .context = watch, .pause_ms = PAUSE_MS, .does = "asks for the lag"},
                              &watch->beside, error);
    if (result < 0)
        lag_watch_stop(watch);
    else
        *ret_watch = watch;
    return result;
}

struct lag_watch *lag_watch_stop(struct lag_watch *watch)
{
    if (!watch)
        return NULL;
    beside_stop(watch->beside);
    lag_close(watch->lag);
    free(watch);
    return NULL;
}
