/* library-lab MODE OPTIONS-FILE [COUNT]: programs as agencies might write them, for tests/integration/test_library.py. What was seen
 * is printed as one line of JSON; the library itself prints nothing.
 *   threads  8 threads submit COUNT events each and wait for all verdicts
 *   stubborn 4 threads submit COUNT events each and submit again what was not acknowledged, until all is
 *   callback the delivery callback does what it may and what it may not
 *   give-up  COUNT events, and a close that does not wait for their verdicts */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "library/citytotals.h"

enum { THREADS = 8, STUBBORN = 4, WAIT_MS = 60000, COUNT_MOST = 100000, BATCH = 50, TOLD_EVERY = 200 };

static struct citytotals_client *client;
static long count;
static atomic_long acknowledged, failed, timeouts, faults, inside;
static atomic_uchar *verdicts; /* of each event: how often it was told; the event's context points here */
static atomic_bool *good;

static void fault(const char *what, struct citytotals_error *error)
{
    fprintf(stderr, "%s: %s\n", what, citytotals_error_text(error));
    citytotals_error_free(error);
    faults++;
}

static void on_delivery(void *context, const struct citytotals_delivery *delivery)
{
    (void)context;
    atomic_uchar *verdict = delivery->event_context;
    if (inside++)
        fault("two callbacks at once", NULL);
    ++*verdict;
    if (delivery->code == CITYTOTALS_OK && delivery->offset >= 0 && delivery->partition >= 0 && strlen(delivery->event_id) == 36) {
        good[verdict - verdicts] = true;
        if (++acknowledged % TOLD_EVERY == 0) {
            printf("%ld acknowledged\n", (long)acknowledged);
            fflush(stdout);
        }
    } else {
        failed++;
    }
    inside--;
}

static int submit(long number, int timeout_ms)
{
    char json[512];
    struct citytotals_error *error = NULL;
    int size = snprintf(json, sizeof json, "{\"type\":\"headcount-change\",\"id\":\"%ld\",\"agency\":\"hong-bang\",\"sector\":\"commune\","
                        "\"reason\":\"recruited\",\"delta\":1,\"effective_date\":\"2020-10-30\"}", number);
    int result = citytotals_submit_json(client, json, (size_t)size, &verdicts[number], timeout_ms, NULL, &error);
    if (result == CITYTOTALS_TIMEOUT) {
        timeouts++;
        citytotals_error_free(error);
    } else if (result < 0) {
        fault("submit", error);
    }
    return result;
}

static void *submit_all(void *context)
{
    long first = (long)(intptr_t)context * count;
    for (long i = 0; i < count; i++)
        submit(first + i, WAIT_MS);
    return NULL;
}

/* In batches; what was told of and is not there is submitted again. */
static void *submit_until_acknowledged(void *context)
{
    long first = (long)(intptr_t)context * count;
    for (long done = 0; done < count; done += BATCH) {
        unsigned char sent[BATCH] = {0};
        long size = count - done < BATCH ? count - done : BATCH;
        for (bool all = false; !all;) {
            struct citytotals_error *error = NULL;
            all = true;
            for (long i = 0; i < size; i++) {
                long number = first + done + i;
                if (good[number])
                    continue;
                all = false;
                if (verdicts[number] == sent[i] && submit(number, 500) == CITYTOTALS_OK)
                    sent[i]++;
            }
            if (!all && citytotals_flush(client, 500, &error) == CITYTOTALS_MISUSE)
                fault("flush", error);
            else
                citytotals_error_free(error);
        }
    }
    return NULL;
}

static void run_threads(int threads, void *(*each)(void *))
{
    pthread_t started[THREADS];
    for (int i = 0; i < threads; i++)
        pthread_create(&started[i], NULL, each, (void *)(intptr_t)i);
    for (int i = 0; i < threads; i++)
        pthread_join(started[i], NULL);
}

static void on_delivery_misuse(void *context, const struct citytotals_delivery *delivery)
{
    struct citytotals_error *error = NULL;
    struct timespec begun, now;
    if (citytotals_flush(client, 1000, &error) != CITYTOTALS_MISUSE)
        fault("flush from the callback", error);
    else
        citytotals_error_free(error);
    if (citytotals_close(client, 1000, &error) != CITYTOTALS_MISUSE)
        fault("close from the callback", error);
    else
        citytotals_error_free(error);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    /* The queue holds two; the second of these does not fit, and may not wait for this very thread. */
    long first = atomic_fetch_add(&acknowledged, 1);
    if (first == 0 && (submit(1, WAIT_MS) != CITYTOTALS_OK || submit(2, WAIT_MS) != CITYTOTALS_TIMEOUT))
        fault("submit from the callback", NULL);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec - begun.tv_sec > 10)
        fault("the callback waited", NULL);
    ++*(atomic_uchar *)delivery->event_context;
    (void)context;
}

int main(int argc, char **argv)
{
    struct citytotals_error *error = NULL;
    count = argc == 4 ? atol(argv[3]) : 1;
    if (argc < 3 || count < 1 || count > COUNT_MOST)
        return 2;
    const char *mode = argv[1];
    bool misuse = strcmp(mode, "callback") == 0;
    verdicts = calloc((size_t)count * THREADS + 3, sizeof *verdicts);
    good = calloc((size_t)count * THREADS + 3, sizeof *good);
    struct citytotals_options *options = citytotals_options_new();
    if (!verdicts || !good || !options || citytotals_options_read(options, argv[2], &error) < 0 ||
        citytotals_options_on_delivery(options, misuse ? on_delivery_misuse : on_delivery, NULL, &error) < 0 ||
        citytotals_open(options, &client, &error) < 0) {
        fault("open", error);
        citytotals_options_free(options);
        free(verdicts);
        free(good);
        return 1;
    }
    citytotals_options_free(options);
    long sent = count;
    printf("open\n");
    fflush(stdout);
    if (strcmp(mode, "threads") == 0) {
        run_threads(THREADS, submit_all);
        sent = count * THREADS;
    } else if (strcmp(mode, "stubborn") == 0) {
        run_threads(STUBBORN, submit_until_acknowledged);
        sent = count * STUBBORN;
    } else if (misuse) {
        submit(0, WAIT_MS);
        sent = 2;
    } else {
        for (long i = 0; i < count; i++)
            submit(i, 0);
    }
    bool waits = strcmp(mode, "give-up") != 0;
    if (waits && citytotals_flush(client, WAIT_MS, &error) < 0)
        fault("flush", error);
    size_t pending = citytotals_pending(client);
    int closed = citytotals_close(client, waits ? WAIT_MS : 200, &error);
    citytotals_error_free(error);
    long untold = 0, twice = 0;
    for (long i = 0; i < sent; i++) {
        untold += verdicts[i] == 0;
        twice += verdicts[i] > 1;
    }
    printf("{\"acknowledged\":%ld,\"failed\":%ld,\"timeouts\":%ld,\"untold\":%ld,\"twice\":%ld,\"pending\":%zu,\"closed\":\"%s\",\"faults\":%ld}\n",
           (long)acknowledged, (long)failed, (long)timeouts, untold, twice, pending, citytotals_code_name(closed), (long)faults);
    free(verdicts);
    free(good);
    return faults ? 1 : 0;
}
