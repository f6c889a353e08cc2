/* An HTTP/1.1 server over libmicrohttpd: routes, bounded requests, shared responses, answers given later, and streams.
 *
 * Its threads belong to libmicrohttpd (epoll); a handler runs on one of them and must not wait for anything: what takes
 * time is deferred and answered from another thread. Everything that a peer can make grow has a bound, see http_options.
 * TLS by a certificate and its key, or a proxy that ends it stands in front (docs/adr/0007-http-server-library.md). */
#ifndef CITYTOTALS_BASE_HTTP_H
#define CITYTOTALS_BASE_HTTP_H

#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/settings.h"

#define HTTP_PARAMETERS_MOST 16
#define HTTP_PARTS_MOST 4
#define HTTP_CLIENT_SIZE 46 /* INET6_ADDRSTRLEN */

struct http_parameter {
    struct slice name, value; /* decoded: UTF-8 without control characters */
};

struct http_connection;
struct http_server;

/* What was asked. Valid until the request was answered; the fields are for reading. */
struct http_request {
    const char *method;                 /* "GET" for HEAD too */
    bool head;                          /* it was HEAD: the answer's body is not wanted */
    const char *path;                   /* as sent, without the query */
    struct slice parts[HTTP_PARTS_MOST]; /* what stands for each {name} of the pattern, decoded, in order */
    size_t part_count;
    struct http_parameter *parameters;  /* of the query, each name once; at most HTTP_PARAMETERS_MOST */
    size_t parameter_count;
    struct slice body;                  /* empty without one */
    char client[HTTP_CLIENT_SIZE];      /* the peer's address (a proxy's, where one stands in front) */
    struct http_request_inner *inner;
};

/* A parameter's value; absent (NULL data) without. */
struct slice http_parameter(const struct http_request *request, const char *name);
/* A header's value, whatever the name's case; NULL without. Valid as long as the request. */
const char *http_header(const struct http_request *request, const char *name);
/* The values of a header that may stand there several times, in order, with ", " between, in `out`; NULL without, and when they do
 * not fit its bound. */
const char *http_header_all(const struct http_request *request, const char *name, struct buffer *out);

struct http_route {
    const char *method;             /* "GET" answers HEAD too; OPTIONS is answered for every route */
    const char *pattern;            /* "/v1/agencies/{id}": {…} stands for one part that is not empty */
    void (*handle)(struct http_request *request, void *context);
    size_t body_most;               /* bytes of a body; 0 = none is taken */
    const char *const *types;       /* allowed media types of the body, ended by NULL; NULL = any */
    const char *const *parameters;  /* allowed names in the query, ended by NULL; NULL = any */
};

/* Whoever gets a request answers it exactly once: before the handler returns, or later, from any thread, after it called
 * http_defer inside the handler. http_reply takes over the caller's reference; NULL (no memory) closes the connection. */
struct http_response;
void http_defer(struct http_request *request);
void http_reply(struct http_request *request, struct http_response *response);

/* A response may be given to any number of requests, at once too, but headers are added before the first. All return
 * NULL without memory, and take NULL. `type` is the Content-Type, NULL for none. */
struct http_response *http_response_new(unsigned status, const char *type, const void *data, size_t size); /* copies */
struct http_response *http_response_take(unsigned status, const char *type, struct buffer *body); /* takes its memory */
struct http_response *http_response_header(struct http_response *response, const char *name, const char *value);
struct http_response *http_response_later(struct http_response *response, int64_t seconds); /* with Retry-After */
struct http_response *http_response_ref(struct http_response *response);
struct http_response *http_response_unref(struct http_response *response); /* NULL */

struct http_field_error {
    const char *field;  /* name of the parameter or field; NULL = none */
    const char *detail; /* what was found and what is allowed */
    int64_t line;       /* of the body, 0 = none */
};
/* application/problem+json: type, title, status, detail, and `errors` where there are fields. */
struct http_response *http_problem(unsigned status, const char *detail, const struct http_field_error *errors, size_t count);
/* 400 that names a parameter. */
struct http_response *http_problem_parameter(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A response without an end that is known beforehand; for one request. `next` gives the next bytes, which stay as they are until it
 * is called again or the stream is freed (so that all streams can share one message), and returns how many: 0 when there is nothing
 * now (it is asked again after http_streams_wake), -1 at the end. It runs on a thread that writes many streams and must neither
 * wait nor call the server. `free` is called once. A peer that closes its side is seen at once; one that vanished, once something
 * is written. A peer that does not read is dropped after idle_ms. The connection is closed after its stream. */
struct http_stream {
    ssize_t (*next)(void *state, const char **ret_bytes);
    void (*free)(void *state);
};
struct http_response *http_response_stream(unsigned status, const char *type, const struct http_stream *stream, void *state);
void http_streams_wake(struct http_server *server);

struct http_options {
    const char *name;     /* in the log: `listening <name> <address>` */
    const char *address;  /* host:port */
    const char *tls_cert, *tls_key;  /* files in PEM: TLS 1.2 and 1.3; NULL = none. One such server a process, and no streams */
    const struct http_route *routes; /* ended by one without a pattern; the first that matches answers */
    void *context;        /* the handlers' */
    struct setting_list origins; /* allowed by CORS; "*" = every one */
    const char *allow_headers;   /* that such a page may send, "Content-Type, …"; NULL = none */
    const char *stopping;        /* what a deferred request is told when the server stops first; NULL = to ask again */
    /* Called for each answer, for counting; may be NULL. */
    void (*answered)(const struct http_request *request, unsigned status, void *context);
    unsigned threads;          /* 0 = 1 */
    unsigned connections_most; /* 0 = 1,024; a further one waits until one ends */
    unsigned per_address_most; /* connections of one peer; 0 = no limit (behind a proxy all have its address) */
    size_t connection_memory;  /* 0 = 16 KiB: request line and headers fit, else 414 or 431 */
    size_t bodies_most;        /* all bodies, and answers on their way, together, 0 = 64 MiB; a body beyond: 503 */
    int64_t idle_ms;           /* 0 = 30 s: a peer that neither sends nor reads is closed */
    int64_t request_ms;        /* 0 = 60 s: a request not sent and its answer not read by then is closed, however it drips */
};

/* The listener answers from here on: handlers may run before this returns. ERROR_CONFIG, ERROR_IO; see listen_open. */
int http_start(const struct http_options *options, struct http_server **ret_server, struct error *error);
/* Stops accepting, lets running requests finish and streams end for up to `grace_ms`, then closes. A deferred request that
 * is still open then gets 503 with Retry-After; whoever deferred it may still answer it, to no effect. Accepts NULL; returns NULL. */
struct http_server *http_stop(struct http_server *server, int64_t grace_ms);
/* Are these a certificate and its key? ERROR_CONFIG says what is wrong. For telling before anything else is begun. */
int http_check_certificate(const char *cert_path, const char *key_path, struct error *error);
/* With TLS: read the files again, for connections from now on; ERROR_CONFIG leaves the certificate before in force. */
int http_reload_certificate(struct http_server *server, struct error *error);
int64_t http_certificate_expires_s(struct http_server *server); /* Unix time; 0 without TLS */
/* Connections open now. */
size_t http_connections(struct http_server *server);

#endif
