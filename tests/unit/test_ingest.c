/* A request's events judged whole: forms, rights, repeats, CloudEvents, and what is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/clock.h"
#include "producer/ingest.h"
#include "schemas/identity.h"

#define NOW_MS INT64_C(1604000000000)
#define ID_A "561f1d36-7530-52b9-ba18-ebdc18313ba7" /* of EVENT("a", …) */
#define EVENT(id, delta) "{\"type\":\"headcount-change\",\"id\":\"" id "\",\"sector\":\"administrative\",\"reason\":\"retired\",\"delta\":" \
                         delta ",\"effective_date\":\"2020-10-30\"}"
#define WITH(id, more) "{\"type\":\"headcount-change\",\"id\":\"" id "\",\"sector\":\"administrative\",\"reason\":\"retired\",\"delta\":-3," \
                       "\"effective_date\":\"2020-10-30\"," more "}"

struct judged {
    struct ingested ingested;
    struct ingest_refusal refusal;
    struct error error;
    int result;
    struct buffer answer;
};

static struct ingest *ingest;
static struct slice agencies[] = {{"an-lao", 6}, {"hong-bang", 9}};
static struct credential one = {.source = {"so-noi-vu", 9}, .agencies = agencies + 1, .agency_count = 1};
static struct credential two = {.source = {"so-noi-vu", 9}, .agencies = agencies, .agency_count = 2};

static struct judged *judge(struct ingest_request request)
{
    static struct judged judged;
    ingested_free(&judged.ingested);
    buffer_free(&judged.answer);
    judged = (struct judged){.answer = BUFFER_BOUNDED(4 << 20)};
    if (!request.credential)
        request.credential = &one;
    request.now_ms = NOW_MS;
    judged.result = ingest_judge(ingest, &request, &judged.ingested, &judged.refusal, &judged.error);
    if (judged.result == 0) {
        for (size_t i = 0; i < judged.ingested.count; i++) {
            judged.ingested.records[i].partition = 3;
            judged.ingested.records[i].offset = 70 + (int64_t)i;
        }
        ingested_write(&judged.ingested, "haiphong", &judged.answer);
        assert_non_null(buffer_text(&judged.answer));
    }
    return &judged;
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static void a_dry_run_tells_what_would_be_taken(void **state)
{
    (void)state;
    struct buffer answer = BUFFER_BOUNDED(4096);
    struct judged *judged = judge((struct ingest_request){.body = slice_of("[" EVENT("a", "-3") "," EVENT("a", "-3") "," EVENT("b", "0") "]")});
    judged->ingested.dry = true;
    ingested_write(&judged->ingested, "haiphong", &answer);
    const char *text = buffer_text(&answer);
    says(text, "{\"dry_run\":true,\"valid\":1,\"repeats\":1,\"refused\":1,");
    says(text, "\"status\":\"valid\"");
    assert_null(strstr(text, "offset"));
    assert_null(strstr(text, "accepted"));
    buffer_free(&answer);
}

static void one_event_is_answered_with_its_place(void **state)
{
    (void)state;
    struct judged *judged = judge((struct ingest_request){.body = slice_of(" \n" EVENT("a", "-3") "\n")});
    assert_int_equal(judged->result, 0);
    assert_true(judged->ingested.single);
    /* the event id by Python's uuid module from the contract's sentence, source so-noi-vu, agency hong-bang */
    assert_string_equal(judged->answer.data,
                        "{\"accepted\":1,\"repeats\":0,\"refused\":0,\"records\":[{\"index\":0,\"status\":\"accepted\",\"event_id\":"
                        "\"" ID_A "\",\"topic\":\"haiphong.headcount-changes\",\"partition\":3,\"offset\":70}]}\n");
    struct ingest_record *record = &judged->ingested.records[0];
    assert_memory_equal(judged->ingested.bytes.data + record->key_at, "hong-bang", 9);
    assert_int_equal(record->key_size, 9);
    assert_memory_equal(judged->ingested.bytes.data + record->value_at, "\xC3\x01", 2);
}

static void refusals_of_whole_requests(void **state)
{
    (void)state;
    static char long_line[LINE_MOST + 100], many[INGEST_RECORDS_MOST * 2 + 8];
    memset(long_line, ' ', sizeof long_line - 1);
    memcpy(long_line, "{\"type\":", 8);
    strcpy(long_line + sizeof long_line - 3, "1}");
    for (size_t i = 0; i <= INGEST_RECORDS_MOST; i++)
        memcpy(many + 2 * i, "1\n", 2);
    const struct {
        struct ingest_request request;
        unsigned status;
        const char *detail, *problem;
    } cases[] = {
        {{.body = {"", 0}}, 400, "line 1: column 1: found the end of the line", NULL},
        {{.body = slice_of("x")}, 400, "found \"x\"", NULL},
        {{.body = slice_of("\"text\"")}, 400, "allowed: an event", NULL},
        {{.body = slice_of("{\"type\":")}, 400, "the body is no event", "found the end of the line"},
        {{.body = slice_of(EVENT("a", "-3") EVENT("b", "-3"))}, 400, "the body is no event", "nothing after the event's }"},
        {{.body = slice_of("[" EVENT("a", "-3") ",\n {\"type\" 1}]")}, 400, "line 2: column 10: found \"1\"", NULL},
        {{.body = slice_of("[" EVENT("a", "-3") "")}, 400, "allowed: , or ]", NULL},
        {{.body = slice_of("[" EVENT("a", "-3") ",]")}, 400, "allowed: a value", NULL},
        {{.body = slice_of("[] x")}, 400, "nothing after the array's ]", NULL},
        {{.body = slice_of("[\"\\ud800\"]")}, 400, "surrogate", NULL},
        {{.body = slice_of("{\"a\":\"\xff\"}")}, 400, "not UTF-8", NULL},
        {{.form = INGEST_NDJSON, .body = slice_of(EVENT("a", "-3") "\n\xff")}, 400, "line 2: byte 1 (0xFF) is not UTF-8", NULL},
        {{.form = INGEST_CSV, .body = slice_of("name,what\n")}, 400, "line 1: ", NULL},
        {{.form = INGEST_CSV, .body = slice_of("id,agency\n")}, 400, "type", NULL},
        {{.body = slice_of(EVENT("a", "0"))}, 422, "breaks a rule", "delta is 0"},
        {{.body = slice_of(EVENT("a", "\"3\""))}, 422, "breaks a rule", "delta is \"3\", a text"},
        {{.body = slice_of("{\"type\":\"page-visit\",\"visitor\":\"00000000000000000000000000000000\"}")}, 422, "rule", "/v1/visits"},
        {{.body = slice_of(WITH("a", "\"agency\":\"an-lao\""))}, 403, "record 0", "may not speak for it"},
        {{.body = slice_of(WITH("a", "\"source\":\"hong-bang\""))}, 403, "record 0", "\"so-noi-vu\", or leave it out"},
        {{.form = INGEST_NDJSON, .body = slice_of(EVENT("a", "-3") "\n" WITH("a", "\"agency\":\"an-lao\""))}, 403, "record 1", "an-lao"},
        {{.body = slice_of(EVENT("a", "-3")), .credential = &two}, 422, "rule", "agency is missing"},
        {{.body = {long_line, sizeof long_line - 1}}, 413, "line 1 is over 16384 bytes", NULL},
        {{.form = INGEST_NDJSON, .body = {long_line, sizeof long_line - 1}}, 413, "line 1 is over 16384 bytes", NULL},
        {{.form = INGEST_NDJSON, .body = {many, 2 * (INGEST_RECORDS_MOST + 1)}}, 413, "more than 10000 records", NULL},
        {{.form = INGEST_CLOUDEVENT, .body = slice_of("[]")}, 400, "cloudevents-batch", NULL},
        {{.form = INGEST_CLOUDEVENTS, .body = slice_of("{}")}, 400, "JSON array", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct judged *judged = judge(cases[i].request);
        if (judged->result != -ERROR_INPUT || judged->refusal.status != cases[i].status)
            fail_msg("case %zu: result %d, status %u, %s", i, judged->result, judged->refusal.status, judged->refusal.detail);
        says(judged->refusal.detail, cases[i].detail);
        if (cases[i].problem)
            says(judged->refusal.problems.items[0].text, cases[i].problem);
    }
}

static void nothing_is_no_error(void **state)
{
    (void)state;
    const struct ingest_request requests[] = {
        {.body = slice_of(" [ ] ")},
        {.form = INGEST_NDJSON, .body = slice_of("")},
        {.form = INGEST_NDJSON, .body = slice_of("\n \r\n")},
        {.form = INGEST_CSV, .body = slice_of("")},
        {.form = INGEST_CSV, .body = slice_of("\xEF\xBB\xBFid,type,agency,sector,reason,delta,effective_date\r\n")},
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct judged *judged = judge(requests[i]);
        assert_int_equal(judged->result, 0);
        assert_string_equal(judged->answer.data, "{\"accepted\":0,\"repeats\":0,\"refused\":0,\"records\":[]}\n");
    }
}

static void a_batch_has_a_verdict_for_each_record(void **state)
{
    (void)state;
    struct judged *judged = judge((struct ingest_request){
        .form = INGEST_NDJSON,
        .body = slice_of(EVENT("a", "-3") "\n\n" EVENT("b", "0") "\r\n" EVENT("a", "-3") "\n" EVENT("a", "-4") "\n{\"type\":\n" EVENT("c", "-1"))});
    assert_int_equal(judged->result, 0);
    assert_int_equal(judged->ingested.count, 6);
    const char *answer = judged->answer.data;
    says(answer, "{\"accepted\":2,\"repeats\":1,\"refused\":3,\"records\":[{\"index\":0,\"line\":1,\"status\":\"accepted\"");
    says(answer, "{\"index\":1,\"line\":3,\"status\":\"refused\",\"errors\":[{\"field\":\"delta\",\"detail\":\"delta is 0;");
    says(answer, "{\"index\":2,\"line\":4,\"status\":\"repeat\",\"event_id\":\"" ID_A "\",\"repeats\":0,"
                 "\"topic\":\"haiphong.headcount-changes\",\"partition\":3,\"offset\":70}");
    says(answer, "{\"index\":3,\"line\":5,\"status\":\"refused\",\"errors\":[{\"field\":\"id\",\"detail\":\"id is that of record 0,");
    says(answer, "{\"index\":4,\"line\":6,\"status\":\"refused\",\"errors\":[{\"field\":null,\"column\":9,\"detail\":\"found the end");
    says(answer, "{\"index\":5,\"line\":7,\"status\":\"accepted\"");
    /* what one request holds is forgotten by the next */
    assert_int_equal(judge((struct ingest_request){.form = INGEST_NDJSON, .body = slice_of(EVENT("a", "-4"))})->ingested.refused, 0);
}

static void a_reversal_of_a_reversal_is_refused_also_when_it_came_first(void **state)
{
    (void)state;
    char body[2048], id[EVENT_ID_TEXT_SIZE];
    struct event_id original = event_id_from(EVENT_HEADCOUNT_CHANGE, slice_of("so-noi-vu"), slice_of("hong-bang"), slice_of("a"));
    event_id_format(event_id_reversal(original), id);
#define REVERSAL "{\"type\":\"headcount-change\",\"sector\":\"administrative\",\"reason\":\"retired\",\"delta\":-3," \
                 "\"effective_date\":\"2020-10-30\",\"%s\":\"%s\"}"
    snprintf(body, sizeof body, "[" REVERSAL "," REVERSAL "]", "reverses_event_id", id, "reverses", "a");
    struct judged *judged = judge((struct ingest_request){.body = slice_of(body)});
    assert_int_equal(judged->result, 0);
    assert_int_equal(judged->ingested.records[0].state, RECORD_REFUSED);
    assert_int_equal(judged->ingested.records[1].state, RECORD_GOOD);
    says(judged->answer.data, "it reverses record 1, which is a reversal itself");
}

static void csv_goes_through_the_same_rules(void **state)
{
    (void)state;
    struct judged *judged = judge((struct ingest_request){
        .form = INGEST_CSV, .body = slice_of("type;id;sector;reason;delta;effective_date\r\nheadcount-change;a;administrative;retired;-3;2020-10-30\r\n"
                                             "headcount-change;b;phong;retired;-3;2020-10-30\r\n")});
    assert_int_equal(judged->result, 0);
    says(judged->answer.data, "\"line\":2,\"status\":\"accepted\",\"event_id\":\"" ID_A "\"");
    says(judged->answer.data, "\"line\":3,\"status\":\"refused\",\"errors\":[{\"field\":\"sector\"");
}

static void an_idempotency_key_is_the_id_of_an_event_without_one(void **state)
{
    (void)state;
#define NO_ID "{\"type\":\"headcount-change\",\"sector\":\"administrative\",\"reason\":\"retired\",\"delta\":-3,\"effective_date\":\"2020-10-30\"}"
    struct judged *judged = judge((struct ingest_request){.body = slice_of(NO_ID), .idempotency_key = slice_of("a")});
    assert_int_equal(judged->result, 0);
    says(judged->answer.data, ID_A);
    judged = judge((struct ingest_request){.body = slice_of(EVENT("a", "-3")), .idempotency_key = slice_of("other")});
    says(judged->answer.data, ID_A);
    judged = judge((struct ingest_request){.body = slice_of(NO_ID)});
    assert_int_equal(judged->refusal.status, 422);
    judged = judge((struct ingest_request){.body = slice_of("[" NO_ID "]"), .idempotency_key = slice_of("a")});
    assert_int_equal(judged->ingested.refused, 1); /* which of them would it be? */
}

#define DATA "{\"sector\":\"administrative\",\"reason\":\"retired\",\"delta\":-3,\"effective_date\":\"2020-10-30\"}"
#define ENVELOPE(more, data) "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"//anything\",\"type\":\"vn.haiphong.headcount-change\"," more \
                             "\"comment\":{\"x\":[1,true]},\"data\":" data "}"

static void cloudevents_map_to_ours(void **state)
{
    (void)state;
    static const char *const good[] = {
        ENVELOPE("", DATA),
        ENVELOPE("\"datacontenttype\":\"application/json; charset=utf-8\",", DATA),
        ENVELOPE("\"time\":\"2020-10-30T08:15:00+07:00\",", EVENT("a", "-3")),
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct judged *judged = judge((struct ingest_request){.form = INGEST_CLOUDEVENT, .body = slice_of(good[i])});
        if (judged->result < 0)
            fail_msg("case %zu: %s %s", i, judged->refusal.detail, judged->refusal.problems.items[0].text);
        says(judged->answer.data, ID_A);
    }
    struct judged *judged = judge((struct ingest_request){.form = INGEST_CLOUDEVENTS, .body = slice_of("[" ENVELOPE("", DATA) "]")});
    says(judged->answer.data, ID_A);
    judged = judge((struct ingest_request){.form = INGEST_CLOUDEVENT_BINARY, .body = slice_of(DATA), .ce_specversion = slice_of("1.0"),
                                           .ce_id = slice_of("%61"), .ce_source = slice_of("x"), .ce_type = slice_of("headcount-change")});
    assert_int_equal(judged->result, 0);
    says(judged->answer.data, ID_A);
    static const struct {
        const char *body, *says;
    } bad[] = {
        {"{\"specversion\":\"0.3\",\"id\":\"a\",\"source\":\"x\",\"type\":\"headcount-change\",\"data\":" DATA "}", "allowed: 1.0"},
        {"{\"specversion\":\"1.0\",\"source\":\"x\",\"type\":\"headcount-change\",\"data\":" DATA "}", "id is missing"},
        {"{\"specversion\":\"1.0\",\"id\":\"a\",\"type\":\"headcount-change\",\"data\":" DATA "}", "source is missing"},
        {"{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"x\",\"type\":\"headcount-change\"}", "data is missing"},
        {"{\"specversion\":\"1.0\",\"id\":\"a\",\"id\":\"b\",\"source\":\"x\",\"type\":\"headcount-change\",\"data\":" DATA "}", "there twice"},
        {ENVELOPE("\"data_base64\":\"e30=\",", DATA), "data_base64 is not taken"},
        {ENVELOPE("\"datacontenttype\":\"text/xml\",", DATA), "allowed: application/json"},
        {ENVELOPE("", EVENT("b", "-3")), "id is \"b\", but \"a\" in the CloudEvent's attributes"},
        {ENVELOPE("", "{\"type\":\"unit-merger\"}"), "type is \"unit-merger\", but \"headcount-change\""},
        {ENVELOPE("\"time\":\"yesterday\",", DATA), "occurred_at is \"yesterday\""},
        {ENVELOPE("", "\"text\""), "an event, which is a JSON object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        judged = judge((struct ingest_request){.form = INGEST_CLOUDEVENT, .body = slice_of(bad[i].body)});
        assert_int_equal(judged->result, -ERROR_INPUT);
        if (judged->refusal.problems.count == 0)
            fail_msg("case %zu: no problem; %s", i, judged->refusal.detail);
        says(judged->refusal.problems.items[0].text, bad[i].says);
    }
}

static size_t gzip(const char *data, size_t size, char *out, size_t room)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size, .next_out = (Bytef *)out, .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return room - stream.avail_out;
}

static void gzip_is_bounded_after_inflating(void **state)
{
    (void)state;
    static char zeros[8 << 20], packed[1 << 16];
    struct error error = {0};
    struct buffer out = BUFFER_BOUNDED(2 << 20);
    size_t size = gzip("hello", 5, packed, sizeof packed);
    assert_int_equal(body_inflate((struct slice){packed, size}, 1 << 20, &out, &error), 0);
    assert_string_equal(buffer_text(&out), "hello");
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(body_inflate((struct slice){packed, cut}, 1 << 20, &out, &error), -ERROR_INPUT);
    assert_int_equal(body_inflate(slice_of("plain text"), 1 << 20, &out, &error), -ERROR_INPUT);
    buffer_reset(&out);
    size = gzip(zeros, sizeof zeros, packed, sizeof packed);
    assert_int_equal(body_inflate((struct slice){packed, size}, 1 << 20, &out, &error), -ERROR_LIMIT);
    assert_true(out.size <= 1 << 20);
    buffer_free(&out);
}

static int setup(void **state)
{
    (void)state;
    static const int64_t no_ids[EVENT_TYPES] = {-1, -1, -1};
    return ingest_new(no_ids, &ingest, NULL);
}

static int teardown(void **state)
{
    (void)state;
    judge((struct ingest_request){.body = slice_of("")});
    ingest = ingest_free(ingest);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dry_run_tells_what_would_be_taken),
        cmocka_unit_test(one_event_is_answered_with_its_place),
        cmocka_unit_test(refusals_of_whole_requests),
        cmocka_unit_test(nothing_is_no_error),
        cmocka_unit_test(a_batch_has_a_verdict_for_each_record),
        cmocka_unit_test(a_reversal_of_a_reversal_is_refused_also_when_it_came_first),
        cmocka_unit_test(csv_goes_through_the_same_rules),
        cmocka_unit_test(an_idempotency_key_is_the_id_of_an_event_without_one),
        cmocka_unit_test(cloudevents_map_to_ours),
        cmocka_unit_test(gzip_is_bounded_after_inflating),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
