/* The schema registry's client against a fake registry: what each answer means, and that every answer, wait and number
 * of tries is bounded. */
#define _GNU_SOURCE // strcasestr
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/clock.h"
#include "schemas/registry.h"

#define REQUEST_MOST 65536
#define SOUND        "{\"schema\":\"\\\"long\\\"\"}"

/* One scripted answer; the last one is given to every later request too. */
struct answer {
    int status; /* 0: close without a word; -1: say nothing until the test ends */
    const char *body;
    size_t padding;   /* blanks before the body */
    const char *head; /* further header lines */
};

struct fake {
    int listener, port;
    pthread_t thread;
    const struct answer *answers;
    size_t answer_count;
    atomic_size_t requests;
    atomic_bool over;
    char last[REQUEST_MOST]; /* the latest request; read it after its answer */
};

static void write_all(int file, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t done = send(file, data, size, MSG_NOSIGNAL);
        if (done <= 0)
            return;
        data += done;
        size -= (size_t)done;
    }
}

static void read_request(int file, char text[REQUEST_MOST])
{
    size_t size = 0, wanted = SIZE_MAX;
    text[0] = '\0';
    while (size < wanted && size + 1 < REQUEST_MOST) {
        ssize_t got = recv(file, text + size, REQUEST_MOST - 1 - size, 0);
        if (got <= 0)
            return;
        size += (size_t)got;
        text[size] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
        if (end)
            wanted = (size_t)(end + 4 - text) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
    }
}

static void *serve(void *context)
{
    struct fake *fake = context;
    for (;;) {
        int file = accept(fake->listener, NULL, NULL);
        if (file < 0 || atomic_load(&fake->over)) {
            close(file);
            return NULL;
        }
        read_request(file, fake->last);
        size_t number = atomic_fetch_add(&fake->requests, 1);
        const struct answer *answer = &fake->answers[number < fake->answer_count ? number : fake->answer_count - 1];
        if (answer->status < 0) {
            char byte;
            (void)!recv(file, &byte, 1, 0); /* until the client gives up */
        } else if (answer->status > 0) {
            char head[512];
            int size =
                snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
                         answer->status, strlen(answer->body) + answer->padding, answer->head ? answer->head : "");
            write_all(file, head, (size_t)size);
            char *blanks = calloc(1, answer->padding + 1);
            memset(blanks, ' ', answer->padding);
            write_all(file, blanks, answer->padding);
            free(blanks);
            write_all(file, answer->body, strlen(answer->body));
        }
        close(file);
    }
}

static void fake_start(struct fake *fake, const struct answer *answers, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    memset(fake, 0, sizeof *fake);
    fake->answers = answers;
    fake->answer_count = count;
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fake->listener, 16), 0);
    assert_int_equal(getsockname(fake->listener, (struct sockaddr *)&address, &size), 0);
    fake->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&fake->thread, NULL, serve, fake), 0);
}

static void fake_stop(struct fake *fake)
{
    atomic_store(&fake->over, true);
    shutdown(fake->listener, SHUT_RDWR);
    pthread_join(fake->thread, NULL);
    close(fake->listener);
}

/* A client of the fake, and the fake: made and unmade together. */
struct scene {
    struct fake fake;
    struct registry *registry;
    struct error error;
    atomic_bool stop;
};

static void scene_start_with(struct scene *scene, const struct answer *answers, size_t count, const char *user_part,
                             struct registry_options options, registry_stopped_fn stopped)
{
    char url[256];
    memset(&scene->error, 0, sizeof scene->error);
    fake_start(&scene->fake, answers, count);
    snprintf(url, sizeof url, "http://%s127.0.0.1:%d/base/", user_part, scene->fake.port);
    options.url = url;
    assert_int_equal(registry_new(&options, stopped, scene, &scene->registry, &scene->error), 0);
}
#define scene_start(scene, answers)                                                                                    \
    scene_start_with(scene, answers, sizeof(answers) / sizeof *(answers), "", (struct registry_options){0}, NULL)

static void scene_end(struct scene *scene)
{
    registry_free(scene->registry);
    fake_stop(&scene->fake);
}

static void expect_request(const struct scene *scene, const char *text)
{
    if (!strstr(scene->fake.last, text))
        fail_msg("\"%s\" is not in the request:\n%s", text, scene->fake.last);
}

static void expect_sentence(const struct scene *scene, const char *text)
{
    if (!strstr(scene->error.text, text))
        fail_msg("\"%s\" is not in the sentence: %s", text, scene->error.text);
}

static enum schema_lookup find(struct scene *scene, const char **ret_json, size_t *ret_size)
{
    return registry_find(scene->registry, 7, ret_json, ret_size, &scene->error);
}

static void expect_away(struct answer answer, enum error_code code, size_t requests, const char *sentence)
{
    struct scene scene;
    const char *json = "untouched";
    size_t size = 99;
    const struct answer answers[] = {answer};
    scene_start(&scene, answers);
    assert_int_equal(find(&scene, &json, &size), SCHEMA_LOOKUP_AWAY);
    assert_string_equal(json, "untouched");
    assert_int_equal(size, 99);
    assert_int_equal(scene.error.code, code);
    expect_sentence(&scene, sentence);
    assert_int_equal(atomic_load(&scene.fake.requests), requests);
    scene_end(&scene);
}

static void an_id_is_found(void **state)
{
    (void)state;
    struct scene scene;
    const char *json = NULL;
    size_t size = 0;
    const struct answer answers[] = {{.status = 200, .body = SOUND}};
    scene_start(&scene, answers);
    assert_int_equal(find(&scene, &json, &size), SCHEMA_LOOKUP_FOUND);
    assert_int_equal(size, 6);
    assert_memory_equal(json, "\"long\"", 6);
    expect_request(&scene, "GET /base/schemas/ids/7 HTTP/1.1\r\n");
    scene_end(&scene);
}

static void only_the_registrys_own_404_means_unknown(void **state)
{
    (void)state;
    struct scene scene;
    const char *json;
    size_t size;
    const struct answer answers[] = {{.status = 404, .body = "{\"error_code\":40403,\"message\":\"no such schema\"}"}};
    scene_start(&scene, answers);
    assert_int_equal(find(&scene, &json, &size), SCHEMA_LOOKUP_UNKNOWN);
    assert_int_equal(atomic_load(&scene.fake.requests), 1);
    scene_end(&scene);
    expect_away((struct answer){.status = 404, .body = "<html>not here</html>"}, ERROR_REGISTRY, 1, "not JSON");
    expect_away((struct answer){.status = 404, .body = "{}"}, ERROR_REGISTRY, 1, "is the URL right");
    expect_away((struct answer){.status = 404, .body = "{\"error_code\":404,\"message\":\"no such path\"}"},
                ERROR_REFUSED, 1, "no such path");
    expect_away((struct answer){.status = 404, .body = "{\"error_code\":40401,\"message\":\"no such subject\"}"},
                ERROR_REFUSED, 1, "no such subject");
}

static void garbage_is_no_answer(void **state)
{
    (void)state;
    expect_away((struct answer){.status = 200, .body = ""}, ERROR_REGISTRY, 1, "not JSON");
    expect_away((struct answer){.status = 200, .body = "{\"schema\":"}, ERROR_REGISTRY, 1, "not JSON");
    expect_away((struct answer){.status = 200, .body = "{\"schema\":\"1\",\"schema\":\"2\"}"}, ERROR_REGISTRY, 1,
                "not JSON");
    expect_away((struct answer){.status = 200, .body = "[]"}, ERROR_REGISTRY, 1, "no schema registry gives");
    expect_away((struct answer){.status = 200, .body = "{}"}, ERROR_REGISTRY, 1, "lacks what was asked for");
    expect_away((struct answer){.status = 200, .body = "{\"schema\":{}}"}, ERROR_REGISTRY, 1,
                "lacks what was asked for");
    expect_away((struct answer){.status = 204, .body = SOUND}, ERROR_REGISTRY, 1, "status 204");
}

static void a_redirect_is_not_followed(void **state)
{
    (void)state;
    expect_away((struct answer){.status = 302, .body = "", .head = "Location: http://127.0.0.1:1/\r\n"}, ERROR_REFUSED,
                1, "redirect");
}

static void wrong_credentials_are_not_tried_again(void **state)
{
    (void)state;
    expect_away((struct answer){.status = 401, .body = ""}, ERROR_REFUSED, 1, "credentials");
    expect_away((struct answer){.status = 403, .body = "{\"error_code\":40301,\"message\":\"no\"}"}, ERROR_REFUSED, 1,
                "credentials");
}

static void a_huge_answer_is_cut_off(void **state)
{
    (void)state;
    struct scene scene;
    const char *json;
    size_t size;
    const struct answer answers[] = {
        {.status = 200, .body = SOUND, .padding = REGISTRY_ANSWER_MOST - strlen(SOUND)},
        {.status = 200, .body = SOUND, .padding = REGISTRY_ANSWER_MOST - strlen(SOUND) + 1}};
    scene_start(&scene, answers);
    assert_int_equal(find(&scene, &json, &size), SCHEMA_LOOKUP_FOUND);
    assert_int_equal(find(&scene, &json, &size), SCHEMA_LOOKUP_AWAY);
    expect_sentence(&scene, "longer than");
    assert_int_equal(atomic_load(&scene.fake.requests), 2);
    scene_end(&scene);
}

static void a_passing_failure_is_tried_again(void **state)
{
    (void)state;
    struct scene scene;
    const char *json;
    size_t size;
    const struct answer answers[] = {
        {.status = 503, .body = ""}, {.status = 0, .body = ""}, {.status = 200, .body = SOUND}};
    scene_start(&scene, answers);
    assert_int_equal(find(&scene, &json, &size), SCHEMA_LOOKUP_FOUND);
    assert_int_equal(atomic_load(&scene.fake.requests), 3);
    scene_end(&scene);
}

static void tries_are_bounded(void **state)
{
    (void)state;
    expect_away((struct answer){.status = 503, .body = ""}, ERROR_REGISTRY, REGISTRY_TRIES_MOST, "status 503");
    expect_away((struct answer){.status = 429, .body = ""}, ERROR_REGISTRY, REGISTRY_TRIES_MOST, "status 429");
    expect_away((struct answer){.status = 0, .body = ""}, ERROR_REGISTRY, REGISTRY_TRIES_MOST, "127.0.0.1");
}

static void a_silent_registry_is_given_up(void **state)
{
    (void)state;
    struct scene scene;
    const char *json;
    size_t size;
    const struct answer answers[] = {{.status = -1, .body = ""}};
    scene_start_with(&scene, answers, 1, "", (struct registry_options){.timeout_ms = 100}, NULL);
    assert_int_equal(find(&scene, &json, &size), SCHEMA_LOOKUP_AWAY);
    assert_int_equal(scene.error.code, ERROR_REGISTRY);
    assert_int_equal(atomic_load(&scene.fake.requests), REGISTRY_TRIES_MOST);
    scene_end(&scene);
}

static bool was_stopped(void *context)
{
    struct scene *scene = context;
    return atomic_load(&scene->stop);
}

static void *stop_once_asked(void *context)
{
    struct scene *scene = context;
    while (atomic_load(&scene->fake.requests) == 0)
        usleep(1000);
    atomic_store(&scene->stop, true);
    return NULL;
}

static void stopping_ends_what_is_being_asked(void **state)
{
    (void)state;
    struct scene scene = {0};
    const char *json;
    size_t size;
    pthread_t thread;
    const struct answer answers[] = {{.status = -1, .body = ""}};
    scene_start_with(&scene, answers, 1, "", (struct registry_options){.timeout_ms = 60000}, was_stopped);
    pthread_create(&thread, NULL, stop_once_asked, &scene);
    int64_t begun = clock_monotonic_ms();
    assert_int_equal(find(&scene, &json, &size), SCHEMA_LOOKUP_AWAY);
    assert_int_equal(scene.error.code, ERROR_INTERRUPTED);
    assert_true(clock_monotonic_ms() - begun < 30000);
    pthread_join(thread, NULL);
    scene_end(&scene);
}

static void credentials_are_sent_and_never_shown(void **state)
{
    (void)state;
    struct scene scene;
    const char *json;
    size_t size;
    const struct answer answers[] = {{.status = 401, .body = ""}};
    scene_start_with(&scene, answers, 1, "citizen:p%40ss@", (struct registry_options){0}, NULL);
    assert_int_equal(find(&scene, &json, &size), SCHEMA_LOOKUP_AWAY);
    expect_request(&scene, "Authorization: Basic Y2l0aXplbjpwQHNz\r\n"); /* citizen:p@ss */
    assert_null(strstr(scene.error.text, "citizen"));
    assert_null(strstr(scene.error.text, "p@ss"));
    assert_null(strstr(scene.error.text, "p%40ss"));
    scene_end(&scene);
    scene_start_with(&scene, answers, 1, "", (struct registry_options){.credentials = "citizen:p@ss:"}, NULL);
    find(&scene, &json, &size);
    expect_request(&scene, "Authorization: Basic Y2l0aXplbjpwQHNzOg==\r\n");
    scene_end(&scene);
    scene_start_with(&scene, answers, 1, "", (struct registry_options){.token = "abc.def"}, NULL);
    find(&scene, &json, &size);
    expect_request(&scene, "Authorization: Bearer abc.def\r\n");
    scene_end(&scene);
}

static void expect_config_error(struct registry_options options, const char *sentence)
{
    struct registry *registry = NULL;
    struct error error = {0};
    assert_int_equal(registry_new(&options, NULL, NULL, &registry, &error), -ERROR_CONFIG);
    assert_null(registry);
    if (!strstr(error.text, sentence))
        fail_msg("\"%s\" is not in: %s", sentence, error.text);
}

static void wrong_settings_are_refused(void **state)
{
    (void)state;
    expect_config_error((struct registry_options){.url = "ftp://host/"}, "neither http nor https");
    expect_config_error((struct registry_options){.url = "host:8081"}, "allowed:");
    expect_config_error((struct registry_options){.url = ""}, "allowed:");
    expect_config_error((struct registry_options){.url = "http://"}, "allowed:");
    expect_config_error((struct registry_options){.url = "http://host/?a=b"}, "query");
    expect_config_error((struct registry_options){.url = "http://u:p@host/", .token = "t"}, "more than one way");
    expect_config_error((struct registry_options){.url = "http://host/", .token = "t", .credentials = "u:p"},
                        "more than one");
    expect_config_error((struct registry_options){.url = "http://host/", .credentials = "nobody"}, "USER:PASSWORD");
    expect_config_error((struct registry_options){.url = "http://host/", .token = "a\r\nEvil: b"}, "character");
    expect_config_error((struct registry_options){.url = "https://host/", .ca_file = "/nowhere/at/all"},
                        "/nowhere/at/all");
}

static void a_schema_is_registered_once_and_looked_up_afterwards(void **state)
{
    (void)state;
    struct scene scene;
    int64_t id = -5;
    const struct answer unknown[] = {{.status = 404, .body = "{\"error_code\":40401,\"message\":\"no subject\"}"},
                                     {.status = 404, .body = "{\"error_code\":40401,\"message\":\"no subject\"}"},
                                     {.status = 200, .body = "{\"id\":12}"}};
    scene_start(&scene, unknown);
    assert_int_equal(registry_settle(scene.registry, "haiphong", RECORD_PAGE_VISIT, true, &id, &scene.error), 0);
    assert_int_equal(id, 12);
    expect_request(&scene, "POST /base/subjects/haiphong.page-visits-value/versions HTTP/1.1\r\n");
    expect_request(&scene, "{\"schema\":\"{");
    assert_int_equal(atomic_load(&scene.fake.requests), 3);
    scene_end(&scene);
    const struct answer known[] = {{.status = 200, .body = "{\"id\":12,\"version\":1}"}};
    scene_start(&scene, known);
    assert_int_equal(registry_settle(scene.registry, "haiphong", RECORD_DEAD_LETTER, false, &id, &scene.error), 0);
    expect_request(&scene, "POST /base/subjects/haiphong.dead-letters-value HTTP/1.1\r\n");
    assert_int_equal(atomic_load(&scene.fake.requests), 1);
    scene_end(&scene);
}

static void an_incompatible_schema_is_refused_with_the_registrys_words(void **state)
{
    (void)state;
    struct scene scene;
    int64_t id = -5;
    const struct answer answers[] = {
        {.status = 404, .body = "{\"error_code\":40403,\"message\":\"not there\"}"},
        {.status = 200, .body = "{\"is_compatible\":false,\"messages\":[\"the field delta is gone\"]}"}};
    scene_start(&scene, answers);
    assert_int_equal(registry_settle(scene.registry, "haiphong", RECORD_HEADCOUNT_CHANGE, true, &id, &scene.error),
                     -ERROR_REFUSED);
    assert_int_equal(id, -5);
    expect_sentence(&scene, "the field delta is gone");
    expect_request(&scene,
                   "POST /base/compatibility/subjects/haiphong.headcount-changes-value/versions/latest?verbose=true");
    scene_end(&scene);
    const struct answer late[] = {{.status = 404, .body = "{\"error_code\":40403,\"message\":\"not there\"}"},
                                  {.status = 200, .body = "{\"is_compatible\":true}"},
                                  {.status = 409, .body = "{\"error_code\":409,\"message\":\"somebody was quicker\"}"}};
    scene_start(&scene, late);
    assert_int_equal(registry_settle(scene.registry, "haiphong", RECORD_HEADCOUNT_CHANGE, true, &id, &scene.error),
                     -ERROR_REFUSED);
    expect_sentence(&scene, "somebody was quicker");
    scene_end(&scene);
}

static void a_missing_schema_is_not_registered_unasked(void **state)
{
    (void)state;
    struct scene scene;
    int64_t id = -5;
    const struct answer answers[] = {{.status = 404, .body = "{\"error_code\":40403,\"message\":\"not there\"}"},
                                     {.status = 200, .body = "{\"is_compatible\":true}"}};
    scene_start(&scene, answers);
    assert_int_equal(registry_settle(scene.registry, "haiphong", RECORD_HEADCOUNT_CHANGE, false, &id, &scene.error),
                     -ERROR_REFUSED);
    expect_sentence(&scene, "schemas register");
    assert_int_equal(atomic_load(&scene.fake.requests), 2);
    scene_end(&scene);
}

static void an_id_beyond_32_bits_is_no_id(void **state)
{
    (void)state;
    struct scene scene;
    int64_t id = -5;
    const struct answer answers[] = {{.status = 200, .body = "{\"id\":4294967296}"},
                                     {.status = 200, .body = "{\"id\":\"1\"}"},
                                     {.status = 200, .body = "{\"id\":-1}"}};
    scene_start(&scene, answers);
    for (int i = 0; i < 3; i++)
        assert_int_equal(registry_lookup(scene.registry, "s", "\"long\"", &id, &scene.error), -ERROR_REGISTRY);
    assert_int_equal(id, -5);
    scene_end(&scene);
}

static void the_level_is_read_and_set(void **state)
{
    (void)state;
    struct scene scene;
    const char *level = NULL;
    const struct answer answers[] = {{.status = 404, .body = "{\"error_code\":40408,\"message\":\"none\"}"},
                                     {.status = 200, .body = "{\"compatibilityLevel\":\"BACKWARD\"}"},
                                     {.status = 200, .body = "{\"compatibility\":\"FULL_TRANSITIVE\"}"}};
    scene_start(&scene, answers);
    assert_int_equal(registry_level(scene.registry, "s", &level, &scene.error), 0);
    assert_string_equal(level, "BACKWARD");
    assert_int_equal(registry_set_level(scene.registry, "s", "FULL_TRANSITIVE", &scene.error), 0);
    expect_request(&scene, "PUT /base/config/s HTTP/1.1\r\n");
    expect_request(&scene, "{\"compatibility\":\"FULL_TRANSITIVE\"}");
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_found),
        cmocka_unit_test(only_the_registrys_own_404_means_unknown),
        cmocka_unit_test(garbage_is_no_answer),
        cmocka_unit_test(a_redirect_is_not_followed),
        cmocka_unit_test(wrong_credentials_are_not_tried_again),
        cmocka_unit_test(a_huge_answer_is_cut_off),
        cmocka_unit_test(a_passing_failure_is_tried_again),
        cmocka_unit_test(tries_are_bounded),
        cmocka_unit_test(a_silent_registry_is_given_up),
        cmocka_unit_test(stopping_ends_what_is_being_asked),
        cmocka_unit_test(credentials_are_sent_and_never_shown),
        cmocka_unit_test(wrong_settings_are_refused),
        cmocka_unit_test(a_schema_is_registered_once_and_looked_up_afterwards),
        cmocka_unit_test(an_incompatible_schema_is_refused_with_the_registrys_words),
        cmocka_unit_test(a_missing_schema_is_not_registered_unasked),
        cmocka_unit_test(an_id_beyond_32_bits_is_no_id),
        cmocka_unit_test(the_level_is_read_and_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
