/* An event as Kafka takes it: framed value and key. The one way there for send, reverse, the gateway and the library. Pure; a
 * maker serves one thread at a time. */
#ifndef CITYTOTALS_PRODUCER_MESSAGE_H
#define CITYTOTALS_PRODUCER_MESSAGE_H

#include "base/buffer.h"
#include "base/error.h"
#include "schemas/event.h"

struct message {
    enum event_type type; /* says the topic */
    struct slice key, value;
};

struct message_maker;
/* schema_ids: Confluent schema ids by event type, negative: Avro's single-object encoding; kept, and read later. */
int message_maker_new(const int64_t *schema_ids, struct message_maker **ret_maker, struct error *error);
struct message_maker *message_maker_free(struct message_maker *maker);
/* Append value and key of an event that passed the rules to `out`; the message points into it. */
int message_make(struct message_maker *maker, const struct event *event, struct buffer *out, struct message *ret_message,
                 struct error *error);

#endif
