/* TLS of a connection to Redis, by OpenSSL: hiredis's own way does not look at whose certificate it is. Only redis.c uses it. */
#ifndef CITYTOTALS_BASE_REDIS_TLS_H
#define CITYTOTALS_BASE_REDIS_TLS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "base/redis_place.h"
#include "base/redis_url.h"

struct ssl_st;

/* False: this build's hiredis is older than 1.0 and has none. */
bool redis_tls_is_there(void);
/* Only reads the place's files: ERROR_CONFIG with the file, and what OpenSSL says. */
int redis_tls_check(const struct redis_place *place, struct error *error);
/* Reads the files and shakes hands within the context's time-out. The node's certificate has to be one that an authority vouches for,
 * in force today, and made out to the host as `node` has it, a name or an address. The context frees *ret_ssl. ERROR_REDIS/RETRY;
 * ERROR_CONFIG/RETRY of a file, which may be there again the next time. */
int redis_tls_start(redisContext *context, const struct redis_place *place, const struct redis_node *node, struct ssl_st **ret_ssl,
                    struct error *error);
/* Why a connection broke, where TLS was why; else false. */
bool redis_tls_broke(struct ssl_st *ssl, const struct redis_place *place, char *text, size_t size);

#endif
