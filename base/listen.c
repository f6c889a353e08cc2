/* Listening TCP sockets: the address as text, resolved, bound and said in the log. */
#include "base/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum { BACKLOG = 4096 }; /* the kernel cuts it to net.core.somaxconn */

static int resolve(const char *address, struct addrinfo **ret_info, struct error *error)
{
    const char *colon = strrchr(address, ':');
    char host[256];
    if (!colon || (size_t)(colon - address) >= sizeof host)
        return error_set(error, ERROR_CONFIG, "listen on %s; allowed: ADDRESS:PORT", address);
    snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    if (host[0] == '[' && host[strlen(host) - 1] == ']') {
        memmove(host, host + 1, strlen(host));
        host[strlen(host) - 1] = '\0';
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int result = getaddrinfo(*host ? host : NULL, colon + 1, &hints, ret_info);
    if (result)
        return error_set(error, ERROR_CONFIG, "listen on %s: %s", address, gai_strerror(result));
    return 0;
}

static int bind_one(const struct addrinfo *info)
{
    int one = 1, listening = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, info->ai_protocol);
    if (listening < 0)
        return -1;
    if (setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(listening, info->ai_addr, info->ai_addrlen) == 0 && listen(listening, BACKLOG) == 0)
        return listening;
    int saved = errno;
    close(listening);
    errno = saved;
    return -1;
}

static unsigned port_of(int listening)
{
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    if (getsockname(listening, (struct sockaddr *)&own, &size) < 0)
        return 0;
    return own.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&own)->sin6_port)
                                     : ntohs(((struct sockaddr_in *)&own)->sin_port);
}

int listen_open(const char *name, const char *address, int *ret_socket, struct error *error)
{
    struct addrinfo *info = NULL;
    int result = resolve(address, &info, error), listening = -1;
    if (result < 0)
        return result;
    for (const struct addrinfo *each = info; each && listening < 0; each = each->ai_next)
        listening = bind_one(each);
    if (listening < 0)
        result = error_set(error, ERROR_IO, "listen on %s: %s", address, strerror(errno));
    freeaddrinfo(info);
    if (listening < 0)
        return result;
    log_info("listening %s %.*s:%u", name, (int)(strrchr(address, ':') - address), address, port_of(listening));
    *ret_socket = listening;
    return 0;
}

int listen_allow_files(const char *setting, int64_t connections, int64_t others, struct error *error)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)connections + (rlim_t)others;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
        return 0;
    if (limit.rlim_max < need)
        return error_set(error, ERROR_CONFIG,
                         "%s is %" PRId64 ", and this process may open only %ju files; allowed: --%s %jd, or a higher limit (ulimit -n)",
                         setting, connections, (uintmax_t)limit.rlim_max, setting, (intmax_t)limit.rlim_max - (intmax_t)others);
    limit.rlim_cur = need;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return error_set(error, ERROR_IO, "raise the limit of open files: %s", strerror(errno));
    return 0;
}
