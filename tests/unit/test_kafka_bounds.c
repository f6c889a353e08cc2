/* Where a log begins and ends, asked of librdkafka's mock cluster that refuses to say so at first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/clock.h"
#include "base/kafka.h"

enum { LIST_OFFSETS = 2, PLENTY_MS = 20000 };

struct lab {
    rd_kafka_t *owner, *kafka;
    rd_kafka_mock_cluster_t *cluster;
};

static int set_up(void **state)
{
    static struct lab lab;
    char text[256];
    lab.owner = rd_kafka_new(RD_KAFKA_PRODUCER, NULL, text, sizeof text);
    lab.cluster = rd_kafka_mock_cluster_new(lab.owner, 1);
    assert_int_equal(rd_kafka_mock_topic_create(lab.cluster, "log", 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *brokers = rd_kafka_mock_cluster_bootstraps(lab.cluster);
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text), RD_KAFKA_CONF_OK);
    lab.kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(lab.kafka);
    *state = &lab;
    return 0;
}

static int tear_down(void **state)
{
    struct lab *lab = *state;
    rd_kafka_destroy(lab->kafka);
    rd_kafka_mock_cluster_destroy(lab->cluster);
    rd_kafka_destroy(lab->owner);
    return 0;
}

static void refuse(struct lab *lab, size_t count, rd_kafka_resp_err_t code)
{
    for (size_t i = 0; i < count; i++)
        rd_kafka_mock_push_request_errors(lab->cluster, LIST_OFFSETS, 1, code);
}

static const rd_kafka_resp_err_t passing[] = {
    RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
    RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART};

static void test_a_partition_that_changes_its_leader_is_asked_again(void **state)
{
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        struct error error = {0};
        int64_t low = -1, high = -1;
        refuse(lab, 3, passing[i]);
        if (kafka_partition_bounds(lab->kafka, "log", 0, PLENTY_MS, &low, &high, &error) < 0)
            fail_msg("%s: %s", rd_kafka_err2name(passing[i]), error.text);
        assert_int_equal(low, 0);
        assert_int_equal(high, 0);
    }
}

static int bounds_of_the_list(struct lab *lab, int32_t partition, int64_t timeout_ms, const volatile sig_atomic_t *stop, struct error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "log", partition);
    int result = kafka_bounds(lab->kafka, list, RD_KAFKA_OFFSET_END, clock_monotonic_ms() + timeout_ms, stop, error);
    if (result >= 0)
        assert_int_equal(list->elems[0].offset, 0);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

static void test_so_is_a_list_of_them(void **state)
{
    struct error error = {0};
    refuse(*state, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
    assert_return_code(bounds_of_the_list(*state, 0, PLENTY_MS, NULL, &error), 0);
}

/* One that was added a moment ago is in no client's picture of the cluster yet. */
static void test_a_partition_that_is_not_known_yet_is_asked_for_until_the_time_is_up(void **state)
{
    struct lab *lab = *state;
    struct error error = {0};
    int64_t low, high, before = clock_monotonic_ms();
    assert_int_equal(kafka_partition_bounds(lab->kafka, "log", 7, 500, &low, &high, &error), -ERROR_KAFKA);
    assert_int_equal(bounds_of_the_list(lab, 7, 500, NULL, &error), -ERROR_KAFKA);
    assert_in_range(clock_monotonic_ms() - before, 2 * 400, PLENTY_MS / 2);
}

static void test_what_does_not_pass_is_said_at_once(void **state)
{
    struct lab *lab = *state;
    struct error error = {0};
    int64_t low = -1, high = -1, before = clock_monotonic_ms();
    refuse(lab, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    assert_int_equal(kafka_partition_bounds(lab->kafka, "log", 0, PLENTY_MS, &low, &high, &error), -ERROR_KAFKA);
    assert_string_equal(error.text, "ask for the bounds of log/0: Broker: Topic authorization failed");
    assert_int_equal(low, -1);
    refuse(lab, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    assert_int_equal(bounds_of_the_list(lab, 0, PLENTY_MS, NULL, &error), -ERROR_KAFKA);
    assert_string_equal(error.text, "ask for the bounds of the logs: Broker: Topic authorization failed");
    assert_in_range(clock_monotonic_ms() - before, 0, PLENTY_MS / 2);
}

static void test_it_ends_with_its_time_or_the_stop(void **state)
{
    static const volatile sig_atomic_t stop = 1;
    struct lab *lab = *state;
    struct error error = {0};
    int64_t low, high, before = clock_monotonic_ms();
    refuse(lab, 1000, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
    assert_int_equal(kafka_partition_bounds(lab->kafka, "log", 0, 500, &low, &high, &error), -ERROR_KAFKA);
    assert_int_equal(bounds_of_the_list(lab, 0, 500, NULL, &error), -ERROR_KAFKA);
    assert_int_equal(bounds_of_the_list(lab, 0, PLENTY_MS, &stop, &error), -ERROR_KAFKA);
    assert_in_range(clock_monotonic_ms() - before, 0, PLENTY_MS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_partition_that_changes_its_leader_is_asked_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_so_is_a_list_of_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_partition_that_is_not_known_yet_is_asked_for_until_the_time_is_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_does_not_pass_is_said_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_it_ends_with_its_time_or_the_stop, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("kafka_bounds", tests, NULL, NULL);
}
