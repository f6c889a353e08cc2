/* The management listener of a long-running command: /healthz, /readyz and /metrics over HTTP, by libmicrohttpd. */
#ifndef CITYTOTALS_BASE_MANAGEMENT_H
#define CITYTOTALS_BASE_MANAGEMENT_H

#include "base/error.h"
#include "base/health.h"
#include "base/metrics.h"

struct management;
/* Listens on "host:port" (0 = a free port) and logs `listening management <addr:port>`. Answers: 200 or 503 with one
 * line of text; HEAD as GET; 404, 405 otherwise. At most 64 connections, 10 s of silence each; a body over 1 MiB ends it. */
int management_start(const char *address, struct health *health, struct metrics *metrics, struct management **ret_management,
                     struct error *error);
struct management *management_stop(struct management *management); /* NULL; accepts NULL */

#endif
