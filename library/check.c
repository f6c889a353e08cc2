/* Checking: a pool of checkers, one for each thread that is at it. */
#include <stdlib.h>

#include "base/clock.h"
#include "library/client.h"
#include "schemas/identity.h"

enum { CHECKERS_MOST = 16 }; /* events that are checked at once; each has about a MiB once it was needed */
_Static_assert(EVENT_ID_TEXT_SIZE == CITYTOTALS_EVENT_ID_SIZE, "event ids as text");

struct checker *checker_free(struct checker *checker)
{
    if (!checker)
        return NULL;
    parser_free(checker->parser);
    message_maker_free(checker->maker);
    buffer_free(&checker->bytes);
    free(checker);
    return NULL;
}

static struct checker *checker_new(const struct citytotals_client *client)
{
    struct checker *checker = calloc(1, sizeof *checker);
    if (!checker)
        return NULL;
    checker->bytes = BUFFER_BOUNDED(VALUE_SIZE_MOST);
    if (parser_new(&checker->parser, NULL) < 0 ||
        (!client->options->values.check_only && message_maker_new(client->schema_ids, &checker->maker, NULL) < 0))
        return checker_free(checker);
    return checker;
}

struct checker *checker_take(struct citytotals_client *client)
{
    pthread_mutex_lock(&client->lock);
    while (!client->checkers && client->checkers_made == CHECKERS_MOST)
        pthread_cond_wait(&client->changed, &client->lock);
    struct checker *checker = client->checkers;
    if (checker)
        client->checkers = checker->next;
    else
        client->checkers_made++;
    pthread_mutex_unlock(&client->lock);
    if (checker || (checker = checker_new(client)))
        return checker;
    pthread_mutex_lock(&client->lock);
    client->checkers_made--;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
    return NULL;
}

void checker_give(struct citytotals_client *client, struct checker *checker)
{
    pthread_mutex_lock(&client->lock);
    bool waited_for = !client->checkers && client->checkers_made == CHECKERS_MOST;
    checker->next = client->checkers;
    client->checkers = checker;
    if (waited_for)
        pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

int judge(const struct citytotals_client *client, struct checker *checker, const struct given *given, struct event *ret_event,
          struct citytotals_error **ret_error)
{
    const struct parser_defaults defaults = {.source = slice_of(client->options->values.source), .csv_type = -1, .now_ms = clock_wall_ms()};
    struct problems *problems = &checker->problems;
    bool good = given->event ? parser_fields(checker->parser, &given->event->fields, &defaults, ret_event, problems)
                             : parser_json(checker->parser, given->json, &defaults, ret_event, problems);
    if (good && ret_event->type == EVENT_PAGE_VISIT) {
        good = false;
        problem_add(problems, "type", 0, "type is \"page-visit\"; allowed: headcount-change, unit-merger (page visits come in by the "
                                         "gateway)");
    }
    return good ? CITYTOTALS_OK : fail_event(ret_error, problems);
}

static int check(struct citytotals_client *client, const struct given *given, char *ret_event_id, struct citytotals_error **ret_error)
{
    struct event event;
    struct checker *checker = checker_take(client);
    if (!checker)
        return fail(ret_error, CITYTOTALS_MEMORY, "out of memory");
    int result = judge(client, checker, given, &event, ret_error);
    if (result == CITYTOTALS_OK && ret_event_id)
        event_id_format(event.event_id, ret_event_id);
    checker_give(client, checker);
    return result;
}

int refuse_given(const struct citytotals_client *client, const struct given *given, struct citytotals_error **ret_error)
{
    no_error(ret_error);
    if (!client)
        return fail(ret_error, CITYTOTALS_MISUSE, "client is NULL");
    if (!given->event && !given->json.data)
        return fail(ret_error, CITYTOTALS_MISUSE, "the event is NULL");
    return CITYTOTALS_OK;
}

int citytotals_check(struct citytotals_client *client, const struct citytotals_event *event, char *ret_event_id,
                     struct citytotals_error **ret_error)
{
    const struct given given = {.event = event};
    int result = refuse_given(client, &given, ret_error);
    return result < 0 ? result : check(client, &given, ret_event_id, ret_error);
}

int citytotals_check_json(struct citytotals_client *client, const char *json, size_t size, char *ret_event_id,
                          struct citytotals_error **ret_error)
{
    const struct given given = {.json = {json, size}};
    int result = refuse_given(client, &given, ret_error);
    return result < 0 ? result : check(client, &given, ret_event_id, ret_error);
}
