/* GET /v1/events/{event_id} and GET /v1/refused: who asks for what. A thread of their own answers, since Redis and Kafka
 * have to be waited for; so many questions may wait for it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "producer/gateway_state.h"
#include "producer/question.h"

enum { QUESTIONS_MOST = 256, RETRY_S = 1, NUMBER_DIGITS_MOST = 15 };

struct questions {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct question *first, *last;
    size_t count;
    bool ended;
    volatile sig_atomic_t stop;
    struct answers answers;
    pthread_t thread;
};

static struct question *question_free(struct question *question)
{
    if (question)
        free(question->agencies);
    free(question);
    return NULL;
}

static void *answer_all(void *context)
{
    struct questions *questions = context;
    for (;;) {
        pthread_mutex_lock(&questions->lock);
        while (!questions->first && !questions->ended)
            pthread_cond_wait(&questions->more, &questions->lock);
        struct question *question = questions->first;
        if (question) {
            questions->first = question->next;
            questions->count--;
            if (!questions->first)
                questions->last = NULL;
        }
        pthread_mutex_unlock(&questions->lock);
        if (!question)
            return NULL;
        http_reply(question->request, answers_give(&questions->answers, question));
        question_free(question);
    }
}

int gateway_open_questions(struct gateway *gateway, struct error *error)
{
    struct questions *questions = calloc(1, sizeof *questions);
    if (!questions)
        return error_set(error, ERROR_MEMORY, "out of memory");
    pthread_mutex_init(&questions->lock, NULL);
    pthread_cond_init(&questions->more, NULL);
    questions->answers = (struct answers){.options = &gateway->options, .metrics = gateway->metrics, .stop = &questions->stop};
    if (thread_start(&questions->thread, answer_all, questions) != 0) {
        pthread_cond_destroy(&questions->more);
        pthread_mutex_destroy(&questions->lock);
        free(questions);
        return error_set(error, ERROR_IO, "start the thread that answers questions");
    }
    gateway->questions = questions;
    return 0;
}

void gateway_close_questions(struct gateway *gateway)
{
    struct questions *questions = gateway->questions;
    gateway->questions = NULL;
    if (!questions)
        return;
    questions->stop = 1;
    pthread_mutex_lock(&questions->lock);
    questions->ended = true;
    pthread_cond_signal(&questions->more);
    pthread_mutex_unlock(&questions->lock);
    pthread_join(questions->thread, NULL);
    answers_close(&questions->answers);
    pthread_cond_destroy(&questions->more);
    pthread_mutex_destroy(&questions->lock);
    free(questions);
}

/* The question is taken over. */
static void ask(struct gateway *gateway, struct question *question)
{
    struct questions *questions = gateway->questions;
    pthread_mutex_lock(&questions->lock);
    bool room = questions->count < QUESTIONS_MOST;
    if (room) {
        http_defer(question->request);
        *(questions->last ? &questions->last->next : &questions->first) = question;
        questions->last = question;
        questions->count++;
        pthread_cond_signal(&questions->more);
    }
    pthread_mutex_unlock(&questions->lock);
    if (room)
        return;
    metrics_add(gateway->metrics, G_QUESTIONS, "unavailable", 1);
    http_reply(question->request, http_response_later(gateway_problem(503, "too many questions wait for an answer"), RETRY_S));
    question_free(question);
}

/* Decimal digits, no sign; false for anything else. */
static bool whole_number(struct slice text, int64_t most, int64_t *ret_number)
{
    int64_t number = 0;
    if (text.size < 1 || text.size > NUMBER_DIGITS_MOST)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *ret_number = number;
    return number <= most;
}

/* Of the credential's agencies, or the one of them that is named. NULL, or why not. */
static struct http_response *agencies_of(const struct http_request *request, const struct credential *credential,
                                         struct question *question)
{
    struct slice agency = http_parameter(request, "agency");
    if (agency.data && !credential_allows(credential, agency)) {
        char detail[160];
        snprintf(detail, sizeof detail, "this token does not speak for agency \"%.*s\"", agency.size > 64 ? 64 : (int)agency.size, agency.data);
        return gateway_problem(403, detail);
    }
    if (!agency.data && (credential->every_agency || credential->agency_count > ASKED_AGENCIES_MOST) && !question->listing)
        return http_problem_parameter("agency", "it is not given, and this token is for many; allowed: the event's agency");
    question->every_agency = !agency.data && credential->every_agency;
    question->agency_count = agency.data ? 1 : question->every_agency ? 0 : credential->agency_count;
    question->agencies = calloc(question->agency_count + 1, sizeof *question->agencies);
    if (!question->agencies)
        return http_response_later(gateway_problem(503, "out of memory"), RETRY_S);
    for (size_t i = 0; i < question->agency_count; i++) {
        struct slice name = agency.data ? agency : credential->agencies[i];
        snprintf(question->agencies[i], AGENCY_SIZE, "%.*s", SLICE_ARG(name));
    }
    return NULL;
}

/* topic, partition and offset as the answer to the event's request told them; all or none. */
static struct http_response *place_of(const struct gateway *gateway, const struct http_request *request, struct question *question)
{
    struct slice topic = http_parameter(request, "topic"), partition = http_parameter(request, "partition"),
                 offset = http_parameter(request, "offset");
    const char *city = gateway->options.common.city;
    int64_t number;
    if (!topic.data && !partition.data && !offset.data)
        return NULL;
    size_t size = strlen(city);
    bool known = topic.size > size && memcmp(topic.data, city, size) == 0 && topic.data[size] == '.';
    question->place.type = EVENT_TYPES;
    for (int type = 0; known && type < EVENT_PAGE_VISIT; type++)
        if (slice_equal((struct slice){topic.data + size + 1, topic.size - size - 1}, slice_of(event_topic_suffix((enum event_type)type))))
            question->place.type = (enum event_type)type;
    if (question->place.type == EVENT_TYPES)
        return http_problem_parameter("topic", "allowed: %s.headcount-changes or %s.unit-mergers, with partition and offset", city, city);
    if (!whole_number(partition, INT32_MAX, &number))
        return http_problem_parameter("partition", "allowed: a whole number, with topic and offset");
    question->place.partition = (int32_t)number;
    if (!whole_number(offset, INT64_MAX, &question->place.offset))
        return http_problem_parameter("offset", "allowed: a whole number, with topic and partition");
    question->placed = true;
    return NULL;
}

/* "LANE-VERSION-NUMBER", as the page before gave it. */
static bool cursor_parse(struct slice text, struct question *question)
{
    int64_t numbers[3];
    const char *at = text.data, *end = text.data + text.size;
    for (int i = 0; i < 3; i++) {
        const char *dash = i < 2 ? memchr(at, '-', (size_t)(end - at)) : end;
        if (!dash || !whole_number((struct slice){at, (size_t)(dash - at)}, i == 0 ? SEEN_LANES - 1 : INT64_MAX, &numbers[i]))
            return false;
        at = dash + (i < 2);
    }
    question->lane = (uint32_t)numbers[0];
    snprintf(question->before, sizeof question->before, "%lld-%lld", (long long)numbers[1], (long long)numbers[2]);
    return true;
}

static struct http_response *event_asked(const struct gateway *gateway, const struct http_request *request, struct question *question)
{
    if (!event_id_parse(request->parts[0], &question->event_id))
        return gateway_problem(400, "the event id is no UUID; allowed: 36 characters as the answer to its request gave it");
    return place_of(gateway, request, question);
}

static struct http_response *refused_asked(const struct http_request *request, struct question *question)
{
    struct slice limit = http_parameter(request, "limit"), before = http_parameter(request, "before");
    int64_t number = REFUSED_LIMIT_DEFAULT;
    if (limit.data && (!whole_number(limit, REFUSED_LIMIT_MOST, &number) || number < 1))
        return http_problem_parameter("limit", "allowed: a whole number from 1 to %d", REFUSED_LIMIT_MOST);
    question->limit = (size_t)number;
    if (before.data && !cursor_parse(before, question))
        return http_problem_parameter("before", "allowed: `next` of the page before");
    return NULL;
}

static void take_question(struct gateway *gateway, struct http_request *request, bool listing)
{
    struct credential *credential;
    struct question *question = calloc(1, sizeof *question);
    pthread_rwlock_rdlock(&gateway->credentials_lock);
    struct http_response *response = gateway_admit(gateway, request, &credential);
    if (credential && !question)
        response = http_response_later(gateway_problem(503, "out of memory"), RETRY_S);
    if (!response) {
        question->request = request;
        question->listing = listing;
        response = listing ? refused_asked(request, question) : event_asked(gateway, request, question);
    }
    if (!response)
        response = agencies_of(request, credential, question);
    pthread_rwlock_unlock(&gateway->credentials_lock);
    if (!response) {
        ask(gateway, question);
        return;
    }
    question_free(question);
    http_reply(request, response);
}

void gateway_get_event(struct http_request *request, void *context)
{
    take_question(context, request, false);
}

void gateway_get_refused(struct http_request *request, void *context)
{
    take_question(context, request, true);
}
