/* The HTTP server as a whole: its start, its certificate, and a stop that lets things finish. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/http_internal.h"
#include "base/http_tls.h"
#include "base/listen.h"
#include "base/thread.h"

enum {
    CONNECTIONS_DEFAULT = 1024,
    MEMORY_DEFAULT = 16 * 1024,
    BODIES_DEFAULT = 64 * 1024 * 1024,
    IDLE_DEFAULT_MS = 30000,
    REQUEST_DEFAULT_MS = 60000,
    STOP_POLL_MS = 5,
    STOP_MS = 2000, /* for answers that are ready to leave, after the grace */
};

int http_start(const struct http_options *given, struct http_server **ret_server, struct error *error)
{
    int listening;
    int result = listen_open(given->name, given->address, &listening, error);
    if (result < 0)
        return result;
    struct http_server *server = calloc(1, sizeof *server);
    if (!server) {
        close(listening);
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    struct http_options *options = &server->options;
    *options = *given;
    options->stopping = options->stopping ? options->stopping : "the server is stopping; ask again";
    options->threads = options->threads ? options->threads : 1;
    options->connections_most = options->connections_most ? options->connections_most : CONNECTIONS_DEFAULT;
    options->connection_memory = options->connection_memory ? options->connection_memory : MEMORY_DEFAULT;
    options->bodies_most = options->bodies_most ? options->bodies_most : BODIES_DEFAULT;
    options->idle_ms = options->idle_ms ? options->idle_ms : IDLE_DEFAULT_MS;
    options->request_ms = options->request_ms ? options->request_ms : REQUEST_DEFAULT_MS;
    for (size_t i = 0; i < options->origins.count; i++)
        server->any_origin = server->any_origin || strcmp(options->origins.items[i], "*") == 0;
    pthread_mutex_init(&server->lock, NULL);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)HTTP_TLS_PRIORITIES},
                                   {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)http_tls_choose},
                                   {MHD_OPTION_END, 0, NULL}};
    if (options->tls_cert)
        result = http_tls_load(options->tls_cert, options->tls_key, error);
    else
        tls[0].option = MHD_OPTION_END;
    if (result >= 0)
        result = http_connections_start(&server->connections, options->request_ms, error);
    int streams = http_streams_start(server, result >= 0 ? error : NULL);
    result = result >= 0 ? streams : result;
    sigset_t before;
    thread_block_signals(&before);
    if (result >= 0)
        server->daemon = MHD_start_daemon(
            MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | (tls[0].option == MHD_OPTION_END ? 0U : MHD_USE_TLS),
            0, NULL, NULL, http_on_request, server, MHD_OPTION_ARRAY, tls,
            MHD_OPTION_LISTEN_SOCKET, listening, MHD_OPTION_CONNECTION_LIMIT, options->connections_most,
            MHD_OPTION_PER_IP_CONNECTION_LIMIT, options->per_address_most, MHD_OPTION_CONNECTION_TIMEOUT,
            (unsigned)((options->idle_ms + 999) / 1000), MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->connection_memory,
            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, http_on_target, server, MHD_OPTION_NOTIFY_COMPLETED,
            http_on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, http_connection_notice, &server->connections,
            MHD_OPTION_THREAD_POOL_SIZE, options->threads > 1 ? options->threads : 0, MHD_OPTION_END);
    thread_restore_signals(&before);
    if (result >= 0 && !server->daemon)
        result = error_set(error, ERROR_IO, "listen on %s: the HTTP server does not start", options->address);
    if (result < 0) {
        close(listening);
        http_streams_free(server);
        http_connections_stop(&server->connections);
        pthread_mutex_destroy(&server->lock);
        free(server);
        return result;
    }
    *ret_server = server;
    return 0;
}

static void pause_shortly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = STOP_POLL_MS * 1000000L}, NULL);
}

static void wait_until_idle(struct http_server *server, int64_t ms)
{
    int64_t until = clock_monotonic_ms() + ms;
    while (atomic_load(&server->active) > 0 && clock_monotonic_ms() < until) {
        http_streams_wake(server);
        pause_shortly();
    }
}

struct http_server *http_stop(struct http_server *server, int64_t grace_ms)
{
    if (!server)
        return NULL;
    MHD_socket listening = MHD_quiesce_daemon(server->daemon);
    atomic_store(&server->stopping, true);
    wait_until_idle(server, grace_ms);
    while (!http_give_up_deferred(server))
        pause_shortly();
    http_streams_end(server); /* the library does not stop while a connection is suspended */
    wait_until_idle(server, STOP_MS);
    MHD_stop_daemon(server->daemon);
    http_streams_free(server);
    if (listening != MHD_INVALID_SOCKET)
        close(listening);
    http_connections_stop(&server->connections);
    if (server->options.tls_cert)
        http_tls_unload();
    pthread_mutex_destroy(&server->lock);
    free(server);
    return NULL;
}

int http_check_certificate(const char *cert_path, const char *key_path, struct error *error)
{
    int result = http_tls_load(cert_path, key_path, error);
    http_tls_unload();
    return result;
}

int http_reload_certificate(struct http_server *server, struct error *error)
{
    return http_tls_load(server->options.tls_cert, server->options.tls_key, error);
}

int64_t http_certificate_expires_s(struct http_server *server)
{
    return server->options.tls_cert ? http_tls_expires_s() : 0;
}

size_t http_connections(struct http_server *server)
{
    pthread_mutex_lock(&server->connections.lock);
    size_t count = server->connections.count;
    pthread_mutex_unlock(&server->connections.lock);
    return count;
}
