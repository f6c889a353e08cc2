/* A schema registry over HTTP, as Confluent's REST interface has it (Confluent, Apicurio's /apis/ccompat/v7, Redpanda,
 * Karapace): schemas by id, subjects by topic, compatibility. Blocking, for one thread; every answer, time and number
 * of tries is bounded. Sentences name the registry without its credentials. */
#ifndef CITYTOTALS_SCHEMAS_REGISTRY_H
#define CITYTOTALS_SCHEMAS_REGISTRY_H

#include "base/settings.h"
#include "schemas/codec.h"

#define REGISTRY_ANSWER_MOST    (4 * SCHEMA_TEXT_MOST) /* bytes of an answer's body: JSON's escapes make a text longer */
#define REGISTRY_TRIES_MOST     3                      /* of a request that met no answer, or an answer of 429 or 5xx */
#define REGISTRY_PAUSE_FIRST_MS 100                    /* before the second try; doubles */
#define REGISTRY_SUBJECT_SIZE   128

struct registry_options {
    const char *url;            /* http(s)://[user:password@]host[:port][/path]; percent-encoded parts */
    const char *credentials;    /* user:password, for basic authentication; NULL = none */
    const char *token;          /* bearer; NULL = none. At most one of the three ways */
    const char *ca_file;        /* PEM; NULL = the system's */
    int64_t timeout_ms;         /* of one try; 0 = 5 s */
    int64_t connect_timeout_ms; /* 0 = 2 s */
};

/* The rows of a command's settings table; `field` is a struct registry_options in the command's options struct. */
#define REGISTRY_SETTINGS(type, field)                                                                                 \
    {.name = "schema-registry",                                                                                        \
     .kind = SETTING_TEXT,                                                                                             \
     .offset = offsetof(type, field.url),                                                                              \
     .placeholder = "URL",                                                                                             \
     .secret = true,                                                                                                   \
     .help =                                                                                                           \
         "Schema registry (Confluent's REST interface), http(s)://[user:password@]host[:port][/path]; with it values " \
         "carry Confluent framing."},                                                                                  \
        {.name = "schema-registry-credentials",                                                                        \
         .kind = SETTING_TEXT,                                                                                         \
         .offset = offsetof(type, field.credentials),                                                                  \
         .placeholder = "USER:PASSWORD",                                                                               \
         .secret = true,                                                                                               \
         .help = "Basic authentication at the schema registry."},                                                      \
        {.name = "schema-registry-token",                                                                              \
         .kind = SETTING_TEXT,                                                                                         \
         .offset = offsetof(type, field.token),                                                                        \
         .placeholder = "TOKEN",                                                                                       \
         .secret = true,                                                                                               \
         .help = "Bearer token for the schema registry."},                                                             \
        {.name = "schema-registry-ca",                                                                                 \
         .kind = SETTING_TEXT,                                                                                         \
         .offset = offsetof(type, field.ca_file),                                                                      \
         .placeholder = "FILE",                                                                                        \
         .help = "PEM file of the authority that signed the schema registry's certificate; default: the system's."},   \
    {                                                                                                                  \
        .name = "schema-registry-timeout", .kind = SETTING_DURATION, .offset = offsetof(type, field.timeout_ms),       \
        .placeholder = "TIME", .default_text = "5s", .least = 100, .most = 60000,                                      \
        .help = "Longest that one try of a request to the schema registry may take; there are three."                  \
    }

struct registry;

/* Once it says true, whatever is being asked ends within a second. Called by the thread that asks. */
typedef bool (*registry_stopped_fn)(void *context);

/* Makes a client; asks nothing yet. `stopped` may be NULL. ERROR_CONFIG: the URL, or more than one way to authenticate.
 * The texts are copied. */
int registry_new(const struct registry_options *options, registry_stopped_fn stopped, void *context,
                 struct registry **ret_registry, struct error *error);
struct registry *registry_free(struct registry *registry);

/* The schema of an id. FOUND: *ret_json (not terminated, at most REGISTRY_ANSWER_MOST) is the registry's text, valid
 * until the next call. UNKNOWN: the registry itself says that it has no such id (404 and its code 40403). AWAY:
 * anything else, and `error` says what: ERROR_REGISTRY to try later, ERROR_REFUSED when somebody has to change
 * something first. */
enum schema_lookup registry_find(struct registry *registry, uint32_t schema_id, const char **ret_json, size_t *ret_size,
                                 struct error *error);

/* The subject of a topic's values: "<topic>-value". */
char *registry_subject(char subject[REGISTRY_SUBJECT_SIZE], const char *city, enum record_type type);

/* Is the text one of the subject's versions? *ret_id = its id, or -1. */
int registry_lookup(struct registry *registry, const char *subject, const char *json, int64_t *ret_id,
                    struct error *error);
/* Make it one (which it may be already). ERROR_REFUSED: incompatible, or not allowed. */
int registry_register(struct registry *registry, const char *subject, const char *json, int64_t *ret_id,
                      struct error *error);
/* May it become one, by the subject's compatibility level? A subject without versions takes anything.
 * *ret_why: what the registry objects to, "" where it does not say; valid until the next call. */
int registry_check(struct registry *registry, const char *subject, const char *json, bool *ret_compatible,
                   const char **ret_why, struct error *error);
/* The level in force for the subject, "FULL_TRANSITIVE"; valid until the next call. */
int registry_level(struct registry *registry, const char *subject, const char **ret_level, struct error *error);
int registry_set_level(struct registry *registry, const char *subject, const char *level, struct error *error);

/* The id of our schema of `type` for the city's topic, checked on the way: looked up, and registered where it is
 * missing and `may_register`. ERROR_REFUSED: the registry says that it is incompatible, or it is missing. */
int registry_settle(struct registry *registry, const char *city, enum record_type type, bool may_register,
                    int64_t *ret_id, struct error *error);

#endif
