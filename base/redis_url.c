/* The grammar of Redis URLs. */
#include "base/redis_url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    bool tls, cluster;
} schemes[] = {{"redis", false, false}, {"rediss", true, false}, {"redis+cluster", false, true}, {"rediss+cluster", true, true}};

static int bad_url(struct error *error, const char *what)
{
    return error_set(error, ERROR_CONFIG,
                     "redis URL: %s; allowed: redis://[user:pass@]host:port[/db], rediss://… for TLS, redis+cluster://…host:port[,host:port…], "
                     "rediss+cluster://…", what);
}

static bool decode_part(const char *from, size_t size, char to[REDIS_URL_PART_MOST])
{
    size_t at = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned byte = (unsigned char)from[i];
        if (byte == '%') {
            char digits[3] = {0};
            if (i + 2 >= size || !isxdigit((unsigned char)from[i + 1]) || !isxdigit((unsigned char)from[i + 2]))
                return false;
            memcpy(digits, from + i + 1, 2);
            byte = (unsigned)strtoul(digits, NULL, 16);
            i += 2;
        }
        if (at + 1 >= REDIS_URL_PART_MOST || byte == 0)
            return false;
        to[at++] = (char)byte;
    }
    to[at] = '\0';
    return true;
}

bool redis_number_parse(const char *text, int most, int *ret_number)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    long number = strtol(text, &end, 10);
    if (*end || number > most)
        return false;
    *ret_number = (int)number;
    return true;
}

/* One host:port; `text` is changed. */
static int parse_node(char *text, struct redis_node *ret_node, struct error *error)
{
    char *host = text, *port = NULL;
    if (*host == '[') {
        char *close = strchr(host, ']');
        if (!close)
            return bad_url(error, "its IPv6 address has no ]");
        *close = '\0';
        host++;
        port = close[1] == ':' ? close + 2 : NULL;
    } else if ((port = strrchr(host, ':'))) {
        *port++ = '\0';
    }
    if (*host == '\0')
        return bad_url(error, "it names no host");
    if (!port)
        return bad_url(error, "it names no port");
    if (!redis_number_parse(port, 65535, &ret_node->port) || ret_node->port == 0)
        return bad_url(error, "its port is not a number from 1 to 65535");
    snprintf(ret_node->host, sizeof ret_node->host, "%s", host);
    return 0;
}

static int parse_nodes(const char *from, size_t size, struct redis_url *url, struct error *error)
{
    char address[REDIS_URL_NODES_MOST * REDIS_HOST_MOST];
    if (size == 0 || size >= (url->cluster ? sizeof address : REDIS_HOST_MOST))
        return bad_url(error, "it names no host");
    if (!url->cluster && memchr(from, ',', size))
        return bad_url(error, "only a cluster has several nodes");
    memcpy(address, from, size);
    address[size] = '\0';
    for (char *node = address, *next; node; node = next) {
        next = url->cluster ? strchr(node, ',') : NULL;
        if (next)
            *next++ = '\0';
        if (url->node_count == REDIS_URL_NODES_MOST)
            return bad_url(error, "it names more than 8 nodes");
        if (strlen(node) >= REDIS_HOST_MOST)
            return bad_url(error, "it names no host");
        int result = parse_node(node, &url->nodes[url->node_count++], error);
        if (result < 0)
            return result;
    }
    return 0;
}

int redis_url_parse(const char *text, struct redis_url *ret_url, struct error *error)
{
    struct redis_url url = {0};
    const char *rest = strstr(text, "://");
    size_t scheme = 0, size = rest ? (size_t)(rest - text) : 0;
    while (scheme < sizeof schemes / sizeof *schemes && (strlen(schemes[scheme].name) != size || strncmp(text, schemes[scheme].name, size) != 0))
        scheme++;
    if (!rest || scheme == sizeof schemes / sizeof *schemes)
        return bad_url(error, "it does not begin with a known scheme");
    url.tls = schemes[scheme].tls;
    url.cluster = schemes[scheme].cluster;
    rest += 3;
    const char *slash = strchr(rest, '/'), *at = NULL;
    size = slash ? (size_t)(slash - rest) : strlen(rest);
    for (size_t i = 0; i < size; i++)
        if (rest[i] == '@')
            at = rest + i;
    if (at) {
        const char *colon = memchr(rest, ':', (size_t)(at - rest));
        const char *user_end = colon ? colon : at;
        if (!decode_part(rest, (size_t)(user_end - rest), url.user) ||
            (colon && !decode_part(colon + 1, (size_t)(at - colon) - 1, url.password)))
            return bad_url(error, "its user or password is not well percent-encoded");
        size -= (size_t)(at + 1 - rest);
        rest = at + 1;
    }
    int result = parse_nodes(rest, size, &url, error);
    if (result < 0)
        return result;
    if (slash && slash[1] && !redis_number_parse(slash + 1, 1000000, &url.database))
        return bad_url(error, "its database is not a number");
    if (url.cluster && url.database != 0)
        return bad_url(error, "a cluster has only database 0");
    *ret_url = url;
    return 0;
}
