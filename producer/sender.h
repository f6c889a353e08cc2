/* Sends events to Kafka: acks=all, idempotent, Kafka's murmur2 partitions, bounded memory, one verdict for each event. For
 * files, the gateway and the library alike. One thread at a time, but for sender_produce, sender_produce_many and sender_pending. */
#ifndef CITYTOTALS_PRODUCER_SENDER_H
#define CITYTOTALS_PRODUCER_SENDER_H

#include "base/kafka.h"
#include "producer/message.h"

struct sender_verdict {
    const char *failure; /* NULL when Kafka has acknowledged it, else librdkafka's sentence */
    int32_t partition;   /* where it is; -1 when it failed */
    int64_t offset;
};
/* Called once for each submitted event, from sender_submit, sender_poll, sender_flush or sender_close. */
typedef void (*sender_delivery_fn)(void *context, void *event_context, const struct sender_verdict *verdict);

struct sender_options {
    const struct common_options *common; /* lives as long as the sender */
    const char *client_id;
    int64_t queue_events;   /* most events without a verdict; 0 = 200,000 */
    int64_t queue_kib;      /* and their size; 0 = 65,536 */
    int64_t linger_ms;      /* how long an event may wait for others to go with it; 0 = 20, -1 = not at all */
    int64_t ack_timeout_ms; /* an event that is not acknowledged within this is failed */
    sender_delivery_fn on_delivery;
    void (*on_log)(void *context, int level, const char *text); /* NULL: base/log. On any thread; a syslog level */
    void *context;
};

struct sender;
/* Does not wait for Kafka. ERROR_CONFIG for bad properties. */
int sender_open(const struct sender_options *options, struct sender **ret_sender, struct error *error);
/* Gives up what is not acknowledged: on_delivery is called for each. NULL. */
struct sender *sender_close(struct sender *sender);
rd_kafka_t *sender_kafka(struct sender *sender); /* for topics.h */

/* Queue one event; its message is copied. Waits while the queue is full, at most timeout_ms (ERROR_TIMEOUT: it was not
 * queued), or until *stop (may be NULL; ERROR_INTERRUPTED). */
int sender_submit(struct sender *sender, const struct message *message, void *event_context, int64_t timeout_ms,
                  const volatile sig_atomic_t *stop, struct error *error);
/* The same without waiting, from any thread: ERROR_TIMEOUT when the queue is full. ERROR_REFUSED: Kafka's client can't go
 * on. */
int sender_produce(struct sender *sender, const struct message *message, void *event_context, struct error *error);
enum { SENDER_MANY_MOST = 128 };
struct sender_item {
    struct message message; /* all of one type */
    void *event_context;
    bool taken; /* set by the call */
};
/* sender_produce for up to SENDER_MANY_MOST at once, which costs less; its error when one was not taken. */
int sender_produce_many(struct sender *sender, struct sender_item *items, size_t count, struct error *error);
/* What waits for company goes now; verdicts are delivered until none is due, at most for timeout_ms. */
void sender_push(struct sender *sender, int64_t timeout_ms);
/* Deliver verdicts that are there, waiting at most timeout_ms for the first. */
void sender_poll(struct sender *sender, int64_t timeout_ms);
size_t sender_pending(const struct sender *sender); /* events without a verdict */
/* Wait for all verdicts, at most timeout_ms: ERROR_TIMEOUT; or until *stop (may be NULL): ERROR_INTERRUPTED. */
int sender_flush(struct sender *sender, int64_t timeout_ms, const volatile sig_atomic_t *stop, struct error *error);

#endif
