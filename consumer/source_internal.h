/* What the files of the source share; nobody else includes it. */
#ifndef CITYTOTALS_CONSUMER_SOURCE_INTERNAL_H
#define CITYTOTALS_CONSUMER_SOURCE_INTERNAL_H

#include <stdatomic.h>

#include "base/kafka.h"
#include "consumer/source.h"

enum {
    TOPIC_NAME_SIZE = 128,
    SOURCE_PARTITIONS_MOST = 4096, /* of one topic; ends of partitions past it are not watched */
    QUEUE_LOW = 40000,             /* records: below it the library reads on, and is woken to do so */
};

struct waker;

/* Whether partitions stay nobody's. */
struct group_watch {
    bool subscribed;
    int64_t looked_ms, joined_ms; /* 0 = never */
    int looks;                    /* in a row that found some */
    int64_t untaken;
};

struct source {
    const struct common_options *common;
    rd_kafka_t *kafka;
    rd_kafka_queue_t *queue;
    char topics[EVENT_TYPES][TOPIC_NAME_SIZE];
    rd_kafka_topic_t *handles[EVENT_TYPES]; /* to tell a message's topic by its address */

    struct topic_partition *given; /* by the group */
    size_t given_count;
    bool changed;    /* given since source_assignment was last called */
    bool rebalanced; /* during the present call */
    bool reading;    /* something is assigned */
    struct group_watch group_watch;

    /* Which of the partitions being read have been read to their end: while one has not, the reader is kept awake. */
    bool at_end[EVENT_TYPES][SOURCE_PARTITIONS_MOST];
    size_t behind;
    struct waker *waker; /* NULL where the library needs none */

    bool doubtful; /* a connection was lost, and no broker has answered since */
    rd_kafka_resp_err_t last_error;
    int64_t last_error_at_ms;
    char fatal[512]; /* a sentence once the library can't go on */
};

/* Read nothing, but stay a member of the group as we are. */
rd_kafka_resp_err_t source_read_nothing(struct source *source);

/* Keeps librdkafka's reader threads from sleeping on a queue that was full a moment ago. */
int waker_start(struct source *source, struct waker **ret_waker, struct error *error);
struct waker *waker_stop(struct waker *waker); /* NULL; accepts NULL */
/* What is being read now; `partitions` is copied. */
void waker_watch(struct waker *waker, const rd_kafka_topic_partition_list_t *partitions);
/* Is there more to read than has been taken? An idle source costs nothing. Accepts NULL. */
void waker_set_busy(struct waker *waker, bool busy);

#endif
