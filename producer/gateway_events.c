/* POST /v1/events: who is it, what is it, judge it whole, hand it to Kafka, and answer when Kafka has acknowledged. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "producer/gateway_state.h"

enum { PROBLEM_SIZE = 512, RETRY_QUEUE_S = 1 };

static bool media_is(const char *value, const char *type)
{
    size_t size = strcspn(value, "; \t");
    return size == strlen(type) && strncasecmp(value, type, size) == 0;
}

static bool form_of(const struct http_request *request, enum ingest_form *ret_form)
{
    static const struct {
        const char *type;
        enum ingest_form form;
    } forms[] = {{"application/json", INGEST_JSON},
                 {"application/x-ndjson", INGEST_NDJSON},
                 {"application/ndjson", INGEST_NDJSON},
                 {"text/csv", INGEST_CSV},
                 {"application/cloudevents+json", INGEST_CLOUDEVENT},
                 {"application/cloudevents-batch+json", INGEST_CLOUDEVENTS}};
    const char *type = http_header(request, "Content-Type");
    for (size_t i = 0; type && i < sizeof forms / sizeof *forms; i++)
        if (media_is(type, forms[i].type)) {
            *ret_form = forms[i].form;
            if (*ret_form == INGEST_JSON && http_header(request, "ce-specversion"))
                *ret_form = INGEST_CLOUDEVENT_BINARY;
            return true;
        }
    return false;
}

/* The key without the quotes that the header's standard wants and most senders leave out. */
static struct slice key_of(const struct http_request *request)
{
    struct slice key = slice_of(http_header(request, "Idempotency-Key"));
    if (key.size >= 2 && key.data[0] == '"' && key.data[key.size - 1] == '"')
        key = (struct slice){key.data + 1, key.size - 2};
    return key;
}

static struct http_response *refusal_response(const struct ingest_refusal *refusal)
{
    struct http_field_error errors[PROBLEMS_MOST];
    size_t count = problems_kept(&refusal->problems);
    for (size_t i = 0; i < count; i++)
        errors[i] = (struct http_field_error){.field = *refusal->problems.items[i].field ? refusal->problems.items[i].field : NULL,
                                              .detail = refusal->problems.items[i].text,
                                              .line = (int64_t)refusal->line};
    return http_problem(refusal->status, refusal->detail, errors, count);
}

/* The body as it is meant; what is unpacked is put into `unpacked`. NULL, or why not. */
static struct http_response *unpack(const struct http_request *request, struct buffer *unpacked, struct slice *ret_body)
{
    struct error error = {0};
    const char *encoding = http_header(request, "Content-Encoding");
    *ret_body = request->body;
    if (!encoding || strcasecmp(encoding, "identity") == 0)
        return NULL;
    if (strcasecmp(encoding, "gzip") != 0)
        return http_response_header(gateway_problem(415, "the body's Content-Encoding is not taken; allowed: gzip, or none"), "Accept-Encoding",
                                    "gzip");
    int result = body_inflate(request->body, GATEWAY_BODY_MOST, unpacked, &error);
    if (result < 0) {
        char detail[PROBLEM_SIZE];
        snprintf(detail, sizeof detail, "the body: %.400s", error.text);
        return gateway_problem(result == -ERROR_LIMIT ? 413 : result == -ERROR_MEMORY ? 503 : 400, detail);
    }
    *ret_body = (struct slice){unpacked->data ? unpacked->data : "", unpacked->size};
    return NULL;
}

struct ingest *gateway_take_worker(struct gateway *gateway)
{
    pthread_mutex_lock(&gateway->workers_lock);
    struct ingest *worker = gateway->workers[--gateway->worker_count];
    pthread_mutex_unlock(&gateway->workers_lock);
    return worker;
}

void gateway_give_worker(struct gateway *gateway, struct ingest *worker)
{
    pthread_mutex_lock(&gateway->workers_lock);
    gateway->workers[gateway->worker_count++] = worker;
    pthread_mutex_unlock(&gateway->workers_lock);
}

/* A request's first event was taken before it was read; its others count too, however empty the bucket is by then. */
static void charge_the_rest(struct gateway *gateway, struct credential *credential, size_t count)
{
    if (count <= 1)
        return;
    pthread_mutex_lock(&gateway->buckets_lock);
    credential_charge(credential, (int64_t)count - 1);
    pthread_mutex_unlock(&gateway->buckets_lock);
}

static struct http_response *refuse_type(const struct http_request *request)
{
    char detail[320];
    const char *type = http_header(request, "Content-Type");
    snprintf(detail, sizeof detail, "the body's Content-Type is %s%.60s%s; allowed: application/json, application/x-ndjson, text/csv, "
             "application/cloudevents+json, application/cloudevents-batch+json", type ? "\"" : "", type ? type : "missing", type ? "\"" : "");
    return gateway_problem(415, detail);
}

/* The request's events in `ingested`; or an answer already. NULL and `taken` false: no memory. */
static struct http_response *judge(struct gateway *gateway, struct http_request *request, struct credential *credential,
                                   struct ingested *ingested, bool *ret_taken)
{
    struct ingest_request asked = {.credential = credential, .idempotency_key = key_of(request), .now_ms = clock_wall_ms()};
    struct ingest_refusal refusal;
    struct error error = {0};
    struct buffer unpacked = BUFFER_BOUNDED(GATEWAY_BODY_MOST);
    if (!form_of(request, &asked.form))
        return refuse_type(request);
    struct http_response *response = unpack(request, &unpacked, &asked.body);
    if (response)
        goto finish;
    if (asked.form == INGEST_CLOUDEVENT_BINARY) {
        asked.ce_specversion = slice_of(http_header(request, "ce-specversion"));
        asked.ce_id = slice_of(http_header(request, "ce-id"));
        asked.ce_source = slice_of(http_header(request, "ce-source"));
        asked.ce_type = slice_of(http_header(request, "ce-type"));
        asked.ce_time = slice_of(http_header(request, "ce-time"));
    }
    struct ingest *worker = gateway_take_worker(gateway);
    int result = ingest_judge(worker, &asked, ingested, &refusal, &error);
    gateway_give_worker(gateway, worker);
    *ret_taken = result >= 0;
    if (result == -ERROR_INPUT)
        response = refusal_response(&refusal);
    else if (result < 0)
        response = http_response_later(gateway_problem(503, error.text), RETRY_QUEUE_S);
    charge_the_rest(gateway, credential, ingested->count);
finish:
    buffer_free(&unpacked);
    return response;
}

static struct http_response *answer_or_take(struct gateway *gateway, struct http_request *request, struct ingested *ingested,
                                            bool *ret_taken)
{
    struct credential *credential;
    pthread_rwlock_rdlock(&gateway->credentials_lock);
    struct http_response *response = gateway_admit(gateway, request, &credential);
    if (credential)
        response = judge(gateway, request, credential, ingested, ret_taken);
    pthread_rwlock_unlock(&gateway->credentials_lock);
    return response;
}

static bool is_dry_run(const struct http_request *request, struct http_response **ret_refusal)
{
    struct slice asked = http_parameter(request, "dry_run");
    *ret_refusal = NULL;
    if (!asked.data || slice_equal(asked, slice_of("false")))
        return false;
    if (!slice_equal(asked, slice_of("true")))
        *ret_refusal = http_problem_parameter("dry_run", "found \"%.*s\"; allowed: true, false", (int)(asked.size > 40 ? 40 : asked.size),
                                              asked.data);
    return true;
}

void gateway_post_events(struct http_request *request, void *context)
{
    struct gateway *gateway = context;
    struct ingested ingested = {0};
    bool taken = false;
    struct http_response *response;
    bool dry = is_dry_run(request, &response);
    if (!response)
        response = answer_or_take(gateway, request, &ingested, &taken);
    size_t good = ingested.count - ingested.repeats - ingested.refused;
    if (!taken) {
        ingested_free(&ingested);
        http_reply(request, response);
        return;
    }
    ingested.dry = dry;
    if (good == 0 || dry) { /* nothing for Kafka */
        response = gateway_verdicts(gateway, &ingested);
        ingested_free(&ingested);
        http_reply(request, response);
        return;
    }
    struct post *post = gateway_post_new(gateway, &ingested, good);
    if (post) {
        gateway_post_hand_over(gateway, post, request);
        return;
    }
    ingested_free(&ingested);
    http_reply(request, http_response_later(gateway_problem(503, "the queue for kafka is full; nothing was sent; " GATEWAY_SAFE_TO_REPEAT), RETRY_QUEUE_S));
}
