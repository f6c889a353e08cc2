/* Sees to it that each partition is some consumer's. Static members that start again are given what they had: partitions that were added
 * meanwhile would wait for the group's next change. Nobody has had those, and so nobody has told the group an offset of theirs. */
#include <inttypes.h>

#include "base/log.h"
#include "consumer/source_internal.h"

enum {
    LOOK_MS = 5000,
    ANSWER_MS = 500,
    LOOKS_BEFORE_JOINING = 2,      /* in a row: one look may fall into a change */
    JOIN_EVERY_MS = 5 * 60 * 1000, /* where it does not help */
};

/* All partitions of the topics, as Kafka has them now; NULL when it does not say. One question, whatever the number of topics. */
static rd_kafka_topic_partition_list_t *all_partitions(struct source *source)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(source->kafka, 0, NULL, &metadata, ANSWER_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(64);
    for (int i = 0; i < metadata->topic_cnt; i++)
        for (int id = 0; id < metadata->topics[i].partition_cnt && id < SOURCE_PARTITIONS_MOST; id++)
            rd_kafka_topic_partition_list_add(list, metadata->topics[i].topic, id);
    rd_kafka_metadata_destroy(metadata);
    return list;
}

static bool is_given(const struct source *source, const rd_kafka_topic_partition_t *one)
{
    for (size_t i = 0; i < source->given_count; i++)
        if (source->given[i].partition == one->partition && strcmp(source->topics[source->given[i].topic], one->topic) == 0)
            return true;
    return false;
}

/* -1 when it can't be told: Kafka is away, or what we have ourselves has not been told to the group either. */
static int64_t count_untaken(struct source *source)
{
    int64_t untaken = 0;
    rd_kafka_topic_partition_list_t *list = all_partitions(source);
    if (!list || rd_kafka_committed(source->kafka, list, ANSWER_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        untaken = -1;
    for (int i = 0; untaken >= 0 && i < list->cnt; i++)
        if (list->elems[i].err || (list->elems[i].offset < 0 && is_given(source, &list->elems[i])))
            untaken = -1;
        else if (list->elems[i].offset < 0)
            untaken++;
    if (list)
        rd_kafka_topic_partition_list_destroy(list);
    return untaken;
}

/* The group's leader shares anew when it joins; every member joins, since none knows who that is. */
static void join_again(struct source *source, int64_t now_ms)
{
    struct group_watch *watch = &source->group_watch;
    struct error error = {0};
    log_warning("%" PRId64 " partitions are no consumer's; joining the group anew, so that it shares them", watch->untaken);
    watch->joined_ms = now_ms;
    watch->looks = 0;
    if (source_subscribe(source, &error) < 0)
        log_warning("%s", error.text);
}

int64_t source_untaken(struct source *source, int64_t now_ms)
{
    struct group_watch *watch = &source->group_watch;
    if (!watch->subscribed || source->changed || source->doubtful || now_ms - watch->looked_ms < LOOK_MS)
        return watch->untaken;
    watch->looked_ms = now_ms;
    int64_t untaken = count_untaken(source);
    watch->looks = untaken > 0 ? watch->looks + 1 : 0;
    if (untaken >= 0)
        watch->untaken = untaken;
    if (watch->looks >= LOOKS_BEFORE_JOINING && (!watch->joined_ms || now_ms - watch->joined_ms >= JOIN_EVERY_MS))
        join_again(source, now_ms);
    return watch->untaken;
}
