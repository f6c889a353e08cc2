/* What the management listener says of a loop that turns, waits or stands still. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/kafka.h"
#include "base/management.h"

enum { STUCK_AFTER_MS = 700 };

static const struct metric no_metrics[] = {{.name = "nothing_total", .type = METRIC_COUNTER, .help = "Nothing."}};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* A port where nobody listens. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(bind(listening, (struct sockaddr *)&address, size), 0);
    assert_return_code(getsockname(listening, (struct sockaddr *)&address, &size), 0);
    close(listening);
    return ntohs(address.sin_port);
}

static int ask(uint16_t port, const char *path)
{
    char text[512] = "";
    int status = 0, peer = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = loopback(port);
    assert_return_code(connect(peer, (struct sockaddr *)&address, sizeof address), 0);
    int size = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    assert_int_equal(write(peer, text, (size_t)size), size);
    memset(text, 0, sizeof text);
    for (size_t at = 0; at < sizeof text - 1;) {
        ssize_t got = read(peer, text + at, sizeof text - 1 - at);
        if (got <= 0)
            break;
        at += (size_t)got;
    }
    close(peer);
    assert_int_equal(sscanf(text, "HTTP/1.1 %d", &status), 1);
    return status;
}

static void a_loop_that_stands_still_is_not_live(void **state)
{
    (void)state;
    struct health health = {.stuck_after_ms = STUCK_AFTER_MS};
    struct error error = {0};
    struct management *management = NULL;
    struct metrics *metrics = metrics_new(no_metrics, 1);
    uint16_t port = free_port();
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    assert_int_equal(management_start(address, &health, metrics, &management, &error), 0);
    health_turn(&health);
    assert_int_equal(ask(port, "/healthz"), 200);
    atomic_store(&health.turned_at_ms, clock_monotonic_ms() - STUCK_AFTER_MS - 1);
    assert_int_equal(ask(port, "/healthz"), 503);
    health_turn_within(&health, 60000);
    assert_int_equal(ask(port, "/healthz"), 200);
    health_set_ready(&health, "redis is away");
    assert_int_equal(ask(port, "/readyz"), 503);
    health_set_ready(&health, NULL);
    assert_int_equal(ask(port, "/readyz"), 200);
    management_stop(management);
    metrics_free(metrics);
}

/* Longer than a stuck loop is let be: it must have turned on the way. */
static void who_waits_for_kafka_is_live(void **state)
{
    (void)state;
    struct health health = {.stuck_after_ms = STUCK_AFTER_MS};
    struct error error = {0};
    char brokers[32];
    snprintf(brokers, sizeof brokers, "127.0.0.1:%u", free_port());
    struct common_options common = {.brokers = brokers};
    rd_kafka_conf_t *conf = NULL;
    char text[256];
    assert_int_equal(kafka_conf_new(&common, NULL, NULL, &conf, &error), 0);
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(kafka);
    int64_t began = clock_monotonic_ms();
    health_turn(&health);
    assert_int_equal(kafka_wait(kafka, 1500, NULL, &health, &error), -ERROR_KAFKA);
    assert_true(clock_monotonic_ms() - began >= 1500);
    assert_true(atomic_load(&health.turned_at_ms) - began >= 1000);
    assert_true(health_is_live(&health));
    rd_kafka_destroy(kafka);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_that_stands_still_is_not_live),
        cmocka_unit_test(who_waits_for_kafka_is_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
