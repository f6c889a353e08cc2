/* A thread beside the server: looks, pauses, and looks again until it is stopped. */
#include "query/serve_beside.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"

struct beside {
    struct beside_work work;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    volatile sig_atomic_t stop; /* written under the lock; a look reads it on its way */
};

static void *run(void *context)
{
    struct beside *beside = context;
    pthread_mutex_lock(&beside->lock);
    while (!beside->stop) {
        pthread_mutex_unlock(&beside->lock);
        beside->work.look(beside->work.context, &beside->stop);
        struct timespec until = clock_deadline(beside->work.pause_ms);
        pthread_mutex_lock(&beside->lock);
        if (!beside->stop)
            pthread_cond_timedwait(&beside->ended, &beside->lock, &until);
    }
    pthread_mutex_unlock(&beside->lock);
    return NULL;
}

int beside_start(const struct beside_work *work, struct beside **ret_beside, struct error *error)
{
    struct beside *beside = calloc(1, sizeof *beside);
    if (!beside)
        return error_set(error, ERROR_MEMORY, "out of memory");
    beside->work = *work;
    pthread_mutex_init(&beside->lock, NULL);
    clock_condition_init(&beside->ended);
    if (thread_start(&beside->thread, run, beside) != 0) {
        free(beside);
        return error_set(error, ERROR_IO, "start the thread that %s", work->does);
    }
    *ret_beside = beside;
    return 0;
}

struct beside *beside_stop(struct beside *beside)
{
    if (!beside)
        return NULL;
    pthread_mutex_lock(&beside->lock);
    __atomic_store_n(&beside->stop, 1, __ATOMIC_RELAXED);
    pthread_cond_signal(&beside->ended);
    pthread_mutex_unlock(&beside->lock);
    pthread_join(beside->thread, NULL);
    pthread_cond_destroy(&beside->ended);
    pthread_mutex_destroy(&beside->lock);
    free(beside);
    return NULL;
}
