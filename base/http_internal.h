/* What the files of the HTTP server share. */
#ifndef CITYTOTALS_BASE_HTTP_INTERNAL_H
#define CITYTOTALS_BASE_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/http.h"

enum { RESPONSE_HEADERS_MOST = 16, METHODS_TEXT_SIZE = 128 };

/* http_target.c: pure */
/* How many parameters the target may have at most; counts up to `most`. */
size_t http_target_parameters(const char *target, size_t most);
/* Splits and decodes `target`, which is changed in place and stays owned by the caller, into path and parameters, for
 * which request->parameters has that much room. False and a sentence when it is not well formed. */
bool http_target_parse(char *target, struct http_request *request, char *problem, size_t size);
/* Does `path` match the pattern? Fills parts, decoded into `room` (at least strlen(path) + 1 bytes). */
bool http_path_match(const char *pattern, const char *path, char *room, struct http_request *request);
/* "a=1; b" compares as "a"; case does not count. */
bool http_media_type_is(const char *value, const char *type);

/* http_response.c */
struct http_response {
    atomic_size_t references;
    unsigned status;
    struct MHD_Response *made; /* headers and body; what is queued where the request adds nothing; NULL for a stream */
    struct buffer body;
    struct http_stream stream; /* next is NULL where the body is bytes */
    void *stream_state;
    size_t header_count;
    struct {
        char *name, *value;
    } headers[RESPONSE_HEADERS_MOST];
};
/* A new MHD response with the same headers and body; for a header that only this request gets. */
struct MHD_Response *http_response_again(struct http_response *response);

/* http_stream.c */
struct http_request_inner;
enum { STREAM_THREADS_MOST = 4 };
/* One thread's streams. */
struct http_streams {
    struct http_server *server;
    pthread_t thread;
    int poll, wake; /* epoll, and an eventfd in it */
    bool started;
    atomic_bool ending, all; /* all: each stream is to have a turn */
    struct http_request_inner *first; /* of the thread alone */
    pthread_mutex_t lock; /* of what follows */
    struct http_request_inner *coming; /* begun and not taken up by the thread */
    bool closed; /* none is taken up any more */
};
/* A stream's part of its request; from http_stream_begin until the connection is resumed of one thread alone. */
struct http_stream_of {
    struct http_request_inner *next, *previous;
    struct buffer head;
    const char *piece;
    size_t size, sent; /* of the piece; 0 = none; what went of it, its framing included */
    bool chunked, raw, ended; /* raw: the piece is not a chunk's content */
    int64_t stuck_ms; /* since when the peer takes nothing; 0 = it does */
};
int http_streams_start(struct http_server *server, struct error *error);
void http_streams_end(struct http_server *server);  /* every stream is over, however far it got */
void http_streams_free(struct http_server *server);
/* Suspends the connection and hands its socket to the streams' thread; whenever the library asks about this request again, its
 * connection is to be closed. False when it can't be (no memory, or the server stops). */
bool http_stream_begin(struct http_request_inner *inner, struct http_response *response, const char *origin);

/* http.c: gives up a request of which the library will tell nothing more. */
void http_request_abandon(struct http_request_inner *inner);
/* What MHD calls: the target is there (the request begins), head and body come, it is over. */
void *http_on_target(void *context, const char *target, struct MHD_Connection *connection);
enum MHD_Result http_on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                const char *version, const char *data, size_t *size, void **request);
void http_on_completed(void *context, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode code);
/* Answers the deferred requests that nobody answered; true when none is left, also none that is being answered now. From then on none
 * waits any more: libmicrohttpd ends the program where a connection is suspended while it stops. */
struct http_server;
bool http_give_up_deferred(struct http_server *server);

/* http_connection.c: who is connected, and since when a request is owed. */
struct http_connection {
    struct http_connection *next, *previous;
    int socket;
    char client[HTTP_CLIENT_SIZE]; /* the peer's address */
    _Atomic int64_t since_ms; /* accepted, or answered last */
    atomic_bool patient;      /* a stream or a deferred request: no deadline */
    struct http_request_inner *request; /* begun and not completed; of the connection's thread alone */
};
struct http_connections {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool started, stopping;
    struct http_connection *first;
    size_t count;
    int64_t request_ms;
};
int http_connections_start(struct http_connections *connections, int64_t request_ms, struct error *error);
void http_connections_stop(struct http_connections *connections);
/* MHD's notices */
void http_connection_notice(void *context, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode code);

/* http_server.c */
struct http_server {
    struct http_options options;
    struct MHD_Daemon *daemon;
    struct http_connections connections;
    atomic_size_t bodies, active;
    struct http_streams streams[STREAM_THREADS_MOST];
    unsigned stream_threads;
    atomic_uint streams_begun;
    atomic_bool stopping;
    bool any_origin;
    pthread_mutex_t lock; /* of what follows */
    struct http_request_inner *deferred;
    bool given_up; /* those that were deferred: a further one is answered at once */
};

struct http_request_inner {
    struct http_request request;
    atomic_size_t references;
    struct http_server *server;
    struct MHD_Connection *connection; /* NULL once it is over */
    struct http_connection *of;
    const struct http_route *route;
    struct http_response *refusal; /* given instead of asking the handler */
    struct buffer body;
    size_t taken, counted; /* bytes that came; those in server->bodies */
    size_t answer_size;    /* there too, from the reply on */
    bool begun, head, expects_body, answered;
    unsigned status;

    pthread_mutex_t lock; /* of the reply and whether it is waited for */
    struct http_response *reply;
    bool replied, deferred, suspended;
    atomic_bool claimed; /* of a deferred one: somebody answers it now */

    bool is_stream;
    struct http_stream_of stream;

    struct http_request_inner *next_deferred, *previous_deferred;
    char *room;  /* for decoded parts of the path */
    _Alignas(struct http_parameter) char text[]; /* parameters, the target, then that room */
};

#endif
