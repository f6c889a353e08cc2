/* A lane in pieces, as Redis gives them: what is asked for, what is handed on, and what a lane that ends early is. Redis is
 * played by the linker: redis_callf answers from a string here. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/redis.h"
#include "schemas/seen_lane.h"

enum { LANE_RECORDS = 10, LANE_BYTES = LANE_RECORDS * SEEN_RECORD_SIZE };

static struct {
    char lane[LANE_BYTES];
    size_t size;        /* of it, as far as Redis has it */
    int type;           /* of the replies to GETRANGE */
    int calls, fail_at; /* the number of the call that fails; 0: none */
    char last[128];     /* command */
} server;

int __wrap_redis_callf(struct redis *redis, redisReply **ret_reply, struct error *error, const char *format, ...);
int __wrap_redis_callf(struct redis *redis, redisReply **ret_reply, struct error *error, const char *format, ...)
{
    (void)redis;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(server.last, sizeof server.last, format, arguments);
    va_end(arguments);
    if (++server.calls == server.fail_at)
        return error_set(error, ERROR_REDIS, "the connection is gone");
    redisReply *reply = calloc(1, sizeof *reply);
    assert_non_null(reply);
    char key[64];
    size_t from, to;
    if (sscanf(server.last, "GETRANGE %63s %zu %zu", key, &from, &to) == 3) {
        size_t end = to + 1 < server.size ? to + 1 : server.size;
        reply->type = server.type;
        reply->len = from < end ? end - from : 0;
        if (reply->type == REDIS_REPLY_STRING) {
            reply->str = calloc(reply->len + 1, 1);
            memcpy(reply->str, server.lane + from, reply->len);
        }
    } else {
        reply->type = REDIS_REPLY_INTEGER;
        reply->integer = (long long)server.size;
    }
    *ret_reply = reply;
    return 0;
}

static struct {
    char bytes[2 * LANE_BYTES];
    size_t size;
    int pieces, fail_at;
    int64_t next; /* the index that the next piece should have */
} taken;

static int take(void *context, const uint8_t *records, size_t count, int64_t index, struct error *error)
{
    assert_ptr_equal(context, &server);
    assert_true(count > 0 && taken.size + count * SEEN_RECORD_SIZE <= sizeof taken.bytes);
    assert_int_equal(index, taken.next);
    taken.next += (int64_t)count;
    memcpy(taken.bytes + taken.size, records, count * SEEN_RECORD_SIZE);
    taken.size += count * SEEN_RECORD_SIZE;
    return ++taken.pieces == taken.fail_at ? error_set(error, ERROR_MEMORY, "out of memory") : 0;
}

static void given_lane(size_t size)
{
    memset(&server, 0, sizeof server);
    server.size = size;
    server.type = REDIS_REPLY_STRING;
    for (size_t i = 0; i < sizeof server.lane; i++)
        server.lane[i] = (char)(i * 7 + 1);
}

static int read_lane(int64_t from, int64_t to, int64_t piece, int64_t *ret_end, struct error *error)
{
    memset(&taken, 0, sizeof taken);
    taken.next = from;
    return seen_lane_read(NULL, "{c}:seen:3", (struct seen_range){.from = from, .to = to, .piece = piece}, take, &server, ret_end, error);
}

static void expect_taken(int64_t from, int64_t to, int calls)
{
    assert_int_equal(taken.size, (size_t)(to - from) * SEEN_RECORD_SIZE);
    assert_memory_equal(taken.bytes, server.lane + from * SEEN_RECORD_SIZE, taken.size);
    assert_int_equal(server.calls, calls);
}

static void names_and_lengths(void **state)
{
    (void)state;
    char key[REDIS_KEY_SIZE];
    struct error error = {0};
    int64_t records = -1, all[SEEN_LANES];
    assert_string_equal(seen_lane_key(key, "hai-phong", GENERATION_LIVE, 7), "{hai-phong}:seen:7");
    assert_string_equal(seen_lane_key(key, "hai-phong", GENERATION_REBUILD, 63), "{hai-phong}:rebuild:seen:63");
    given_lane(4 * SEEN_RECORD_SIZE + 5);
    assert_int_equal(seen_lane_length(NULL, "{c}:seen:3", &records, &error), 0);
    assert_string_equal(server.last, "STRLEN {c}:seen:3");
    assert_int_equal(records, 4);
    assert_int_equal(seen_lane_lengths(NULL, "c", all, &error), 0);
    assert_string_equal(server.last, "STRLEN {c}:seen:63");
    assert_int_equal(server.calls, 1 + SEEN_LANES);
    assert_true(all[0] == 4 && all[63] == 4);
    given_lane(0);
    server.fail_at = 3;
    assert_int_equal(seen_lane_lengths(NULL, "c", all, &error), -ERROR_REDIS);
    assert_string_equal(error.text, "read the length of lane {c}:seen:2: the connection is gone");
}

static void whole_pieces_and_a_rest(void **state)
{
    (void)state;
    struct error error = {0};
    given_lane(LANE_BYTES);
    assert_int_equal(read_lane(0, LANE_RECORDS, 4, NULL, &error), 0);
    expect_taken(0, LANE_RECORDS, 3);
    assert_string_equal(server.last, "GETRANGE {c}:seen:3 192 239");
    server.calls = 0;
    assert_int_equal(read_lane(2, 7, 5, NULL, &error), 0);
    expect_taken(2, 7, 1);
    assert_string_equal(server.last, "GETRANGE {c}:seen:3 48 167");
    server.calls = 0;
    assert_int_equal(read_lane(3, 3, 5, NULL, &error), 0);
    expect_taken(3, 3, 0);
}

static void to_the_end_wherever_it_is(void **state)
{
    (void)state;
    struct error error = {0};
    int64_t end = -1;
    given_lane(LANE_BYTES);
    assert_int_equal(read_lane(1, SEEN_LANE_END, 4, &end, &error), 0);
    expect_taken(1, LANE_RECORDS, 3); /* the last one, that has fewer, is the end */
    assert_int_equal(end, LANE_RECORDS);
    server.calls = 0;
    assert_int_equal(read_lane(0, SEEN_LANE_END, 5, NULL, &error), 0);
    expect_taken(0, LANE_RECORDS, 3); /* two that are full, and one that has nothing */
    given_lane(0);
    assert_int_equal(read_lane(0, SEEN_LANE_END, 5, &end, &error), 0);
    expect_taken(0, 0, 1);
    assert_int_equal(end, 0);
}

static void a_lane_that_became_shorter(void **state)
{
    (void)state;
    struct error error = {0};
    int64_t end = -1;
    given_lane(6 * SEEN_RECORD_SIZE);
    assert_int_equal(read_lane(0, LANE_RECORDS, 4, NULL, &error), -ERROR_REDIS);
    assert_non_null(strstr(error.text, "key {c}:seen:3 has become shorter"));
    server.calls = 0;
    assert_int_equal(read_lane(0, LANE_RECORDS, 4, &end, &error), 0);
    expect_taken(0, 6, 2);
    assert_int_equal(end, 6);
    assert_int_equal(read_lane(8, 9, 4, NULL, &error), -ERROR_REDIS);
    assert_int_equal(taken.pieces, 0);
}

static void what_is_no_lane(void **state)
{
    (void)state;
    struct error error = {0};
    int64_t end = -1;
    given_lane(6 * SEEN_RECORD_SIZE + 1);
    assert_int_equal(read_lane(0, SEEN_LANE_END, 4, &end, &error), -ERROR_HALTED);
    assert_string_equal(error.text, "key {c}:seen:3: its length is not a multiple of 24 bytes");
    assert_true(taken.pieces == 1 && end == -1);
    given_lane(LANE_BYTES);
    server.type = REDIS_REPLY_ARRAY; /* without elements */
    server.size = 0;
    assert_int_equal(read_lane(0, 1, 4, NULL, &error), -ERROR_REDIS);
    assert_non_null(strstr(error.text, "something unexpected"));
}

static void errors_end_the_reading(void **state)
{
    (void)state;
    struct error error = {0};
    int64_t end = -1;
    given_lane(LANE_BYTES);
    server.fail_at = 2;
    assert_int_equal(read_lane(0, LANE_RECORDS, 4, &end, &error), -ERROR_REDIS);
    assert_string_equal(error.text, "read lane {c}:seen:3: the connection is gone");
    assert_true(taken.pieces == 1 && end == -1);
    given_lane(LANE_BYTES);
    memset(&taken, 0, sizeof taken);
    taken.fail_at = 2;
    assert_int_equal(seen_lane_read(NULL, "{c}:seen:3", (struct seen_range){.to = LANE_RECORDS, .piece = 4}, take, &server, NULL, &error),
                     -ERROR_MEMORY);
    assert_true(taken.pieces == 2 && server.calls == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_lengths),          cmocka_unit_test(whole_pieces_and_a_rest), cmocka_unit_test(to_the_end_wherever_it_is),
        cmocka_unit_test(a_lane_that_became_shorter), cmocka_unit_test(what_is_no_lane),         cmocka_unit_test(errors_end_the_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
