/* Hashes of visitors, whose page it is, how often an address comes. */
#include "producer/visitor.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"

enum { HASH_SIZE = 32, MESSAGE_MOST = 4096, SECONDS_OF_RATE = 60 };

static const char salt[] = "citytotals page visits";

static void hmac(const void *key, size_t key_size, const void *data, size_t size, uint8_t ret_hash[HASH_SIZE])
{
    unsigned int written = HASH_SIZE;
    memset(ret_hash, 0, HASH_SIZE);
    HMAC(EVP_sha256(), key, (int)key_size, data, size, ret_hash, &written);
}

void visit_day_key(struct slice secret, int32_t day, uint8_t ret_key[VISIT_KEY_SIZE])
{
    uint8_t extracted[HASH_SIZE], expanded[HASH_SIZE];
    char info[DATE_TEXT_SIZE + 1];
    hmac(salt, sizeof salt - 1, secret.data, secret.size, extracted);
    size_t size = strlen(date_format(day, info));
    info[size] = 1; /* HKDF's number of the block, the only one */
    hmac(extracted, sizeof extracted, info, size + 1, expanded);
    memcpy(ret_key, expanded, VISIT_KEY_SIZE);
}

/* What does not fit is cut: two such visitors may then be one. */
static size_t put(char *message, size_t at, struct slice text, bool small)
{
    size_t size = text.size < MESSAGE_MOST - 1 - at ? text.size : MESSAGE_MOST - 1 - at;
    for (size_t i = 0; i < size; i++)
        message[at + i] = small ? (char)tolower((unsigned char)text.data[i]) : text.data[i];
    return at + size;
}

void visitor_hash(const uint8_t key[VISIT_KEY_SIZE], struct slice address, struct slice user_agent, struct slice host,
                  uint8_t ret_visitor[VISITOR_SIZE])
{
    char message[MESSAGE_MOST];
    uint8_t hash[HASH_SIZE];
    size_t at = put(message, 0, address, false);
    message[at++] = '\0';
    at = put(message, at, (struct slice){user_agent.data, user_agent.size < MESSAGE_MOST / 2 ? user_agent.size : MESSAGE_MOST / 2}, false);
    message[at++] = '\0';
    at = put(message, at, host, true);
    hmac(key, VISIT_KEY_SIZE, message, at, hash);
    memcpy(ret_visitor, hash, VISITOR_SIZE);
}

/* "https://host:port" of a URL; its size 0 when it has none. */
static struct slice origin_of(struct slice url)
{
    for (size_t i = 0; i + 2 < url.size; i++) {
        if (memcmp(url.data + i, "://", 3) != 0)
            continue;
        size_t end = i + 3;
        while (end < url.size && !strchr("/?#", url.data[end]))
            end++;
        return (struct slice){url.data, end};
    }
    return (struct slice){url.data, 0};
}

bool visit_origin_allowed(const char *const *origins, size_t count, struct slice origin, struct slice referer)
{
    struct slice from = origin.data ? origin : origin_of(referer);
    for (size_t i = 0; i < count; i++)
        if (strcmp(origins[i], "*") == 0 ||
            (from.size > 0 && from.size == strlen(origins[i]) && strncasecmp(from.data, origins[i], from.size) == 0))
            return true;
    return false;
}

bool visit_rates_take(struct visit_rates *rates, const char *address, int64_t now_ms)
{
    uint8_t bytes[16] = {0}, hash[HASH_SIZE];
    size_t size = 4;
    if (inet_pton(AF_INET, address, bytes) != 1) {
        inet_pton(AF_INET6, address, bytes);
        size = 8; /* what one subscriber has */
    }
    hmac(rates->key, sizeof rates->key, bytes, size, hash);
    size_t place = ((size_t)hash[0] << 8 | hash[1]) % VISIT_PLACES;
    uint32_t now_s = (uint32_t)(now_ms / 1000), past_s = now_s - rates->places[place].at_s;
    float used = rates->places[place].used - (float)past_s * (float)rates->rate / SECONDS_OF_RATE;
    if (used < 0)
        used = 0;
    bool within = used + 1 <= (float)rates->rate;
    rates->places[place].used = within ? used + 1 : used;
    rates->places[place].at_s = now_s;
    return within;
}
