/* The index of a lane's records: groups of a cache line each, open addressing from group to group. Only lane.c
 * includes it. */
#ifndef CITYTOTALS_CONSUMER_LANE_INDEX_H
#define CITYTOTALS_CONSUMER_LANE_INDEX_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

enum { SLOTS = 12 }; /* of a group */

/* Filled from the front. An id is in the first group, from the one its hash names on, that had a free slot. */
struct group {
    uint8_t tags[SLOTS]; /* of the hashes; 0 = free */
    uint32_t used;
    uint32_t index[SLOTS]; /* the records' numbers */
};

static inline uint64_t group_of(uint64_t hash, uint64_t group_count)
{
    return (uint64_t)(((unsigned __int128)hash * group_count) >> 64);
}

static inline uint64_t group_after(uint64_t group, uint64_t group_count)
{
    return group + 1 == group_count ? 0 : group + 1;
}

static inline uint8_t tag_of(uint64_t hash)
{
    uint8_t tag = (uint8_t)hash;
    return tag ? tag : 1;
}

/* A bit in the top of each byte that is zero. */
static inline uint64_t zero_bytes(uint64_t bytes)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
    return ~(((bytes & low) + low) | bytes | low);
}

/* Which slots have the tag: bit n of the answer for slot n. */
static inline uint32_t slots_with(const struct group *group, uint8_t tag)
{
    uint64_t first, rest = 0, wanted = tag * UINT64_C(0x0101010101010101);
    memcpy(&first, group->tags, 8);
    memcpy(&rest, group->tags + 8, SLOTS - 8);
    uint64_t low = zero_bytes(le64toh(first) ^ wanted), high = zero_bytes((le64toh(rest) ^ wanted) | ~UINT64_C(0xffffffff));
    if (__builtin_expect(!(low | high), 1))
        return 0;
    const uint64_t gather = UINT64_C(0x0102040810204080); /* the bits 7, 15, … of a product's factor meet in its top byte */
    return (uint32_t)((low >> 7) * gather >> 56 & 0xff) | (uint32_t)((high >> 7) * gather >> 56 & 0xf) << 8;
}

static inline void index_insert(struct group *groups, uint64_t group_count, uint64_t hash, uint32_t index)
{
    uint64_t at = group_of(hash, group_count);
    while (groups[at].used == SLOTS)
        at = group_after(at, group_count);
    struct group *group = &groups[at];
    group->tags[group->used] = tag_of(hash);
    group->index[group->used++] = index;
}

#endif
