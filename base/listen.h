/* A listening TCP socket from "host:port". */
#ifndef CITYTOTALS_BASE_LISTEN_H
#define CITYTOTALS_BASE_LISTEN_H

#include <stdint.h>

#include "base/error.h"

/* Listens on "host:port", "[v6]:port" or ":port" (every address); port 0 = a free one. Does not block, is not inherited.
 * Logs `listening <name> <host:port>`, the host as given and the port that it is. ERROR_CONFIG for what is no address,
 * ERROR_IO when it can't be had. The socket is the caller's to close. */
int listen_open(const char *name, const char *address, int *ret_socket, struct error *error);

/* Each connection needs a file, and the soft limit is often lower than what the system grants: raises it so that `connections`, the
 * value of the setting of that name, and `others` fit. ERROR_CONFIG where the system grants less. */
int listen_allow_files(const char *setting, int64_t connections, int64_t others, struct error *error);

#endif
