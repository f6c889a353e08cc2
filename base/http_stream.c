/* Streams: a few threads write each message to every stream's socket, straight from the memory that all of them share.
 *
 * libmicrohttpd suspends the connection and does not touch its socket from then on; when the stream is over the connection is
 * resumed and closed. An update costs a stream one system call: no copy, no change of an epoll set, no turn of the library's loop. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/http_internal.h"
#include "base/thread.h"

enum {
    EVENTS = 256,
    LOOK_MS = 500,      /* between looks for peers that do not read */
    PIECES_AT_ONCE = 8, /* of one stream before the others have their turn */
    HEAD_MOST = 4096,
    SIZE_TEXT = 24, /* a chunk's size in hex and its line's end */
};

enum outcome { NOTHING_LEFT, BLOCKED, MORE, OVER };

static int write_head(struct http_request_inner *inner, const struct http_response *response, const char *origin)
{
    struct buffer head = BUFFER_BOUNDED(HEAD_MOST);
    char date[40] = "";
    struct tm civil;
    time_t now = (time_t)(clock_wall_ms() / 1000);
    const char *reason = MHD_get_reason_phrase_for(response->status);
    if (gmtime_r(&now, &civil))
        strftime(date, sizeof date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &civil);
    buffer_printf(&head, "HTTP/1.1 %u %s\r\n%sConnection: close\r\n", response->status, reason ? reason : "Unknown", date);
    for (size_t i = 0; i < response->header_count; i++)
        buffer_printf(&head, "%s: %s\r\n", response->headers[i].name, response->headers[i].value);
    if (origin)
        buffer_printf(&head, "Access-Control-Allow-Origin: %s\r\n", origin);
    if (inner->server->options.origins.count > 0 && !inner->server->any_origin)
        buffer_text_append(&head, "Vary: Origin\r\n");
    buffer_text_append(&head, inner->stream.chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
    inner->stream.head = head;
    return buffer_failed(&head) ? -1 : 0;
}

/* What a piece is on the wire: for HTTP/1.1 a chunk, otherwise its bytes alone. Returns the number of parts. */
static int piece_parts(const struct http_stream_of *stream, char text[SIZE_TEXT], struct iovec parts[3])
{
    if (!stream->chunked || stream->raw) {
        parts[0] = (struct iovec){(char *)(uintptr_t)stream->piece, stream->size};
        return 1;
    }
    int size = snprintf(text, SIZE_TEXT, "%zx\r\n", stream->size);
    parts[0] = (struct iovec){text, (size_t)size};
    parts[1] = (struct iovec){(char *)(uintptr_t)stream->piece, stream->size};
    parts[2] = (struct iovec){(char *)(uintptr_t) "\r\n", 2};
    return 3;
}

/* Sends what is left of the piece; true when nothing of it is. On false errno tells why. */
static bool send_piece(struct http_stream_of *stream, int socket)
{
    char text[SIZE_TEXT];
    struct iovec parts[3], *at = parts;
    int count = piece_parts(stream, text, parts);
    size_t whole = 0, skip = stream->sent;
    for (int i = 0; i < count; i++)
        whole += parts[i].iov_len;
    while (count > 0 && skip >= at->iov_len) {
        skip -= at->iov_len;
        at++;
        count--;
    }
    if (count > 0) {
        at->iov_base = (char *)at->iov_base + skip;
        at->iov_len -= skip;
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &(struct msghdr){.msg_iov = at, .msg_iovlen = (size_t)count}, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent > 0) {
        stream->sent += (size_t)sent;
        stream->stuck_ms = 0;
    }
    if (sent >= 0)
        errno = EAGAIN; /* a part went: the socket is full */
    return stream->sent == whole;
}

/* Gets the next piece ready; NOTHING_LEFT when the stream sleeps, OVER at its end. */
static enum outcome take_piece(struct http_request_inner *inner)
{
    struct http_stream_of *stream = &inner->stream;
    stream->sent = 0;
    stream->raw = false;
    if (stream->ended)
        return OVER;
    ssize_t size = inner->reply->stream.next(inner->reply->stream_state, &stream->piece);
    if (size == 0 && !atomic_load(&inner->server->stopping))
        return NOTHING_LEFT;
    if (size > 0) {
        stream->size = (size_t)size;
        return MORE;
    }
    stream->ended = stream->raw = true; /* the last chunk */
    stream->piece = "0\r\n\r\n";
    stream->size = strlen(stream->piece);
    return stream->chunked ? MORE : OVER;
}

static enum outcome stream_turn(struct http_request_inner *inner)
{
    struct http_stream_of *stream = &inner->stream;
    for (int pieces = 0; pieces < PIECES_AT_ONCE; pieces++) {
        if (stream->size == 0) {
            enum outcome outcome = take_piece(inner);
            if (outcome != MORE)
                return outcome;
        }
        if (!send_piece(stream, inner->of->socket)) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                return OVER;
            stream->stuck_ms = stream->stuck_ms ? stream->stuck_ms : clock_monotonic_ms();
            return BLOCKED;
        }
        stream->size = 0;
        buffer_free(&stream->head);
    }
    return MORE;
}

static void stream_remove(struct http_streams *streams, struct http_request_inner *inner)
{
    struct http_stream_of *stream = &inner->stream;
    if (stream->next)
        stream->next->stream.previous = stream->previous;
    if (stream->previous)
        stream->previous->stream.next = stream->next;
    else
        streams->first = stream->next;
    epoll_ctl(streams->poll, EPOLL_CTL_DEL, inner->of->socket, NULL);
    MHD_resume_connection(inner->connection); /* its thread finds that it was a stream and closes it; it is not ours any more */
}

/* The streams that other threads have handed over. The edge that a new socket begins with gives each its first turn. */
static void take_new(struct http_streams *streams, bool last)
{
    pthread_mutex_lock(&streams->lock);
    struct http_request_inner *inner = streams->coming;
    streams->coming = NULL;
    streams->closed = last;
    pthread_mutex_unlock(&streams->lock);
    for (struct http_request_inner *next; inner; inner = next) {
        struct http_stream_of *stream = &inner->stream;
        struct epoll_event event = {.events = EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = inner};
        next = stream->next;
        stream->previous = NULL;
        stream->next = streams->first;
        if (stream->next)
            stream->next->stream.previous = inner;
        streams->first = inner;
        if (epoll_ctl(streams->poll, EPOLL_CTL_ADD, inner->of->socket, &event) < 0)
            stream_remove(streams, inner);
    }
}

/* Each stream has its turn; those that are over leave. True when one had more to say than a turn. */
static bool turn_of_all(struct http_streams *streams)
{
    bool more = false;
    for (struct http_request_inner *inner = streams->first, *next; inner; inner = next) {
        next = inner->stream.next;
        enum outcome outcome = inner->stream.stuck_ms ? BLOCKED : stream_turn(inner);
        more |= outcome == MORE;
        if (outcome == OVER)
            stream_remove(streams, inner);
    }
    return more;
}

static void drop_unread(struct http_streams *streams, int64_t idle_ms)
{
    int64_t now = clock_monotonic_ms();
    for (struct http_request_inner *inner = streams->first, *next; inner; inner = next) {
        next = inner->stream.next;
        if (inner->stream.stuck_ms && now - inner->stream.stuck_ms > idle_ms)
            stream_remove(streams, inner);
    }
}

/* Waits for sockets and wake-ups. True when a stream had more to say than a turn. */
static bool wait_for_events(struct http_streams *streams, int wait_ms)
{
    struct epoll_event events[EVENTS];
    bool more = false;
    int count = epoll_wait(streams->poll, events, EVENTS, wait_ms);
    for (int i = 0; i < count; i++) {
        struct http_request_inner *inner = events[i].data.ptr;
        uint64_t wakes;
        if (!inner) {
            ssize_t ignored = read(streams->wake, &wakes, sizeof wakes);
            (void)ignored;
            continue;
        }
        inner->stream.stuck_ms = 0; /* there is room again */
        bool gone = events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        enum outcome outcome = gone ? OVER : stream_turn(inner);
        more |= outcome == MORE;
        if (outcome == OVER)
            stream_remove(streams, inner); /* a socket stands in these events once */
    }
    return more;
}

static void *run(void *context)
{
    struct http_streams *streams = context;
    int64_t looked_ms = clock_monotonic_ms();
    bool more = false;
    while (!atomic_load(&streams->ending)) {
        more = wait_for_events(streams, more ? 0 : LOOK_MS);
        take_new(streams, false);
        if (atomic_exchange(&streams->all, false) || more)
            more = turn_of_all(streams);
        int64_t now = clock_monotonic_ms();
        if (now - looked_ms >= LOOK_MS) {
            looked_ms = now;
            drop_unread(streams, streams->server->options.idle_ms);
        }
    }
    take_new(streams, true);
    while (streams->first)
        stream_remove(streams, streams->first);
    return NULL;
}

static int start_one(struct http_streams *streams, struct error *error)
{
    struct epoll_event event = {.events = EPOLLIN};
    streams->poll = epoll_create1(EPOLL_CLOEXEC);
    streams->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (streams->poll < 0 || streams->wake < 0 || epoll_ctl(streams->poll, EPOLL_CTL_ADD, streams->wake, &event) < 0)
        return error_set(error, ERROR_IO, "make what streams wait with: %s", strerror(errno));
    streams->started = thread_start(&streams->thread, run, streams) == 0;
    return streams->started ? 0 : error_set(error, ERROR_IO, "start a thread that writes streams");
}

int http_streams_start(struct http_server *server, struct error *error)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int result = 0;
    server->stream_threads = cores < 1 ? 1 : cores > STREAM_THREADS_MOST ? STREAM_THREADS_MOST : (unsigned)cores;
    for (unsigned i = 0; i < server->stream_threads; i++) {
        server->streams[i] = (struct http_streams){.server = server, .poll = -1, .wake = -1};
        pthread_mutex_init(&server->streams[i].lock, NULL);
    }
    for (unsigned i = 0; i < server->stream_threads && result >= 0; i++)
        result = start_one(&server->streams[i], error);
    return result;
}

static void wake(struct http_streams *streams)
{
    uint64_t one = 1;
    ssize_t ignored = write(streams->wake, &one, sizeof one); /* full: it is awake */
    (void)ignored;
}

void http_streams_wake(struct http_server *server)
{
    for (unsigned i = 0; i < server->stream_threads; i++) {
        atomic_store(&server->streams[i].all, true);
        wake(&server->streams[i]);
    }
}

void http_streams_end(struct http_server *server)
{
    for (unsigned i = 0; i < server->stream_threads; i++) {
        struct http_streams *streams = &server->streams[i];
        if (!streams->started)
            continue;
        atomic_store(&streams->ending, true);
        wake(streams);
        pthread_join(streams->thread, NULL);
        streams->started = false;
    }
}

void http_streams_free(struct http_server *server)
{
    http_streams_end(server);
    for (unsigned i = 0; i < server->stream_threads; i++) {
        struct http_streams *streams = &server->streams[i];
        if (streams->poll >= 0)
            close(streams->poll);
        if (streams->wake >= 0)
            close(streams->wake);
        pthread_mutex_destroy(&streams->lock);
    }
}

bool http_stream_begin(struct http_request_inner *inner, struct http_response *response, const char *origin)
{
    assert(!inner->server->options.tls_cert); /* what is written here passes TLS by */
    struct http_server *server = inner->server;
    struct http_streams *streams = &server->streams[atomic_fetch_add(&server->streams_begun, 1) % server->stream_threads];
    struct http_stream_of *stream = &inner->stream;
    int at_once = 1;
    if (write_head(inner, response, origin) < 0)
        return false;
    stream->raw = true;
    stream->piece = stream->head.data;
    stream->size = stream->head.size;
    setsockopt(inner->of->socket, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    pthread_mutex_lock(&streams->lock);
    bool open = !streams->closed;
    if (open) {
        inner->is_stream = true;
        atomic_store(&inner->of->patient, true);
        MHD_suspend_connection(inner->connection);
        stream->next = streams->coming;
        streams->coming = inner;
    }
    pthread_mutex_unlock(&streams->lock);
    wake(streams);
    return open;
}
