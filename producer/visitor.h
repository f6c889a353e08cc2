/* Page visits without knowing anybody: the day's keyed hash, whose page it is, and how often one address may come. Pure; docs/privacy.md says what it protects. */
#ifndef CITYTOTALS_PRODUCER_VISITOR_H
#define CITYTOTALS_PRODUCER_VISITOR_H

#include "base/error.h"
#include "base/slice.h"

enum {
    VISITOR_SIZE = 16,
    VISIT_SECRET_LEAST = 32, /* bytes */
    VISIT_SECRET_MOST = 4096,
    VISIT_KEY_SIZE = 32,
    VISIT_PLACES = 1 << 16, /* of the table of rates */
};

/* HKDF-SHA-256 of the secret, with the salt "citytotals page visits" and the day as YYYY-MM-DD. */
void visit_day_key(struct slice secret, int32_t day, uint8_t ret_key[VISIT_KEY_SIZE]);
/* The first 16 bytes of HMAC-SHA-256 with the day's key over address, user agent and host in small letters, a zero byte between. */
void visitor_hash(const uint8_t key[VISIT_KEY_SIZE], struct slice address, struct slice user_agent, struct slice host,
                  uint8_t ret_visitor[VISITOR_SIZE]);

/* Is the request from a page of one of the origins ("https://haiphong.gov.vn"; "*": every page)? `origin` is the header of
 * that name; without it (data NULL) the origin within `referer` counts. */
bool visit_origin_allowed(const char *const *origins, size_t count, struct slice origin, struct slice referer);

/* Buckets in places that a secret hash of the address picks: no address is kept, and who shares a place shares its rate. IPv6
 * addresses of one /64 count as one. One thread at a time. */
struct visit_rates {
    uint8_t key[VISIT_KEY_SIZE]; /* random, told to nobody */
    int64_t rate;                /* visits a minute; the bucket holds as many */
    struct {
        float used;
        uint32_t at_s;
    } places[VISIT_PLACES];
};
/* True when this visit is within the rate, and counts it. */
bool visit_rates_take(struct visit_rates *rates, const char *address, int64_t now_ms);

#endif
