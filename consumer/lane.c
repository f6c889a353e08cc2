/* Open-addressing tables of seen ids, 16 bytes a record, one table a lane, within a bound of memory. */
#include "consumer/lane.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct entry {
    uint64_t hash;   /* of the identity; 0 = empty */
    uint32_t digest; /* low half of the meaning's digest */
    uint32_t index;  /* the record's number in the lane */
};
_Static_assert(sizeof(struct entry) == 16, "16 bytes a record: what the memory bound is made of");

enum {
    PAGE = 4096,
    ENTRIES_PER_PAGE = PAGE / sizeof(struct entry),
    LOAD_PERCENT = 85,            /* of a full table; growth by a quarter makes it 68, hence at most 23.6 bytes an id */
    AHEAD = 16,                   /* appended records whose places are fetched together */
    STEP = 1024 * 1024,           /* a table that moves gives its pages back in steps of this */
};

enum lane_state { LANE_ABSENT, LANE_LOADING, LANE_LOADED };

struct lane {
    struct entry *entries; /* mapped; NULL while there are none */
    uint64_t capacity;     /* entries */
    int64_t length;        /* records, each with one entry; those pending have one too, and follow */
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
    /* The hash is keyed, as ids come from outside: nobody can prepare ids that crowd one place. It decides nothing. */
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
    uint64_t hash = XXH3_64bits_withSeed(identity, 16, lanes->seed) & lanes->mask;
    return hash ? hash : 1;
}

/* Places follow the order of hashes, so that a table can be moved to a larger one from front to back. */
static inline uint64_t place_of(uint64_t hash, uint64_t capacity)
{
    return (uint64_t)(((unsigned __int128)hash * capacity) >> 64);
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

void lane_drop(struct lanes *lanes, uint32_t lane)
{
    assert(lane < SEEN_LANES);
    struct lane *self = &lanes->lanes[lane];
    if (self->entries) {
        munmap(self->entries, self->capacity * sizeof *self->entries);
        lanes->memory -= (int64_t)(self->capacity * sizeof *self->entries);
    }
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

int64_t lane_memory_of(int64_t records)
{
    if (records <= 0)
        return 0;
    uint64_t entries = (uint64_t)records * 125 / LOAD_PERCENT + 2;
    return (int64_t)((entries / ENTRIES_PER_PAGE + 2) * PAGE);
}

/* Let go of the lane touched longest ago among those that are not needed; false when there is none. */
static bool evict_one(struct lanes *lanes, const struct lane *keep)
{
    struct lane *oldest = NULL;
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++) {
        struct lane *self = &lanes->lanes[lane];
        if (self->entries && !self->needed && self != keep && (!oldest || self->touched < oldest->touched))
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

static inline void insert(struct entry *entries, uint64_t capacity, struct entry entry)
{
    uint64_t place = place_of(entry.hash, capacity);
    while (entries[place].hash)
        if (++place == capacity)
            place = 0;
    entries[place] = entry;
}

/* Have the kernel give the pages of the next entries, for writing, in one go. It may not know how (before Linux 5.14):
 * then they come one by one. */
static uint64_t populate(struct entry *entries, uint64_t capacity, uint64_t from)
{
    enum { ENTRIES = 2 * STEP / (int)sizeof *entries }; /* more than a step, as the new table is the larger one */
    uint64_t count = capacity - from < ENTRIES ? capacity - from : ENTRIES;
#ifdef MADV_POPULATE_WRITE
    madvise(entries + from, count * sizeof *entries, MADV_POPULATE_WRITE);
#endif
    return from + count;
}

/* Make place for `length` records in all. */
static int grow(struct lanes *lanes, struct lane *self, int64_t length, struct error *error)
{
    if ((uint64_t)length * 100 <= self->capacity * LOAD_PERCENT)
        return 0;
    uint64_t capacity = self->capacity + self->capacity / 4, least = (uint64_t)length * 100 / LOAD_PERCENT + 1;
    if (capacity < least)
        capacity = least;
    capacity = (capacity + ENTRIES_PER_PAGE - 1) / ENTRIES_PER_PAGE * ENTRIES_PER_PAGE;
    int64_t more = (int64_t)((capacity - self->capacity) * sizeof(struct entry));
    while (lanes->memory > lanes->memory_most - more)
        if (!evict_one(lanes, self))
            break;
    struct entry *entries =
        mmap(NULL, capacity * sizeof *entries, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (entries == MAP_FAILED)
        return error_set(error, ERROR_MEMORY, "out of memory for %lld ids of a seen lane", (long long)length);
    /* The old pages go back as they are done with, and the new ones come (many at once, which costs far less than one by
     * one) as they are needed, so that a move never holds both tables whole. */
    uint64_t given_back = 0, populated = populate(entries, capacity, 0);
    for (uint64_t i = 0; i < self->capacity; i++) {
        if (self->entries[i].hash)
            insert(entries, capacity, self->entries[i]);
        uint64_t done = (i + 1) * sizeof *entries;
        if (done - given_back == STEP) {
            madvise((char *)self->entries + given_back, STEP, MADV_DONTNEED);
            given_back = done;
            populated = populate(entries, capacity, populated);
        }
    }
    while (populated < capacity)
        populated = populate(entries, capacity, populated);
    if (self->entries)
        munmap(self->entries, self->capacity * sizeof *entries);
    self->entries = entries;
    self->capacity = capacity;
    lanes->memory += more;
    return 0;
}

static int make_place(struct lanes *lanes, struct lane *self, size_t count, struct error *error)
{
    if (count > (uint64_t)(LANE_RECORDS_MOST - self->length))
        return error_set(error, ERROR_LIMIT, "seen lane %d has %lld ids and gets %zu more; allowed: %lld",
                         (int)(self - lanes->lanes), (long long)self->length, count, (long long)LANE_RECORDS_MOST);
    return grow(lanes, self, self->length + (int64_t)count, error);
}

/* An entry was put into an empty place, so taking the entries out again, the last one first, leaves what was before. */
static void forget_pending(const struct lanes *lanes, struct lane *self)
{
    while (self->pending > 0) {
        uint32_t last = --self->pending, index = (uint32_t)(self->length + last);
        uint64_t place = place_of(hash_of(lanes, self->pending_records + (size_t)last * SEEN_RECORD_SIZE), self->capacity);
        while (self->entries[place].index != index || !self->entries[place].hash) {
            assert(self->entries[place].hash);
            if (++place == self->capacity)
                place = 0;
        }
        self->entries[place] = (struct entry){0};
    }
    self->pending_most = 0;
}

int lane_append(struct lanes *lanes, uint32_t lane, const uint8_t *records, size_t count, struct error *error)
{
    assert(lane_at(lanes, lane)->state != LANE_ABSENT);
    struct lane *self = &lanes->lanes[lane];
    forget_pending(lanes, self);
    int result = make_place(lanes, self, count, error);
    if (result < 0)
        return result;
    for (size_t done = 0; done < count;) {
        struct entry batch[AHEAD];
        size_t size = count - done < AHEAD ? count - done : AHEAD;
        for (size_t i = 0; i < size; i++) {
            const uint8_t *record = records + (done + i) * SEEN_RECORD_SIZE;
            uint64_t digest;
            memcpy(&digest, record + 16, sizeof digest);
            batch[i].hash = hash_of(lanes, record);
            batch[i].digest = (uint32_t)le64toh(digest);
            batch[i].index = (uint32_t)(self->length + (int64_t)(done + i));
            __builtin_prefetch(&self->entries[place_of(batch[i].hash, self->capacity)], 1);
        }
        for (size_t i = 0; i < size; i++)
            insert(self->entries, self->capacity, batch[i]);
        done += size;
    }
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
        forget_pending(lanes, &lanes->lanes[lane]);
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

/* Goes through the entries of this hash. Those of the lane are looked at from after record `*after` on (NULL: all of
 * them); those pending, exactly. */
static enum seen find_or_add(struct lanes *lanes, uint32_t lane, uint64_t hash, const struct identity *identity,
                             uint64_t digest, const uint32_t *after, uint32_t *ret_index)
{
    struct lane *self = &lanes->lanes[lane];
    uint64_t place = place_of(hash, self->capacity), stored = htole64(digest);
    const struct entry *first = NULL;
    bool passed = !after;
    for (; self->entries[place].hash; place = place + 1 == self->capacity ? 0 : place + 1) {
        const struct entry *entry = &self->entries[place];
#ifdef CITYTOTALS_WITHOUT_DUPLICATE_CHECK
        continue;
#endif
        if (entry->hash != hash)
            continue;
        if (entry->index >= self->length) {
            const uint8_t *record = self->pending_records + (size_t)(entry->index - self->length) * SEEN_RECORD_SIZE;
            if (memcmp(record, identity->bytes, sizeof identity->bytes) == 0)
                return memcmp(record + sizeof identity->bytes, &stored, sizeof stored) == 0 ? SEEN_DUPLICATE : SEEN_CONFLICT;
        } else if (!passed) {
            passed = entry->index == *after;
        } else if (!after && entry->digest == (uint32_t)digest) {
            return SEEN_DUPLICATE;
        } else if (!first) {
            first = entry;
        }
    }
    if (first) {
        *ret_index = first->index;
        return SEEN_MAYBE;
    }
    assert(self->pending < self->pending_most);
    uint8_t *record = self->pending_records + (size_t)self->pending * SEEN_RECORD_SIZE;
    memcpy(record, identity->bytes, sizeof identity->bytes);
    memcpy(record + sizeof identity->bytes, &stored, sizeof stored);
    self->entries[place] = (struct entry){hash, (uint32_t)digest, (uint32_t)(self->length + self->pending++)};
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
    if (self->entries)
        __builtin_prefetch(&self->entries[place_of(hash, self->capacity)], 1);
}
