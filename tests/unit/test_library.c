/* libcitytotals through its public header alone, without Kafka: options, events, checks, errors, a full queue, what is given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "library/citytotals.h"

#define NOBODY "127.0.0.1:1" /* no Kafka listens there */
#define GOOD                                                                                                                        \
    "{\"type\":\"headcount-change\",\"id\":\"HB-2020-0017\",\"source\":\"hong-bang\",\"agency\":\"hong-bang\","                     \
    "\"sector\":\"administrative\",\"reason\":\"retired\",\"delta\":-3,\"effective_date\":\"2020-10-30\"}"

static struct citytotals_error *error;

static struct citytotals_options *options_with(const char *name, ...)
{
    struct citytotals_options *options = citytotals_options_new();
    assert_non_null(options);
    va_list list;
    va_start(list, name);
    for (; name; name = va_arg(list, const char *))
        if (citytotals_options_set(options, name, va_arg(list, const char *), &error) < 0)
            fail_msg("%s", citytotals_error_text(error));
    va_end(list);
    return options;
}

static struct citytotals_client *client_of(struct citytotals_options *options)
{
    struct citytotals_client *client = NULL;
    if (citytotals_open(options, &client, &error) < 0)
        fail_msg("%s", citytotals_error_text(error));
    assert_null(error);
    citytotals_options_free(options);
    return client;
}

static struct citytotals_client *checking_client(void)
{
    return client_of(options_with("check-only", "true", "source", "hong-bang", NULL));
}

/* The error of the last call; it is freed. */
static void expect_error_at(int code, int wanted, const char *words, int line)
{
    if (code != wanted || citytotals_error_code(error) != wanted || !strstr(citytotals_error_text(error), words))
        fail_msg("line %d: %d (%s), %s; expected %s, %s", line, code, citytotals_code_name(code), citytotals_error_text(error),
                 citytotals_code_name(wanted), words);
    citytotals_error_free(error);
    error = NULL;
}
#define EXPECT_ERROR(call, code, words) expect_error_at(call, code, words, __LINE__)

static int expect_ok_at(int code, int line)
{
    if (code != CITYTOTALS_OK || error)
        fail_msg("line %d: %d: %s", line, code, citytotals_error_text(error));
    return code;
}
#define EXPECT_OK(call) expect_ok_at(call, __LINE__)

static void set(struct citytotals_event *event, const char *field, const char *text)
{
    EXPECT_OK(citytotals_event_set(event, field, text, &error));
}

/* From any thread; NULL when something failed. */
static struct citytotals_event *make_event(void)
{
    static const char *const fields[][2] = {{"type", "headcount-change"}, {"id", "HB-2020-0017"}, {"agency", "hong-bang"},
                                            {"sector", "administrative"}, {"reason", "retired"},  {"effective_date", "2020-10-30"}};
    struct citytotals_event *event = citytotals_event_new();
    int result = event ? citytotals_event_set_number(event, "delta", -3, NULL) : CITYTOTALS_MEMORY;
    for (size_t i = 0; i < sizeof fields / sizeof *fields && result == CITYTOTALS_OK; i++)
        result = citytotals_event_set(event, fields[i][0], fields[i][1], NULL);
    if (result == CITYTOTALS_OK)
        return event;
    citytotals_event_free(event);
    return NULL;
}

static struct citytotals_event *good_event(void)
{
    struct citytotals_event *event = make_event();
    assert_non_null(event);
    return event;
}

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void json_and_an_event_put_together_are_one_event(void **state)
{
    (void)state;
    char of_json[CITYTOTALS_EVENT_ID_SIZE] = "", of_event[CITYTOTALS_EVENT_ID_SIZE] = "";
    struct citytotals_client *client = checking_client();
    struct citytotals_event *event = good_event();
    EXPECT_OK(citytotals_check_json(client, GOOD, strlen(GOOD), of_json, &error));
    EXPECT_OK(citytotals_check(client, event, of_event, &error));
    assert_string_equal(of_json, of_event);
    assert_int_equal(strlen(of_json), 36);
    set(event, "id", "HB-2020-0018");
    EXPECT_OK(citytotals_check(client, event, of_event, &error));
    assert_string_not_equal(of_json, of_event);
    EXPECT_OK(citytotals_check(client, event, NULL, NULL)); /* neither is needed */
    citytotals_event_free(event);
    EXPECT_OK(citytotals_close(client, 0, &error));
}

static void units_are_added_one_by_one(void **state)
{
    (void)state;
    static const char json[] = "{\"type\":\"unit-merger\",\"id\":\"m\",\"agency\":\"so-noi-vu\",\"category\":\"commune\",\"kind\":\"merger\","
                               "\"units_before\":2,\"units_after\":1,\"effective_date\":\"2020-01-01\",\"merged_units\":[{\"id\":\"a\","
                               "\"name\":\"A\"},{\"id\":\"b\",\"name\":\"B\"}],\"resulting_units\":[{\"id\":\"c\",\"name\":\"Xã C\"}]}";
    char of_json[CITYTOTALS_EVENT_ID_SIZE], of_event[CITYTOTALS_EVENT_ID_SIZE];
    struct citytotals_client *client = checking_client();
    struct citytotals_event *event = citytotals_event_new();
    set(event, "type", "unit-merger");
    set(event, "id", "m");
    set(event, "agency", "so-noi-vu");
    set(event, "category", "commune");
    EXPECT_OK(citytotals_event_add_unit(event, "merged_units", "a", "A", &error));
    EXPECT_OK(citytotals_event_add_unit(event, "resulting_units", "c", "Xã C", &error));
    set(event, "kind", "merger");
    set(event, "units_before", "2");
    EXPECT_OK(citytotals_event_set_number(event, "units_after", 1, &error));
    set(event, "effective_date", "2020-01-01");
    EXPECT_ERROR(citytotals_check(client, event, NULL, &error), CITYTOTALS_EVENT, "merged_units");
    EXPECT_OK(citytotals_event_add_unit(event, "merged_units", "b", "B", &error));
    EXPECT_OK(citytotals_check(client, event, of_event, &error));
    EXPECT_OK(citytotals_check_json(client, json, strlen(json), of_json, &error));
    assert_string_equal(of_event, of_json);
    EXPECT_ERROR(citytotals_event_set(event, "merged_units", "a", &error), CITYTOTALS_EVENT, "added one by one");
    EXPECT_ERROR(citytotals_event_add_unit(event, "decision", "a", "A", &error), CITYTOTALS_EVENT, "holds no units");
    set(event, "merged_units", NULL);
    EXPECT_OK(citytotals_check(client, event, of_event, &error)); /* the lists are optional */
    for (int i = 0; i < 256; i++)
        EXPECT_OK(citytotals_event_add_unit(event, "merged_units", "u", "U", &error));
    EXPECT_ERROR(citytotals_event_add_unit(event, "merged_units", "u", "U", &error), CITYTOTALS_EVENT, "allowed: 256");
    citytotals_event_clear(event);
    EXPECT_ERROR(citytotals_check(client, event, NULL, &error), CITYTOTALS_EVENT, "type is missing");
    citytotals_event_free(event);
    EXPECT_OK(citytotals_close(client, 0, &error));
}

static void every_fault_of_an_event_is_told_with_its_field(void **state)
{
    (void)state;
    static const char json[] = "{\"type\":\"headcount-change\",\"id\":\"1\",\"agency\":\"Hong Bang\",\"sector\":\"x\",\"reason\":\"retired\","
                               "\"delta\":0,\"effective_date\":\"2020-10-30\",\"colour\":\"red\"}";
    static const char *const fields[] = {"colour", "sector", "agency", "delta"};
    struct citytotals_client *client = checking_client();
    assert_int_equal(citytotals_check_json(client, json, strlen(json), NULL, &error), CITYTOTALS_EVENT);
    assert_int_equal(citytotals_error_fault_count(error), 4);
    assert_false(citytotals_error_is_temporary(error));
    for (size_t i = 0; i < 4; i++) {
        bool there = false;
        for (size_t fault = 0; fault < 4; fault++)
            there = there || (strcmp(citytotals_error_fault_field(error, fault), fields[i]) == 0 &&
                              strstr(citytotals_error_fault_text(error, fault), fields[i]) &&
                              citytotals_error_fault_column(error, fault) == 0);
        if (!there)
            fail_msg("no fault of %s", fields[i]);
    }
    assert_string_equal(citytotals_error_fault_field(error, 4), "");
    assert_string_equal(citytotals_error_fault_text(error, 4), "");
    EXPECT_ERROR(citytotals_error_code(error), CITYTOTALS_EVENT, "and 3 more");
    /* A broken form: its place. */
    assert_int_equal(citytotals_check_json(client, "{\"type\" 1}", 10, NULL, &error), CITYTOTALS_EVENT);
    assert_int_equal(citytotals_error_fault_count(error), 1);
    assert_string_equal(citytotals_error_fault_field(error, 0), "");
    assert_int_equal(citytotals_error_fault_column(error, 0), 9);
    EXPECT_ERROR(citytotals_error_code(error), CITYTOTALS_EVENT, "column 9");
    EXPECT_ERROR(citytotals_check_json(client, "", 0, NULL, &error), CITYTOTALS_EVENT, "");
    EXPECT_ERROR(citytotals_check_json(client, "{}\0", 3, NULL, &error), CITYTOTALS_EVENT, "");
    static const char visit[] = "{\"type\":\"page-visit\",\"visitor\":\"00112233445566778899aabbccddeeff\"}";
    EXPECT_ERROR(citytotals_check_json(client, visit, strlen(visit), NULL, &error), CITYTOTALS_EVENT, "gateway");
    char *long_line = malloc(20000);
    memset(long_line, ' ', 20000);
    EXPECT_ERROR(citytotals_check_json(client, long_line, 20000, NULL, &error), CITYTOTALS_EVENT, "16384");
    free(long_line);
    EXPECT_OK(citytotals_close(client, 0, &error));
}

static void a_field_refuses_what_it_cannot_hold(void **state)
{
    (void)state;
    struct citytotals_client *client = checking_client();
    struct citytotals_event *event = good_event();
    EXPECT_ERROR(citytotals_event_set(event, "colour", "red", &error), CITYTOTALS_EVENT, "unknown field \"colour\"");
    EXPECT_ERROR(citytotals_event_set(event, "colo\xFFur", "red", &error), CITYTOTALS_EVENT, "unknown field");
    EXPECT_ERROR(citytotals_event_set(event, "delta", "1.0", &error), CITYTOTALS_EVENT, "allowed: a whole number");
    EXPECT_ERROR(citytotals_event_set_number(event, "decision", 7, &error), CITYTOTALS_EVENT, "allowed: text");
    EXPECT_ERROR(citytotals_event_set(event, "decision", "\xC3", &error), CITYTOTALS_EVENT, "not UTF-8");
    EXPECT_OK(citytotals_check(client, event, NULL, &error)); /* nothing of that was taken */
    char large[16 * 1024 + 1];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    EXPECT_ERROR(citytotals_event_set(event, "decision", large, &error), CITYTOTALS_EVENT, "does not fit");
    citytotals_event_free(event);
    EXPECT_OK(citytotals_close(client, 0, &error));
}

/* A program that changes fields for each event and never clears it does not run out of room. */
static void a_changed_field_leaves_its_room(void **state)
{
    (void)state;
    char id[64], first[CITYTOTALS_EVENT_ID_SIZE], again[CITYTOTALS_EVENT_ID_SIZE];
    struct citytotals_client *client = checking_client();
    struct citytotals_event *event = good_event(), *fresh = good_event();
    for (int i = 0; i < 20000; i++) {
        snprintf(id, sizeof id, "%0*d", i % 40 + 1, i);
        set(event, "id", id);
        set(event, "decision", i % 3 ? "1234/QĐ-UBND" : NULL);
        set(event, "agency", i % 2 ? "le-chan" : "hong-bang");
        EXPECT_OK(citytotals_event_set_number(event, "delta", -1 - i, &error));
        if (i % 1000)
            continue;
        set(fresh, "id", id);
        set(fresh, "agency", i % 2 ? "le-chan" : "hong-bang");
        EXPECT_OK(citytotals_check(client, event, first, &error));
        EXPECT_OK(citytotals_check(client, fresh, again, &error));
        assert_string_equal(first, again);
    }
    set(event, "id", NULL);
    EXPECT_ERROR(citytotals_check(client, event, NULL, &error), CITYTOTALS_EVENT, "id is missing");
    citytotals_event_free(event);
    citytotals_event_free(fresh);
    EXPECT_OK(citytotals_close(client, 0, &error));
}

static void options_are_refused_with_name_value_and_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *words;
    } table[] = {
        {"colour", "red", "unknown setting \"colour\""},
        {"queue-events", "0", "queue-events is \"0\"; allowed: a whole number, from 1 to"},
        {"ack-timeout", "5", "ack-timeout is \"5\"; allowed: a number with ms, s, min or h"},
        {"schema-registration", "ask", "allowed: auto, never"},
        {"check-only", "yes", "allowed: true, false"},
        {"brokers", "", "not empty"},
        {"config", "/dev/null", "unknown setting"},
    };
    struct citytotals_client *client = NULL;
    struct citytotals_options *options = citytotals_options_new();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        EXPECT_ERROR(citytotals_options_set(options, table[i].name, table[i].value, &error), CITYTOTALS_OPTION, table[i].words);
    EXPECT_ERROR(citytotals_open(options, &client, &error), CITYTOTALS_OPTION, "brokers is not set");
    EXPECT_OK(citytotals_options_set(options, "brokers", NOBODY, &error));
    EXPECT_OK(citytotals_options_set(options, "source", "Hồng Bàng", &error));
    EXPECT_ERROR(citytotals_open(options, &client, &error), CITYTOTALS_OPTION, "source is \"Hồng Bàng\"");
    EXPECT_OK(citytotals_options_set(options, "source", "hong-bang", &error));
    EXPECT_OK(citytotals_options_set(options, "city", "Hải Phòng", &error));
    EXPECT_ERROR(citytotals_open(options, &client, &error), CITYTOTALS_OPTION, "city is");
    EXPECT_OK(citytotals_options_set(options, "city", "haiphong", &error));
    EXPECT_OK(citytotals_options_set(options, "property", "acks=0", &error));
    EXPECT_ERROR(citytotals_open(options, &client, &error), CITYTOTALS_OPTION, "acks is always all");
    assert_null(client);
    citytotals_options_free(options);
    options = options_with("schema-registry", "ftp://user:hidden@nowhere", "brokers", NOBODY, NULL);
    assert_int_equal(citytotals_open(options, &client, &error), CITYTOTALS_OPTION);
    assert_null(strstr(citytotals_error_text(error), "hidden"));
    citytotals_error_free(error);
    error = NULL;
    citytotals_options_free(options);
}

static void options_come_from_a_file_too(void **state)
{
    (void)state;
    char path[] = "/tmp/citytotals-test-library-XXXXXX";
    int file = mkstemp(path);
    static const char good[] = "# the agency's\ncheck-only = true\nsource = hong-bang\n", bad[] = "linger = soon\n";
    assert_int_equal(write(file, good, sizeof good - 1), sizeof good - 1);
    struct citytotals_options *options = citytotals_options_new();
    EXPECT_OK(citytotals_options_read(options, path, &error));
    assert_int_equal(write(file, bad, sizeof bad - 1), sizeof bad - 1);
    close(file);
    struct citytotals_client *client = NULL;
    EXPECT_OK(citytotals_open(options, &client, &error));
    EXPECT_ERROR(citytotals_options_read(options, path, &error), CITYTOTALS_MISUSE, "can't be changed");
    EXPECT_ERROR(citytotals_options_set(options, "city", "hanoi", &error), CITYTOTALS_MISUSE, "can't be changed");
    EXPECT_ERROR(citytotals_options_on_delivery(options, NULL, NULL, &error), CITYTOTALS_MISUSE, "can't be changed");
    struct citytotals_client *other = NULL;
    EXPECT_OK(citytotals_open(options, &other, &error)); /* for as many clients as one likes */
    citytotals_options_free(options);
    struct citytotals_event *event = good_event();
    EXPECT_OK(citytotals_check(client, event, NULL, &error));
    EXPECT_OK(citytotals_close(client, 0, &error));
    EXPECT_OK(citytotals_check(other, event, NULL, &error));
    EXPECT_OK(citytotals_close(other, 0, &error));
    citytotals_event_free(event);
    options = citytotals_options_new();
    EXPECT_ERROR(citytotals_options_read(options, path, &error), CITYTOTALS_OPTION, "line 4: linger is \"soon\"");
    unlink(path);
    EXPECT_ERROR(citytotals_options_read(options, path, &error), CITYTOTALS_OPTION, "No such file");
    citytotals_options_free(options);
}

static void misuse_is_an_error_not_a_crash(void **state)
{
    (void)state;
    struct citytotals_client *client = checking_client();
    struct citytotals_event *event = good_event();
    struct citytotals_options *options = citytotals_options_new();
    EXPECT_ERROR(citytotals_open(NULL, &client, &error), CITYTOTALS_MISUSE, "options is NULL");
    EXPECT_ERROR(citytotals_open(options, NULL, &error), CITYTOTALS_MISUSE, "ret_client is NULL");
    EXPECT_ERROR(citytotals_options_set(NULL, "city", "x", &error), CITYTOTALS_MISUSE, "options is NULL");
    EXPECT_ERROR(citytotals_options_set(options, NULL, "x", &error), CITYTOTALS_MISUSE, "name is NULL");
    EXPECT_ERROR(citytotals_options_set(options, "city", NULL, &error), CITYTOTALS_MISUSE, "value is NULL");
    EXPECT_ERROR(citytotals_options_read(options, NULL, &error), CITYTOTALS_MISUSE, "path is NULL");
    EXPECT_ERROR(citytotals_check(NULL, event, NULL, &error), CITYTOTALS_MISUSE, "client is NULL");
    EXPECT_ERROR(citytotals_check(client, NULL, NULL, &error), CITYTOTALS_MISUSE, "event is NULL");
    EXPECT_ERROR(citytotals_check_json(client, NULL, 3, NULL, &error), CITYTOTALS_MISUSE, "event is NULL");
    EXPECT_ERROR(citytotals_submit(client, event, NULL, 0, NULL, &error), CITYTOTALS_MISUSE, "only checks");
    EXPECT_ERROR(citytotals_submit(client, event, NULL, -1, NULL, &error), CITYTOTALS_MISUSE, "timeout_ms is -1; allowed: 0 to");
    EXPECT_ERROR(citytotals_flush(client, CITYTOTALS_WAIT_MOST + 1, &error), CITYTOTALS_MISUSE, "timeout_ms is");
    EXPECT_ERROR(citytotals_wait_ready(client, 0, &error), CITYTOTALS_MISUSE, "only checks");
    EXPECT_ERROR(citytotals_event_set(NULL, "id", "1", &error), CITYTOTALS_MISUSE, "event is NULL");
    EXPECT_ERROR(citytotals_event_set_number(event, NULL, 1, &error), CITYTOTALS_MISUSE, "field is NULL");
    EXPECT_ERROR(citytotals_event_add_unit(event, "merged_units", NULL, "n", &error), CITYTOTALS_MISUSE, "id is NULL");
    assert_int_equal(citytotals_check(client, NULL, NULL, NULL), CITYTOTALS_MISUSE); /* an error is not needed */
    assert_int_equal(citytotals_pending(NULL), 0);
    citytotals_options_free(NULL);
    citytotals_event_free(NULL);
    citytotals_event_clear(NULL);
    citytotals_error_free(NULL);
    assert_int_equal(citytotals_error_code(NULL), CITYTOTALS_OK);
    assert_string_equal(citytotals_error_text(NULL), "");
    assert_int_equal(citytotals_error_fault_count(NULL), 0);
    EXPECT_OK(citytotals_close(NULL, 0, &error));
    citytotals_options_free(options);
    citytotals_event_free(event);
    EXPECT_OK(citytotals_close(client, 0, &error));
}

static void codes_and_the_version_have_their_texts(void **state)
{
    (void)state;
    char version[32];
    assert_string_equal(citytotals_code_name(CITYTOTALS_OK), "ok");
    assert_string_equal(citytotals_code_name(CITYTOTALS_TIMEOUT), "timeout");
    assert_string_equal(citytotals_code_name(CITYTOTALS_MEMORY), "memory");
    assert_string_equal(citytotals_code_name(1), "unknown");
    assert_string_equal(citytotals_code_name(-99), "unknown");
    snprintf(version, sizeof version, "%d.%d.%d", CITYTOTALS_VERSION_MAJOR, CITYTOTALS_VERSION_MINOR, CITYTOTALS_VERSION_PATCH);
    assert_string_equal(citytotals_version(), version);
    assert_string_equal(citytotals_version(), PROJECT_VERSION);
}

struct seen {
    int count;
    bool there[8];
    char ids[8][CITYTOTALS_EVENT_ID_SIZE];
};

static void see_failed(void *context, const struct citytotals_delivery *delivery)
{
    struct seen *seen = context;
    const int *number = delivery->event_context;
    seen->count++;
    seen->there[*number] = delivery->code == CITYTOTALS_KAFKA && *delivery->text && delivery->partition == -1 && delivery->offset == -1 &&
                           strcmp(delivery->topic, "haiphong.headcount-changes") == 0 &&
                           strcmp(delivery->event_id, seen->ids[*number]) == 0;
}

static void without_kafka_a_call_waits_no_longer_than_it_may(void **state)
{
    (void)state;
    static int numbers[] = {0, 1, 2, 3};
    static const char *const ids[] = {"a", "b", "c", "d"};
    struct seen seen = {0};
    struct citytotals_options *options = options_with("brokers", NOBODY, "queue-events", "3", "source", "hong-bang", NULL);
    EXPECT_OK(citytotals_options_on_delivery(options, see_failed, &seen, &error));
    struct citytotals_client *client = client_of(options);
    struct citytotals_event *event = good_event();
    for (int i = 0; i < 3; i++) {
        set(event, "id", ids[i]);
        EXPECT_OK(citytotals_submit(client, event, &numbers[i], 0, seen.ids[i], &error));
    }
    set(event, "id", ids[3]); /* the events are copied */
    assert_int_equal(citytotals_pending(client), 3);
    int64_t begun = now_ms();
    EXPECT_ERROR(citytotals_submit(client, event, &numbers[3], 0, NULL, &error), CITYTOTALS_TIMEOUT, "the queue is full: 3 events");
    assert_true(now_ms() - begun < 2000);
    begun = now_ms();
    EXPECT_ERROR(citytotals_submit(client, event, &numbers[3], 200, NULL, &error), CITYTOTALS_TIMEOUT, "the queue is full");
    assert_in_range(now_ms() - begun, 199, 5000);
    begun = now_ms();
    EXPECT_ERROR(citytotals_flush(client, 200, &error), CITYTOTALS_TIMEOUT, "3 events have no verdict");
    assert_in_range(now_ms() - begun, 199, 5000);
    assert_true(citytotals_flush(client, 0, NULL) == CITYTOTALS_TIMEOUT);
    EXPECT_ERROR(citytotals_wait_ready(client, 100, &error), CITYTOTALS_KAFKA, "ask kafka for its topics");
    assert_int_equal(seen.count, 0);
    begun = now_ms();
    EXPECT_ERROR(citytotals_close(client, 100, &error), CITYTOTALS_TIMEOUT, "3 events have no verdict");
    assert_true(now_ms() - begun < 8000);
    assert_int_equal(seen.count, 3); /* each is told of */
    assert_true(seen.there[0] && seen.there[1] && seen.there[2]);
    citytotals_event_free(event);
}

/* A program without a callback learns of it all the same, once. */
static void a_flush_tells_of_what_was_not_acknowledged(void **state)
{
    (void)state;
    struct citytotals_client *client = client_of(options_with("brokers", NOBODY, "ack-timeout", "1s", "source", "hong-bang", NULL));
    struct citytotals_event *event = good_event();
    EXPECT_OK(citytotals_submit(client, event, NULL, 0, NULL, &error));
    assert_int_equal(citytotals_flush(client, 30000, &error), CITYTOTALS_KAFKA);
    assert_true(citytotals_error_is_temporary(error));
    EXPECT_ERROR(citytotals_error_code(error), CITYTOTALS_KAFKA, "1 events were not acknowledged: ");
    assert_int_equal(citytotals_pending(client), 0);
    EXPECT_OK(citytotals_flush(client, 0, &error));
    citytotals_event_free(event);
    EXPECT_OK(citytotals_close(client, 0, &error));
}

static void *check_many(void *context)
{
    struct citytotals_event *event = make_event();
    char id[32];
    char *faults = event ? calloc(1, 1) : NULL;
    for (int i = 0; i < 500 && faults; i++) {
        struct citytotals_error *own = NULL;
        snprintf(id, sizeof id, "%d", i);
        citytotals_event_set(event, "id", id, NULL);
        *faults |= citytotals_check(context, event, NULL, &own) != CITYTOTALS_OK;
        *faults |= citytotals_check_json(context, "{}", 2, NULL, &own) != CITYTOTALS_EVENT || !own;
        citytotals_error_free(own);
    }
    citytotals_event_free(event);
    return faults;
}

static void more_threads_than_checkers_get_their_turn(void **state)
{
    (void)state;
    enum { THREADS = 40 };
    pthread_t threads[THREADS];
    struct citytotals_client *client = checking_client();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_many, client), 0);
    for (int i = 0; i < THREADS; i++) {
        void *faults = NULL;
        pthread_join(threads[i], &faults);
        assert_non_null(faults);
        assert_int_equal(*(char *)faults, 0);
        free(faults);
    }
    EXPECT_OK(citytotals_close(client, 0, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_and_an_event_put_together_are_one_event),
        cmocka_unit_test(units_are_added_one_by_one),
        cmocka_unit_test(every_fault_of_an_event_is_told_with_its_field),
        cmocka_unit_test(a_field_refuses_what_it_cannot_hold),
        cmocka_unit_test(a_changed_field_leaves_its_room),
        cmocka_unit_test(options_are_refused_with_name_value_and_what_is_allowed),
        cmocka_unit_test(options_come_from_a_file_too),
        cmocka_unit_test(misuse_is_an_error_not_a_crash),
        cmocka_unit_test(codes_and_the_version_have_their_texts),
        cmocka_unit_test(without_kafka_a_call_waits_no_longer_than_it_may),
        cmocka_unit_test(a_flush_tells_of_what_was_not_acknowledged),
        cmocka_unit_test(more_threads_than_checkers_get_their_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
