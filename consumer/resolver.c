/* The memory of schema ids: looked up by the decoder's thread, filled by another that asks (resolver_ask.c). */
#include "consumer/resolver.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"
#include "consumer/resolver_internal.h"

static bool is_stopped(void *context)
{
    struct resolver *resolver = context;
    return atomic_load(&resolver->stop);
}

int resolver_start(const struct resolver_options *options, struct resolver **ret_resolver, struct error *error)
{
    struct resolver *resolver = calloc(1, sizeof *resolver);
    if (!resolver)
        return error_set(error, ERROR_MEMORY, "out of memory");
    resolver->options = *options;
    resolver->letter.id = -1;
    resolver->last_id = -1;
    snprintf(resolver->letter.why, sizeof resolver->letter.why, "it has not been asked yet");
    int result = registry_new(options->registry, is_stopped, resolver, &resolver->registry, error);
    if (result < 0) {
        free(resolver);
        return result;
    }
    pthread_mutex_init(&resolver->lock, NULL);
    clock_condition_init(&resolver->wanted);
    clock_condition_init(&resolver->answered);
    if (thread_start(&resolver->thread, resolver_ask_thread, resolver) != 0) {
        error_set(error, ERROR_LIMIT, "no thread for the schema registry");
        resolver->no_thread = true;
        resolver_stop(resolver);
        return -ERROR_LIMIT;
    }
    *ret_resolver = resolver;
    return 0;
}

struct resolver *resolver_stop(struct resolver *resolver)
{
    if (!resolver)
        return NULL;
    pthread_mutex_lock(&resolver->lock);
    atomic_store(&resolver->stop, true);
    pthread_cond_signal(&resolver->wanted);
    pthread_mutex_unlock(&resolver->lock);
    if (!resolver->no_thread)
        pthread_join(resolver->thread, NULL);
    registry_free(resolver->registry);
    redis_free(resolver->redis);
    for (size_t i = 0; i < resolver->count; i++)
        free(resolver->entries[i].text);
    pthread_cond_destroy(&resolver->wanted);
    pthread_cond_destroy(&resolver->answered);
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
    return NULL;
}

void resolver_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t ms)
{
    struct timespec until = clock_deadline(ms);
    pthread_cond_timedwait(condition, lock, &until);
}

static struct entry *find(struct resolver *resolver, uint32_t id)
{
    for (size_t i = 0; i < resolver->count; i++)
        if (resolver->entries[i].id == id)
            return &resolver->entries[i];
    return NULL;
}

/* A place for one more id: a free one, or that of the id looked up longest ago. NULL while all are being asked for. */
static struct entry *place(struct resolver *resolver)
{
    struct entry *oldest = NULL;
    if (resolver->count < RESOLVER_IDS_MOST)
        return &resolver->entries[resolver->count++];
    for (size_t i = 0; i < resolver->count; i++) {
        struct entry *entry = &resolver->entries[i];
        bool idle = entry->state != ENTRY_WANTED || entry->used_at_ms + RESOLVER_IDLE_MS < clock_monotonic_ms();
        if (idle && !entry->busy && (!oldest || entry->used_at_ms < oldest->used_at_ms))
            oldest = entry;
    }
    if (oldest)
        free(oldest->text);
    return oldest;
}

/* The entry of an id that is in use now; NULL where there is no place for it. */
static struct entry *want(struct resolver *resolver, uint32_t id)
{
    int64_t now = clock_monotonic_ms();
    struct entry *entry = find(resolver, id);
    if (entry && entry->state == ENTRY_UNKNOWN && now >= entry->due_ms) {
        entry->state = ENTRY_WANTED;
        pthread_cond_signal(&resolver->wanted);
    }
    if (!entry && (entry = place(resolver))) {
        *entry = (struct entry){.id = id, .state = ENTRY_WANTED};
        pthread_cond_signal(&resolver->wanted);
    }
    if (entry)
        entry->used_at_ms = now;
    return entry;
}

enum schema_lookup resolver_lookup(void *context, uint32_t schema_id, const char **ret_json, size_t *ret_size)
{
    struct resolver *resolver = context;
    enum schema_lookup found = SCHEMA_LOOKUP_AWAY;
    pthread_mutex_lock(&resolver->lock);
    const struct entry *entry = want(resolver, schema_id);
    const char *why = !entry        ? "too many others are being asked for"
                      : *entry->why ? entry->why
                                    : "the schema registry has not answered yet";
    if (entry && entry->state == ENTRY_FOUND) {
        found = SCHEMA_LOOKUP_FOUND;
        *ret_json = entry->text; /* only this thread lets go of it */
        *ret_size = entry->size;
    } else if (entry && entry->state == ENTRY_UNKNOWN) {
        found = SCHEMA_LOOKUP_UNKNOWN;
    } else {
        found = entry && entry->state == ENTRY_CHANGED ? SCHEMA_LOOKUP_CHANGED : SCHEMA_LOOKUP_AWAY;
        snprintf(resolver->said, sizeof resolver->said, "%s", why);
        *ret_json = resolver->said;
        *ret_size = strlen(resolver->said);
    }
    pthread_mutex_unlock(&resolver->lock);
    return found;
}

static bool is_open(struct resolver *resolver, uint32_t id)
{
    const struct entry *entry = find(resolver, id);
    return entry && entry->state == ENTRY_WANTED;
}

void resolver_meet(struct resolver *resolver, const struct source_record *records, size_t count, int64_t wait_ms)
{
    uint32_t open[RESOLVER_WANTED_MOST];
    size_t open_count = 0;
    bool locked = false;
    for (size_t i = 0; i < count && open_count < RESOLVER_WANTED_MOST; i++) {
        const struct source_record *record = &records[i];
        if (record->kind != RECORD_MESSAGE || record->value.size < 5 || !record->value.data ||
            record->value.data[0] != 0)
            continue;
        uint32_t id;
        memcpy(&id, record->value.data + 1, sizeof id);
        id = be32toh(id);
        if (id == resolver->last_id)
            continue; /* as nearly always */
        if (!locked)
            pthread_mutex_lock(&resolver->lock);
        locked = true;
        const struct entry *entry = want(resolver, id);
        if (entry && entry->state == ENTRY_WANTED)
            open[open_count++] = id;
        else if (entry && entry->state == ENTRY_FOUND)
            resolver->last_id = id;
    }
    if (!locked)
        return;
    int64_t deadline = clock_monotonic_ms() + wait_ms, now;
    for (size_t i = 0; i < open_count; i++)
        while (is_open(resolver, open[i]) && !resolver->away && !atomic_load(&resolver->stop) &&
               (now = clock_monotonic_ms()) < deadline)
            resolver_wait(&resolver->answered, &resolver->lock, deadline - now);
    pthread_mutex_unlock(&resolver->lock);
}

void resolver_keep_again(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    for (size_t i = 0; i < resolver->count; i++)
        resolver->entries[i].unconfirmed = resolver->entries[i].state == ENTRY_FOUND;
    resolver->letter.kept = false;
    pthread_cond_signal(&resolver->wanted);
    pthread_mutex_unlock(&resolver->lock);
}

bool resolver_is_away(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    bool away = resolver->away;
    pthread_mutex_unlock(&resolver->lock);
    return away;
}

bool resolver_take_changed(struct resolver *resolver)
{
    return atomic_load_explicit(&resolver->changed, memory_order_relaxed) && atomic_exchange(&resolver->changed, false);
}

int resolver_letter_id(struct resolver *resolver, int64_t wait_ms, int64_t *ret_id, struct error *error)
{
    int64_t deadline = clock_monotonic_ms() + wait_ms, now;
    int result = 0;
    pthread_mutex_lock(&resolver->lock);
    while (resolver->letter.id < 0 && !resolver->away && !resolver->letter.refused &&
           (now = clock_monotonic_ms()) < deadline)
        resolver_wait(&resolver->answered, &resolver->lock, deadline - now);
    if (resolver->letter.id >= 0)
        *ret_id = resolver->letter.id;
    else
        result = error_set(error, ERROR_REGISTRY, "the id of the dead letter's schema is not known: %s",
                           resolver->letter.why);
    pthread_mutex_unlock(&resolver->lock);
    return result;
}
