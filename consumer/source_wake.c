/* A thread that wakes librdkafka's readers. Before 2.2, a reader that found the local queue full sleeps up to a second,
 * however soon the queue is empty again; any request on the broker's connection wakes it. So, while there is more to
 * read, each leader gets a cheap request when a fetch has left the queue low, and every few milliseconds that it stays so:
 * the reader may have looked at the queue just before. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"
#include "consumer/source_internal.h"

enum { WAKE_AGAIN_MS = 4, REQUEST_TIMEOUT_MS = 1000, PAUSE_ON_FAILURE_NS = 100000000 };

struct waker {
    struct source *source;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;
    bool busy;
    bool low; /* a fetch has left the queue low since the last request */
    uint64_t generation; /* of `watched` */
    rd_kafka_topic_partition_list_t *watched;
    _Atomic bool seems_busy; /* a copy, so that the hot path takes no lock */
};

/* Until there may be a reader to wake, or all is to end. With the lock. */
static void wait_for_work(struct waker *waker)
{
    while (!waker->stop && (!waker->busy || !waker->watched))
        pthread_cond_wait(&waker->changed, &waker->lock);
    struct timespec until = clock_deadline(WAKE_AGAIN_MS);
    while (!waker->stop && !waker->low && pthread_cond_timedwait(&waker->changed, &waker->lock, &until) == 0)
        ;
    waker->low = false;
}

static int32_t leader_of(const struct rd_kafka_metadata *metadata, const rd_kafka_topic_partition_t *partition)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (strcmp(topic->topic, partition->topic) != 0)
            continue;
        for (int j = 0; j < topic->partition_cnt; j++)
            if (topic->partitions[j].id == partition->partition)
                return topic->partitions[j].leader;
    }
    return -1;
}

/* One watched partition of each leader; NULL when the leaders are not known. */
static rd_kafka_topic_partition_list_t *one_a_leader(struct waker *waker,
                                                     const rd_kafka_topic_partition_list_t *watched)
{
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(waker->source->kafka, 0, NULL, &metadata, REQUEST_TIMEOUT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
    int32_t leaders[64];
    size_t count = 0;
    for (int i = 0; i < watched->cnt && count < sizeof leaders / sizeof *leaders; i++) {
        int32_t leader = leader_of(metadata, &watched->elems[i]);
        bool known = leader < 0;
        for (size_t j = 0; j < count && !known; j++)
            known = leaders[j] == leader;
        if (known)
            continue;
        leaders[count++] = leader;
        rd_kafka_topic_partition_list_add(list, watched->elems[i].topic, watched->elems[i].partition);
    }
    rd_kafka_metadata_destroy(metadata);
    if (list->cnt > 0)
        return list;
    rd_kafka_topic_partition_list_destroy(list);
    return NULL;
}

/* Ask each leader for the end of one log. */
static bool wake(struct waker *waker, rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_END;
    if (rd_kafka_offsets_for_times(waker->source->kafka, list, REQUEST_TIMEOUT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].err)
            return false;
    return true;
}

static void *waker_run(void *context)
{
    struct waker *waker = context;
    rd_kafka_topic_partition_list_t *watched = NULL, *leaders = NULL;
    uint64_t generation = 0;
    for (;;) {
        pthread_mutex_lock(&waker->lock);
        wait_for_work(waker);
        bool stop = waker->stop;
        if (!stop && generation != waker->generation) {
            generation = waker->generation;
            if (watched)
                rd_kafka_topic_partition_list_destroy(watched);
            watched = rd_kafka_topic_partition_list_copy(waker->watched);
            if (leaders)
                rd_kafka_topic_partition_list_destroy(leaders);
            leaders = NULL;
        }
        pthread_mutex_unlock(&waker->lock);
        if (stop)
            break;
        if (rd_kafka_queue_length(waker->source->queue) >= QUEUE_LOW)
            continue;
        if (!leaders)
            leaders = one_a_leader(waker, watched);
        if (leaders && wake(waker, leaders))
            continue;
        if (leaders)
            rd_kafka_topic_partition_list_destroy(leaders);
        leaders = NULL; /* they may have moved */
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_ON_FAILURE_NS}, NULL);
    }
    if (watched)
        rd_kafka_topic_partition_list_destroy(watched);
    if (leaders)
        rd_kafka_topic_partition_list_destroy(leaders);
    return NULL;
}

int waker_start(struct source *source, struct waker **ret_waker, struct error *error)
{
    struct waker *waker = calloc(1, sizeof *waker);
    if (!waker)
        return error_set(error, ERROR_MEMORY, "out of memory");
    waker->source = source;
    pthread_mutex_init(&waker->lock, NULL);
    clock_condition_init(&waker->changed);
    int failed = thread_start(&waker->thread, waker_run, waker);
    if (failed) {
        pthread_cond_destroy(&waker->changed);
        pthread_mutex_destroy(&waker->lock);
        free(waker);
        return error_set(error, ERROR_MEMORY, "start a thread: %s", strerror(failed));
    }
    *ret_waker = waker;
    return 0;
}

struct waker *waker_stop(struct waker *waker)
{
    if (!waker)
        return NULL;
    pthread_mutex_lock(&waker->lock);
    waker->stop = true;
    pthread_cond_signal(&waker->changed);
    pthread_mutex_unlock(&waker->lock);
    pthread_join(waker->thread, NULL);
    if (waker->watched)
        rd_kafka_topic_partition_list_destroy(waker->watched);
    pthread_cond_destroy(&waker->changed);
    pthread_mutex_destroy(&waker->lock);
    free(waker);
    return NULL;
}

void waker_watch(struct waker *waker, const rd_kafka_topic_partition_list_t *partitions)
{
    if (!waker)
        return;
    pthread_mutex_lock(&waker->lock);
    if (waker->watched)
        rd_kafka_topic_partition_list_destroy(waker->watched);
    waker->watched = partitions->cnt > 0 ? rd_kafka_topic_partition_list_copy(partitions) : NULL;
    waker->generation++;
    pthread_mutex_unlock(&waker->lock);
}

void waker_set_busy(struct waker *waker, bool busy)
{
    if (!waker || (!busy && !atomic_load_explicit(&waker->seems_busy, memory_order_relaxed)))
        return;
    bool low = busy && rd_kafka_queue_length(waker->source->queue) < QUEUE_LOW;
    if (!low && atomic_load_explicit(&waker->seems_busy, memory_order_relaxed) == busy)
        return;
    atomic_store_explicit(&waker->seems_busy, busy, memory_order_relaxed);
    pthread_mutex_lock(&waker->lock);
    waker->busy = busy;
    waker->low = low;
    pthread_cond_signal(&waker->changed);
    pthread_mutex_unlock(&waker->lock);
}
