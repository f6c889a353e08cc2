/* A listening TCP socket from "host:port". */
#ifndef CITYTOTALS_BASE_LISTEN_H
#define CITYTOTALS_BASE_LISTEN_H

#include "base/error.h"

/* Listens on "host:port", "[v6]:port" or ":port" (every address); port 0 = a free one. Does not block, is not inherited.
 * Logs `listening <name> <host:port>`, the host as given and the port that it is. ERROR_CONFIG for what is no address,
 * ERROR_IO when it can't be had. The socket is the caller's to close. */
int listen_open(const char *name, const char *address, int *ret_socket, struct error *error);

#endif
