/* A blocking Redis connection over hiredis: URL, limits, checks, and functions loaded when missing. It knows nothing of
 * totals. One connection per purpose and thread; on any error free it and connect again (a time-out never means "not
 * done"). */
#ifndef CITYTOTALS_BASE_REDIS_H
#define CITYTOTALS_BASE_REDIS_H

#include <hiredis/hiredis.h>

#include "base/error.h"
#include "base/redis_place.h"
#include "base/slice.h"

struct redis_options {
    struct redis_place place;
    const char *route_key;   /* a key of the slot that will be used (cluster: MOVED is followed to its node); may be NULL */
    int64_t connect_timeout_ms; /* of each node that is asked, and as much for its TLS; 0 = 5 s */
    int64_t command_timeout_ms; /* 0 = 30 s */
    volatile int *socket; /* may be NULL; holds the connection's socket from when there is one until it is freed, else
                             -1: a signal handler may shutdown() it, which ends any wait with an error */
    bool writer; /* refuse a replica, another maxmemory-policy than noeviction, a proto-max-bulk-len below 512 MiB; always
                    refused: older than 7.0 (where INFO is allowed, which a writer needs) */
};

struct redis; /* owns a redisContext */

/* Connect, shake hands (redis_tls.h), authenticate, select, check the server. Of a cluster's nodes the first that answers. ERROR_REDIS/RETRY
 * when it is away or loading, or its certificate is not one to trust; ERROR_CONFIG for a bad place, RETRY where only a file can't be read now;
 * ERROR_REFUSED/FATAL with a sentence that says what to change for wrong credentials, an old version, a replica, an eviction policy. */
int redis_connect(const struct redis_options *options, struct redis **ret_redis, struct error *error);
struct redis *redis_free(struct redis *redis);

/* Send a command and wait. On success *ret_reply is owned by the caller (freeReplyObject) and never a Redis error: an
 * error reply becomes ERROR_REDIS (text = Redis's sentence), RETRY for LOADING, BUSY, MASTERDOWN, OOM, READONLY, MOVED,
 * CLUSTERDOWN, NOREPLICAS, TRYAGAIN; FATAL otherwise. */
int redis_call(struct redis *redis, int argc, const char *const *argv, const size_t *argv_sizes, redisReply **ret_reply,
               struct error *error);
/* printf-like as redisCommand: %s, %b, %lld … */
int redis_callf(struct redis *redis, redisReply **ret_reply, struct error *error, const char *format, ...);
/* The two halves, for overlapping work: `redis_send` writes the whole request out; `redis_receive` blocks for the
 * oldest outstanding reply. */
int redis_send(struct redis *redis, int argc, const char *const *argv, const size_t *argv_sizes, struct error *error);
int redis_receive(struct redis *redis, redisReply **ret_reply, struct error *error);
/* The bytes of a string or a status, which the reply owns; absent for any other reply, and for NULL. */
struct slice redis_reply_text(const redisReply *reply);
bool redis_reply_is(const redisReply *reply, const char *text);
/* FUNCTION LOAD of `code` when library `name` is missing. A library's name carries the digest of its code, so two
 * versions live side by side and nothing is ever replaced. */
int redis_function_ensure(struct redis *redis, const char *name, const char *code, struct error *error);
redisContext *redis_context(struct redis *redis);

#endif
