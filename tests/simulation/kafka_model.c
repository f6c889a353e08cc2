/* The model of Kafka. */
#include "tests/simulation/kafka_model.h"

#include <assert.h>
#include <stdlib.h>

void kafka_model_free(struct kafka_model *kafka)
{
    for (int topic = 0; topic < EVENT_TYPES; topic++) {
        for (int partition = 0; partition < MODEL_PARTITIONS; partition++) {
            free(kafka->logs[topic][partition].entries);
            free(kafka->logs[topic][partition].before);
        }
    }
    for (size_t i = 0; i < kafka->arena_count; i++)
        free(kafka->arena[i]);
    free(kafka->letters);
}

struct entry *kafka_model_append(struct kafka_model *kafka, uint8_t topic, int32_t partition, const struct entry *entry)
{
    struct log *log = &kafka->logs[topic][partition];
    if (log->end == log->capacity) {
        log->capacity = log->capacity ? log->capacity * 2 : 64;
        log->entries = realloc(log->entries, (size_t)log->capacity * sizeof *log->entries);
        assert(log->entries);
    }
    struct entry *added = &log->entries[log->end++];
    *added = *entry;
    if (entry->value.data) {
        assert(kafka->arena_count < sizeof kafka->arena / sizeof *kafka->arena);
        char *copy = malloc(entry->value.size + 1);
        assert(copy);
        memcpy(copy, entry->value.data, entry->value.size);
        kafka->arena[kafka->arena_count++] = copy;
        added->value.data = copy;
    }
    for (int i = 0; i < MODEL_MEMBERS; i++)
        for (size_t j = 0; j < kafka->members[i].reading_count; j++)
            kafka->members[i].readings[j].at_end = false;
    return added;
}

bool kafka_model_has_letter(const struct kafka_model *kafka, struct letter letter)
{
    for (size_t i = 0; i < kafka->letter_count; i++) {
        const struct letter *known = &kafka->letters[i];
        if (known->topic == letter.topic && known->partition == letter.partition && known->offset == letter.offset &&
            known->reason == letter.reason)
            return true;
    }
    return false;
}

void kafka_model_add_letter(struct kafka_model *kafka, struct letter letter)
{
    if (kafka->letter_count == kafka->letter_capacity) {
        kafka->letter_capacity = kafka->letter_capacity ? kafka->letter_capacity * 2 : 64;
        kafka->letters = realloc(kafka->letters, kafka->letter_capacity * sizeof *kafka->letters);
        assert(kafka->letters);
    }
    kafka->letters[kafka->letter_count++] = letter;
}

static void break_readings(struct kafka_model *kafka, uint8_t topic, int32_t partition)
{
    for (int i = 0; i < MODEL_MEMBERS; i++) {
        struct member *member = &kafka->members[i];
        for (size_t j = 0; j < member->reading_count; j++)
            if (member->readings[j].part.topic == topic && member->readings[j].part.partition == partition)
                member->readings[j].broken = true;
    }
}

void kafka_model_remake(struct kafka_model *kafka, uint8_t topic, int32_t partition)
{
    struct log *log = &kafka->logs[topic][partition];
    assert(!log->remade);
    *log = (struct log){.remade = true, .before = log->entries, .before_end = log->end};
    break_readings(kafka, topic, partition);
}

void kafka_model_rebalance(struct kafka_model *kafka, const bool alive[MODEL_MEMBERS])
{
    int members[MODEL_MEMBERS], count = 0;
    for (int i = 0; i < MODEL_MEMBERS; i++) {
        kafka->members[i].told = false;
        kafka->members[i].given_count = 0;
        if (alive[i] && kafka->members[i].subscribed)
            members[count++] = i;
    }
    if (count == 0)
        return;
    for (int topic = 0; topic < EVENT_TYPES; topic++) {
        for (int partition = 0; partition < kafka->partitions; partition++) {
            struct member *member = &kafka->members[members[random_below(kafka->random, (uint32_t)count)]];
            member->given[member->given_count++] =
                (struct topic_partition){.topic = (uint8_t)topic, .partition = partition};
        }
    }
}

bool kafka_model_serve(struct kafka_model *kafka, int member)
{
    struct member *self = &kafka->members[member];
    if (!self->subscribed || self->told)
        return false;
    self->told = true;
    self->reading_count = 0;
    return true;
}

void kafka_model_assign(struct kafka_model *kafka, int member, const struct topic_partition *parts, const int64_t *offsets,
                        size_t count)
{
    struct member *self = &kafka->members[member];
    self->reading_count = count;
    for (size_t i = 0; i < count; i++)
        self->readings[i] = (struct reading){.part = parts[i], .next = offsets[i]};
}

static struct source_record make(struct topic_partition part, enum record_kind kind, int64_t offset)
{
    return (struct source_record){.topic = part.topic, .partition = part.partition, .kind = (uint8_t)kind, .offset = offset};
}

static struct source_record message(const struct log *log, struct topic_partition part, int64_t offset)
{
    struct source_record record = make(part, RECORD_MESSAGE, offset);
    record.timestamp_ms = log->entries[offset].timestamp_ms;
    record.value = log->entries[offset].value;
    return record;
}

/* Records that a real client may still give after a rebalance: another partition's, or from before the position. */
static size_t stale_record(struct kafka_model *kafka, const struct member *member, struct source_record *record)
{
    struct topic_partition part = {.topic = (uint8_t)random_below(kafka->random, EVENT_TYPES),
                                   .partition = (int32_t)random_below(kafka->random, (uint32_t)kafka->partitions)};
    const struct log *log = &kafka->logs[part.topic][part.partition];
    int64_t below = log->end;
    for (size_t i = 0; i < member->reading_count; i++)
        if (member->readings[i].part.topic == part.topic && member->readings[i].part.partition == part.partition)
            below = 0; /* the library's version barrier keeps those away: a later record would hide a gap */
    if (below == 0)
        return 0;
    int64_t offset = random_between(kafka->random, 0, below - 1);
    if (offset < log->start || log->entries[offset].kind == FACT_GAP)
        return 0;
    *record = message(log, part, offset);
    return 1;
}

size_t kafka_model_fetch(struct kafka_model *kafka, int member, struct source_record *records, size_t most)
{
    struct member *self = &kafka->members[member];
    size_t count = 0;
    if (most > 0 && random_permille(kafka->random, kafka->stale_permille))
        count += stale_record(kafka, self, &records[count]);
    for (int tries = 0; tries < 8 && count < most && self->reading_count > 0; tries++) {
        struct reading *reading = &self->readings[random_below(kafka->random, (uint32_t)self->reading_count)];
        const struct log *log = &kafka->logs[reading->part.topic][reading->part.partition];
        if (reading->broken || reading->next < log->start || reading->next > log->end) {
            records[count] = make(reading->part, RECORD_ERROR, -1);
            records[count++].error_text = "offset out of range";
            *reading = self->readings[--self->reading_count];
            continue;
        }
        for (int64_t run = random_between(kafka->random, 1, 6); run > 0 && count < most && reading->next < log->end; run--) {
            if (log->entries[reading->next].kind != FACT_GAP)
                records[count++] = message(log, reading->part, reading->next);
            reading->next++;
        }
        if (reading->next == log->end && !reading->at_end && count < most) {
            records[count++] = make(reading->part, RECORD_EOF, log->end);
            reading->at_end = true;
        }
    }
    return count;
}
