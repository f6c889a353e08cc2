/* Whose request it is when proxies stand before us. Pure. */
#ifndef CITYTOTALS_PRODUCER_CLIENT_H
#define CITYTOTALS_PRODUCER_CLIENT_H

#include "base/error.h"
#include "base/slice.h"

enum { PROXIES_MOST = 64, CLIENT_TEXT_SIZE = 46 };

struct network {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    int prefix;        /* of 128 bits */
};
/* "10.0.0.0/8", "fd00::/8" or one address. ERROR_CONFIG. */
int network_parse(const char *text, struct network *ret_network, struct error *error);
/* The client's address: the peer's, or where that is a trusted proxy the last of X-Forwarded-For that is none. What a client
 * wrote into the header himself stands further left and is not believed. Returns `text`. */
char *client_address(const char *peer, const char *forwarded, const struct network *proxies, size_t count,
                     char text[CLIENT_TEXT_SIZE]);

#endif
