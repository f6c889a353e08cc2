/* Answers a question what became of events, from Redis, and from Kafka where Redis has nothing of an event. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/kafka.h"
#include "producer/gateway_state.h"
#include "producer/question.h"
#include "schemas/layout.h"

enum {
    REDIS_MS = 2000, /* for each connecting and command */
    KAFKA_MS = 3000,
    AWAY_MS = 1000, /* between two tries to connect */
    KAFKA_AWAY_MS = 5000,
    RETRY_S = 2,
    CANDIDATES_MOST = ASKED_AGENCIES_MOST * 2, /* an agency's event of each type */
    LIST_PIECE = 250,
    LIST_SEARCHED_MOST = 5000, /* entries that one page may look at */
    ANSWER_MOST = 4 * 1024 * 1024,
};

/* A refused record that was found: its texts outlive the reading. */
struct finding {
    enum event_type type;
    const char *agency; /* the question's */
    bool counts, repeated;
    int32_t partition;  /* of the latest repeat */
    int64_t offset;
    bool refused, conflict;
    struct buffer refusal; /* members of the answer, without braces */
};

void answers_close(struct answers *answers)
{
    answers->outcomes = outcomes_close(answers->outcomes);
    if (answers->kafka)
        rd_kafka_destroy(answers->kafka);
    answers->kafka = NULL;
}

static void member(struct buffer *out, const char *name, struct slice text)
{
    buffer_printf(out, ",\"%s\":", name);
    json_text_append(out, text);
}

/* What a refused record is, from `"type":` on. */
static void write_refusal(const struct refusal *refusal, struct buffer *out)
{
    bool conflict = slice_equal(refusal->reason, slice_of("conflict"));
    size_t topic = refusal->at.size;
    while (topic > 0 && refusal->at.data[topic - 1] != '/')
        topic--;
    buffer_text_append(out, conflict ? "\"status\":\"conflict\"" : "\"status\":\"dead_letter\"");
    member(out, "type", refusal->type);
    member(out, "agency", refusal->agency);
    member(out, "source", refusal->source);
    member(out, "reason", refusal->reason);
    member(out, "detail", refusal->detail);
    member(out, "topic", (struct slice){refusal->at.data, topic ? topic - 1 : 0});
    buffer_printf(out, ",\"partition\":%.*s,\"offset\":%.*s", (int)(refusal->at.size - topic), refusal->at.data + topic,
                  SLICE_ARG(refusal->offset));
    member(out, "acknowledged_at", refusal->acknowledged_at);
}

struct search {
    const struct question *question;
    const char *event_id, *at; /* `at` NULL: any */
    struct finding *finding;
    const char *agency;
};

static bool look_at_refusal(void *context, const struct refusal *refusal)
{
    struct search *search = context;
    char offset[24];
    if (!slice_equal(refusal->event_id, slice_of(search->event_id)) || !slice_equal(refusal->agency, slice_of(search->agency)))
        return true;
    snprintf(offset, sizeof offset, "%" PRId64, search->question->place.offset);
    if (search->at && (!slice_equal(refusal->at, slice_of(search->at)) || !slice_equal(refusal->offset, slice_of(offset))))
        return true;
    search->finding->refused = true;
    search->finding->conflict = slice_equal(refusal->reason, slice_of("conflict"));
    search->finding->agency = search->agency;
    buffer_reset(&search->finding->refusal);
    write_refusal(refusal, &search->finding->refusal);
    return false;
}

/* What Redis has of the event: first the refusals, then the lanes, so that no commit falls between. */
static int find_of_agency(struct answers *answers, const struct question *question, const char *agency, struct finding *finding,
                          struct error *error)
{
    char id[EVENT_ID_TEXT_SIZE], at[CITY_SIZE_MOST + 48];
    uint32_t lane = lane_of_agency(slice_of(agency));
    struct identity identities[2];
    struct search search = {question, event_id_format(question->event_id, id), NULL, finding, agency};
    int found = -1;
    for (int type = 0; type < 2; type++) {
        struct identity_salt salt = identity_salt_of((enum event_type)type, slice_of(agency));
        identities[type] = identity_of(question->event_id, &salt);
    }
    if (question->placed) {
        snprintf(at, sizeof at, "%s.%s/%" PRId32, answers->options->common.city, event_topic_suffix(question->place.type),
                 question->place.partition);
        search.at = at;
    }
    int result = outcomes_refused(answers->outcomes, lane, NULL, OUTCOMES_REFUSED_MOST, look_at_refusal, &search, error);
    if (result >= 0)
        result = outcomes_find(answers->outcomes, lane, identities, 2, &found, error);
    if (result < 0 || found < 0)
        return result;
    finding->counts = true;
    finding->agency = agency;
    finding->type = (enum event_type)found;
    return outcomes_repeated(answers->outcomes, &identities[found], question->placed ? &question->place : NULL, &finding->repeated,
                             &finding->partition, &finding->offset, error);
}

static int find_event(struct answers *answers, const struct question *question, struct finding *finding, struct error *error)
{
    int result = 0;
    for (size_t i = 0; i < question->agency_count && result >= 0 && !finding->counts && !finding->refused; i++)
        result = find_of_agency(answers, question, question->agencies[i], finding, error);
    return result;
}

static int connect_kafka(struct answers *answers, struct error *error)
{
    /* An open transaction's end counts too: what was sent after its start waits behind it. */
    static const struct kafka_property fixed[] = {
        {"isolation.level", "read_uncommitted"}, {"allow.auto.create.topics", "false"}, {NULL, NULL}};
    static const struct kafka_property defaults[] = {{"log_level", "3"}, {"client.id", "citytotals-producer-gateway-ends"}, {NULL, NULL}};
    rd_kafka_conf_t *conf;
    char text[512];
    int result = kafka_conf_new(&answers->options->common, defaults, fixed, &conf, error);
    if (result < 0)
        return result;
    answers->kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (answers->kafka)
        return 0;
    rd_kafka_conf_destroy(conf);
    return error_set(error, ERROR_CONFIG, "set up the Kafka client: %s", text);
}

static int ask_ends(struct answers *answers, struct log_point **ret_points, size_t *ret_count, struct error *error)
{
    const char *city = answers->options->common.city;
    int64_t deadline = clock_monotonic_ms() + KAFKA_MS;
    int result = answers->kafka ? 0 : connect_kafka(answers, error), counts[2] = {0};
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (int type = 0; type < 2 && result >= 0; type++) {
        char topic[CITY_SIZE_MOST + 32];
        snprintf(topic, sizeof topic, "%s.%s", city, event_topic_suffix((enum event_type)type));
        result = kafka_partitions_add(answers->kafka, topic, deadline, answers->stop, list, error);
        counts[type] = list->cnt;
    }
    if (result >= 0)
        result = kafka_bounds(answers->kafka, list, RD_KAFKA_OFFSET_END, deadline, answers->stop, error);
    struct log_point *points = result < 0 ? NULL : calloc((size_t)list->cnt, sizeof *points);
    if (result >= 0 && !points)
        result = error_set(error, ERROR_MEMORY, "out of memory");
    for (int i = 0; i < list->cnt && points; i++)
        points[i] = (struct log_point){i < counts[0] ? EVENT_HEADCOUNT_CHANGE : EVENT_UNIT_MERGER, list->elems[i].partition,
                                       list->elems[i].offset};
    if (result >= 0) {
        *ret_points = points;
        *ret_count = (size_t)list->cnt;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

/* The ends of both topics' logs, as points; owned by the caller. */
static int log_ends(struct answers *answers, struct log_point **ret_points, size_t *ret_count, struct error *error)
{
    if (clock_monotonic_ms() < answers->kafka_away_until_ms)
        return error_set(error, ERROR_KAFKA, "kafka did not tell where its logs end a moment ago");
    int result = ask_ends(answers, ret_points, ret_count, error);
    if (result < 0)
        answers->kafka_away_until_ms = clock_monotonic_ms() + KAFKA_AWAY_MS;
    return result;
}

/* Nothing is there of an event whose place is not known: does a log go further than what is folded? Kafka is asked before
 * Redis: what was acknowledged by then is either behind, or decided when Redis is asked again. */
static int find_pending(struct answers *answers, const struct question *question, bool *ret_pending, struct finding *finding,
                        struct error *error)
{
    struct log_point *points = NULL;
    size_t count = 0, behind = 0;
    int result = log_ends(answers, &points, &count, error);
    if (result >= 0)
        result = outcomes_behind(answers->outcomes, points, count, &behind, error);
    free(points);
    *ret_pending = behind > 0;
    return result < 0 ? result : find_event(answers, question, finding, error);
}

static const char *status_of(const struct question *question, const struct finding *finding, bool pending)
{
    if (finding->refused && (!finding->counts || finding->conflict || question->placed))
        return finding->conflict ? "conflict" : "dead_letter";
    if (finding->counts)
        return finding->repeated ? "duplicate" : "counted";
    return pending ? "pending" : "unknown";
}

static struct http_response *event_answer(struct answers *answers, const struct question *question, const struct finding *finding,
                                          bool pending)
{
    char id[EVENT_ID_TEXT_SIZE];
    struct buffer out = BUFFER_BOUNDED(ANSWER_MOST);
    const char *status = status_of(question, finding, pending);
    metrics_add(answers->metrics, G_QUESTIONS, status, 1);
    if (strcmp(status, "unknown") == 0)
        return gateway_problem(404, "there is no such event of this token's agencies: none is counted, none waits to be folded, and none "
                                    "was refused lately; the city's operators can look through older refused ones");
    buffer_printf(&out, "{\"event_id\":\"%s\",", event_id_format(question->event_id, id));
    if (strcmp(status, "conflict") == 0 || strcmp(status, "dead_letter") == 0) {
        buffer_append(&out, finding->refusal.data, finding->refusal.size);
    } else {
        buffer_printf(&out, "\"status\":\"%s\"", status);
        if (finding->counts)
            buffer_printf(&out, ",\"type\":\"%s\",\"agency\":\"%s\"", event_type_name(finding->type), finding->agency);
        if (finding->counts && finding->repeated)
            buffer_printf(&out, ",\"topic\":\"%s.%s\",\"partition\":%" PRId32 ",\"offset\":%" PRId64, answers->options->common.city,
                          event_topic_suffix(finding->type), finding->partition, finding->offset);
    }
    if (strcmp(status, "pending") != 0) /* else nobody knows yet */
        buffer_text_append(&out, finding->counts ? ",\"counts\":true" : ",\"counts\":false");
    buffer_text_append(&out, "}\n");
    return http_response_header(http_response_take(200, "application/json", &out), "Cache-Control", "no-store");
}

/* The answer, or NULL and the error. */
static int answer_event(struct answers *answers, const struct question *question, struct http_response **ret_response,
                        struct error *error)
{
    struct finding finding = {.refusal = BUFFER_BOUNDED(ANSWER_MOST)};
    char before[OUTCOMES_EPOCH_SIZE], after[OUTCOMES_EPOCH_SIZE];
    bool pending = false;
    int result = outcomes_epoch(answers->outcomes, before, error);
    if (result >= 0 && question->placed) {
        struct log_point passed = question->place;
        size_t behind = 0;
        passed.offset++;
        result = outcomes_behind(answers->outcomes, &passed, 1, &behind, error);
        pending = behind > 0;
    }
    if (result >= 0 && !pending)
        result = find_event(answers, question, &finding, error);
    if (result >= 0 && !question->placed && !finding.counts && !finding.refused)
        result = find_pending(answers, question, &pending, &finding, error);
    if (result >= 0)
        result = outcomes_epoch(answers->outcomes, after, error);
    if (result >= 0 && strcmp(before, after) != 0)
        result = error_set(error, ERROR_REDIS, "the city's state in redis was replaced meanwhile");
    if (result >= 0)
        *ret_response = event_answer(answers, question, &finding, pending);
    buffer_free(&finding.refusal);
    return result;
}

struct page {
    const struct question *question;
    struct buffer out;
    size_t count, searched, of_piece;
    uint32_t lane;
    char last[OUTCOMES_ID_SIZE];
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool asked_for(const struct question *question, struct slice agency)
{
    char name[AGENCY_SIZE];
    if (question->every_agency)
        return true;
    snprintf(name, sizeof name, "%.*s", SLICE_ARG(agency));
    return bsearch(name, question->agencies, question->agency_count, sizeof *question->agencies, compare_names) != NULL;
}

static bool add_to_page(void *context, const struct refusal *refusal)
{
    struct page *page = context;
    page->of_piece++;
    page->searched++;
    snprintf(page->last, sizeof page->last, "%.*s", SLICE_ARG(refusal->id));
    if (asked_for(page->question, refusal->agency)) {
        buffer_text_append(&page->out, page->count++ ? ",{\"event_id\":" : "{\"event_id\":");
        json_text_append(&page->out, refusal->event_id);
        buffer_text_append(&page->out, ",");
        write_refusal(refusal, &page->out);
        buffer_text_append(&page->out, "}");
    }
    return page->count < page->question->limit;
}

static bool lane_is_asked(const struct question *question, uint32_t lane)
{
    bool asked = question->every_agency;
    for (size_t i = 0; i < question->agency_count && !asked; i++)
        asked = lane_of_agency(slice_of(question->agencies[i])) == lane;
    return asked;
}

/* From the page's lane and entry on, until it is full, has searched enough, or there is no more: *ret_more. */
static int fill_page(struct answers *answers, struct page *page, bool *ret_more, struct error *error)
{
    for (*ret_more = true; page->lane < SEEN_LANES; page->lane++, *page->last = '\0') {
        if (!lane_is_asked(page->question, page->lane))
            continue;
        do {
            page->of_piece = 0;
            int result = outcomes_refused(answers->outcomes, page->lane, *page->last ? page->last : NULL, LIST_PIECE, add_to_page, page,
                                          error);
            if (result < 0 || page->count >= page->question->limit || page->searched >= LIST_SEARCHED_MOST)
                return result;
        } while (page->of_piece == LIST_PIECE);
    }
    *ret_more = false;
    return 0;
}

static int answer_refused(struct answers *answers, const struct question *question, struct http_response **ret_response,
                          struct error *error)
{
    struct page page = {.question = question, .out = BUFFER_BOUNDED(ANSWER_MOST), .lane = question->lane};
    bool more = false;
    snprintf(page.last, sizeof page.last, "%s", question->before);
    buffer_text_append(&page.out, "{\"refused\":[");
    int result = fill_page(answers, &page, &more, error);
    if (result < 0) {
        buffer_free(&page.out);
        return result;
    }
    if (more && *page.last)
        buffer_printf(&page.out, "],\"next\":\"%" PRIu32 "-%s\"}\n", page.lane, page.last);
    else
        buffer_text_append(&page.out, "],\"next\":null}\n");
    metrics_add(answers->metrics, G_QUESTIONS, "refused_list", 1);
    *ret_response = http_response_header(http_response_take(200, "application/json", &page.out), "Cache-Control", "no-store");
    return 0;
}

static int answer(struct answers *answers, const struct question *question, struct http_response **ret_response, struct error *error)
{
    return question->listing ? answer_refused(answers, question, ret_response, error)
                             : answer_event(answers, question, ret_response, error);
}

/* A connection may have broken since the last question: then it is asked anew, once. */
static int answer_or_reconnect(struct answers *answers, const struct question *question, struct http_response **ret_response,
                               struct error *error)
{
    const struct common_options *common = &answers->options->common;
    bool fresh = !answers->outcomes;
    int result = fresh ? outcomes_open(&common->redis, common->city, REDIS_MS, &answers->outcomes, error) : 0;
    if (result >= 0)
        result = answer(answers, question, ret_response, error);
    if (result < 0 && !fresh && error->code == ERROR_REDIS) {
        answers->outcomes = outcomes_close(answers->outcomes);
        return answer_or_reconnect(answers, question, ret_response, error);
    }
    return result;
}

struct http_response *answers_give(struct answers *answers, const struct question *question)
{
    struct http_response *response = NULL;
    struct error error = answers->away;
    char detail[ERROR_TEXT_SIZE + 64];
    if (answers->away_until_ms <= clock_monotonic_ms()) {
        error = (struct error){0};
        if (answer_or_reconnect(answers, question, &response, &error) >= 0)
            return response;
        if (error.code != ERROR_KAFKA) {
            answers->outcomes = outcomes_close(answers->outcomes);
            answers->away = error;
            answers->away_until_ms = clock_monotonic_ms() + AWAY_MS;
        }
    }
    metrics_add(answers->metrics, G_QUESTIONS, "unavailable", 1);
    snprintf(detail, sizeof detail, "what became of events can't be told now: %s; events are taken all the same", error.text);
    return http_response_later(gateway_problem(503, detail), RETRY_S);
}
