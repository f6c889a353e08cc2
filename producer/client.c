/* Addresses, networks, and the list that proxies leave. */
#include "producer/client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static bool address_parse(struct slice text, uint8_t ret_bytes[16])
{
    char copy[CLIENT_TEXT_SIZE];
    if (text.size == 0 || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    uint8_t bytes[16] = {[10] = 0xFF, [11] = 0xFF};
    if (inet_pton(AF_INET, copy, bytes + 12) != 1 && inet_pton(AF_INET6, copy, bytes) != 1)
        return false;
    memcpy(ret_bytes, bytes, sizeof bytes);
    return true;
}

static bool is_v4(const uint8_t bytes[16])
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    return memcmp(bytes, mapped, sizeof mapped) == 0;
}

int network_parse(const char *text, struct network *ret_network, struct error *error)
{
    const char *slash = strchr(text, '/');
    struct network network = {.prefix = 128};
    struct slice address = {text, slash ? (size_t)(slash - text) : strlen(text)};
    bool good = address_parse(address, network.bytes);
    if (good && slash) {
        int most = is_v4(network.bytes) && memchr(address.data, '.', address.size) && !memchr(address.data, ':', address.size) ? 32 : 128;
        size_t digits = strspn(slash + 1, "0123456789");
        int prefix = digits > 0 && digits <= 3 && slash[1 + digits] == '\0' ? (int)strtol(slash + 1, NULL, 10) : -1;
        good = prefix >= 0 && prefix <= most;
        network.prefix = prefix + 128 - most;
    }
    if (!good)
        return error_set(error, ERROR_CONFIG, "\"%.80s\" is no network; allowed: an address, or 10.0.0.0/8, fd00::/8", text);
    *ret_network = network;
    return 0;
}

static bool is_trusted(const uint8_t bytes[16], const struct network *proxies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int whole = proxies[i].prefix / 8, bits = proxies[i].prefix % 8;
        if (memcmp(bytes, proxies[i].bytes, (size_t)whole) == 0 &&
            (bits == 0 || (bytes[whole] ^ proxies[i].bytes[whole]) >> (8 - bits) == 0))
            return true;
    }
    return false;
}

static struct slice trimmed(const char *first, const char *end)
{
    while (first < end && (*first == ' ' || *first == '\t'))
        first++;
    while (end > first && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return (struct slice){first, (size_t)(end - first)};
}

char *client_address(const char *peer, const char *forwarded, const struct network *proxies, size_t count,
                     char text[CLIENT_TEXT_SIZE])
{
    uint8_t known[16], bytes[16];
    snprintf(text, CLIENT_TEXT_SIZE, "%s", peer);
    if (!forwarded || !address_parse(slice_of(peer), known))
        return text;
    const char *end = forwarded + strlen(forwarded);
    while (is_trusted(known, proxies, count) && end > forwarded) {
        const char *first = end;
        while (first > forwarded && first[-1] != ',')
            first--;
        if (!address_parse(trimmed(first, end), bytes))
            break;
        memcpy(known, bytes, sizeof known);
        end = first > forwarded ? first - 1 : forwarded;
    }
    inet_ntop(is_v4(known) ? AF_INET : AF_INET6, is_v4(known) ? known + 12 : known, text, CLIENT_TEXT_SIZE);
    return text;
}
