/* URLs of Redis: their grammar, and nothing that connects. */
#ifndef CITYTOTALS_BASE_REDIS_URL_H
#define CITYTOTALS_BASE_REDIS_URL_H

#include <stdbool.h>

#include "base/error.h"

enum { REDIS_URL_PART_MOST = 512, REDIS_HOST_MOST = 256, REDIS_URL_NODES_MOST = 8 };

struct redis_node {
    char host[REDIS_HOST_MOST]; /* a name, or an address without brackets */
    int port;
};

struct redis_url {
    struct redis_node nodes[REDIS_URL_NODES_MOST]; /* of a cluster, any of its nodes; else one */
    int node_count;
    char user[REDIS_URL_PART_MOST], password[REDIS_URL_PART_MOST];
    int database;
    bool tls, cluster;
};

/* -ERROR_CONFIG with what is allowed; the sentence gives no password away. */
int redis_url_parse(const char *text, struct redis_url *ret_url, struct error *error);
/* Digits alone, at most `most`. */
bool redis_number_parse(const char *text, int most, int *ret_number);

#endif
