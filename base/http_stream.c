/* Streams: connections that sleep until there is something to say. */
#include "base/http_internal.h"

enum { BLOCK = 1024 }; /* bytes at once for a peer of HTTP/1.0; others get what the connection's memory holds */

/* MHD asks for the next bytes. Under the lock no wake can fall between "nothing" and the suspension. */
static ssize_t next_bytes(void *context, uint64_t position, char *to, size_t most)
{
    (void)position;
    struct http_request_inner *inner = context;
    struct http_server *server = inner->server;
    pthread_mutex_lock(&server->lock);
    ssize_t count = inner->reply->stream.read(inner->reply->stream_state, to, most);
    if (count < 0 || (count == 0 && atomic_load(&server->stopping))) {
        count = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (count == 0) {
        inner->waits = true;
        MHD_suspend_connection(inner->connection);
    }
    pthread_mutex_unlock(&server->lock);
    return count;
}

struct MHD_Response *http_stream_begin(struct http_request_inner *inner, struct http_response *response)
{
    struct http_server *server = inner->server;
    struct MHD_Response *made = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, next_bytes, inner, NULL);
    if (!made)
        return NULL;
    for (size_t i = 0; i < response->header_count; i++)
        MHD_add_response_header(made, response->headers[i].name, response->headers[i].value);
    atomic_store(&inner->of->patient, true);
    pthread_mutex_lock(&server->lock);
    inner->next = server->streams;
    inner->previous = NULL;
    if (inner->next)
        inner->next->previous = inner;
    server->streams = inner;
    inner->is_stream = true;
    pthread_mutex_unlock(&server->lock);
    return made;
}

void http_stream_end(struct http_request_inner *inner)
{
    struct http_server *server = inner->server;
    if (!inner->is_stream)
        return;
    pthread_mutex_lock(&server->lock);
    if (inner->next)
        inner->next->previous = inner->previous;
    if (inner->previous)
        inner->previous->next = inner->next;
    else
        server->streams = inner->next;
    inner->is_stream = false;
    pthread_mutex_unlock(&server->lock);
}

void http_streams_wake(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    for (struct http_request_inner *each = server->streams; each; each = each->next)
        if (each->waits) {
            each->waits = false;
            MHD_resume_connection(each->connection);
        }
    pthread_mutex_unlock(&server->lock);
}
