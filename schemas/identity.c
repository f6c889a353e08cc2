/* Event ids (UUID version 5), identities, meaning digests and lanes. */
#include "schemas/identity.h"

#include <ctype.h>
#include <endian.h>
#include <openssl/sha.h>
#include <stdio.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "schemas/event.h"

enum { UUID_NAME_MOST = 1024 };

/* RFC 9562 §5.5: SHA-1 over namespace and name, version and variant set. */
static struct event_id uuid5(struct event_id namespace, struct slice name)
{
    unsigned char text[16 + UUID_NAME_MOST], hash[SHA_DIGEST_LENGTH];
    struct event_id id;
    size_t size = name.size < UUID_NAME_MOST ? name.size : UUID_NAME_MOST;
    memcpy(text, namespace.bytes, 16);
    memcpy(text + 16, name.data, size);
    SHA1(text, 16 + size, hash);
    memcpy(id.bytes, hash, 16);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0F) | 0x50);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3F) | 0x80);
    return id;
}

struct event_id event_id_from(enum event_type type, struct slice source, struct slice agency, struct slice id)
{
    static const struct event_id url = {
        {0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}};
    char name[UUID_NAME_MOST];
    int size = snprintf(name, sizeof name, "urn:citytotals:%s:%.*s:%.*s", event_type_name(type), SLICE_ARG(source),
                        SLICE_ARG(agency));
    return uuid5(uuid5(url, (struct slice){name, (size_t)size}), id);
}

struct event_id event_id_reversal(struct event_id original)
{
    return uuid5(original, slice_of("reversal"));
}

bool event_id_is_nil(struct event_id id)
{
    static const struct event_id nil;
    return memcmp(id.bytes, nil.bytes, sizeof id.bytes) == 0;
}

char *event_id_format(struct event_id id, char text[EVENT_ID_TEXT_SIZE])
{
    char *at = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        at += sprintf(at, "%02x", id.bytes[i]);
    }
    return text;
}

bool event_id_parse(struct slice text, struct event_id *ret_id)
{
    struct event_id id;
    if (text.size != 36)
        return false;
    const char *at = text.data;
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *at++ != '-')
            return false;
        if (!isxdigit((unsigned char)at[0]) || !isxdigit((unsigned char)at[1]))
            return false;
        char pair[3] = {at[0], at[1], 0};
        unsigned byte = 0;
        sscanf(pair, "%x", &byte);
        id.bytes[i] = (uint8_t)byte;
        at += 2;
    }
    *ret_id = id;
    return true;
}

struct identity_salt identity_salt_of(enum event_type type, struct slice agency)
{
    char text[512];
    unsigned char hash[SHA256_DIGEST_LENGTH];
    int size = snprintf(text, sizeof text, "%s:%.*s", event_type_name(type), SLICE_ARG(agency));
    SHA256((const unsigned char *)text, (size_t)size, hash);
    struct identity_salt salt;
    memcpy(salt.bytes, hash, sizeof salt.bytes);
    return salt;
}

/* The serialisation is gathered in a small block and streamed into the hash when that is full. */
struct digest {
    XXH3_state_t *state;
    size_t used;
    bool streaming;
    unsigned char block[512];
};

static void add(struct digest *digest, const void *data, size_t size)
{
    if (digest->used + size > sizeof digest->block) {
        if (!digest->streaming)
            XXH3_64bits_reset(digest->state);
        digest->streaming = true;
        XXH3_64bits_update(digest->state, digest->block, digest->used);
        digest->used = 0;
        if (size > sizeof digest->block) {
            XXH3_64bits_update(digest->state, data, size);
            return;
        }
    }
    if (size)
        memcpy(digest->block + digest->used, data, size);
    digest->used += size;
}

static void add_number(struct digest *digest, int32_t number)
{
    uint32_t little = htole32((uint32_t)number);
    add(digest, &little, sizeof little);
}

static void add_text(struct digest *digest, struct slice text)
{
    add_number(digest, text.data ? (int32_t)text.size : -1);
    add(digest, text.data, text.data ? text.size : 0);
}

static void add_units(struct digest *digest, const struct unit *units, uint32_t count)
{
    add_number(digest, (int32_t)count);
    for (uint32_t i = 0; i < count && i < UNIT_LIST_MOST; i++) {
        add_text(digest, units[i].id);
        add_text(digest, units[i].name);
    }
}

uint64_t event_meaning_digest(const struct event *event)
{
    XXH3_state_t state;
    struct digest digest;
    digest.state = &state;
    digest.used = 0;
    digest.streaming = false;
    add_text(&digest, event->source);
    add_number(&digest, event->effective_date);
    add_text(&digest, event->decision);
    unsigned char flag = event->has_reverses;
    add(&digest, &flag, 1);
    if (event->has_reverses)
        add(&digest, event->reverses.bytes, 16);
    if (event->type == EVENT_HEADCOUNT_CHANGE) {
        add_number(&digest, (int32_t)event->headcount.sector);
        add_number(&digest, (int32_t)event->headcount.reason);
        add_number(&digest, event->headcount.delta);
    } else if (event->type == EVENT_UNIT_MERGER) {
        add_number(&digest, (int32_t)event->merger.category);
        add_number(&digest, (int32_t)event->merger.kind);
        add_number(&digest, event->merger.units_before);
        add_number(&digest, event->merger.units_after);
        add_units(&digest, event->merger.merged_units, event->merger.merged_count);
        add_units(&digest, event->merger.resulting_units, event->merger.resulting_count);
        add_text(&digest, event->merger.pilot_model);
        add_text(&digest, event->merger.district);
    }
    if (!digest.streaming)
        return XXH3_64bits(digest.block, digest.used);
    XXH3_64bits_update(&state, digest.block, digest.used);
    return XXH3_64bits_digest(&state);
}

uint32_t murmur2_positive(struct slice bytes)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t hash = UINT32_C(0x9747b28c) ^ (uint32_t)bytes.size;
    size_t at = 0;
    for (; at + 4 <= bytes.size; at += 4) {
        uint32_t word;
        memcpy(&word, bytes.data + at, 4);
        word = le32toh(word) * m;
        word ^= word >> 24;
        hash = hash * m ^ word * m;
    }
    if (bytes.size > at) {
        for (size_t i = bytes.size; i > at; i--)
            hash ^= (uint32_t)(unsigned char)bytes.data[i - 1] << (8 * (i - 1 - at));
        hash *= m;
    }
    hash ^= hash >> 13;
    hash *= m;
    hash ^= hash >> 15;
    return hash & 0x7fffffff;
}
