/* The events that a number is made of. Pure. */
#include "query/ledger.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/event_copy.h"
#include "schemas/identity.h"

struct slot {
    struct identity identity;
    uint64_t digest;
    int64_t timestamp_ms, offset; /* of its earliest record so far; copies are always in one topic, since the type is in the identity */
    int32_t partition;
    int32_t state; /* enum slot_state */
};
enum slot_state { SLOT_EMPTY, SLOT_EXPECTED, SLOT_COUNTED };
_Static_assert(sizeof(struct slot) == 48, "with one slot in five empty these are the 60 bytes an event that --memory's help tells");

struct ledger {
    struct ledger_filter filter;
    struct slot *slots;
    uint64_t slot_count;
    int64_t expected, met, uncounted, records;
    bool misplaced; /* an entry may be kept that has an earlier record */
    bool again;     /* each event's earliest record is known */
    struct ledger_sums sums;
    struct ledger_entry *entries; /* a heap with the oldest on top, until it is asked for */
    size_t count, capacity;
    enum event_type salt_type;
    char salt_agency[64];
    size_t salt_size;
    struct identity_salt salt;
};

int ledger_new(const struct ledger_filter *filter, int64_t expected, int64_t memory_most, struct ledger **ret_ledger,
               struct error *error)
{
    uint64_t slots = (uint64_t)(expected + expected / 4) + 64;
    if ((int64_t)(slots * sizeof(struct slot)) > memory_most)
        return error_set(error, ERROR_LIMIT,
                         "%" PRId64 " events to tell apart take %" PRIu64 " MiB; give --agency, or more --memory", expected,
                         (uint64_t)(slots * sizeof(struct slot) >> 20));
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger)
        ledger->slots = calloc(slots, sizeof *ledger->slots);
    if (!ledger || !ledger->slots) {
        ledger_free(ledger);
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    ledger->filter = *filter;
    ledger->slot_count = slots;
    ledger->expected = expected;
    *ret_ledger = ledger;
    return 0;
}

static void drop_entries(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++)
        free(ledger->entries[i].event);
    ledger->count = 0;
}

struct ledger *ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return NULL;
    drop_entries(ledger);
    free(ledger->entries);
    free(ledger->slots);
    free(ledger);
    return NULL;
}

/* The identity's slot, or the empty one where it would be. Identities are hashes already. */
static struct slot *slot_of(const struct ledger *ledger, const struct identity *identity)
{
    uint64_t place;
    memcpy(&place, identity->bytes, sizeof place);
    for (place = (uint64_t)((unsigned __int128)place * ledger->slot_count >> 64);; place = place + 1 < ledger->slot_count ? place + 1 : 0) {
        struct slot *slot = &ledger->slots[place];
        if (slot->state == SLOT_EMPTY || memcmp(slot->identity.bytes, identity->bytes, sizeof identity->bytes) == 0)
            return slot;
    }
}

int ledger_expect(struct ledger *ledger, const uint8_t *records, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++, records += SEEN_RECORD_SIZE) {
        struct identity identity;
        if (ledger->records++ >= ledger->expected)
            return error_set(error, ERROR_LIMIT, "the lanes hold more than the %" PRId64 " events that they held", ledger->expected);
        memcpy(identity.bytes, records, sizeof identity.bytes);
        struct slot *slot = slot_of(ledger, &identity);
        uint64_t digest;
        memcpy(&digest, records + sizeof identity.bytes, sizeof digest);
        *slot = (struct slot){.identity = identity, .digest = le64toh(digest), .state = SLOT_EXPECTED};
    }
    return 0;
}

static struct identity identity_in(struct ledger *ledger, const struct event *event)
{
    bool same = ledger->salt_size && ledger->salt_type == event->type && ledger->salt_size == event->agency.size &&
                memcmp(ledger->salt_agency, event->agency.data, event->agency.size) == 0;
    if (!same) {
        ledger->salt = identity_salt_of(event->type, event->agency);
        ledger->salt_type = event->type;
        ledger->salt_size = event->agency.size <= sizeof ledger->salt_agency ? event->agency.size : 0;
        memcpy(ledger->salt_agency, event->agency.data, ledger->salt_size);
    }
    return identity_of(event->event_id, &ledger->salt);
}

static bool part_matches(enum ledger_part part, const struct event *event)
{
    bool headcount = event->type == EVENT_HEADCOUNT_CHANGE;
    bool baseline = headcount ? event->headcount.reason == REASON_BASELINE : event->merger.kind == KIND_BASELINE;
    switch (part) {
    case LEDGER_HEADCOUNT:
        return headcount;
    case LEDGER_HEADCOUNT_BASELINE:
        return headcount && baseline;
    case LEDGER_UNITS:
        return !headcount;
    case LEDGER_UNITS_BASELINE:
        return !headcount && baseline;
    case LEDGER_UNITS_CHANGE:
        return !headcount && !baseline;
    case LEDGER_UNITS_MERGERS:
        return !headcount && event->merger.kind == KIND_MERGER;
    case LEDGER_ALL:
        break;
    }
    return true;
}

bool ledger_event_matches(const struct ledger_filter *filter, const struct event *event)
{
    const char *word = event->type == EVENT_HEADCOUNT_CHANGE ? sector_name(event->headcount.sector)
                                                             : unit_category_name(event->merger.category);
    return (!filter->agency.data || slice_equal(filter->agency, event->agency)) &&
           (!filter->category.data || slice_equal(filter->category, slice_of(word))) && event->effective_date >= filter->from &&
           event->effective_date <= filter->to && part_matches(filter->part, event);
}

static void sum(struct ledger_sums *sums, const struct event *event)
{
    int64_t sign = event->has_reverses ? -1 : 1;
    sums->events++;
    if (event->type == EVENT_HEADCOUNT_CHANGE) {
        int64_t delta = sign * event->headcount.delta;
        sums->headcount_current += delta;
        sums->headcount_baseline += event->headcount.reason == REASON_BASELINE ? delta : 0;
        sums->by_reason[event->headcount.reason] += delta;
        sums->reason_events[event->headcount.reason]++;
        return;
    }
    struct ledger_units *units = &sums->units[event->merger.category];
    if (event->merger.kind == KIND_BASELINE) {
        units->baselines += sign;
        units->baseline += sign * event->merger.units_after;
        return;
    }
    units->change += sign * (event->merger.units_after - event->merger.units_before);
    if (event->merger.kind == KIND_MERGER) {
        units->merged += sign * event->merger.units_before;
        units->mergers += sign;
    }
}

/* By time; where that is equal, by place. */
static int compare(const struct ledger_entry *a, const struct ledger_entry *b)
{
    if (a->timestamp_ms != b->timestamp_ms)
        return a->timestamp_ms < b->timestamp_ms ? -1 : 1;
    int topics = strcmp(a->topic, b->topic);
    if (topics)
        return topics;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static void sift_down(struct ledger_entry *heap, size_t count, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (compare(&heap[child], &heap[least]) < 0)
                least = child;
        if (least == at)
            return;
        struct ledger_entry swap = heap[at];
        heap[at] = heap[least];
        heap[least] = swap;
        at = least;
    }
}

static int keep(struct ledger *ledger, struct ledger_entry entry, struct error *error)
{
    bool full = ledger->count == ledger->filter.limit;
    if (ledger->filter.limit == 0 || (full && compare(&entry, &ledger->entries[0]) < 0))
        return 0;
    if (!full && ledger->count == ledger->capacity) {
        size_t capacity = ledger->capacity ? 2 * ledger->capacity : 64;
        struct ledger_entry *entries = realloc(ledger->entries, capacity * sizeof *entries);
        if (!entries)
            return error_set(error, ERROR_MEMORY, "out of memory");
        ledger->entries = entries;
        ledger->capacity = capacity;
    }
    entry.event = event_copy(entry.event);
    if (!entry.event)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (full) {
        free(ledger->entries[0].event);
        ledger->entries[0] = entry;
        sift_down(ledger->entries, ledger->count, 0);
        return 0;
    }
    size_t at = ledger->count++;
    for (; at > 0 && compare(&entry, &ledger->entries[(at - 1) / 2]) < 0; at = (at - 1) / 2)
        ledger->entries[at] = ledger->entries[(at - 1) / 2];
    ledger->entries[at] = entry;
    return 0;
}

static void move_to(struct slot *slot, const struct ledger_entry *entry)
{
    slot->timestamp_ms = entry->timestamp_ms;
    slot->partition = entry->partition;
    slot->offset = entry->offset;
}

static bool is_at(const struct slot *slot, const struct ledger_entry *entry)
{
    return slot->timestamp_ms == entry->timestamp_ms && slot->partition == entry->partition && slot->offset == entry->offset;
}

/* A further record of an event that counts. One that was not kept can only move further back, so nothing is wrong then. */
static void take_earlier(struct ledger *ledger, struct slot *slot, const struct ledger_entry *entry, bool matches)
{
    const struct ledger_entry known = {NULL, entry->topic, slot->partition, slot->offset, slot->timestamp_ms};
    if (compare(entry, &known) >= 0)
        return;
    bool kept = matches && ledger->count > 0 && (ledger->count < ledger->filter.limit || compare(&known, &ledger->entries[0]) >= 0);
    ledger->misplaced |= kept;
    move_to(slot, entry);
}

int ledger_add(struct ledger *ledger, const struct event *event, const char *topic, int32_t partition, int64_t offset,
               int64_t timestamp_ms, struct error *error)
{
    if (ledger->filter.agency.data && !slice_equal(ledger->filter.agency, event->agency))
        return 0;
    struct identity identity = identity_in(ledger, event);
    struct slot *slot = slot_of(ledger, &identity);
    const struct ledger_entry entry = {(struct event *)(uintptr_t)event, topic, partition, offset, timestamp_ms};
    bool counts = slot->state != SLOT_EMPTY && slot->digest == event_meaning_digest(event);
    bool matches = counts && ledger_event_matches(&ledger->filter, event);
    if (ledger->again)
        return matches && is_at(slot, &entry) ? keep(ledger, entry, error) : 0;
    if (!counts || slot->state == SLOT_COUNTED)
        ledger->uncounted++;
    if (!counts)
        return 0;
    if (slot->state == SLOT_COUNTED) {
        take_earlier(ledger, slot, &entry, matches);
        return 0;
    }
    move_to(slot, &entry);
    slot->state = SLOT_COUNTED;
    ledger->met++;
    if (!matches)
        return 0;
    sum(&ledger->sums, event);
    return keep(ledger, entry, error);
}

bool ledger_begin_again(struct ledger *ledger)
{
    if (!ledger->misplaced || ledger->again)
        return false;
    drop_entries(ledger);
    ledger->again = true;
    return true;
}

const struct ledger_sums *ledger_sums(const struct ledger *ledger)
{
    return &ledger->sums;
}

int64_t ledger_met(const struct ledger *ledger)
{
    return ledger->met;
}

int64_t ledger_uncounted(const struct ledger *ledger)
{
    return ledger->uncounted;
}

static int newest_first(const void *a, const void *b)
{
    return compare(b, a);
}

const struct ledger_entry *ledger_entries(struct ledger *ledger, size_t *ret_count)
{
    if (ledger->count)
        qsort(ledger->entries, ledger->count, sizeof *ledger->entries, newest_first);
    *ret_count = ledger->count;
    return ledger->entries;
}
