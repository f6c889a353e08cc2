/* What must hold: recomputed from the logs, with nothing of the fold's code. */
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/simulation/world.h"

/* The lane's record of an identity; -1 when there is none. */
static int64_t find_seen(const struct world *world, const struct entry *entry, uint64_t *ret_digest)
{
    const struct bytes *lane = &world->redis.state.lanes[entry->lane];
    for (size_t at = 0; at < lane->size; at += SEEN_RECORD_SIZE) {
        if (memcmp(lane->data + at, entry->identity.bytes, 16) != 0)
            continue;
        uint64_t digest;
        memcpy(&digest, lane->data + at + 16, sizeof digest);
        *ret_digest = le64toh(digest);
        return (int64_t)(at / SEEN_RECORD_SIZE);
    }
    return -1;
}

static void expect_letter(const struct world *world, uint8_t topic, int32_t partition, int64_t offset,
                          enum dead_letter_reason reason)
{
    if (!kafka_model_has_letter(&world->kafka, (struct letter){topic, partition, offset, reason}))
        world_fail(world, "offset %" PRId64 " of %s/%" PRId32 " was passed and its dead letter (%s) is not in the topic", offset,
                   event_topic_suffix((enum event_type)topic), partition, dead_letter_reason_name(reason));
}

/* The entries that were folded up to the stored offset. */
static const struct entry *entries_of(const struct world *world, uint8_t topic, int32_t partition)
{
    const struct log *log = &world->kafka.logs[topic][partition];
    return log->remade ? log->before : log->entries;
}

void oracle_check_commit(const struct world *world, int64_t before[EVENT_TYPES][MODEL_PARTITIONS])
{
    for (uint8_t topic = 0; topic < EVENT_TYPES; topic++) {
        for (int32_t partition = 0; partition < world->kafka.partitions; partition++) {
            int64_t to = world->redis.state.offsets[topic][partition];
            if (to < before[topic][partition])
                world_fail(world, "the offset of %s/%" PRId32 " went back from %" PRId64 " to %" PRId64,
                           event_topic_suffix((enum event_type)topic), partition, before[topic][partition], to);
            const struct log *log = &world->kafka.logs[topic][partition];
            if (to > (log->remade ? log->before_end : log->end))
                world_fail(world, "the offset of %s/%" PRId32 " is %" PRId64 ", beyond its log",
                           event_topic_suffix((enum event_type)topic), partition, to);
            for (int64_t offset = before[topic][partition]; offset < to; offset++) {
                const struct entry *entry = &entries_of(world, topic, partition)[offset];
                uint64_t digest;
                if (entry->kind == FACT_LETTER)
                    expect_letter(world, topic, partition, offset, entry->reason);
                else if (entry->kind == FACT_EVENT && find_seen(world, entry, &digest) < 0)
                    world_fail(world, "offset %" PRId64 " of %s/%" PRId32 " was passed and its id is not among the seen",
                               offset, event_topic_suffix((enum event_type)topic), partition);
                else if (entry->kind == FACT_EVENT && digest != entry->digest)
                    expect_letter(world, topic, partition, offset, LETTER_CONFLICT);
            }
        }
    }
}

struct expected {
    struct map cells, visitors;
    bool *counted[SEEN_LANES];
};

static void add(struct expected *expected, const char *suffix, const char *field, int64_t amount)
{
    *map_at(&expected->cells, suffix, field, strlen(field)) += amount;
}

static void add_dated(struct expected *expected, const char *suffix, const char *field, int32_t date, int64_t amount)
{
    char day[DATE_TEXT_SIZE], dated[96], by_day[40];
    date_format(date, day);
    snprintf(dated, sizeof dated, "%s:%s", day, field);
    snprintf(by_day, sizeof by_day, "%s:by-day", suffix);
    add(expected, suffix, field, amount);
    add(expected, by_day, dated, amount);
}

static void count_headcount(struct expected *expected, const struct event *event, int64_t sign)
{
    char text[80], day[DATE_TEXT_SIZE], agency[65];
    int64_t amounts[2] = {event->headcount.reason == REASON_BASELINE ? sign * event->headcount.delta : 0,
                          sign * event->headcount.delta};
    snprintf(agency, sizeof agency, "%.*s", SLICE_ARG(event->agency));
    for (int i = 0; i < 2; i++) {
        const char *which = i ? "current" : "baseline", *sector = sector_name(event->headcount.sector);
        snprintf(text, sizeof text, "headcount_%s", which);
        add(expected, "totals", text, amounts[i]);
        snprintf(text, sizeof text, "headcount_%s:%s", which, sector);
        add(expected, "totals", text, amounts[i]);
        snprintf(text, sizeof text, "headcount:%s", which);
        add(expected, text, agency, amounts[i]);
        snprintf(text, sizeof text, "%s:%s:%s", date_format(event->effective_date, day), which, sector);
        add(expected, "headcount:by-day", text, amounts[i]);
    }
}

static void count_merger(struct expected *expected, const struct event *event, int64_t sign)
{
    const char *category = unit_category_name(event->merger.category);
    bool baseline = event->merger.kind == KIND_BASELINE;
    const struct {
        const char *measure;
        int64_t amount;
    } measures[] = {
        {"baselines", baseline ? sign : 0},
        {"baseline", baseline ? sign * event->merger.units_after : 0},
        {"change", baseline ? 0 : sign * (event->merger.units_after - event->merger.units_before)},
        {"merged", event->merger.kind == KIND_MERGER ? sign * event->merger.units_before : 0},
        {"mergers", event->merger.kind == KIND_MERGER ? sign : 0},
    };
    char text[80];
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
        snprintf(text, sizeof text, "%s:%s", measures[i].measure, category);
        add_dated(expected, "units", text, event->effective_date, measures[i].amount);
    }
    if (event->merger.pilot_model.data) {
        snprintf(text, sizeof text, "%.*s/%.*s", SLICE_ARG(event->merger.pilot_model), SLICE_ARG(event->merger.district));
        add_dated(expected, "pilots", text, event->effective_date, sign);
    }
}

static void count_visit(struct expected *expected, const struct entry *entry)
{
    char day[DATE_TEXT_SIZE];
    date_format(date_in_city(entry->event.occurred_at_ms), day);
    int64_t *latest = map_at(&expected->visitors, day, (const char *)entry->event.visit.visitor, 4);
    if (*latest == 0 || entry->event.occurred_at_ms >= *latest + 30 * 60 * 1000) {
        add(expected, "visits:by-day", day, 1);
        add(expected, "totals", "visits", 1);
    }
    if (entry->event.occurred_at_ms > *latest)
        *latest = entry->event.occurred_at_ms < entry->timestamp_ms ? entry->event.occurred_at_ms : entry->timestamp_ms;
}

static void count_letter(const struct world *world, struct expected *expected, uint8_t topic, int32_t partition,
                         int64_t offset, enum dead_letter_reason reason)
{
    expect_letter(world, topic, partition, offset, reason);
    add(expected, "totals", "dead_letters", 1);
    add(expected, "dead-letters", dead_letter_reason_name(reason), 1);
}

static void count(const struct world *world, struct expected *expected, uint8_t topic, int32_t partition, int64_t offset)
{
    const struct entry *entry = &entries_of(world, topic, partition)[offset];
    for (size_t i = 0; i < world->redis.state.gap_count; i++) {
        const struct gap *gap = &world->redis.state.gaps[i];
        if (gap->topic == topic && gap->partition == partition && offset >= gap->from && offset < gap->to)
            return;
    }
    uint64_t digest;
    switch (entry->kind) {
    case FACT_GAP:
        return;
    case FACT_VISIT:
        count_visit(expected, entry);
        return;
    case FACT_LETTER:
        count_letter(world, expected, topic, partition, offset, entry->reason);
        return;
    case FACT_EVENT:
        break;
    }
    int64_t place = find_seen(world, entry, &digest);
    if (place < 0)
        world_fail(world, "offset %" PRId64 " of %s/%" PRId32 " was folded and its id is not among the seen", offset,
                   event_topic_suffix((enum event_type)topic), partition);
    if (digest != entry->digest) {
        count_letter(world, expected, topic, partition, offset, LETTER_CONFLICT);
        return;
    }
    if (expected->counted[entry->lane][place])
        return;
    expected->counted[entry->lane][place] = true;
    add(expected, "totals", "events", 1);
    int64_t sign = entry->event.has_reverses ? -1 : 1;
    if (entry->event.type == EVENT_HEADCOUNT_CHANGE)
        count_headcount(expected, &entry->event, sign);
    else
        count_merger(expected, &entry->event, sign);
}

static void expect_cells(const struct world *world, const struct map *these, const struct map *those, const char *what)
{
    for (size_t i = 0; i < these->capacity; i++) {
        const struct map_cell *cell = &these->cells[i];
        if (!cell->key[0])
            continue;
        const int64_t *other = map_find(those, cell->key);
        if (cell->number != (other ? *other : 0))
            world_fail(world, "%s: \"%s\" is %" PRId64 " on one side and %" PRId64 " on the other", what, cell->key,
                       cell->number, other ? *other : 0);
    }
}

static void expect_known_letters(const struct world *world)
{
    for (size_t i = 0; i < world->kafka.letter_count; i++) {
        const struct letter *letter = &world->kafka.letters[i];
        const struct log *log = &world->kafka.logs[letter->topic][letter->partition];
        if (log->remade)
            continue;
        const struct entry *entry = &log->entries[letter->offset];
        /* A conflict may have been written for a commit that was refused, and the other of the two came first then. */
        bool good = letter->reason == LETTER_CONFLICT ? entry->kind == FACT_EVENT
                                                      : entry->kind == FACT_LETTER && entry->reason == letter->reason;
        if (!good)
            world_fail(world, "a dead letter (%s) was written for a sound record, offset %" PRId64 " of %s/%" PRId32,
                       dead_letter_reason_name(letter->reason), letter->offset,
                       event_topic_suffix((enum event_type)letter->topic), letter->partition);
    }
}

void oracle_check_end(const struct world *world)
{
    struct expected expected = {0};
    for (int lane = 0; lane < SEEN_LANES; lane++)
        expected.counted[lane] = calloc(world->redis.state.lanes[lane].size / SEEN_RECORD_SIZE + 1, 1);
    for (uint8_t topic = 0; topic < EVENT_TYPES; topic++)
        for (int32_t partition = 0; partition < world->kafka.partitions; partition++)
            for (int64_t offset = 0; offset < world->redis.state.offsets[topic][partition]; offset++)
                count(world, &expected, topic, partition, offset);
    for (int lane = 0; lane < SEEN_LANES; lane++)
        for (size_t i = 0; i < world->redis.state.lanes[lane].size / SEEN_RECORD_SIZE; i++)
            if (!expected.counted[lane][i])
                world_fail(world, "record %zu of lane %d stands there twice, or is nobody's", i, lane);
    expect_cells(world, &expected.cells, &world->redis.state.cells, "expected and stored totals");
    expect_cells(world, &world->redis.state.cells, &expected.cells, "stored and expected totals");
    expect_known_letters(world);
    for (int lane = 0; lane < SEEN_LANES; lane++)
        free(expected.counted[lane]);
    map_free(&expected.cells);
    map_free(&expected.visitors);
}

static bool is_halted(const struct world *world, uint8_t topic, int32_t partition)
{
    const struct log *log = &world->kafka.logs[topic][partition];
    int64_t offset = world->redis.state.offsets[topic][partition];
    return log->remade || (topic != EVENT_PAGE_VISIT && !world->accept_log_start && offset < log->start);
}

bool oracle_is_settled(const struct world *world, uint8_t topic, int32_t partition)
{
    return is_halted(world, topic, partition) ||
           world->redis.state.offsets[topic][partition] == world->kafka.logs[topic][partition].end;
}

bool oracle_any_halted(const struct world *world)
{
    for (uint8_t topic = 0; topic < EVENT_TYPES; topic++)
        for (int32_t partition = 0; partition < world->kafka.partitions; partition++)
            if (is_halted(world, topic, partition))
                return true;
    return false;
}
