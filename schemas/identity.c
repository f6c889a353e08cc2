/* Event ids (UUID version 5), identities, meaning digests and lanes. */
#define OPENSSL_API_COMPAT 0x10100000L /* SHA1_Init and so on: no memory is asked for, so nothing can fail; EVP costs twice as much */
#include "schemas/identity.h"

#include <endian.h>
#include <openssl/sha.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
/* RFC 9562 §5.5: SHA-1 over the namespace and the name, cut to 16 bytes, version and variant set. */
static struct event_id uuid5(struct event_id namespace, const struct slice *name, size_t count)
{
    unsigned char hash[SHA_DIGEST_LENGTH];
    struct event_id id;
    SHA_CTX context;
    SHA1_Init(&context);
    SHA1_Update(&context, namespace.bytes, sizeof namespace.bytes);
    for (size_t i = 0; i < count; i++)
        SHA1_Update(&context, name[i].data, name[i].size);
    SHA1_Final(hash, &context);
    memcpy(id.bytes, hash, sizeof id.bytes);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0F) | 0x50);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3F) | 0x80);
    return id;
}

struct event_id event_namespace(enum event_type type, struct slice source, struct slice agency)
{
    static const struct event_id url = {
        {0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}};
    const struct slice name[] = {
        slice_of("urn:citytotals:"), slice_of(event_type_name(type)), slice_of(":"), source, slice_of(":"), agency};
    return uuid5(url, name, sizeof name / sizeof *name);
}

struct event_id event_id_in_namespace(struct event_id namespace, struct slice id)
{
    return uuid5(namespace, &id, 1);
}

struct event_id event_id_from(enum event_type type, struct slice source, struct slice agency, struct slice id)
{
    return event_id_in_namespace(event_namespace(type, source, agency), id);
}

struct event_id event_id_reversal(struct event_id original)
{
    return event_id_in_namespace(original, slice_of("reversal"));
}

bool event_id_is_nil(struct event_id id)
{
    static const struct event_id nil;
    return memcmp(id.bytes, nil.bytes, sizeof id.bytes) == 0;
}

static bool hyphen_before(int byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

char *event_id_format(struct event_id id, char text[EVENT_ID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *at = text;
    for (int i = 0; i < 16; i++) {
        if (hyphen_before(i))
            *at++ = '-';
        *at++ = digits[id.bytes[i] >> 4];
        *at++ = digits[id.bytes[i] & 15];
    }
    *at = '\0';
    return text;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool event_id_parse(struct slice text, struct event_id *ret_id)
{
    struct event_id id;
    if (text.size != EVENT_ID_TEXT_SIZE - 1)
        return false;
    const char *at = text.data;
    for (int i = 0; i < 16; i++) {
        if (hyphen_before(i) && *at++ != '-')
            return false;
        int high = digit_value(*at++), low = digit_value(*at++);
        if (high < 0 || low < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_id = id;
    return true;
}

struct identity_salt identity_salt_of(enum event_type type, struct slice agency)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    struct identity_salt salt;
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, event_type_name(type), strlen(event_type_name(type)));
    SHA256_Update(&context, ":", 1);
    SHA256_Update(&context, agency.data, agency.size);
    SHA256_Final(hash, &context);
    memcpy(salt.bytes, hash, sizeof salt.bytes);
    return salt;
}

/* Salt and id are 48 bytes, so with SHA-256's padding (FIPS 180-4 §5.1.1) they are one block, the same for every event but
 * for what is copied into it: made here, it costs one call into libcrypto instead of four. */
struct identity identity_of(struct event_id id, const struct identity_salt *salt)
{
    enum { SIZE = sizeof salt->bytes + sizeof id.bytes };
    _Static_assert(SIZE < SHA256_CBLOCK - 8, "one block");
    unsigned char block[SHA256_CBLOCK] = {[SIZE] = 0x80, [SHA256_CBLOCK - 2] = SIZE * 8 / 256, SIZE * 8 % 256};
    struct identity identity;
    SHA256_CTX context;
    memcpy(block, salt->bytes, sizeof salt->bytes);
    memcpy(block + sizeof salt->bytes, id.bytes, sizeof id.bytes);
    SHA256_Init(&context);
    SHA256_Transform(&context, block);
    for (size_t i = 0; i < sizeof identity.bytes / 4; i++) {
        uint32_t word = htobe32(context.h[i]);
        memcpy(identity.bytes + 4 * i, &word, sizeof word);
    }
    return identity;
}
#pragma GCC diagnostic pop

enum { PLAIN_SOURCE_MOST = 64 };

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

static inline unsigned char *put_number(unsigned char *at, int32_t number)
{
    uint32_t little = htole32((uint32_t)number);
    memcpy(at, &little, sizeof little);
    return at + sizeof little;
}

/* The usual event, a headcount change with a short source, no decision and nothing reversed: the same serialisation in
 * one go, as the general way takes longer to gather it than to hash it. */
static uint64_t plain_headcount_digest(const struct event *event)
{
    unsigned char block[PLAIN_SOURCE_MOST + 7 * sizeof(int32_t)], *at = put_number(block, (int32_t)event->source.size);
    memcpy(at, event->source.data, event->source.size);
    at = put_number(at + event->source.size, event->effective_date);
    at = put_number(at, -1);
    *at++ = 0;
    at = put_number(at, (int32_t)event->headcount.sector);
    at = put_number(at, (int32_t)event->headcount.reason);
    at = put_number(at, event->headcount.delta);
    return XXH3_64bits(block, (size_t)(at - block));
}

uint64_t event_meaning_digest(const struct event *event)
{
    if (event->type == EVENT_HEADCOUNT_CHANGE && event->source.data && event->source.size <= PLAIN_SOURCE_MOST &&
        !event->decision.data && !event->has_reverses)
        return plain_headcount_digest(event);
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
