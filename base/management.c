/* The management listener: /healthz, /readyz and /metrics on libmicrohttpd's own thread. */
#include "base/management.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/listen.h"
#include "base/thread.h"

enum { CONNECTIONS_MOST = 64, CONNECTION_SECONDS = 10, METRICS_BYTES_MOST = 4 * 1024 * 1024, BODY_MOST = 1024 * 1024 };

struct management {
    struct MHD_Daemon *daemon;
    struct health *health;
    struct metrics *metrics;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type, const char *data, size_t size)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(size, (void *)(uintptr_t)data, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result line(struct MHD_Connection *connection, unsigned status, const char *text)
{
    char body[512];
    int size = snprintf(body, sizeof body, "%s\n", text);
    return answer(connection, status, "text/plain; charset=utf-8", body, (size_t)size);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **request)
{
    (void)version;
    (void)upload;
    struct management *management = context;
    /* The first call is before the body, the next ones bring it and the last one is after it: only then may be answered.
     * A body is passed over to a bound; *request counts its bytes from 1 on. */
    uintptr_t taken = (uintptr_t)*request;
    if (taken == 0 || *upload_size > 0) {
        taken += *upload_size + (taken == 0);
        *request = (void *)taken;
        *upload_size = 0;
        return taken <= BODY_MOST ? MHD_YES : MHD_NO;
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return line(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
    if (strcmp(url, "/healthz") == 0) {
        return health_is_live(management->health) ? line(connection, MHD_HTTP_OK, "live")
                                                  : line(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the loop is stuck");
    }
    if (strcmp(url, "/readyz") == 0) {
        const char *reason = atomic_load(&management->health->reason);
        return atomic_load(&management->health->ready)
                   ? line(connection, MHD_HTTP_OK, "ready")
                   : line(connection, MHD_HTTP_SERVICE_UNAVAILABLE, reason ? reason : "not ready");
    }
    if (strcmp(url, "/metrics") == 0) {
        struct buffer text = BUFFER_BOUNDED(METRICS_BYTES_MOST);
        metrics_render(management->metrics, &text);
        enum MHD_Result result =
            answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text.data, text.size);
        buffer_free(&text);
        return result;
    }
    return line(connection, MHD_HTTP_NOT_FOUND, "only /healthz, /readyz and /metrics");
}

int management_start(const char *address, struct health *health, struct metrics *metrics, struct management **ret_management,
                     struct error *error)
{
    int listening;
    int result = listen_open("management", address, &listening, error);
    if (result < 0)
        return result;
    struct management *management = calloc(1, sizeof *management);
    if (management) {
        management->health = health;
        management->metrics = metrics;
        sigset_t before;
        thread_block_signals(&before);
        management->daemon = MHD_start_daemon(
            MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL, NULL, handle, management, MHD_OPTION_LISTEN_SOCKET,
            listening, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MOST, MHD_OPTION_CONNECTION_TIMEOUT,
            (unsigned)CONNECTION_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384, MHD_OPTION_END);
        thread_restore_signals(&before);
    }
    if (!management || !management->daemon) {
        close(listening);
        free(management);
        return error_set(error, ERROR_IO, "listen on %s: the HTTP server does not start", address);
    }
    *ret_management = management;
    return 0;
}

struct management *management_stop(struct management *management)
{
    if (management)
        MHD_stop_daemon(management->daemon);
    free(management);
    return NULL;
}
