/* What the writer and the reader of snapshot files share; nobody else includes it. */
#ifndef CITYTOTALS_CONSUMER_SNAPSHOT_INTERNAL_H
#define CITYTOTALS_CONSUMER_SNAPSHOT_INTERNAL_H

#include "consumer/snapshot_file.h"

/* The first byte is no text, the line ends tell a file that was transferred as text. */
#define SNAPSHOT_MAGIC "\x89" "CTSNAP\n"
enum {
    MAGIC_SIZE = 8,
    FILE_HEAD_SIZE = MAGIC_SIZE + 4, /* then the format */
    BLOCK_HEAD_SIZE = 8,             /* four letters, the content's size */
    BLOCK_TAIL_SIZE = 4,             /* CRC-32 of head and content */
    DIGEST_SIZE = 32,
    END_SIZE = 8 + DIGEST_SIZE, /* number of blocks before, SHA-256 of the bytes before */
    SNAPSHOT_KINDS = SNAPSHOT_END + 1,
};
extern const char *const snapshot_tags[SNAPSHOT_KINDS];

static inline void put32(uint8_t *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(number >> 8 * i);
}
static inline void put64(uint8_t *to, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(number >> 8 * i);
}
static inline uint32_t get32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}
static inline uint64_t get64(const uint8_t *from)
{
    return get32(from) | (uint64_t)get32(from + 4) << 32;
}

#endif
