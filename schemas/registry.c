/* The schema registry's operations: what is asked of it and what its answers mean. */
#include "schemas/registry.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/registry_internal.h"

/* The registry's own codes in the answers of status 404. */
enum { SUBJECT_NOT_FOUND = 40401, VERSION_NOT_FOUND = 40402, SCHEMA_NOT_FOUND = 40403, LEVEL_NOT_FOUND = 40408 };

struct registry {
    struct http *http;
    json_t *answer; /* the latest, an object; what was handed out points into it */
};

int registry_new(const struct registry_options *options, registry_stopped_fn stopped, void *context,
                 struct registry **ret_registry, struct error *error)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return error_set(error, ERROR_MEMORY, "out of memory");
    int result = http_new(options, stopped, context, &registry->http, error);
    if (result < 0) {
        free(registry);
        return result;
    }
    *ret_registry = registry;
    return 0;
}

struct registry *registry_free(struct registry *registry)
{
    if (!registry)
        return NULL;
    json_decref(registry->answer);
    http_free(registry->http);
    free(registry);
    return NULL;
}

/* What the registry says about a refusal; "" where it says nothing. */
static const char *message(const struct registry *registry)
{
    const char *text = json_string_value(json_object_get(registry->answer, "message"));
    return text ? text : "";
}

static json_int_t error_code(const struct registry *registry)
{
    return json_integer_value(json_object_get(registry->answer, "error_code"));
}

/* Ask, and understand the answer as a JSON object: *ret_status is 200 or a 4xx with the registry's own sentence. */
static int ask(struct registry *registry, const char *method, const char *path, const char *body, long *ret_status,
               struct error *error)
{
    struct slice answer;
    json_error_t problem;
    long status = 0;
    json_decref(registry->answer);
    registry->answer = NULL;
    int result = http_ask(registry->http, method, path, body, &status, &answer, error);
    if (result < 0)
        return result;
    const char *shown = http_shown(registry->http);
    registry->answer = json_loadb(answer.data, answer.size, JSON_REJECT_DUPLICATES, &problem);
    if (status == 401 || status == 403)
        return error_set(
            error, ERROR_REFUSED,
            "schema registry %s: HTTP status %ld: it does not take the credentials, or they don't allow this; "
            "see --schema-registry-credentials and --schema-registry-token",
            shown, status);
    if (status >= 300 && status < 400)
        return error_set(error, ERROR_REFUSED,
                         "schema registry %s: HTTP status %ld, a redirect, which is not followed; give the final URL",
                         shown, status);
    if (!registry->answer)
        return error_set(error, ERROR_REGISTRY,
                         "schema registry %s: HTTP status %ld and an answer that is not JSON (%s)", shown, status,
                         problem.text);
    if (!json_is_object(registry->answer) || (status != 200 && (status < 400 || error_code(registry) == 0)))
        return error_set(error, ERROR_REGISTRY,
                         "schema registry %s: HTTP status %ld and an answer that no schema registry gives: is the URL "
                         "right, with its path?",
                         shown, status);
    *ret_status = status;
    return 0;
}

static int refused(const struct registry *registry, long status, const char *what, struct error *error)
{
    return error_set(error, ERROR_REFUSED, "schema registry %s: %s: HTTP status %ld: %s", http_shown(registry->http),
                     what, status, message(registry));
}

static int unexpected(const struct registry *registry, const char *what, struct error *error)
{
    return error_set(error, ERROR_REGISTRY, "schema registry %s: %s: the answer lacks what was asked for",
                     http_shown(registry->http), what);
}

enum schema_lookup registry_find(struct registry *registry, uint32_t schema_id, const char **ret_json, size_t *ret_size,
                                 struct error *error)
{
    char path[64];
    long status;
    snprintf(path, sizeof path, "/schemas/ids/%" PRIu32, schema_id);
    if (ask(registry, "GET", path, NULL, &status, error) < 0)
        return SCHEMA_LOOKUP_AWAY;
    if (status == 404 && error_code(registry) == SCHEMA_NOT_FOUND)
        return SCHEMA_LOOKUP_UNKNOWN;
    if (status != 200) {
        refused(registry, status, path, error);
        return SCHEMA_LOOKUP_AWAY;
    }
    const json_t *schema = json_object_get(registry->answer, "schema");
    if (!json_is_string(schema)) {
        unexpected(registry, path, error);
        return SCHEMA_LOOKUP_AWAY;
    }
    *ret_json = json_string_value(schema);
    *ret_size = json_string_length(schema);
    return SCHEMA_LOOKUP_FOUND;
}

char *registry_subject(char subject[REGISTRY_SUBJECT_SIZE], const char *city, enum record_type type)
{
    snprintf(subject, REGISTRY_SUBJECT_SIZE, "%s.%s-value", city,
             type == RECORD_DEAD_LETTER ? "dead-letters" : event_topic_suffix((enum event_type)type));
    return subject;
}

/* Ask about a subject with a schema as the body. The subject is of our own making: [a-z0-9.-]. */
static int ask_with_schema(struct registry *registry, const char *path, const char *json, long *ret_status,
                           struct error *error)
{
    json_t *object = json_pack("{s:s}", "schema", json);
    char *body = object ? json_dumps(object, JSON_COMPACT) : NULL;
    int result = body ? ask(registry, "POST", path, body, ret_status, error)
                      : error_set(error, ERROR_MEMORY, "out of memory for a schema");
    free(body);
    json_decref(object);
    return result;
}

static int take_id(struct registry *registry, const char *what, int64_t *ret_id, struct error *error)
{
    const json_t *id = json_object_get(registry->answer, "id");
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > UINT32_MAX)
        return unexpected(registry, what, error);
    *ret_id = json_integer_value(id);
    return 0;
}

int registry_lookup(struct registry *registry, const char *subject, const char *json, int64_t *ret_id,
                    struct error *error)
{
    char path[REGISTRY_SUBJECT_SIZE + 64];
    long status;
    snprintf(path, sizeof path, "/subjects/%s", subject);
    int result = ask_with_schema(registry, path, json, &status, error);
    if (result < 0)
        return result;
    if (status == 404 && (error_code(registry) == SUBJECT_NOT_FOUND || error_code(registry) == SCHEMA_NOT_FOUND)) {
        *ret_id = -1;
        return 0;
    }
    return status == 200 ? take_id(registry, subject, ret_id, error) : refused(registry, status, subject, error);
}

int registry_register(struct registry *registry, const char *subject, const char *json, int64_t *ret_id,
                      struct error *error)
{
    char path[REGISTRY_SUBJECT_SIZE + 64];
    long status;
    snprintf(path, sizeof path, "/subjects/%s/versions", subject);
    int result = ask_with_schema(registry, path, json, &status, error);
    if (result < 0)
        return result;
    return status == 200 ? take_id(registry, subject, ret_id, error) : refused(registry, status, subject, error);
}

/* The first of the registry's messages. */
static const char *objection(struct registry *registry)
{
    const json_t *messages = json_object_get(registry->answer, "messages");
    const char *text = json_string_value(json_array_get(messages, 0));
    return text ? text : "";
}

int registry_check(struct registry *registry, const char *subject, const char *json, bool *ret_compatible,
                   const char **ret_why, struct error *error)
{
    char path[REGISTRY_SUBJECT_SIZE + 96];
    long status;
    snprintf(path, sizeof path, "/compatibility/subjects/%s/versions/latest?verbose=true", subject);
    int result = ask_with_schema(registry, path, json, &status, error);
    if (result < 0)
        return result;
    if (status == 404 && (error_code(registry) == SUBJECT_NOT_FOUND || error_code(registry) == VERSION_NOT_FOUND)) {
        *ret_compatible = true;
        *ret_why = "";
        return 0;
    }
    if (status != 200)
        return refused(registry, status, subject, error);
    const json_t *compatible = json_object_get(registry->answer, "is_compatible");
    if (!json_is_boolean(compatible))
        return unexpected(registry, subject, error);
    *ret_compatible = json_is_true(compatible);
    *ret_why = objection(registry);
    return 0;
}

int registry_level(struct registry *registry, const char *subject, const char **ret_level, struct error *error)
{
    char path[REGISTRY_SUBJECT_SIZE + 64];
    long status;
    snprintf(path, sizeof path, "/config/%s?defaultToGlobal=true", subject);
    int result = ask(registry, "GET", path, NULL, &status, error);
    if (result >= 0 && status == 404 &&
        (error_code(registry) == SUBJECT_NOT_FOUND || error_code(registry) == LEVEL_NOT_FOUND))
        result = ask(registry, "GET", "/config", NULL, &status, error); /* one that does not know defaultToGlobal */
    if (result < 0)
        return result;
    if (status != 200)
        return refused(registry, status, path, error);
    const char *level = json_string_value(json_object_get(registry->answer, "compatibilityLevel"));
    if (!level)
        return unexpected(registry, path, error);
    *ret_level = level;
    return 0;
}

int registry_set_level(struct registry *registry, const char *subject, const char *level, struct error *error)
{
    char path[REGISTRY_SUBJECT_SIZE + 64], body[128];
    long status;
    snprintf(path, sizeof path, "/config/%s", subject);
    snprintf(body, sizeof body, "{\"compatibility\":\"%s\"}", level);
    int result = ask(registry, "PUT", path, body, &status, error);
    if (result < 0)
        return result;
    return status == 200 ? 0 : refused(registry, status, path, error);
}

int registry_settle(struct registry *registry, const char *city, enum record_type type, bool may_register,
                    int64_t *ret_id, struct error *error)
{
    char subject[REGISTRY_SUBJECT_SIZE];
    const char *json = schema_text(type), *why = "";
    int64_t id = -1;
    bool compatible = false;
    registry_subject(subject, city, type);
    int result = registry_lookup(registry, subject, json, &id, error);
    if (result < 0)
        return result;
    if (id < 0) {
        result = registry_check(registry, subject, json, &compatible, &why, error);
        if (result >= 0 && !compatible)
            result = error_set(error, ERROR_REFUSED,
                               "schema registry %s: our schema is not compatible with the latest of subject %s%s%s",
                               http_shown(registry->http), subject, *why ? ": " : "", why);
        else if (result >= 0 && !may_register)
            result =
                error_set(error, ERROR_REFUSED,
                          "schema registry %s: subject %s lacks our schema; `citytotals-producer schemas register` "
                          "registers it",
                          http_shown(registry->http), subject);
        if (result >= 0)
            result = registry_register(registry, subject, json, &id, error);
        if (result < 0)
            return result;
    }
    *ret_id = id;
    return 0;
}
