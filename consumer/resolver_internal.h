/* What the resolver's two files share: the entries, and the lock that guards them. */
#ifndef CITYTOTALS_CONSUMER_RESOLVER_INTERNAL_H
#define CITYTOTALS_CONSUMER_RESOLVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/redis.h"
#include "consumer/resolver.h"

#define RESOLVER_IDLE_MS 60000 /* nobody has looked for it so long: an id that is not answered may make place */
#define WHY_SIZE         512

enum entry_state { ENTRY_WANTED, ENTRY_FOUND, ENTRY_UNKNOWN, ENTRY_CHANGED };
struct entry {
    uint32_t id;
    enum entry_state state;
    bool busy;        /* the asking thread is at it: it stays where it is */
    bool unconfirmed; /* FOUND, but the registry or Redis has not been asked since it may have changed */
    int64_t due_ms;   /* WANTED, unconfirmed: when to ask (again). UNKNOWN: until when that is believed */
    int64_t used_at_ms;
    char *text; /* FOUND: set once, by the asking thread; let go of by the other one */
    size_t size;
    char why[WHY_SIZE]; /* WANTED, CHANGED */
};

struct resolver {
    struct resolver_options options;
    pthread_t thread;
    bool no_thread;
    atomic_bool stop, changed;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wanted, answered;
    struct entry entries[RESOLVER_IDS_MOST];
    size_t count;
    bool away; /* the registry did not answer when last asked; it is left alone until: */
    int64_t away_until_ms, pause_ms;
    struct {
        int64_t id;                  /* -1: not known */
        bool settled, kept, refused; /* the registry said it; redis has it; the registry refuses it */
        int64_t due_ms;
        char why[WHY_SIZE];
    } letter;

    /* The decoder's thread alone. */
    int64_t last_id; /* looked up last, and answered; -1 = none */
    char said[WHY_SIZE];

    /* The asking thread alone. */
    struct registry *registry;
    struct redis *redis;
    char away_why[WHY_SIZE];
};

void *resolver_ask_thread(void *context);
/* Wait for the condition, `ms` at most. The lock is held. */
void resolver_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t ms);

#endif
