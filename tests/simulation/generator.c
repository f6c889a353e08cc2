/* Makes the records: events, repeats, conflicts, reversals, poison and page visits, and where they go. */
#include <assert.h>
#include <stdio.h>

#include "tests/simulation/world.h"

static const char *const agencies[AGENCIES] = {"hong-bang", "kien-an", "an-duong", "an-lao", "duong-kinh", "so-noi-vu"};

static void make_base(struct world *world, size_t number)
{
    struct random *random = &world->random;
    struct event *event = &world->bases[number].event;
    if (number > 10 && random_permille(random, 100)) {
        const struct event *original = &world->bases[random_below(random, 10)].event;
        *event = *original;
        event->has_reverses = true;
        event->reverses = original->event_id;
        event->event_id = event_id_reversal(original->event_id);
        return;
    }
    *event = (struct event){.type = random_permille(random, 700) ? EVENT_HEADCOUNT_CHANGE : EVENT_UNIT_MERGER};
    event->agency = event->source = slice_of(agencies[random_below(random, AGENCIES)]);
    snprintf(world->bases[number].decision, sizeof world->bases[number].decision, "%u/QD", (unsigned)number);
    event->decision = slice_of(world->bases[number].decision);
    event->effective_date = 18000 + (int32_t)random_below(random, 4);
    for (size_t i = 0; i < sizeof event->event_id.bytes; i++)
        event->event_id.bytes[i] = (uint8_t)random_next(random);
    if (event->type == EVENT_HEADCOUNT_CHANGE) {
        static const enum headcount_reason reasons[] = {REASON_BASELINE, REASON_RECRUITED, REASON_RETIRED};
        event->headcount.sector = (enum sector)random_below(random, SECTORS);
        event->headcount.reason = reasons[random_below(random, 3)];
        event->headcount.delta =
            (event->headcount.reason == REASON_RETIRED ? -1 : 1) * (int32_t)random_between(random, 1, 500);
        return;
    }
    event->merger.category = (enum unit_category)random_below(random, CATEGORIES);
    event->merger.kind = random_permille(random, 300) ? KIND_BASELINE : KIND_MERGER;
    event->merger.units_before = event->merger.kind == KIND_BASELINE ? 0 : (int32_t)random_between(random, 5, 9);
    event->merger.units_after = (int32_t)random_between(random, 1, 4);
    if (random_permille(random, 300)) {
        event->merger.pilot_model = slice_of("one-door");
        event->merger.district = slice_of(agencies[random_below(random, AGENCIES)]);
    }
}

void generator_begin(struct world *world)
{
    for (size_t i = 0; i < BASES; i++)
        make_base(world, i);
}

static int32_t anywhere(struct world *world)
{
    return (int32_t)random_below(&world->random, (uint32_t)world->kafka.partitions);
}

static void encode(struct world *world, struct entry *entry)
{
    buffer_reset(&world->value);
    int result = encoder_event(world->encoder, &entry->event, -1, &world->value, NULL);
    assert(result == 0);
    (void)result;
    entry->value = (struct slice){world->value.data, world->value.size};
}

static void produce_visit(struct world *world)
{
    uint32_t visitor = random_below(&world->random, VISITORS);
    struct entry entry = {.kind = FACT_VISIT, .timestamp_ms = world->kafka_ms};
    entry.event.type = EVENT_PAGE_VISIT;
    entry.event.occurred_at_ms = world->kafka_ms - random_between(&world->random, 0, 7200000);
    snprintf((char *)entry.event.visit.visitor, sizeof entry.event.visit.visitor, "v%03u", visitor);
    if (random_permille(&world->random, 50)) {
        entry.event.occurred_at_ms = world->kafka_ms + 600000;
        entry.kind = FACT_LETTER;
        entry.reason = LETTER_OUT_OF_WINDOW;
    }
    encode(world, &entry);
    kafka_model_append(&world->kafka, EVENT_PAGE_VISIT, (int32_t)visitor % world->kafka.partitions, &entry);
}

static void spoil(struct world *world, struct entry *entry)
{
    static char garbage[] = "B";
    entry->kind = FACT_LETTER;
    switch (random_below(&world->random, 6)) {
    case 0:
        entry->value = (struct slice){0};
        entry->reason = LETTER_BAD_FRAMING;
        break;
    case 1:
        entry->value = (struct slice){garbage, 1};
        entry->reason = LETTER_BAD_FRAMING;
        break;
    case 2:
        world->value.data[5] ^= 1;
        entry->reason = LETTER_UNKNOWN_SCHEMA;
        break;
    case 3:
        entry->value.size = 14;
        entry->reason = LETTER_BAD_ENCODING;
        break;
    case 4:
        buffer_append(&world->value, "x", 1);
        entry->value = (struct slice){world->value.data, world->value.size};
        entry->reason = LETTER_TRAILING_BYTES;
        break;
    case 5:
        entry->event.effective_date = 5;
        encode(world, entry);
        entry->reason = LETTER_RULE_VIOLATION;
        break;
    }
}

void generator_produce(struct world *world)
{
    struct random *random = &world->random;
    world->kafka_ms += random_between(random, 0, 120000);
    if (random_permille(random, 80)) {
        struct entry gap = {.kind = FACT_GAP, .timestamp_ms = world->kafka_ms};
        kafka_model_append(&world->kafka, (uint8_t)random_below(random, EVENT_TYPES), anywhere(world), &gap);
    }
    if (random_permille(random, 200)) {
        produce_visit(world);
        return;
    }
    struct entry entry = {.kind = FACT_EVENT, .timestamp_ms = world->kafka_ms, .event = world->bases[random_below(random, BASES)].event};
    entry.event.occurred_at_ms = world->kafka_ms - random_between(random, 0, 1000000);
    if (random_permille(random, 80) && entry.event.type == EVENT_HEADCOUNT_CHANGE)
        entry.event.headcount.delta += entry.event.headcount.delta > 0 ? 1 : -1;
    else if (random_permille(random, 80) && entry.event.type == EVENT_UNIT_MERGER && entry.event.merger.kind == KIND_MERGER)
        entry.event.merger.units_before++;
    entry.lane = lane_of_agency(entry.event.agency);
    struct identity_salt salt = identity_salt_of(entry.event.type, entry.event.agency);
    entry.identity = identity_of(entry.event.event_id, &salt);
    entry.digest = event_meaning_digest(&entry.event);
    int32_t partition = random_permille(random, 850) ? (int32_t)entry.lane % world->kafka.partitions : anywhere(world);
    encode(world, &entry);
    if (random_permille(random, 70))
        spoil(world, &entry);
    kafka_model_append(&world->kafka, (uint8_t)entry.event.type, partition, &entry);
}
