/* A blocking Redis connection over hiredis: URL, checks of the server, commands, functions. */
#include "base/redis.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/redis_tls.h"
#include "base/redis_url.h"

enum { REDIRECTS_MOST = 8, REDIRECT_PAUSE_MS = 50 };
#define STRING_MOST (512LL * 1024 * 1024)

struct redis {
    redisContext *context;
    volatile int *socket; /* the caller's; may be NULL */
    struct redis_place place;
    struct redis_node node; /* it is connected to this one */
    struct ssl_st *ssl;     /* the context's; NULL without TLS */
};

/* What the place says, its files apart. */
static int read_place(const struct redis_place *place, struct redis_url *ret_url, struct error *error)
{
    struct redis_url url = {0};
    int result = redis_url_parse(place->url, &url, error);
    if (result < 0)
        return result;
    if (!place->cert != !place->key)
        return error_set(error, ERROR_CONFIG, "redis-%s is set, and redis-%s is not; allowed: both or neither", place->cert ? "cert" : "key",
                         place->cert ? "key" : "cert");
    if (!url.tls && (place->ca || place->cert))
        return error_set(error, ERROR_CONFIG, "redis-%s is set, and the redis URL is one without TLS; allowed: rediss://, rediss+cluster://",
                         place->ca ? "ca" : "cert");
    if (url.tls && !redis_tls_is_there())
        return error_set(error, ERROR_CONFIG, "redis URL: this build has no TLS for Redis (hiredis 1.0 or newer has it)");
    *ret_url = url;
    return 0;
}

int redis_place_check(const struct redis_place *place, struct error *error)
{
    struct redis_url url = {0};
    int result = read_place(place, &url, error);
    return result >= 0 && url.tls ? redis_tls_check(place, error) : result;
}

struct redis *redis_free(struct redis *redis)
{
    if (!redis)
        return NULL;
    if (redis->socket)
        *redis->socket = -1;
    if (redis->context)
        redisFree(redis->context);
    free(redis);
    return NULL;
}

redisContext *redis_context(struct redis *redis)
{
    return redis->context;
}

static int reply_error(const char *text, struct error *error)
{
    static const char *const passing[] = {"LOADING",     "BUSY",       "MASTERDOWN", "OOM",   "READONLY",
                                          "CLUSTERDOWN", "NOREPLICAS", "TRYAGAIN",   "MOVED", "ASK"};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (strncmp(text, passing[i], strlen(passing[i])) == 0)
            return error_set_class(error, ERROR_REDIS, ERROR_CLASS_RETRY, "redis: %s", text);
    if (strncmp(text, "NOPERM", 6) == 0)
        return error_set(error, ERROR_REFUSED, "redis refuses: %s; name a user that may in the redis URL", text);
    if (strncmp(text, "WRONGPASS", 9) == 0 || strncmp(text, "NOAUTH", 6) == 0 ||
        strstr(text, "without any password") || strstr(text, "invalid password"))
        return error_set(error, ERROR_REFUSED, "redis refuses: %s; give user and password in the redis URL", text);
    return error_set_class(error, ERROR_REDIS, ERROR_CLASS_FATAL, "redis: %s", text);
}

static int context_error(struct redis *redis, struct error *error)
{
    const char *text = redis->context->errstr;
    int error_number = errno;
    char why[256];
    if (redis->ssl && (redis->context->err == REDIS_ERR_IO || redis->context->err == REDIS_ERR_EOF) && redis_tls_broke(redis->ssl, &redis->place, why, sizeof why))
        return error_set(error, ERROR_REDIS, "TLS with redis at %s:%d: %s", redis->node.host, redis->node.port, why);
    if (redis->context->err == REDIS_ERR_IO && error_number == EAGAIN)
        return error_set(error, ERROR_REDIS, "redis: no answer in time");
    return error_set(error, ERROR_REDIS, "redis: %s", redis->context->err && *text ? text : "the connection is gone");
}

int redis_receive(struct redis *redis, redisReply **ret_reply, struct error *error)
{
    void *got = NULL;
    if (redisGetReply(redis->context, &got) != REDIS_OK || !got)
        return context_error(redis, error);
    redisReply *reply = got;
    if (reply->type == REDIS_REPLY_ERROR) {
        int result = reply_error(reply->str, error);
        freeReplyObject(reply);
        return result;
    }
    *ret_reply = reply;
    return 0;
}

int redis_send(struct redis *redis, int argc, const char *const *argv, const size_t *argv_sizes, struct error *error)
{
    int done = 0;
    if (redisAppendCommandArgv(redis->context, argc, (const char **)(uintptr_t)argv, argv_sizes) != REDIS_OK)
        return context_error(redis, error);
    while (!done)
        if (redisBufferWrite(redis->context, &done) != REDIS_OK)
            return context_error(redis, error);
    return 0;
}

int redis_call(struct redis *redis, int argc, const char *const *argv, const size_t *argv_sizes, redisReply **ret_reply,
               struct error *error)
{
    int result = redis_send(redis, argc, argv, argv_sizes, error);
    return result < 0 ? result : redis_receive(redis, ret_reply, error);
}

int redis_callf(struct redis *redis, redisReply **ret_reply, struct error *error, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int result = redisvAppendCommand(redis->context, format, list);
    va_end(list);
    return result != REDIS_OK ? context_error(redis, error) : redis_receive(redis, ret_reply, error);
}

static struct timeval time_of(int64_t ms, int64_t otherwise)
{
    if (ms <= 0)
        ms = otherwise;
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static int log_in(struct redis *redis, const struct redis_url *url, struct error *error)
{
    redisReply *reply = NULL;
    int result = 0;
    if (*url->user || *url->password) {
        result = *url->user ? redis_callf(redis, &reply, error, "AUTH %s %s", url->user, url->password)
                            : redis_callf(redis, &reply, error, "AUTH %s", url->password);
        if (result >= 0)
            freeReplyObject(reply);
    }
    if (result >= 0 && url->database) {
        result = redis_callf(redis, &reply, error, "SELECT %d", url->database);
        if (result >= 0)
            freeReplyObject(reply);
    }
    return result;
}

static int open_context(struct redis *redis, const struct redis_url *url, const struct redis_options *options, struct error *error)
{
    const struct redis_node *node = &redis->node;
    struct timeval connect_time = time_of(options->connect_timeout_ms, 5000);
    redis->context = redisConnectWithTimeout(node->host, node->port, connect_time);
    if (!redis->context || redis->context->err)
        return error_set(error, ERROR_REDIS, "connect to redis at %s:%d: %s", node->host, node->port,
                         redis->context ? redis->context->errstr : "out of memory");
    redis->socket = options->socket;
    if (redis->socket)
        *redis->socket = redis->context->fd;
    redisEnableKeepAlive(redis->context);
    redisSetTimeout(redis->context, connect_time);
    int result = url->tls ? redis_tls_start(redis->context, &redis->place, node, &redis->ssl, error) : 0;
    if (result < 0)
        return result;
    redisSetTimeout(redis->context, time_of(options->command_timeout_ms, 30000));
    return log_in(redis, url, error);
}

/* "name:value" of an INFO answer. */
static void info_value(const char *info, const char *name, char *value, size_t size)
{
    size_t length = strlen(name);
    *value = '\0';
    for (const char *line = info; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            snprintf(value, size, "%.*s", (int)strcspn(line + length + 1, "\r\n"), line + length + 1);
            return;
        }
        if (*line == '\0')
            return;
    }
}

/* Strings that may not grow to Redis's own bound would stop a script in its middle. Who may not ask goes on. */
static int check_string_bound(struct redis *redis, struct error *error)
{
    redisReply *reply = redisCommand(redis->context, "CONFIG GET proto-max-bulk-len");
    if (!reply)
        return context_error(redis, error);
    int result = 0;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->type == REDIS_REPLY_STRING &&
        strtoll(reply->element[1]->str, NULL, 10) < STRING_MOST)
        result = error_set(error, ERROR_REFUSED, "redis has proto-max-bulk-len %s; allowed: %lld or more, its default",
                           reply->element[1]->str, STRING_MOST);
    freeReplyObject(reply);
    return result;
}

static int check_server(struct redis *redis, const struct redis_options *options, struct error *error)
{
    redisReply *reply = NULL;
    struct error local = {0};
    if (!error)
        error = &local;
    int result = redis_callf(redis, &reply, error, "INFO");
    if (result < 0 && !options->writer && strstr(error->text, "NOPERM"))
        return 0; /* a user that may only read a city: what it calls tells whether the server is fit */
    if (result < 0)
        return result;
    char version[64] = "", role[64] = "", loading[16] = "", policy[64] = "";
    if (reply->type == REDIS_REPLY_STRING) {
        info_value(reply->str, "redis_version", version, sizeof version);
        info_value(reply->str, "role", role, sizeof role);
        info_value(reply->str, "loading", loading, sizeof loading);
        info_value(reply->str, "maxmemory_policy", policy, sizeof policy);
    }
    freeReplyObject(reply);
    if (strtol(version, NULL, 10) < 7)
        return error_set(error, ERROR_REFUSED, "redis is version \"%s\"; allowed: 7.0 or newer (Functions)", version);
    if (strcmp(loading, "1") == 0)
        return error_set(error, ERROR_REDIS, "redis is loading its data");
    if (options->writer && strcmp(role, "master") != 0)
        return error_set(error, ERROR_REFUSED, "redis is a replica (role \"%s\"); allowed: the master, which can be written to",
                         role);
    if (options->writer && strcmp(policy, "noeviction") != 0)
        return error_set(error, ERROR_REFUSED,
                         "redis has maxmemory-policy \"%s\", which would throw totals away; allowed: noeviction (CONFIG SET "
                         "maxmemory-policy noeviction, and in redis.conf)",
                         policy);
    return options->writer ? check_string_bound(redis, error) : 0;
}

/* In a cluster: ask for the route key; MOVED names the node that has its slot. 1 when moved. */
static int follow_slot(struct redis *redis, const struct redis_options *options, struct redis_node *node, struct error *error)
{
    redisReply *reply = redisCommand(redis->context, "EXISTS %s", options->route_key);
    if (!reply)
        return context_error(redis, error);
    int result = 0;
    char host[REDIS_HOST_MOST];
    int slot, port;
    if (reply->type == REDIS_REPLY_ERROR && sscanf(reply->str, "MOVED %d %255[^ \r\n]", &slot, host) == 2) {
        char *colon = strrchr(host, ':');
        if (colon && redis_number_parse(colon + 1, 65535, &port)) {
            *colon = '\0';
            if (*host && strcmp(host, "?") != 0) /* else the same, for it does not know its name */
                snprintf(node->host, sizeof node->host, "%s", host);
            node->port = port;
            result = 1;
        }
    } else if (reply->type == REDIS_REPLY_ERROR) {
        result = reply_error(reply->str, error);
    }
    freeReplyObject(reply);
    return result;
}

/* To a node, and where it sends us. While nodes learn of a new master they send us round in a circle, or name it without its host, for a
 * moment: from the second time on we come later, after 50, 100 … 1600 ms. */
static int connect_from(const struct redis_options *options, const struct redis_url *url, struct redis_node node, struct redis **ret_redis,
                        struct error *error)
{
    int result = 1;
    for (int i = 0; result > 0 && i < REDIRECTS_MOST; i++) {
        struct redis *redis = calloc(1, sizeof *redis);
        if (!redis)
            return error_set(error, ERROR_MEMORY, "out of memory");
        if (i > 1) {
            long pause_ms = REDIRECT_PAUSE_MS << (i - 2);
            nanosleep(&(struct timespec){.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000L}, NULL);
        }
        redis->place = options->place;
        redis->node = node;
        result = open_context(redis, url, options, error);
        if (result >= 0 && url->cluster && options->route_key)
            result = follow_slot(redis, options, &node, error);
        if (result == 0)
            result = check_server(redis, options, error);
        if (result == 0)
            *ret_redis = redis;
        else
            redis_free(redis);
    }
    return result > 0 ? error_set(error, ERROR_REDIS, "redis cluster: too many redirections") : result;
}

int redis_connect(const struct redis_options *options, struct redis **ret_redis, struct error *error)
{
    struct redis_url url = {0};
    struct error local = {0};
    if (!error)
        error = &local;
    int result = read_place(&options->place, &url, error);
    if (result < 0)
        return result;
    for (int i = 0; i < url.node_count; i++) {
        result = connect_from(options, &url, url.nodes[i], ret_redis, error);
        if (result >= 0 || error->class != ERROR_CLASS_RETRY)
            break;
    }
    return result;
}

struct slice redis_reply_text(const redisReply *reply)
{
    if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS))
        return (struct slice){0};
    return (struct slice){reply->str, reply->len};
}

bool redis_reply_is(const redisReply *reply, const char *text)
{
    return slice_equal(redis_reply_text(reply), slice_of(text));
}

int redis_function_ensure(struct redis *redis, const char *name, const char *code, struct error *error)
{
    redisReply *reply = NULL;
    int result = redis_callf(redis, &reply, error, "FUNCTION LIST LIBRARYNAME %s", name);
    if (result < 0)
        return error_wrap(error, "look for the Functions %s", name);
    bool there = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0;
    freeReplyObject(reply);
    if (there)
        return 0;
    reply = redisCommand(redis->context, "FUNCTION LOAD %s", code);
    if (!reply)
        return context_error(redis, error);
    /* Two that start at once: the one that comes second finds it loaded. */
    if (reply->type == REDIS_REPLY_ERROR && !strstr(reply->str, "already exists")) {
        result = reply_error(reply->str, error);
        error_wrap(error, "load the Functions %s", name);
    }
    freeReplyObject(reply);
    return result;
}
