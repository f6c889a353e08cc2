/* Responses: made once, given to any number of requests. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/http_internal.h"
#include "base/json_text.h"

enum { PROBLEM_MOST = 1024 * 1024, PARAMETER_TEXT_SIZE = 512 };

static void release(void *context)
{
    http_response_unref(context);
}

struct MHD_Response *http_response_again(struct http_response *response)
{
    struct MHD_Response *made = MHD_create_response_from_buffer_with_free_callback_cls(
        response->body.size, response->body.data ? response->body.data : (char *)(uintptr_t) "", release,
        http_response_ref(response));
    if (!made) {
        http_response_unref(response);
        return NULL;
    }
    for (size_t i = 0; i < response->header_count; i++)
        MHD_add_response_header(made, response->headers[i].name, response->headers[i].value);
    return made;
}

static struct http_response *response_begin(unsigned status)
{
    struct http_response *response = calloc(1, sizeof *response);
    if (response) {
        atomic_init(&response->references, 1);
        response->status = status;
    }
    return response;
}

struct http_response *http_response_take(unsigned status, const char *type, struct buffer *body)
{
    struct http_response *response = buffer_failed(body) ? NULL : response_begin(status);
    if (!response) {
        buffer_free(body);
        return NULL;
    }
    response->body = *body;
    *body = BUFFER_BOUNDED(body->bound);
    response->made = MHD_create_response_from_buffer(
        response->body.size, response->body.data ? response->body.data : (char *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
    if (!response->made)
        return http_response_unref(response);
    return type ? http_response_header(response, "Content-Type", type) : response;
}

struct http_response *http_response_new(unsigned status, const char *type, const void *data, size_t size)
{
    struct buffer body = BUFFER_BOUNDED(size + 1);
    buffer_append(&body, data, size);
    return http_response_take(status, type, &body);
}

struct http_response *http_response_stream(unsigned status, const char *type, const struct http_stream *stream, void *state)
{
    struct http_response *response = response_begin(status);
    if (!response) {
        stream->free(state);
        return NULL;
    }
    response->stream = *stream;
    response->stream_state = state;
    return type ? http_response_header(response, "Content-Type", type) : response;
}

struct http_response *http_response_header(struct http_response *response, const char *name, const char *value)
{
    if (!response)
        return NULL;
    assert(response->header_count < RESPONSE_HEADERS_MOST);
    char *own_name = strdup(name), *own_value = strdup(value);
    if (!own_name || !own_value || (response->made && MHD_add_response_header(response->made, name, value) != MHD_YES)) {
        free(own_name);
        free(own_value);
        return http_response_unref(response);
    }
    response->headers[response->header_count].name = own_name;
    response->headers[response->header_count++].value = own_value;
    return response;
}

struct http_response *http_response_later(struct http_response *response, int64_t seconds)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, seconds);
    return http_response_header(response, "Retry-After", text);
}

struct http_response *http_response_ref(struct http_response *response)
{
    if (response)
        atomic_fetch_add(&response->references, 1);
    return response;
}

struct http_response *http_response_unref(struct http_response *response)
{
    if (!response || atomic_fetch_sub(&response->references, 1) > 1)
        return NULL;
    if (response->made)
        MHD_destroy_response(response->made);
    for (size_t i = 0; i < response->header_count; i++) {
        free(response->headers[i].name);
        free(response->headers[i].value);
    }
    if (response->stream.free)
        response->stream.free(response->stream_state);
    buffer_free(&response->body);
    free(response);
    return NULL;
}

struct http_response *http_problem(unsigned status, const char *detail, const struct http_field_error *errors, size_t count)
{
    struct buffer body = BUFFER_BOUNDED(PROBLEM_MOST);
    const char *title = MHD_get_reason_phrase_for(status);
    buffer_text_append(&body, "{\"type\":\"about:blank\",\"title\":");
    json_text_append(&body, slice_of(title ? title : "Unknown"));
    buffer_printf(&body, ",\"status\":%u,\"detail\":", status);
    json_text_append(&body, slice_of(detail));
    for (size_t i = 0; i < count; i++) {
        buffer_text_append(&body, i ? "," : ",\"errors\":[");
        buffer_text_append(&body, "{");
        if (errors[i].line)
            buffer_printf(&body, "\"line\":%lld,", (long long)errors[i].line);
        buffer_text_append(&body, "\"field\":");
        json_text_append(&body, slice_of(errors[i].field));
        buffer_text_append(&body, ",\"detail\":");
        json_text_append(&body, slice_of(errors[i].detail));
        buffer_text_append(&body, "}");
    }
    buffer_text_append(&body, count ? "]}\n" : "}\n");
    struct http_response *response = http_response_take(status, "application/problem+json", &body);
    return http_response_header(response, "Cache-Control", "no-store");
}

struct http_response *http_problem_parameter(const char *name, const char *format, ...)
{
    char detail[PARAMETER_TEXT_SIZE], sentence[PARAMETER_TEXT_SIZE + 96];
    va_list list;
    va_start(list, format);
    vsnprintf(detail, sizeof detail, format, list);
    va_end(list);
    snprintf(sentence, sizeof sentence, "parameter %.64s: %s", name, detail);
    return http_problem(MHD_HTTP_BAD_REQUEST, sentence, &(struct http_field_error){.field = name, .detail = detail}, 1);
}
