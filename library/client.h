/* What the client's files share. */
#ifndef CITYTOTALS_LIBRARY_CLIENT_H
#define CITYTOTALS_LIBRARY_CLIENT_H

#include <pthread.h>
#include <time.h>

#include "library/library.h"
#include "producer/message.h"
#include "producer/parser.h"
#include "producer/sender.h"

enum { CLIENT_TOPIC_SIZE = 128, CLIENT_REASON_SIZE = 256 };

/* What one thread needs to make a message of what it is given. */
struct checker {
    struct parser *parser;
    struct message_maker *maker; /* NULL in a client that only checks */
    struct problems problems;
    struct buffer bytes;
    struct checker *next;
};

/* A submitted event. */
struct ticket {
    void *event_context;
    enum event_type type;
    struct event_id id;
    struct ticket *previous, *next;
};

struct citytotals_client {
    struct citytotals_options *options;
    int64_t schema_ids[EVENT_TYPES];
    char topics[EVENT_TYPES][CLIENT_TOPIC_SIZE];
    struct sender *sender; /* NULL in a client that only checks */
    pthread_t poller;
    bool polling;
    atomic_bool stop;
    atomic_int flushing; /* calls of flush that wait */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed; /* a checker is free, or a verdict was delivered */
    struct checker *checkers;
    size_t checkers_made;
    struct ticket tickets; /* the ring's anchor */
    size_t pending;
    uint64_t delivered, failed; /* failed: since a flush told of it */
    char reason[CLIENT_REASON_SIZE]; /* of the first of them */
    bool closing;
};

/* What a call is given: an event put together, or one as JSON. */
struct given {
    const struct citytotals_event *event;
    struct slice json;
};

/* client.c */
int refuse_time(int timeout_ms, struct citytotals_error **ret_error);
bool on_callback_thread(const struct citytotals_client *client);

/* check.c. Nobody keeps a checker while it waits for anything but the processor. NULL: out of memory. */
struct checker *checker_take(struct citytotals_client *client);
void checker_give(struct citytotals_client *client, struct checker *checker);
struct checker *checker_free(struct checker *checker);
int refuse_given(const struct citytotals_client *client, const struct given *given, struct citytotals_error **ret_error);
/* The event, which lives until the checker is used again. */
int judge(const struct citytotals_client *client, struct checker *checker, const struct given *given, struct event *ret_event,
          struct citytotals_error **ret_error);

/* submit.c. The client's lock is held. */
void link_ticket(struct citytotals_client *client, struct ticket *ticket);
void unlink_ticket(struct citytotals_client *client, struct ticket *ticket);

#endif
