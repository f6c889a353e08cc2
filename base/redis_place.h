/* Where Redis is, and how a program proves itself to it and it to the program. */
#ifndef CITYTOTALS_BASE_REDIS_PLACE_H
#define CITYTOTALS_BASE_REDIS_PLACE_H

#include "base/error.h"

/* Texts are whoever's made it, and outlive what is opened by it. */
struct redis_place {
    const char *url;        /* redis://, rediss:// (TLS): [user:pass@]host:port[/db], parts percent-encoded;
                               redis+cluster://, rediss+cluster://: [user:pass@]host:port[,host:port…] */
    const char *ca;         /* file of authorities in PEM; NULL: the system's. These three only with TLS */
    const char *cert, *key; /* files in PEM of the program's own certificate, its chain behind it; both or neither */
};

/* Whether it could be used: the URL, what goes together, and the files as they are now. -ERROR_CONFIG with what is allowed. */
int redis_place_check(const struct redis_place *place, struct error *error);

#endif
