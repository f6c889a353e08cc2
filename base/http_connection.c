/* Connections of the HTTP server: their sockets' options, and a deadline that dripping bytes cannot move. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/http_internal.h"
#include "base/thread.h"

enum { LOOK_MS = 500, PEER_GONE_MS = 30000, SEND_BUFFER = 64 * 1024 };

static void *watch(void *context)
{
    struct http_connections *connections = context;
    pthread_mutex_lock(&connections->lock);
    while (!connections->stopping) {
        struct timespec until = clock_deadline(LOOK_MS);
        pthread_cond_timedwait(&connections->changed, &connections->lock, &until);
        int64_t now = clock_monotonic_ms();
        /* A shut socket is closed by its own thread, which takes it off this list before: no other has its number yet. */
        for (struct http_connection *each = connections->first; each; each = each->next)
            if (!atomic_load(&each->patient) && now - atomic_load(&each->since_ms) > connections->request_ms)
                shutdown(each->socket, SHUT_RDWR);
    }
    pthread_mutex_unlock(&connections->lock);
    return NULL;
}

int http_connections_start(struct http_connections *connections, int64_t request_ms, struct error *error)
{
    pthread_mutex_init(&connections->lock, NULL);
    clock_condition_init(&connections->changed);
    connections->request_ms = request_ms;
    connections->started = thread_start(&connections->thread, watch, connections) == 0;
    return connections->started ? 0 : error_set(error, ERROR_IO, "start the thread that watches connections");
}

void http_connections_stop(struct http_connections *connections)
{
    pthread_mutex_lock(&connections->lock);
    connections->stopping = true;
    pthread_cond_signal(&connections->changed);
    pthread_mutex_unlock(&connections->lock);
    if (connections->started)
        pthread_join(connections->thread, NULL);
    pthread_cond_destroy(&connections->changed);
    pthread_mutex_destroy(&connections->lock);
}

static void prepare(int socket)
{
    unsigned gone = PEER_GONE_MS;
    int buffer = SEND_BUFFER;
    setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &gone, sizeof gone); /* a peer that vanished is noticed */
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);     /* who does not read costs no more than this */
}

static void write_address(struct MHD_Connection *connection, char text[HTTP_CLIENT_SIZE])
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *text = '\0';
    if (!info || !info->client_addr)
        return;
    bool v6 = info->client_addr->sa_family == AF_INET6;
    const void *address = v6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)info->client_addr)->sin6_addr
                             : (const void *)&((const struct sockaddr_in *)(const void *)info->client_addr)->sin_addr;
    if (!inet_ntop(v6 ? AF_INET6 : AF_INET, address, text, HTTP_CLIENT_SIZE))
        *text = '\0';
}

void http_connection_notice(void *context, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode code)
{
    struct http_connections *connections = context;
    struct http_connection *own = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        own = calloc(1, sizeof *own);
        *socket_context = own;
        if (!own || !info)
            return; /* without its own struct a connection's requests are refused */
        own->socket = info->connect_fd;
        atomic_init(&own->since_ms, clock_monotonic_ms());
        prepare(own->socket);
        write_address(connection, own->client);
    }
    if (!own)
        return;
    pthread_mutex_lock(&connections->lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        own->next = connections->first;
        if (own->next)
            own->next->previous = own;
        connections->first = own;
        connections->count++;
    } else {
        if (own->next)
            own->next->previous = own->previous;
        if (own->previous)
            own->previous->next = own->next;
        else
            connections->first = own->next;
        connections->count--;
    }
    pthread_mutex_unlock(&connections->lock);
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (own->request)
            http_request_abandon(own->request);
        free(own);
        *socket_context = NULL;
    }
}
