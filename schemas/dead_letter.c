/* Reads a dead letter back: the one record of ours that only our own consumer writes, so with our schema alone. */
#include <endian.h>

#include "schemas/codec.h"

enum { CONFLUENT_HEAD = 5, SINGLE_HEAD = 10, VARINT_MOST = 10 };

struct reader {
    const uint8_t *at, *end;
    bool failed;
};

static int64_t take_number(struct reader *reader)
{
    uint64_t number = 0;
    for (int i = 0; i < VARINT_MOST && reader->at < reader->end; i++) {
        uint8_t byte = *reader->at++;
        number |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (!(byte & 0x80))
            return (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
    }
    reader->failed = true;
    return 0;
}

static struct slice take_bytes(struct reader *reader)
{
    int64_t size = take_number(reader);
    if (reader->failed || size < 0 || size > reader->end - reader->at) {
        reader->failed = true;
        return (struct slice){0};
    }
    struct slice bytes = {(const char *)reader->at, (size_t)size};
    reader->at += size;
    return bytes;
}

static struct slice take_nullable(struct reader *reader)
{
    int64_t branch = take_number(reader);
    if (branch == 1)
        return take_bytes(reader);
    reader->failed = reader->failed || branch != 0;
    return (struct slice){0};
}

bool dead_letter_decode(struct slice value, struct dead_letter *ret_letter)
{
    const uint8_t *data = (const uint8_t *)value.data;
    struct reader reader = {.end = data + value.size};
    if (value.size >= SINGLE_HEAD && data[0] == 0xC3 && data[1] == 0x01) {
        uint64_t fingerprint;
        memcpy(&fingerprint, data + 2, sizeof fingerprint);
        if (le64toh(fingerprint) != schema_fingerprint(RECORD_DEAD_LETTER))
            return false;
        reader.at = data + SINGLE_HEAD;
    } else if (value.size >= CONFLUENT_HEAD && data[0] == 0x00) {
        reader.at = data + CONFLUENT_HEAD;
    } else {
        return false;
    }
    int64_t reason = take_number(&reader);
    struct dead_letter letter = {.detail = take_bytes(&reader)};
    letter.topic = take_bytes(&reader);
    int64_t partition = take_number(&reader);
    letter.offset = take_number(&reader);
    letter.timestamp_ms = take_number(&reader);
    letter.key = take_nullable(&reader);
    letter.value = take_nullable(&reader);
    if (reader.failed || reader.at != reader.end || reason < 0 || reason >= LETTER_REASONS || partition < 0 ||
        partition > INT32_MAX)
        return false;
    letter.reason = (enum dead_letter_reason)reason;
    letter.partition = (int32_t)partition;
    *ret_letter = letter;
    return true;
}
