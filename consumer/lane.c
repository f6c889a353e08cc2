/* Open-addressing tables of seen ids, 16 bytes a record, one table a lane, within a bound of memory. */
#define _GNU_SOURCE /* mremap */
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
    RUN_USUAL = 1024,             /* entries that a growing table moves at a time, */
    RUN_MOST = 4096,              /* at most (at this load a thousand places in a row are hardly ever taken), */
    WAITING_MOST = RUN_MOST + 64, /* and those that wait for its front to be empty */
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

/* Places follow the order of hashes, so that a table can grow where it is. */
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

/* Have the kernel give the pages of these entries, for writing, in one go, which costs far less than one by one. It may
 * not know how (before Linux 5.14): then they come one by one. */
static void populate(struct entry *entries, uint64_t from, uint64_t to)
{
#ifdef MADV_POPULATE_WRITE
    madvise(entries + from, (to - from) * sizeof *entries, MADV_POPULATE_WRITE);
#else
    (void)entries, (void)from, (void)to;
#endif
}

/* Put every entry where the new capacity wants it. From back to front, by runs without an empty place before them: no
 * entry of such a run belongs before it, so each finds either empty places or entries that have been moved. Those that
 * would pass the end, whose place is at the front, wait until the front is empty. False when a run or the wait was longer
 * than there is room for: then some entries are where the old capacity had them, and those in `ret_waiting` nowhere. */
static bool spread(struct entry *entries, uint64_t old, uint64_t capacity, struct entry ret_waiting[WAITING_MOST],
                   size_t *ret_count)
{
    struct entry run[RUN_MOST];
    size_t waiting = 0;
    for (uint64_t end = old, begin; end > 0; end = begin) {
        begin = end > RUN_USUAL ? end - RUN_USUAL : 0;
        while (begin > 0 && entries[begin - 1].hash && end - begin < RUN_MOST)
            begin--;
        *ret_count = waiting;
        if ((begin > 0 && entries[begin - 1].hash) || waiting + (end - begin) > WAITING_MOST)
            return false;
        size_t count = 0;
        for (uint64_t i = begin; i < end; i++) {
            run[count] = entries[i];
            count += entries[i].hash != 0;
        }
        memset(entries + begin, 0, (end - begin) * sizeof *entries);
        for (size_t i = 0; i < count; i++) {
            uint64_t place = place_of(run[i].hash, capacity);
            while (place < capacity && entries[place].hash)
                place++;
            if (place < capacity)
                entries[place] = run[i];
            else
                ret_waiting[waiting++] = run[i];
        }
    }
    for (size_t i = 0; i < waiting; i++)
        insert(entries, capacity, ret_waiting[i]);
    return true;
}

/* Move every entry, wherever it is, to a table of its own. */
static struct entry *rebuild(struct entry *entries, uint64_t capacity, const struct entry *waiting, size_t count)
{
    struct entry *fresh =
        mmap(NULL, capacity * sizeof *fresh, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh != MAP_FAILED) {
        for (uint64_t i = 0; i < capacity; i++)
            if (entries[i].hash)
                insert(fresh, capacity, entries[i]);
        for (size_t i = 0; i < count; i++)
            insert(fresh, capacity, waiting[i]);
    }
    munmap(entries, capacity * sizeof *entries);
    return fresh != MAP_FAILED ? fresh : NULL;
}

static int no_memory(struct error *error, int64_t length)
{
    return error_set(error, ERROR_MEMORY, "out of memory for %lld ids of a seen lane", (long long)length);
}

/* Make place for `length` records in all. The table grows where it is, and only its new part takes new pages. */
static int grow(struct lanes *lanes, struct lane *self, int64_t length, struct error *error)
{
    if ((uint64_t)length * 100 <= self->capacity * LOAD_PERCENT)
        return 0;
    uint64_t old = self->capacity, capacity = old + old / 4, least = (uint64_t)length * 100 / LOAD_PERCENT + 1;
    if (capacity < least)
        capacity = least;
    capacity = (capacity + ENTRIES_PER_PAGE - 1) / ENTRIES_PER_PAGE * ENTRIES_PER_PAGE;
    int64_t more = (int64_t)((capacity - old) * sizeof(struct entry));
    while (lanes->memory > lanes->memory_most - more)
        if (!evict_one(lanes, self))
            break;
    struct entry *entries =
        self->entries ? mremap(self->entries, old * sizeof *entries, capacity * sizeof *entries, MREMAP_MAYMOVE)
                      : mmap(NULL, capacity * sizeof *entries, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (entries == MAP_FAILED)
        return no_memory(error, length);
    populate(entries, old, capacity);
    self->entries = entries;
    self->capacity = capacity;
    lanes->memory += more;
    struct entry waiting[WAITING_MOST];
    size_t count = 0;
    if (!spread(entries, old, capacity, waiting, &count)) {
        /* Never met with hashes that differ; tests make them equal. */
        self->entries = rebuild(entries, capacity, waiting, count);
        if (!self->entries) {
            lanes->memory -= (int64_t)(capacity * sizeof *entries);
            lane_drop(lanes, (uint32_t)(self - lanes->lanes));
            return no_memory(error, length);
        }
    }
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
