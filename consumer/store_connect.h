/* A connection to the node that holds a city's keys, with the Function library loaded where it is missing. */
#ifndef CITYTOTALS_CONSUMER_STORE_CONNECT_H
#define CITYTOTALS_CONSUMER_STORE_CONNECT_H

#include "base/redis.h"

/* `totals_key` routes; `writer`: the server must be one that a state may be kept in. */
int store_connect(const struct redis_place *place, const char *totals_key, bool writer, int64_t command_timeout_ms, struct redis **ret_redis,
                  struct error *error);
/* 32 random hex digits: an epoch, or who holds a lock. */
#define RANDOM_TEXT_SIZE 33
int store_random_text(char text[RANDOM_TEXT_SIZE], struct error *error);

#endif
