/* Requests of the HTTP server: what libmicrohttpd calls, routes, answers now or later. */
#include "base/http.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/http_internal.h"

enum {
    SWALLOW_MOST = 2 * 1024 * 1024, /* of a body that is refused already, before the connection is closed on it */
    PARAMETER_COST = 64, /* bytes of a connection's memory that each parameter takes */
    REST_COST = 512,
    PROBLEM_SIZE = 256,
};

struct slice http_parameter(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->parameter_count; i++)
        if (slice_equal(request->parameters[i].name, slice_of(name)))
            return request->parameters[i].value;
    return (struct slice){0};
}

const char *http_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->inner->connection, MHD_HEADER_KIND, name);
}

struct joined {
    const char *name;
    struct buffer *out;
};

static enum MHD_Result join_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct joined *joined = context;
    if (strcasecmp(name, joined->name) != 0)
        return MHD_YES;
    if (joined->out->size)
        buffer_text_append(joined->out, ", ");
    buffer_text_append(joined->out, value ? value : "");
    return MHD_YES;
}

const char *http_header_all(const struct http_request *request, const char *name, struct buffer *out)
{
    struct joined joined = {name, out};
    buffer_reset(out);
    MHD_get_connection_values(request->inner->connection, MHD_HEADER_KIND, join_header, &joined);
    return out->size ? buffer_text(out) : NULL;
}

static void request_unref(struct http_request_inner *inner)
{
    if (atomic_fetch_sub(&inner->references, 1) > 1)
        return;
    buffer_free(&inner->body);
    buffer_free(&inner->stream.head);
    http_response_unref(inner->reply);
    http_response_unref(inner->refusal);
    pthread_mutex_destroy(&inner->lock);
    free(inner);
}

/* Under the server's lock. */
static void unlink_deferred(struct http_request_inner *inner)
{
    if (inner->next_deferred)
        inner->next_deferred->previous_deferred = inner->previous_deferred;
    if (inner->previous_deferred)
        inner->previous_deferred->next_deferred = inner->next_deferred;
    else
        inner->server->deferred = inner->next_deferred;
}

static void set_reply(struct http_request_inner *inner, struct http_response *response)
{
    pthread_mutex_lock(&inner->lock);
    assert(!inner->replied);
    inner->replied = true;
    inner->reply = response;
    /* An answer that its peer does not read takes room as a body does: whoever asks for many is told to come again. */
    inner->answer_size = response ? response->body.size : 0;
    atomic_fetch_add(&inner->server->bodies, inner->answer_size);
    if (inner->suspended) {
        inner->suspended = false;
        MHD_resume_connection(inner->connection);
    }
    pthread_mutex_unlock(&inner->lock);
}

static void give_up(struct http_request_inner *inner)
{
    set_reply(inner, http_response_later(http_problem(MHD_HTTP_SERVICE_UNAVAILABLE, inner->server->options.stopping, NULL, 0), 1));
}

void http_defer(struct http_request *request)
{
    struct http_request_inner *inner = request->inner;
    struct http_server *server = inner->server;
    assert(!inner->deferred && !inner->replied);
    inner->deferred = true;
    atomic_fetch_add(&inner->references, 1);
    atomic_store(&inner->of->patient, true);
    pthread_mutex_lock(&server->lock);
    bool late = server->given_up;
    if (late) {
        atomic_store(&inner->claimed, true);
    } else {
        inner->next_deferred = server->deferred;
        inner->previous_deferred = NULL;
        if (inner->next_deferred)
            inner->next_deferred->previous_deferred = inner;
        server->deferred = inner;
    }
    pthread_mutex_unlock(&server->lock);
    if (late)
        give_up(inner);
}

void http_reply(struct http_request *request, struct http_response *response)
{
    struct http_request_inner *inner = request->inner;
    if (!inner->deferred) {
        set_reply(inner, response);
    } else if (atomic_exchange(&inner->claimed, true)) {
        http_response_unref(response); /* the server stopped and answered it; it may be gone */
        request_unref(inner);
    } else {
        set_reply(inner, response);
        pthread_mutex_lock(&inner->server->lock); /* the server stays while one is on its list */
        unlink_deferred(inner);
        pthread_mutex_unlock(&inner->server->lock);
        request_unref(inner);
    }
}

/* CORS: does this request's Origin get to read the answer? The header's value, or NULL. */
static const char *allowed_origin(const struct http_request_inner *inner)
{
    const struct http_server *server = inner->server;
    if (server->options.origins.count == 0)
        return NULL;
    const char *origin = http_header(&inner->request, "Origin");
    if (!origin)
        return NULL;
    if (server->any_origin)
        return "*";
    for (size_t i = 0; i < server->options.origins.count; i++)
        if (strcmp(server->options.origins.items[i], origin) == 0)
            return origin;
    return NULL;
}

static enum MHD_Result queue(struct http_request_inner *inner, struct http_response *response, bool close)
{
    if (!response)
        return MHD_NO;
    const char *origin = allowed_origin(inner);
    bool vary = inner->server->options.origins.count > 0 && !inner->server->any_origin;
    struct MHD_Response *made = response->made;
    if (response->stream.next && !inner->head) {
        inner->status = response->status;
        inner->answered = true;
        return http_stream_begin(inner, response, origin) ? MHD_YES : MHD_NO;
    }
    close = close || atomic_load_explicit(&inner->server->stopping, memory_order_relaxed);
    if (!made || origin || close || vary)
        made = http_response_again(response);
    if (!made)
        return MHD_NO;
    if (origin)
        MHD_add_response_header(made, "Access-Control-Allow-Origin", origin);
    if (origin)
        MHD_add_response_header(made, "Access-Control-Expose-Headers", "ETag, Last-Modified, Retry-After");
    if (vary)
        MHD_add_response_header(made, "Vary", "Origin");
    if (close)
        MHD_add_response_header(made, "Connection", "close");
    inner->status = response->status;
    inner->answered = true;
    enum MHD_Result result = MHD_queue_response(inner->connection, response->status, made);
    if (made != response->made)
        MHD_destroy_response(made);
    return result;
}

/* Methods that the path has routes for, "GET, HEAD, OPTIONS"; false without any. */
static bool methods_of(struct http_request_inner *inner, char text[METHODS_TEXT_SIZE])
{
    *text = '\0';
    for (const struct http_route *route = inner->server->options.routes; route->pattern; route++)
        if (http_path_match(route->pattern, inner->request.path, inner->room, &inner->request) && !strstr(text, route->method)) {
            strncat(text, route->method, METHODS_TEXT_SIZE - strlen(text) - 1);
            strncat(text, strcmp(route->method, "GET") == 0 ? ", HEAD, " : ", ", METHODS_TEXT_SIZE - strlen(text) - 1);
        }
    if (*text)
        strncat(text, "OPTIONS", METHODS_TEXT_SIZE - strlen(text) - 1);
    return *text != '\0';
}

static struct http_response *answer_options(struct http_request_inner *inner, const char *methods)
{
    const struct http_options *options = &inner->server->options;
    struct http_response *response =
        http_response_header(http_response_new(MHD_HTTP_NO_CONTENT, NULL, "", 0), "Allow", methods);
    if (!http_header(&inner->request, "Access-Control-Request-Method") || !allowed_origin(inner))
        return response;
    response = http_response_header(response, "Access-Control-Allow-Methods", methods);
    if (options->allow_headers)
        response = http_response_header(response, "Access-Control-Allow-Headers", options->allow_headers);
    return http_response_header(response, "Access-Control-Max-Age", "86400");
}

static struct http_response *problem_of(unsigned status, const char *detail)
{
    return http_problem(status, detail, NULL, 0);
}

struct framing {
    size_t lengths, encodings, hosts, length;
    bool chunked, bad;
};

static enum MHD_Result see_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct framing *framing = context;
    if (strcasecmp(name, "Content-Length") == 0) {
        framing->lengths++;
        size_t digits = value ? strspn(value, "0123456789") : 0;
        framing->bad |= digits == 0 || digits > 18 || value[digits];
        framing->length = framing->bad ? 0 : (size_t)strtoull(value, NULL, 10);
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        framing->encodings++;
        framing->chunked = value && strcasecmp(value, "chunked") == 0;
        framing->bad |= !framing->chunked;
    } else if (strcasecmp(name, "Host") == 0) {
        framing->hosts++;
    }
    return MHD_YES;
}

/* Where two readers of one request could see different ends of it, it is refused and the connection closed. */
static bool framing_is_clear(struct http_request_inner *inner, const char *version, struct framing *framing)
{
    MHD_get_connection_values(inner->connection, MHD_HEADER_KIND, see_header, framing);
    inner->expects_body = framing->encodings > 0 || framing->length > 0;
    bool old = strcmp(version, "HTTP/1.1") != 0;
    return !framing->bad && framing->lengths + framing->encodings <= 1 && framing->hosts <= 1 &&
           !(old && framing->encodings > 0);
}

static struct http_response *check_route(struct http_request_inner *inner, const struct framing *framing)
{
    char methods[METHODS_TEXT_SIZE], detail[PROBLEM_SIZE];
    struct http_request *request = &inner->request;
    for (const struct http_route *route = inner->server->options.routes; route->pattern && !inner->route; route++)
        if (strcmp(route->method, request->method) == 0 && http_path_match(route->pattern, request->path, inner->room, request))
            inner->route = route;
    if (!inner->route && !methods_of(inner, methods))
        return problem_of(MHD_HTTP_NOT_FOUND, "there is nothing at this path");
    if (!inner->route && strcmp(request->method, "OPTIONS") == 0)
        return answer_options(inner, methods);
    if (!inner->route) {
        snprintf(detail, sizeof detail, "this path allows %s", methods);
        return http_response_header(problem_of(MHD_HTTP_METHOD_NOT_ALLOWED, detail), "Allow", methods);
    }
    for (size_t i = 0; inner->route->parameters && i < request->parameter_count; i++) {
        const char *const *allowed = inner->route->parameters;
        while (*allowed && !slice_equal(slice_of(*allowed), request->parameters[i].name))
            allowed++;
        if (*allowed)
            continue;
        char name[64], list[PROBLEM_SIZE] = "";
        snprintf(name, sizeof name, "%.*s", (int)(request->parameters[i].name.size > 60 ? 60 : request->parameters[i].name.size),
                 request->parameters[i].name.data);
        for (allowed = inner->route->parameters; *allowed; allowed++)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "", *allowed);
        return http_problem_parameter(name, "this path has no such parameter; allowed: %s", *list ? list : "none");
    }
    if (!inner->expects_body)
        return NULL;
    if (inner->route->body_most == 0 || framing->length > inner->route->body_most) {
        snprintf(detail, sizeof detail, "the body is longer than the %zu bytes that this path takes", inner->route->body_most);
        return problem_of(MHD_HTTP_CONTENT_TOO_LARGE, detail);
    }
    const char *type = http_header(request, "Content-Type");
    const char *const *allowed = inner->route->types;
    while (allowed && *allowed && !(type && http_media_type_is(type, *allowed)))
        allowed++;
    if (allowed && !*allowed)
        return problem_of(MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "the Content-Type of the body is none that this path takes");
    return NULL;
}

/* The headers are there, the body is not. */
static enum MHD_Result begin(struct http_request_inner *inner, const char *method, const char *version)
{
    struct framing framing = {0};
    struct http_request *request = &inner->request;
    inner->begun = true;
    inner->head = strcmp(method, "HEAD") == 0;
    inner->stream.chunked = strcmp(version, "HTTP/1.1") == 0;
    request->method = inner->head ? "GET" : method;
    request->head = inner->head;
    if (!inner->of)
        return MHD_NO;
    if (!framing_is_clear(inner, version, &framing)) {
        inner->reply = problem_of(MHD_HTTP_BAD_REQUEST, "where this request ends is not clear: one Content-Length or "
                                                        "Transfer-Encoding: chunked is allowed, and one Host");
        return queue(inner, inner->reply, true);
    }
    if (!inner->refusal)
        inner->refusal = check_route(inner, &framing);
    /* A peer that is cut off while it writes may never read why: a body of a bearable length is passed over first. */
    bool early = http_header(request, "Expect") || framing.length > SWALLOW_MOST;
    if (inner->refusal && inner->expects_body && early) {
        inner->reply = http_response_ref(inner->refusal);
        return queue(inner, inner->reply, true);
    }
    if (inner->route)
        inner->body = BUFFER_BOUNDED(inner->route->body_most);
    return MHD_YES;
}

/* A part of the body. What is too much is passed over to a bound: only after the body may be answered. */
static enum MHD_Result collect(struct http_request_inner *inner, const char *data, size_t size)
{
    struct http_server *server = inner->server;
    inner->taken += size;
    if (!inner->refusal) {
        inner->counted += size;
        atomic_fetch_add(&server->bodies, size);
    }
    if (!inner->refusal && atomic_load(&server->bodies) > server->options.bodies_most)
        inner->refusal = http_response_later(
            problem_of(MHD_HTTP_SERVICE_UNAVAILABLE, "there are too many bodies at once; come again later"), 1);
    if (!inner->refusal && inner->taken > inner->body.bound)
        inner->refusal = problem_of(MHD_HTTP_CONTENT_TOO_LARGE, "the body is longer than this path takes");
    if (!inner->refusal) {
        buffer_append(&inner->body, data, size);
        return buffer_failed(&inner->body) ? MHD_NO : MHD_YES;
    }
    buffer_free(&inner->body);
    atomic_fetch_sub(&server->bodies, inner->counted);
    inner->counted = 0;
    return inner->taken <= SWALLOW_MOST ? MHD_YES : MHD_NO;
}

/* The body, or what was refused about it, is complete: answer, or wait for whoever will. */
static enum MHD_Result finish(struct http_request_inner *inner)
{
    if (!inner->replied && !inner->deferred) {
        inner->request.body = (struct slice){inner->body.data ? inner->body.data : "", inner->body.size};
        if (inner->refusal)
            http_reply(&inner->request, http_response_ref(inner->refusal));
        else
            inner->route->handle(&inner->request, inner->server->options.context);
    }
    pthread_mutex_lock(&inner->lock);
    assert(inner->replied || inner->deferred);
    if (!inner->replied) {
        inner->suspended = true;
        MHD_suspend_connection(inner->connection);
        pthread_mutex_unlock(&inner->lock);
        return MHD_YES;
    }
    pthread_mutex_unlock(&inner->lock);
    if (inner->deferred) {
        atomic_store(&inner->of->since_ms, clock_monotonic_ms());
        atomic_store(&inner->of->patient, false);
    }
    return queue(inner, inner->reply, false);
}

enum MHD_Result http_on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                const char *version, const char *data, size_t *size, void **request)
{
    (void)context;
    (void)url;
    struct http_request_inner *inner = *request;
    if (!inner)
        return MHD_NO; /* no memory at its start */
    inner->connection = connection;
    if (inner->is_stream) /* it is over */
        return MHD_NO;
    if (!inner->begun)
        return begin(inner, method, version);
    if (*size > 0) {
        enum MHD_Result result = collect(inner, data, *size);
        *size = 0;
        return result;
    }
    return inner->answered ? MHD_YES : finish(inner);
}

static void request_over(struct http_request_inner *inner)
{
    struct http_server *server = inner->server;
    if (inner->of) {
        inner->of->request = NULL;
        atomic_store(&inner->of->since_ms, clock_monotonic_ms());
        atomic_store(&inner->of->patient, false);
    }
    if (inner->answered && server->options.answered)
        server->options.answered(&inner->request, inner->status, server->options.context);
    atomic_fetch_sub(&server->bodies, inner->counted + inner->answer_size);
    atomic_fetch_sub(&server->active, 1);
    request_unref(inner);
}

void http_request_abandon(struct http_request_inner *inner)
{
    request_over(inner);
}

void http_on_completed(void *context, struct MHD_Connection *connection, void **request,
                       enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    if (*request)
        request_over(*request);
    *request = NULL;
}

/* The request line is there: MHD's own decoding would lose what %00 and %2F mean, so the target is kept as it came. */
void *http_on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct http_server *server = context;
    size_t size = strlen(target) + 1;
    char problem[PROBLEM_SIZE] = "";
    size_t parameters = http_target_parameters(target, HTTP_PARAMETERS_MOST) * sizeof(struct http_parameter);
    struct http_request_inner *inner = calloc(1, sizeof *inner + parameters + 2 * size);
    if (!inner)
        return NULL;
    atomic_fetch_add(&server->active, 1);
    atomic_init(&inner->references, 1);
    pthread_mutex_init(&inner->lock, NULL);
    inner->server = server;
    inner->connection = connection;
    inner->request.inner = inner;
    inner->request.parameters = (struct http_parameter *)(void *)inner->text;
    char *own = inner->text + parameters;
    memcpy(own, target, size);
    inner->room = own + size;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    inner->of = info ? info->socket_context : NULL;
    if (inner->of) {
        if (inner->of->request) /* libmicrohttpd does not tell of each request that it drops */
            request_over(inner->of->request);
        inner->of->request = inner;
        memcpy(inner->request.client, inner->of->client, sizeof inner->request.client);
        /* libmicrohttpd keeps a parsed list too, and when the connection's memory is too short for it, it neither answers nor
         * closes before the time-out. */
        if (size + http_target_parameters(target, SIZE_MAX) * PARAMETER_COST + REST_COST > server->options.connection_memory)
            shutdown(inner->of->socket, SHUT_RDWR);
    }
    if (!http_target_parse(own, &inner->request, problem, sizeof problem))
        inner->refusal = problem_of(MHD_HTTP_BAD_REQUEST, problem);
    return inner;
}

bool http_give_up_deferred(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    for (struct http_request_inner *each = server->deferred, *next; each; each = next) {
        next = each->next_deferred;
        if (atomic_exchange(&each->claimed, true))
            continue;
        unlink_deferred(each);
        give_up(each);
    }
    bool none = server->given_up = !server->deferred;
    pthread_mutex_unlock(&server->lock);
    return none;
}
