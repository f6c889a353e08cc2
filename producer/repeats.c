/* A hash table of places into a growing array of entries: 96 bits of the identity (the rest is a hash's too: two events of one
 * file meet there by chance once in 10^15 files of ten million), the meaning digest, the line. */
#include "producer/repeats.h"

#include <inttypes.h>
#include <stdlib.h>

enum { CHUNK_ENTRIES = 1 << 16, FIRST_SLOTS = 1 << 12, CHUNKS_MOST = 1 << 14 };

struct entry {
    uint8_t identity[12];
    uint32_t line_low;
    uint32_t meaning[2]; /* for a target: the ordinal of the reversal */
    uint32_t line_high : 31;
    uint32_t is_reversal : 1;
};
_Static_assert(sizeof(struct entry) == 28, "as the memory bound is told in the documentation");

struct table {
    uint32_t *slots; /* an entry's number + 1; 0 = free */
    uint64_t slot_count; /* a power of two */
    struct entry *chunks[CHUNKS_MOST];
    uint64_t count;
    size_t chunk_count;
};

struct repeats {
    int64_t memory, memory_most;
    struct table events;
    struct table targets; /* what reversals so far reverse */
};

static bool take_memory(struct repeats *repeats, size_t size)
{
    if ((int64_t)size > repeats->memory_most - repeats->memory)
        return false;
    repeats->memory += (int64_t)size;
    return true;
}

static struct entry *entry_at(const struct table *table, uint64_t number)
{
    return &table->chunks[number / CHUNK_ENTRIES][number % CHUNK_ENTRIES];
}

static uint64_t hash_of(const uint8_t identity[12])
{
    uint64_t hash;
    memcpy(&hash, identity, sizeof hash);
    return (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
}

static struct entry *find(const struct table *table, const uint8_t identity[12])
{
    if (!table->slots)
        return NULL;
    for (uint64_t slot = hash_of(identity) & (table->slot_count - 1); table->slots[slot]; slot = (slot + 1) & (table->slot_count - 1)) {
        struct entry *entry = entry_at(table, table->slots[slot] - 1);
        if (memcmp(entry->identity, identity, sizeof entry->identity) == 0)
            return entry;
    }
    return NULL;
}

static void put_slot(struct table *table, uint64_t number)
{
    uint64_t slot = hash_of(entry_at(table, number)->identity) & (table->slot_count - 1);
    while (table->slots[slot])
        slot = (slot + 1) & (table->slot_count - 1);
    table->slots[slot] = (uint32_t)(number + 1);
}

static int limit(const struct repeats *repeats, struct error *error)
{
    return error_set(error, ERROR_LIMIT,
                     "it has more events than are remembered in %" PRId64 " MiB to find repeats; split the file, or give more with "
                     "--check-memory",
                     repeats->memory_most >> 20);
}

/* Room for one more: a chunk, and slots at most three quarters full. */
static int make_room(struct repeats *repeats, struct table *table, struct error *error)
{
    if (table->count >= UINT32_MAX - 1 || table->count / CHUNK_ENTRIES >= CHUNKS_MOST)
        return limit(repeats, error);
    if (table->count / CHUNK_ENTRIES >= table->chunk_count) {
        if (!take_memory(repeats, CHUNK_ENTRIES * sizeof(struct entry)))
            return limit(repeats, error);
        struct entry *chunk = malloc(CHUNK_ENTRIES * sizeof *chunk);
        if (!chunk)
            return error_set(error, ERROR_MEMORY, "out of memory");
        table->chunks[table->chunk_count++] = chunk;
    }
    if (table->slots && table->count + 1 <= table->slot_count / 4 * 3)
        return 0;
    uint64_t slot_count = table->slot_count ? table->slot_count * 2 : FIRST_SLOTS;
    if (!take_memory(repeats, slot_count * sizeof *table->slots)) /* the old ones are there until it is done */
        return limit(repeats, error);
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return error_set(error, ERROR_MEMORY, "out of memory");
    repeats->memory -= (int64_t)(table->slot_count * sizeof *table->slots);
    free(table->slots);
    table->slots = slots;
    table->slot_count = slot_count;
    for (uint64_t number = 0; number < table->count; number++)
        put_slot(table, number);
    return 0;
}

static void append(struct table *table, const uint8_t identity[12], uint64_t meaning, uint64_t line, bool is_reversal)
{
    struct entry entry = {.line_low = (uint32_t)line, .meaning = {(uint32_t)meaning, (uint32_t)(meaning >> 32)},
                          .line_high = (uint32_t)(line >> 32) & 0x7fffffff, .is_reversal = is_reversal};
    memcpy(entry.identity, identity, sizeof entry.identity);
    *entry_at(table, table->count) = entry;
    put_slot(table, table->count++);
}

static uint64_t line_of(const struct entry *entry) { return (uint64_t)entry->line_high << 32 | entry->line_low; }
static uint64_t meaning_of(const struct entry *entry) { return (uint64_t)entry->meaning[1] << 32 | entry->meaning[0]; }

int repeats_new(int64_t memory_most, struct repeats **ret_repeats, struct error *error)
{
    struct repeats *repeats = calloc(1, sizeof *repeats);
    if (!repeats)
        return error_set(error, ERROR_MEMORY, "out of memory");
    repeats->memory_most = memory_most;
    *ret_repeats = repeats;
    return 0;
}

struct repeats *repeats_free(struct repeats *repeats)
{
    if (!repeats)
        return NULL;
    for (int i = 0; i < 2; i++) {
        struct table *table = i ? &repeats->targets : &repeats->events;
        for (size_t chunk = 0; chunk < table->chunk_count; chunk++)
            free(table->chunks[chunk]);
        free(table->slots);
    }
    free(repeats);
    return NULL;
}

static void reset(struct repeats *repeats, struct table *table)
{
    if (table->count == 0)
        return;
    table->count = 0;
    if (table->slot_count > FIRST_SLOTS) { /* cheaper than clearing them, should small files follow a large one */
        repeats->memory -= (int64_t)(table->slot_count * sizeof *table->slots);
        free(table->slots);
        table->slots = NULL;
        table->slot_count = 0;
    } else if (table->slots) {
        memset(table->slots, 0, table->slot_count * sizeof *table->slots);
    }
}

void repeats_reset(struct repeats *repeats)
{
    reset(repeats, &repeats->events);
    reset(repeats, &repeats->targets);
}

int repeats_add(struct repeats *repeats, const struct event *event, const struct space *space, uint64_t line, uint64_t ordinal,
                struct seen *ret_seen, struct error *error)
{
    struct identity identity = identity_of(event->event_id, &space->salt);
    uint64_t meaning = event_meaning_digest(event);
    struct seen seen = {.kind = SEEN_NEW};
    const struct entry *earlier = find(&repeats->events, identity.bytes);
    if (earlier) {
        seen.kind = meaning_of(earlier) == meaning ? SEEN_REPEAT : SEEN_CONFLICT;
        seen.line = line_of(earlier);
        *ret_seen = seen;
        return 0;
    }
    int result = make_room(repeats, &repeats->events, error);
    if (result >= 0 && event->has_reverses)
        result = make_room(repeats, &repeats->targets, error);
    if (result < 0)
        return result;
    if (event->has_reverses) {
        struct identity target = identity_of(event->reverses, &space->salt);
        const struct entry *original = find(&repeats->events, target.bytes);
        if (original && original->is_reversal) {
            seen.kind = SEEN_DOUBLE_REVERSAL;
            seen.line = line_of(original);
            *ret_seen = seen;
            return 0;
        }
        const struct entry *reverser = find(&repeats->targets, identity.bytes);
        if (reverser) {
            seen.refuses_earlier = true;
            seen.earlier_line = line_of(reverser);
            seen.earlier_ordinal = meaning_of(reverser);
        }
        append(&repeats->targets, target.bytes, ordinal, line, true);
    }
    append(&repeats->events, identity.bytes, meaning, line, event->has_reverses);
    *ret_seen = seen;
    return 0;
}
