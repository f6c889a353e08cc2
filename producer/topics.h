/* A city's topics: which are there, and making those that are not, with the contract's settings. */
#ifndef CITYTOTALS_PRODUCER_TOPICS_H
#define CITYTOTALS_PRODUCER_TOPICS_H

#include "base/kafka.h"
#include "schemas/event.h"

enum { TOPIC_DEAD_LETTERS = EVENT_TYPES, TOPICS }; /* the event types' topics, then the dead letters' */

struct topics {
    bool there[TOPICS];
    int partitions[TOPICS];
    int brokers;
};

/* Asks by a listing of all topics: that never makes one. */
int topics_look(rd_kafka_t *kafka, const char *city, int64_t timeout_ms, struct topics *ret_topics, struct error *error);
/* Make those that `topics` lacks and wait until they are seen. One made by somebody else meanwhile is fine. */
int topics_create(rd_kafka_t *kafka, const char *city, const struct topics *topics, int partitions, int64_t timeout_ms,
                  const volatile sig_atomic_t *stop, struct error *error);
/* "haiphong.unit-mergers, haiphong.page-visits": of `wanted` (bits), those that are not there. Returns how many. */
int topics_missing(const struct topics *topics, const char *city, unsigned wanted, char *out, size_t size);

#endif
