/* Judges a request: cut, parse, compare with its other records, encode. */
#include "producer/ingest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "producer/cloudevent.h"
#include "producer/marks.h"
#include "producer/repeats.h"

enum {
    REPEATS_MEMORY = 16 * 1024 * 1024,
    BYTES_MOST = 8 * 1024 * 1024,
    VISIT_BYTES_MOST = 256,
    STAND_INS_MOST = 6,
    OK = 200,
    BAD_REQUEST = 400,
    FORBIDDEN = 403,
    TOO_LARGE = 413,
    UNPROCESSABLE = 422,
};

struct ingest {
    struct parser *parser;
    struct body *body;
    struct repeats *repeats;
    struct message_maker *maker;
    struct arena arena; /* of envelopes */
    struct problems problems;
};

int ingest_new(const int64_t *schema_ids, struct ingest **ret_ingest, struct error *error)
{
    struct ingest *ingest = calloc(1, sizeof *ingest);
    if (!ingest)
        return error_set(error, ERROR_MEMORY, "out of memory");
    int result;
    if ((result = parser_new(&ingest->parser, error)) < 0 || (result = body_new(&ingest->body, error)) < 0 ||
        (result = repeats_new(REPEATS_MEMORY, &ingest->repeats, error)) < 0 ||
        (result = message_maker_new(schema_ids, &ingest->maker, error)) < 0) {
        ingest_free(ingest);
        return result;
    }
    *ret_ingest = ingest;
    return 0;
}

struct ingest *ingest_free(struct ingest *ingest)
{
    if (!ingest)
        return NULL;
    parser_free(ingest->parser);
    body_free(ingest->body);
    repeats_free(ingest->repeats);
    message_maker_free(ingest->maker);
    free(ingest);
    return NULL;
}

struct message ingested_message(const struct ingested *ingested, const struct ingest_record *record)
{
    const char *bytes = ingested->bytes.data;
    return (struct message){record->type, {bytes + record->key_at, record->key_size}, {bytes + record->value_at, record->value_size}};
}

void ingested_free(struct ingested *ingested)
{
    free(ingested->records);
    buffer_free(&ingested->bytes);
    buffer_free(&ingested->errors);
    *ingested = (struct ingested){0};
}

static int refuse_request(struct ingest_refusal *refusal, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse_request(struct ingest_refusal *refusal, unsigned status, const char *format, ...)
{
    va_list list;
    refusal->status = status;
    va_start(list, format);
    vsnprintf(refusal->detail, sizeof refusal->detail, format, list);
    va_end(list);
    return -ERROR_INPUT;
}

static struct ingest_record *add_record(struct ingested *ingested)
{
    if (ingested->count == ingested->capacity) {
        size_t capacity = ingested->capacity ? ingested->capacity * 4 : ingested->single ? 1 : 128;
        struct ingest_record *records = realloc(ingested->records, capacity * sizeof *records);
        if (!records)
            return NULL;
        ingested->records = records;
        ingested->capacity = capacity;
    }
    struct ingest_record *record = &ingested->records[ingested->count++];
    *record = (struct ingest_record){.partition = -1, .offset = -1};
    return record;
}

static void refuse_record(struct ingested *ingested, struct ingest_record *record, const struct problems *problems)
{
    if (record->state != RECORD_REFUSED)
        ingested->refused++;
    record->state = RECORD_REFUSED;
    struct buffer *errors = &ingested->errors;
    size_t before = errors->size;
    if (errors->failed)
        return;
    for (size_t i = 0; i < problems_kept(problems); i++) {
        buffer_text_append(errors, i ? ",{\"field\":" : "[{\"field\":");
        json_text_append(errors, *problems->items[i].field ? slice_of(problems->items[i].field) : (struct slice){0});
        if (problems->items[i].column)
            buffer_printf(errors, ",\"column\":%" PRIu32, problems->items[i].column);
        buffer_text_append(errors, ",\"detail\":");
        json_text_append(errors, slice_of(problems->items[i].text));
        buffer_text_append(errors, "}");
    }
    buffer_text_append(errors, "]");
    if (errors->failed) {
        errors->size = before; /* what follows is told without its errors */
        return;
    }
    record->errors_at = (uint32_t)before;
    record->errors_size = (uint32_t)(errors->size - before);
}

/* Of a single event: 400 when it can't be read, 422 when it breaks a rule. */
static int refuse_single(struct ingest_refusal *refusal, const struct problems *problems)
{
    bool form = false;
    for (size_t i = 0; i < problems_kept(problems); i++)
        form = form || problems->items[i].column;
    refusal->problems = *problems;
    return refuse_request(refusal, form ? BAD_REQUEST : UNPROCESSABLE, "%s",
                          form ? "the body is no event as JSON" : "the event breaks a rule; nothing was sent");
}

/* The envelope's part: what stands in, and where the data is. False: the problems say why. */
static bool open_envelope(struct ingest *ingest, const struct ingest_request *request, struct slice *text,
                          struct parser_stand_in *stand_ins, size_t *count)
{
    struct cloudevent event = {0};
    if (request->form == INGEST_CLOUDEVENT_BINARY) {
        const struct {
            const char *name;
            struct slice value, *place;
        } headers[] = {{"ce-specversion", request->ce_specversion, &event.specversion},
                       {"ce-id", request->ce_id, &event.id},
                       {"ce-source", request->ce_source, &event.source},
                       {"ce-type", request->ce_type, &event.type},
                       {"ce-time", request->ce_time, &event.time}};
        ingest->problems.count = 0;
        arena_reset(&ingest->arena);
        for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
            if (headers[i].value.data && !cloudevent_header(headers[i].value, &ingest->arena, headers[i].place))
                problem_add(&ingest->problems, headers[i].name, 0, "%s is not percent-encoded UTF-8", headers[i].name);
        event.data = *text;
    } else if (!cloudevent_read(*text, &ingest->arena, &event, &ingest->problems)) {
        return false;
    }
    if (!cloudevent_check(&event, stand_ins, count, &ingest->problems))
        return false;
    *text = event.data;
    return true;
}

static bool parse(struct ingest *ingest, const struct ingest_request *request, const struct body_record *record,
                  struct event *ret_event)
{
    const struct credential *credential = request->credential;
    struct parser_stand_in stand_ins[STAND_INS_MOST];
    struct parser_defaults defaults = {.source = credential->source, .csv_type = -1, .now_ms = request->now_ms, .stand_ins = stand_ins};
    struct slice text = record->text;
    if (request->form >= INGEST_CLOUDEVENT && !open_envelope(ingest, request, &text, stand_ins, &defaults.stand_in_count))
        return false;
    if (!credential->every_agency && credential->agency_count == 1)
        stand_ins[defaults.stand_in_count++] = (struct parser_stand_in){FIELD_AGENCY, credential->agencies[0], NULL};
    if (request->idempotency_key.data && body_is_single(ingest->body) && request->form == INGEST_JSON)
        stand_ins[defaults.stand_in_count++] = (struct parser_stand_in){FIELD_ID, request->idempotency_key, NULL};
    if (request->form == INGEST_CSV)
        return parser_csv(ingest->parser, body_csv_header(ingest->body), text, &defaults, ret_event, &ingest->problems);
    return parser_json(ingest->parser, text, &defaults, ret_event, &ingest->problems);
}

/* A record says what its credential may not: nothing of the request is taken. */
static int check_rights(const struct ingest_request *request, const struct event *event, const struct body_record *record,
                        struct ingest_refusal *refusal)
{
    const struct credential *credential = request->credential;
    struct problems *problems = &refusal->problems;
    char found[QUOTED_SIZE];
    problems->count = 0;
    refusal->line = request->form == INGEST_NDJSON || request->form == INGEST_CSV ? record->line : 0;
    if (!slice_equal(event->source, credential->source))
        problem_add(problems, "source", 0, "source is %s; allowed: the token's own, \"%.*s\", or leave it out",
                    quoted(event->source, found), SLICE_ARG(credential->source));
    if (!credential_allows(credential, event->agency))
        problem_add(problems, "agency", 0, "agency is %s; the token may not speak for it", quoted(event->agency, found));
    if (problems->count == 0)
        return 0;
    return refuse_request(refusal, FORBIDDEN, "record %" PRIu64 " is not what this token may send; nothing of the request was sent",
                          record->number);
}

static int encode(struct ingest *ingest, const struct event *event, struct ingested *ingested, struct ingest_record *record,
                  struct error *error)
{
    struct message message;
    int result = message_make(ingest->maker, event, &ingested->bytes, &message, error);
    if (result < 0)
        return result;
    record->value_at = (uint32_t)(message.value.data - ingested->bytes.data);
    record->value_size = (uint32_t)message.value.size;
    record->key_at = (uint32_t)(message.key.data - ingested->bytes.data);
    record->key_size = (uint32_t)message.key.size;
    return 0;
}

int ingest_make_visit(struct ingest *ingest, const struct event *visit, struct ingested *ret_ingested, struct error *error)
{
    ret_ingested->single = true;
    ret_ingested->bytes = BUFFER_BOUNDED(VISIT_BYTES_MOST);
    struct ingest_record *record = add_record(ret_ingested);
    if (!record)
        return error_set(error, ERROR_MEMORY, "out of memory");
    record->type = visit->type;
    return encode(ingest, visit, ret_ingested, record, error);
}

/* A good event among the request's others. */
static int compare(struct ingest *ingest, const struct event *event, struct ingested *ingested, size_t number, struct error *error)
{
    struct seen seen;
    struct ingest_record *record = &ingested->records[number];
    int result = repeats_add(ingest->repeats, event, parser_space(ingest->parser, event), number, number, &seen, error);
    if (result < 0)
        return result;
    if (seen.refuses_earlier) {
        struct reason reason = {.other_line = number, .kind = REASON_REVERSED_LATER};
        reason_say(&reason, "record", &ingest->problems);
        refuse_record(ingested, &ingested->records[seen.earlier_ordinal], &ingest->problems);
    }
    if (seen.kind == SEEN_REPEAT) {
        record->state = RECORD_REPEAT;
        record->earlier = (uint32_t)seen.line;
        ingested->repeats++;
    } else if (seen.kind == SEEN_CONFLICT || seen.kind == SEEN_DOUBLE_REVERSAL) {
        struct reason reason = {.other_line = seen.line,
                                .kind = seen.kind == SEEN_CONFLICT ? REASON_CONFLICT : REASON_DOUBLE_REVERSAL};
        reason_say(&reason, "record", &ingest->problems);
        refuse_record(ingested, record, &ingest->problems);
    }
    return 0;
}

static int judge_record(struct ingest *ingest, const struct ingest_request *request, const struct body_record *taken,
                        struct ingested *ingested, struct ingest_refusal *refusal, struct error *error)
{
    struct event event;
    int result;
    if (taken->number >= INGEST_RECORDS_MOST)
        return refuse_request(refusal, TOO_LARGE, "it has more than %d records; nothing was sent", INGEST_RECORDS_MOST);
    if (taken->too_long)
        return refuse_request(refusal, TOO_LARGE, "the record that begins in line %" PRIu64 " is over %d bytes long; nothing was sent",
                              taken->line, LINE_MOST);
    bool good = parse(ingest, request, taken, &event);
    if (good && event.type == EVENT_PAGE_VISIT) {
        good = false;
        problem_add(&ingest->problems, "type", 0, "type is \"page-visit\"; allowed: headcount-change, unit-merger (page visits come "
                                                  "in by /v1/visits)");
    }
    if (!good && ingested->single)
        return refuse_single(refusal, &ingest->problems);
    if (good && (result = check_rights(request, &event, taken, refusal)) < 0)
        return result;
    struct ingest_record *record = add_record(ingested);
    if (!record)
        return error_set(error, ERROR_MEMORY, "out of memory");
    record->line = taken->line;
    if (!good) {
        refuse_record(ingested, record, &ingest->problems);
        return 0;
    }
    record->type = event.type;
    record->event_id = event.event_id;
    result = ingested->single ? 0 : compare(ingest, &event, ingested, ingested->count - 1, error);
    return result < 0 || record->state != RECORD_GOOD ? result : encode(ingest, &event, ingested, record, error);
}

int ingest_judge(struct ingest *ingest, const struct ingest_request *request, struct ingested *ret_ingested,
                 struct ingest_refusal *ret_refusal, struct error *error)
{
    struct ingested *ingested = ret_ingested;
    struct body_record record;
    struct error broken = {0};
    enum body_form form = request->form == INGEST_NDJSON ? BODY_NDJSON : request->form == INGEST_CSV ? BODY_CSV : BODY_JSON;
    ret_refusal->status = OK;
    ret_refusal->line = 0;
    ret_refusal->problems.count = 0;
    ingested->bytes = BUFFER_BOUNDED(BYTES_MOST);
    ingested->errors = BUFFER_BOUNDED(INGEST_ERRORS_BYTES_MOST);
    ingested->by_line = form != BODY_JSON;
    repeats_reset(ingest->repeats);
    int result = body_begin(ingest->body, form, request->body, &broken);
    ingested->single = result >= 0 && body_is_single(ingest->body);
    if (result >= 0 && (request->form == INGEST_CLOUDEVENT || request->form == INGEST_CLOUDEVENT_BINARY) && !ingested->single)
        return refuse_request(ret_refusal, BAD_REQUEST, "one CloudEvent is a JSON object; a batch has the media type "
                                                        "application/cloudevents-batch+json");
    if (result >= 0 && request->form == INGEST_CLOUDEVENTS && ingested->single)
        return refuse_request(ret_refusal, BAD_REQUEST, "a batch of CloudEvents is a JSON array");
    while (result >= 0 && (result = body_next(ingest->body, &record, &broken)) > 0) {
        int judged = judge_record(ingest, request, &record, ingested, ret_refusal, error);
        if (judged < 0)
            return judged;
    }
    if (result == -ERROR_INPUT)
        return refuse_request(ret_refusal, BAD_REQUEST, "the body can't be read: %s", broken.text);
    if (result < 0) {
        *error = broken;
        return result;
    }
    return 0;
}

static void write_number(struct buffer *out, const char *name, int64_t number)
{
    buffer_text_append(out, name);
    buffer_number_append(out, number);
}

/* Without printf: a large answer is mostly this. */
static void write_record(const struct ingested *ingested, const char *city, size_t number, struct buffer *out)
{
    char id[EVENT_ID_TEXT_SIZE];
    const struct ingest_record *record = &ingested->records[number], *sent = record;
    write_number(out, "{\"index\":", (int64_t)number);
    if (ingested->by_line)
        write_number(out, ",\"line\":", (int64_t)record->line);
    if (record->state == RECORD_REFUSED) {
        buffer_text_append(out, ",\"status\":\"refused\"");
        if (record->errors_size) {
            buffer_text_append(out, ",\"errors\":");
            buffer_append(out, ingested->errors.data + record->errors_at, record->errors_size);
        }
        buffer_text_append(out, "}");
        return;
    }
    if (record->state == RECORD_REPEAT)
        sent = &ingested->records[record->earlier];
    buffer_text_append(out, record->state == RECORD_REPEAT ? ",\"status\":\"repeat\",\"event_id\":\""
                            : ingested->dry                ? ",\"status\":\"valid\",\"event_id\":\""
                                                           : ",\"status\":\"accepted\",\"event_id\":\"");
    buffer_text_append(out, event_id_format(record->event_id, id));
    buffer_text_append(out, "\"");
    if (record->state == RECORD_REPEAT)
        write_number(out, ",\"repeats\":", record->earlier);
    if (sent->state == RECORD_GOOD && !ingested->dry) {
        buffer_text_append(out, ",\"topic\":\"");
        buffer_text_append(out, city);
        buffer_text_append(out, ".");
        buffer_text_append(out, event_topic_suffix(sent->type));
        write_number(out, "\",\"partition\":", sent->partition);
        write_number(out, ",\"offset\":", sent->offset);
    }
    buffer_text_append(out, "}");
}

void ingested_write(const struct ingested *ingested, const char *city, struct buffer *out)
{
    size_t good = ingested->count - ingested->repeats - ingested->refused;
    write_number(out, ingested->dry ? "{\"dry_run\":true,\"valid\":" : "{\"accepted\":", (int64_t)good);
    write_number(out, ",\"repeats\":", (int64_t)ingested->repeats);
    write_number(out, ",\"refused\":", (int64_t)ingested->refused);
    buffer_text_append(out, ",\"records\":[");
    for (size_t i = 0; i < ingested->count; i++) {
        if (i)
            buffer_text_append(out, ",");
        write_record(ingested, city, i, out);
    }
    buffer_text_append(out, "]}\n");
}
