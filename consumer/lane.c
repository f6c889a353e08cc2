/* The tables of seen ids, one a lane, within a bound of memory. A lane keeps what it knows of its records in their order, and
 * finds them by an index of groups that are a cache line each: a new id costs one line of the index, and a byte of twelve
 * there tells nearly always that it is new. */
#define _GNU_SOURCE /* mremap */
#include "consumer/lane.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "consumer/lane_index.h"

enum {
    PAGE = 4096,
    LOAD_PERCENT = 80, /* of a full index, at most; it grows by a half, hence at most 10 bytes an id, and 12 of a record */
    AHEAD = 16,        /* records whose groups are fetched together */
};

/* What is kept of a record: 64 bits of the identity, as a hash, and 32 of the meaning. Its number in the lane is its place. */
struct __attribute__((packed)) known {
    uint64_t hash;
    uint32_t digest;
};
_Static_assert(sizeof(struct known) == 12 && sizeof(struct group) == 64, "what the memory bound is made of");

enum lane_state { LANE_ABSENT, LANE_LOADING, LANE_LOADED };

struct lane {
    struct known *records; /* mapped, as the groups are; NULL while there are none */
    struct group *groups;
    uint64_t record_capacity, group_count;
    int64_t length; /* records; those pending follow */
    uint32_t pending, pending_most;
    uint8_t *pending_records; /* in the lanes' one array */
    uint64_t touched;
    enum lane_state state;
    bool needed;
};

struct lanes {
    struct lane lanes[SEEN_LANES];
    int64_t memory, memory_most;
    uint64_t clock; /* counts touches */
    /* The hash is keyed, as ids come from outside: nobody can prepare ids that crowd one group. It decides nothing. */
    uint64_t seed;
    uint64_t mask;
    uint8_t *pending; /* records of all lanes' windows, one after the other */
    size_t pending_capacity; /* bytes */
};

struct lanes *lanes_new(int64_t memory_most)
{
    struct lanes *lanes = calloc(1, sizeof *lanes);
    if (!lanes)
        return NULL;
    lanes->memory_most = memory_most;
    lanes->mask = UINT64_MAX;
    if (getrandom(&lanes->seed, sizeof lanes->seed, GRND_NONBLOCK) != (ssize_t)sizeof lanes->seed)
        lanes->seed = (uint64_t)(uintptr_t)lanes;
    return lanes;
}

struct lanes *lanes_free(struct lanes *lanes)
{
    if (!lanes)
        return NULL;
    lanes_drop_all(lanes);
    free(lanes->pending);
    free(lanes);
    return NULL;
}

void lanes_weaken(struct lanes *lanes, unsigned bits)
{
    assert(bits >= 1 && bits <= 64 && lanes->memory == 0);
    lanes->mask = UINT64_MAX << (64 - bits);
}

void lanes_set_seed(struct lanes *lanes, uint64_t seed)
{
    assert(lanes->memory == 0);
    lanes->seed = seed;
}

static inline uint64_t hash_of(const struct lanes *lanes, const uint8_t identity[16])
{
    return XXH3_64bits_withSeed(identity, 16, lanes->seed) & lanes->mask;
}

static inline const struct lane *lane_at(const struct lanes *lanes, uint32_t lane)
{
    assert(lane < SEEN_LANES);
    return &lanes->lanes[lane];
}

bool lane_is_loaded(const struct lanes *lanes, uint32_t lane)
{
    return lane_at(lanes, lane)->state == LANE_LOADED;
}

int64_t lane_length(const struct lanes *lanes, uint32_t lane)
{
    return lane_at(lanes, lane)->length;
}

static int64_t bytes_of(const struct lane *self)
{
    return (int64_t)(self->record_capacity * sizeof *self->records + self->group_count * sizeof *self->groups);
}

void lane_drop(struct lanes *lanes, uint32_t lane)
{
    assert(lane < SEEN_LANES);
    struct lane *self = &lanes->lanes[lane];
    lanes->memory -= bytes_of(self);
    if (self->records)
        munmap(self->records, self->record_capacity * sizeof *self->records);
    if (self->groups)
        munmap(self->groups, self->group_count * sizeof *self->groups);
    *self = (struct lane){.touched = self->touched, .needed = self->needed};
}

void lanes_drop_all(struct lanes *lanes)
{
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++)
        lane_drop(lanes, lane);
}

void lane_begin(struct lanes *lanes, uint32_t lane)
{
    lane_drop(lanes, lane);
    lanes->lanes[lane].state = LANE_LOADING;
    lanes_touch(lanes, lane);
}

void lane_loaded(struct lanes *lanes, uint32_t lane)
{
    assert(lane_at(lanes, lane)->state != LANE_ABSENT);
    lanes->lanes[lane].state = LANE_LOADED;
}

void lanes_touch(struct lanes *lanes, uint32_t lane)
{
    assert(lane < SEEN_LANES);
    lanes->lanes[lane].touched = ++lanes->clock;
}

int64_t lanes_memory(const struct lanes *lanes)
{
    return lanes->memory;
}

/* Rounded up to whole pages. */
static uint64_t paged(uint64_t count, size_t each)
{
    uint64_t pages = (count * each + PAGE - 1) / PAGE;
    return pages * PAGE / each;
}

static uint64_t groups_for(uint64_t records)
{
    return records * 100 / (SLOTS * LOAD_PERCENT) + 1;
}

int64_t lane_memory_of(int64_t records)
{
    if (records <= 0)
        return 0;
    uint64_t most = (uint64_t)records;
    return (int64_t)((most + most / 16) * sizeof(struct known) + groups_for(most) * 3 / 2 * sizeof(struct group)) + 4 * PAGE;
}

/* Let go of the lane touched longest ago among those that are not needed; false when there is none. */
static bool evict_one(struct lanes *lanes, const struct lane *keep)
{
    struct lane *oldest = NULL;
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++) {
        struct lane *self = &lanes->lanes[lane];
        if (self->records && !self->needed && self != keep && (!oldest || self->touched < oldest->touched))
            oldest = self;
    }
    if (!oldest)
        return false;
    lane_drop(lanes, (uint32_t)(oldest - lanes->lanes));
    return true;
}

bool lanes_make_room(struct lanes *lanes, const bool needed[SEEN_LANES], int64_t bytes)
{
    for (int lane = 0; lane < SEEN_LANES; lane++)
        lanes->lanes[lane].needed = needed[lane];
    while (lanes->memory > lanes->memory_most - bytes)
        if (!evict_one(lanes, NULL))
            return false;
    return true;
}

/* Have the kernel give these pages, for writing, in one go, which costs far less than one by one. It may not know how
 * (before Linux 5.14): then they come one by one. */
static void populate(void *memory, size_t from, size_t to)
{
#ifdef MADV_POPULATE_WRITE
    from = from / PAGE * PAGE;
    madvise((char *)memory + from, to - from, MADV_POPULATE_WRITE);
#else
    (void)memory, (void)from, (void)to;
#endif
}

/* Memory of pages that grows where it is or moves, without being copied. NULL when there is none. */
static void *map_more(void *memory, size_t old, size_t size)
{
    void *more = memory ? mremap(memory, old, size, MREMAP_MAYMOVE)
                        : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (more == MAP_FAILED)
        return NULL;
    populate(more, old, size);
    return more;
}

static int no_memory(struct error *error, int64_t length)
{
    return error_set(error, ERROR_MEMORY, "out of memory for %lld ids of a seen lane", (long long)length);
}

/* The records from `from` to `to` join the index. */
static void index_records(struct lane *self, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        if (i + AHEAD < to)
            __builtin_prefetch(&self->groups[group_of(self->records[i + AHEAD].hash, self->group_count)], 1);
        index_insert(self->groups, self->group_count, self->records[i].hash, (uint32_t)i);
    }
}

static void make_room_for(struct lanes *lanes, const struct lane *self, int64_t more)
{
    while (lanes->memory > lanes->memory_most - more)
        if (!evict_one(lanes, self))
            break;
}

static bool grow_records(struct lanes *lanes, struct lane *self, int64_t length)
{
    uint64_t old = self->record_capacity, capacity = old + old / 16;
    if ((uint64_t)length <= old)
        return true;
    capacity = paged(capacity < (uint64_t)length ? (uint64_t)length : capacity, sizeof *self->records);
    make_room_for(lanes, self, (int64_t)((capacity - old) * sizeof *self->records));
    void *records = map_more(self->records, old * sizeof *self->records, capacity * sizeof *self->records);
    if (!records)
        return false;
    self->records = records;
    self->record_capacity = capacity;
    lanes->memory += (int64_t)((capacity - old) * sizeof *self->records);
    return true;
}

/* A larger index is filled anew, from the records. */
static bool grow_index(struct lanes *lanes, struct lane *self, int64_t length)
{
    uint64_t old = self->group_count, count = old + old / 2, least = groups_for((uint64_t)length);
    if (least <= old)
        return true;
    count = paged(count < least ? least : count, sizeof *self->groups);
    int64_t more = (int64_t)((count - old) * sizeof *self->groups);
    make_room_for(lanes, self, more);
    struct group *groups = map_more(self->groups, old * sizeof *groups, count * sizeof *groups);
    if (!groups)
        return false;
    memset(groups, 0, old * sizeof *groups);
    self->groups = groups;
    self->group_count = count;
    lanes->memory += more;
    index_records(self, 0, self->length);
    return true;
}

/* Make place for `length` records in all. */
static int grow(struct lanes *lanes, struct lane *self, int64_t length, struct error *error)
{
    return grow_records(lanes, self, length) && grow_index(lanes, self, length) ? 0 : no_memory(error, length);
}

static int make_place(struct lanes *lanes, struct lane *self, size_t count, struct error *error)
{
    if (count > (uint64_t)(LANE_RECORDS_MOST - self->length))
        return error_set(error, ERROR_LIMIT, "seen lane %d has %lld ids and gets %zu more; allowed: %lld",
                         (int)(self - lanes->lanes), (long long)self->length, count, (long long)LANE_RECORDS_MOST);
    return grow(lanes, self, self->length + (int64_t)count, error);
}

/* A record came into its group last, so taking the records out again, the last one first, leaves what was before. */
static void forget_pending(struct lane *self)
{
    while (self->pending > 0) {
        uint32_t index = (uint32_t)(self->length + --self->pending);
        uint64_t at = group_of(self->records[index].hash, self->group_count);
        while (self->groups[at].index[self->groups[at].used - 1] != index)
            at = group_after(at, self->group_count);
        struct group *group = &self->groups[at];
        group->tags[--group->used] = 0;
    }
    self->pending_most = 0;
}

int lane_append(struct lanes *lanes, uint32_t lane, const uint8_t *records, size_t count, struct error *error)
{
    assert(lane_at(lanes, lane)->state != LANE_ABSENT);
    struct lane *self = &lanes->lanes[lane];
    forget_pending(self);
    int result = make_place(lanes, self, count, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *record = records + i * SEEN_RECORD_SIZE;
        uint64_t digest;
        memcpy(&digest, record + 16, sizeof digest);
        self->records[self->length + (int64_t)i] = (struct known){hash_of(lanes, record), (uint32_t)le64toh(digest)};
    }
    index_records(self, self->length, self->length + (int64_t)count);
    self->length += (int64_t)count;
    return 0;
}

int lanes_take_tail(struct lanes *lanes, uint32_t lane, int64_t stored, const uint8_t *records, size_t count,
                    struct error *error)
{
    if (stored < lane_length(lanes, lane) || lane_at(lanes, lane)->state == LANE_ABSENT) {
        lane_drop(lanes, lane);
        return 0;
    }
    int result = lane_append(lanes, lane, records, count, error);
    if (result >= 0 && lane_length(lanes, lane) < stored)
        lanes->lanes[lane].state = LANE_LOADING;
    return result;
}

void lanes_forget_pending(struct lanes *lanes)
{
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++)
        forget_pending(&lanes->lanes[lane]);
}

void lanes_keep_pending(struct lanes *lanes)
{
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++) {
        struct lane *self = &lanes->lanes[lane];
        self->length += self->pending;
        self->pending = self->pending_most = 0;
    }
}

size_t lane_pending(const struct lanes *lanes, uint32_t lane, const uint8_t **ret_records)
{
    const struct lane *self = lane_at(lanes, lane);
    *ret_records = self->pending_records;
    return self->pending;
}

int lanes_reserve(struct lanes *lanes, const uint32_t counts[SEEN_LANES], struct error *error)
{
    size_t bytes = 0;
    lanes_forget_pending(lanes);
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++)
        bytes += (size_t)counts[lane] * SEEN_RECORD_SIZE;
    if (bytes > lanes->pending_capacity) {
        uint8_t *pending = realloc(lanes->pending, bytes);
        if (!pending)
            return error_set(error, ERROR_MEMORY, "out of memory for the new ids of a batch");
        lanes->pending = pending;
        lanes->pending_capacity = bytes;
    }
    uint8_t *records = lanes->pending;
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++) {
        struct lane *self = &lanes->lanes[lane];
        if (counts[lane] == 0)
            continue;
        assert(self->state == LANE_LOADED);
        int result = make_place(lanes, self, counts[lane], error);
        if (result < 0)
            return result;
        self->pending_most = counts[lane];
        self->pending_records = records;
        records += (size_t)counts[lane] * SEEN_RECORD_SIZE;
    }
    return 0;
}

uint64_t lanes_hash(const struct lanes *lanes, const struct identity *identity)
{
    return hash_of(lanes, identity->bytes);
}

/* Goes through the records of this hash. Those of the lane are looked at from after record `*after` on (NULL: all of
 * them); those pending, exactly. */
static enum seen find_or_add(struct lanes *lanes, uint32_t lane, uint64_t hash, const struct identity *identity,
                             uint64_t digest, const uint32_t *after, uint32_t *ret_index)
{
    struct lane *self = &lanes->lanes[lane];
    uint64_t at = group_of(hash, self->group_count), stored = htole64(digest);
    uint8_t tag = tag_of(hash);
    bool passed = !after, maybe = false;
    struct group *group;
    for (;; at = group_after(at, self->group_count)) {
        group = &self->groups[at];
        for (uint32_t slots = slots_with(group, tag); slots; slots &= slots - 1) {
            uint32_t index = group->index[__builtin_ctz(slots)];
            const struct known *known = &self->records[index];
#ifdef CITYTOTALS_WITHOUT_DUPLICATE_CHECK
            continue;
#endif
            if (known->hash != hash)
                continue;
            if (index >= self->length) {
                const uint8_t *record = self->pending_records + (size_t)(index - self->length) * SEEN_RECORD_SIZE;
                if (memcmp(record, identity->bytes, sizeof identity->bytes) == 0)
                    return memcmp(record + sizeof identity->bytes, &stored, sizeof stored) == 0 ? SEEN_DUPLICATE
                                                                                                : SEEN_CONFLICT;
            } else if (!passed) {
                passed = index == *after;
            } else if (!after && known->digest == (uint32_t)digest) {
                return SEEN_DUPLICATE;
            } else if (!maybe) {
                maybe = true;
                *ret_index = index;
            }
        }
        if (group->used < SLOTS)
            break;
    }
    if (maybe)
        return SEEN_MAYBE;
    assert(self->pending < self->pending_most);
    uint8_t *record = self->pending_records + (size_t)self->pending * SEEN_RECORD_SIZE;
    memcpy(record, identity->bytes, sizeof identity->bytes);
    memcpy(record + sizeof identity->bytes, &stored, sizeof stored);
    uint32_t index = (uint32_t)(self->length + self->pending++);
    self->records[index] = (struct known){hash, (uint32_t)digest};
    group->tags[group->used] = tag;
    group->index[group->used++] = index;
    return SEEN_NEW;
}

enum seen lane_add(struct lanes *lanes, uint32_t lane, uint64_t hash, const struct identity *identity, uint64_t digest,
                   uint32_t *ret_index)
{
    assert(lane < SEEN_LANES);
    return find_or_add(lanes, lane, hash, identity, digest, NULL, ret_index);
}

enum seen lane_add_after(struct lanes *lanes, uint32_t lane, uint64_t hash, const struct identity *identity, uint64_t digest,
                         uint32_t *index)
{
    assert(lane < SEEN_LANES);
    uint32_t after = *index;
    return find_or_add(lanes, lane, hash, identity, digest, &after, index);
}

void lane_prefetch(const struct lanes *lanes, uint32_t lane, uint64_t hash)
{
    const struct lane *self = lane_at(lanes, lane);
    if (self->groups)
        __builtin_prefetch(&self->groups[group_of(hash, self->group_count)], 1);
}
