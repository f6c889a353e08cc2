/* Looks whether each partition is some consumer's, and has the group share anew when one stays nobody's: static members that start
 * again are given what they had, so partitions that were added meanwhile would wait for the group's next change. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "consumer/source_internal.h"

enum {
    LOOK_MS = 10000,
    ANSWER_MS = 5000,
    COUNT_MS = 500,
    LOOKS_BEFORE_JOINING = 2,     /* in a row: one look may fall into a change */
    JOIN_EVERY_MS = 5 * 60 * 1000, /* where it does not help */
};

struct group_watch {
    rd_kafka_queue_t *answers;
    int64_t asked_ms, joined_ms; /* 0 = never */
    bool asking, refused, is_static;
    int looks; /* in a row with partitions that are nobody's */
    int64_t unassigned;
    bool taken[EVENT_TYPES][SOURCE_PARTITIONS_MOST];
};

int group_watch_start(struct source *source, struct group_watch **ret_watch, struct error *error)
{
    struct group_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return error_set(error, ERROR_MEMORY, "out of memory");
    watch->answers = rd_kafka_queue_new(source->kafka);
    /* A dynamic member's joining shares anew by itself. */
    size_t size = 0;
    watch->is_static = rd_kafka_conf_get(rd_kafka_conf(source->kafka), "group.instance.id", NULL, &size) == RD_KAFKA_CONF_OK && size > 1;
    *ret_watch = watch;
    return 0;
}

struct group_watch *group_watch_stop(struct group_watch *watch)
{
    if (watch)
        rd_kafka_queue_destroy(watch->answers);
    free(watch);
    return NULL;
}

static void ask(struct source *source, struct group_watch *watch)
{
    char text[256];
    const char *group = source->group;
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(source->kafka, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_AdminOptions_set_request_timeout(options, ANSWER_MS, text, sizeof text);
    rd_kafka_DescribeConsumerGroups(source->kafka, &group, 1, options, watch->answers);
    rd_kafka_AdminOptions_destroy(options);
}

/* Marks what the members have; false unless the group has settled. */
static bool take_members(struct source *source, struct group_watch *watch, rd_kafka_event_t *event)
{
    size_t count = 0;
    if (rd_kafka_event_error(event))
        return false; /* Kafka may be away */
    const rd_kafka_ConsumerGroupDescription_t **groups =
        rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(event), &count);
    const rd_kafka_error_t *failed = count == 1 ? rd_kafka_ConsumerGroupDescription_error(groups[0]) : NULL;
    if (failed && rd_kafka_error_code(failed) == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED && !watch->refused) {
        log_warning("kafka does not tell this user who is in group %s: partitions that nobody reads are not seen", source->group);
        watch->refused = true;
    }
    if (count != 1 || failed || rd_kafka_ConsumerGroupDescription_state(groups[0]) != RD_KAFKA_CONSUMER_GROUP_STATE_STABLE)
        return false;
    memset(watch->taken, 0, sizeof watch->taken);
    for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(groups[0]); i++) {
        const rd_kafka_MemberAssignment_t *assignment =
            rd_kafka_MemberDescription_assignment(rd_kafka_ConsumerGroupDescription_member(groups[0], i));
        const rd_kafka_topic_partition_list_t *list = assignment ? rd_kafka_MemberAssignment_partitions(assignment) : NULL;
        for (int at = 0; list && at < list->cnt; at++) {
            int topic = source_topic_of_name(source, list->elems[at].topic);
            if (topic != TOPIC_NONE && list->elems[at].partition >= 0 && list->elems[at].partition < SOURCE_PARTITIONS_MOST)
                watch->taken[topic][list->elems[at].partition] = true;
        }
    }
    return true;
}

/* -1 when a topic can't be asked for now. */
static int64_t count_unassigned(struct source *source, const struct group_watch *watch)
{
    int64_t unassigned = 0;
    for (int type = 0; type < EVENT_TYPES; type++) {
        int count = 0;
        if (kafka_partition_count(source->kafka, source->topics[type], COUNT_MS, &count, NULL) < 0)
            return -1;
        for (int i = 0; i < count && i < SOURCE_PARTITIONS_MOST; i++)
            unassigned += !watch->taken[type][i];
    }
    return unassigned;
}

/* The leader shares anew when it joins; every member joins, since none knows who that is. */
static void join_again(struct source *source, struct group_watch *watch, int64_t now_ms)
{
    struct error error = {0};
    log_warning("%" PRId64 " partitions are no consumer's; joining the group anew, so that it shares them", watch->unassigned);
    watch->joined_ms = now_ms;
    watch->looks = 0;
    if (source_subscribe(source, &error) < 0)
        log_warning("%s", error.text);
}

int64_t source_unassigned(struct source *source, int64_t now_ms)
{
    struct group_watch *watch = source->group_watch;
    rd_kafka_event_t *event = watch->asking ? rd_kafka_queue_poll(watch->answers, 0) : NULL;
    if (event) {
        int64_t unassigned = take_members(source, watch, event) ? count_unassigned(source, watch) : -1;
        rd_kafka_event_destroy(event);
        watch->asking = false;
        watch->looks = unassigned > 0 ? watch->looks + 1 : 0;
        if (unassigned >= 0)
            watch->unassigned = unassigned;
        if (watch->looks >= LOOKS_BEFORE_JOINING && (!watch->joined_ms || now_ms - watch->joined_ms >= JOIN_EVERY_MS))
            join_again(source, watch, now_ms);
    } else if (!watch->asking && source->subscribed && watch->is_static && now_ms - watch->asked_ms >= LOOK_MS) {
        watch->asking = true;
        watch->asked_ms = now_ms;
        ask(source, watch);
    }
    return watch->unassigned;
}
