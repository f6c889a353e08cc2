/* The proof's frame: its memory, the partitions' ranges, batches of records in, the end. */
#include "consumer/proof.h"

#include <endian.h>
#include <stdlib.h>

#include "base/clock.h"
#include "consumer/agency.h"
#include "consumer/proof_internal.h"

enum { LANE_TABLES = 1 << 20, AHEAD = 8 };

const struct state_hash *proof_state_hash(const struct proof_state *state, const char *name)
{
    for (size_t i = 0; i < state->count; i++)
        if (slice_equal(state->hashes[i].name, slice_of(name)))
            return &state->hashes[i];
    return NULL;
}

struct slice proof_state_value(const struct proof_state *state, const char *name, const char *field)
{
    const struct state_hash *hash = proof_state_hash(state, name);
    for (size_t i = 0; hash && i < hash->count; i++)
        if (slice_equal(hash->fields[i].field, slice_of(field)))
            return hash->fields[i].value;
    return (struct slice){0};
}

bool proof_integer(struct slice text, int64_t *ret_number)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    int64_t number = 0;
    if (!text.data || text.size == (size_t)negative || text.size > 18)
        return false;
    for (size_t i = negative; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *ret_number = negative ? -number : number;
    return true;
}

/* What a schema id means is kept in Redis for good, so that the log can be judged as it was. */
static enum schema_lookup look_up(void *context, uint32_t schema_id, const char **ret_json, size_t *ret_size)
{
    struct proof *proof = context;
    char field[24];
    snprintf(field, sizeof field, "%" PRIu32, schema_id);
    struct slice text = proof_state_value(proof->options.state, "schemas", field);
    if (!text.data)
        return SCHEMA_LOOKUP_UNKNOWN;
    *ret_json = text.data;
    *ret_size = text.size;
    return SCHEMA_LOOKUP_FOUND;
}

static void observe(void *context, const struct batch *batch, const struct item *item, const struct event *event)
{
    struct proof *proof = context;
    struct extra *extra = &proof->extras[item - batch->items];
    struct event bare = *event;
    bare.decision = (struct slice){0};
    bare.has_reverses = false;
    extra->content = event->decision.data || event->has_reverses ? event_meaning_digest(&bare) : item->digest;
    if (event->has_reverses)
        extra->original = identity_of(event->reverses, &item->agency->salts[event->type]);
}

int proof_new(const struct proof_options *options, struct proof **ret_proof, struct error *error)
{
    struct proof *proof = calloc(1, sizeof *proof);
    if (!proof)
        return error_set(error, ERROR_MEMORY, "out of memory");
    proof->options = *options;
    proof->newest_ms = proof->visitors_closed = proof->carried_before = INT64_MIN;
    proof->lanes = lanes_new(LANE_TABLES);
    proof->batch = batch_new(options->batch_most);
    proof->single = batch_new(1);
    proof->extras = calloc(options->batch_most, sizeof *proof->extras);
    proof->ids = ids_new();
    proof->letters = places_new();
    proof->cells = cells_new();
    proof->sealed = cells_new();
    int result = 0;
    if (!proof->lanes || !proof->batch || !proof->single || !proof->extras || !proof->ids || !proof->letters || !proof->cells || !proof->sealed)
        result = error_set(error, ERROR_MEMORY, "out of memory");
    if (result >= 0)
        result = decoder_new(look_up, proof, &proof->decoder, error);
    if (result >= 0)
        result = fold_new(options->city, proof->decoder, proof->lanes, options->batch_most, &proof->fold, error);
    if (result < 0) {
        proof_free(proof);
        return result;
    }
    size_t stored = 0;
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++)
        stored += proof_needs_lane(proof, lane) ? (size_t)(options->state->lane_bytes[lane] / SEEN_RECORD_SIZE) : 0;
    if (!ids_reserve(proof->ids, stored)) {
        proof_free(proof);
        return error_set(error, ERROR_MEMORY, "out of memory for %zu event ids", stored);
    }
    fold_observe(proof->fold, observe, proof);
    struct slice closed = proof_state_value(options->state, "meta", "visitors_closed");
    proof_integer(closed, &proof->visitors_closed);
    int32_t day;
    if (date_parse(proof_state_value(options->state, "meta", "visits_carried_before"), &day))
        proof->carried_before = day;
    *ret_proof = proof;
    return 0;
}

struct proof *proof_free(struct proof *proof)
{
    if (!proof)
        return NULL;
    fold_free(proof->fold);
    lanes_free(proof->lanes);
    decoder_free(proof->decoder);
    batch_free(proof->batch);
    batch_free(proof->single);
    free(proof->extras);
    free(proof->partitions.items);
    free(proof->parts);
    ids_free(proof->ids);
    places_free(proof->letters);
    for (size_t i = 0; i < proof->contested_count; i++)
        free(proof->contested[i].pilot);
    free(proof->contested);
    free(proof->reversals);
    cells_free(proof->cells);
    cells_free(proof->sealed);
    visits_free(proof->visits);
    free(proof);
    return NULL;
}

bool proof_needs_lane(const struct proof *proof, uint32_t lane)
{
    for (size_t i = 0; i < proof->options.agency_count; i++)
        if (lane_of_agency(slice_of(proof->options.agencies[i])) == lane)
            return true;
    return proof->options.agency_count == 0;
}

int proof_lane(struct proof *proof, uint32_t lane, const uint8_t *records, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++, records += SEEN_RECORD_SIZE) {
        struct identity identity;
        memcpy(identity.bytes, records, sizeof identity.bytes);
        size_t before = ids_count(proof->ids);
        if (i + AHEAD < count) {
            struct identity ahead;
            memcpy(ahead.bytes, records + AHEAD * SEEN_RECORD_SIZE, sizeof ahead.bytes);
            ids_prefetch(proof->ids, &ahead);
        }
        struct id *id = ids_get(proof->ids, &identity);
        if (!id)
            return error_set(error, ERROR_MEMORY, "out of memory for %zu event ids", before);
        uint64_t digest;
        memcpy(&digest, records + sizeof identity.bytes, sizeof digest);
        digest = le64toh(digest);
        bool known = id->flags & ID_BASE;
        if (id->flags & ID_STORED || (known && (id->lane != lane || id->digest != digest))) {
            char name[16], text[80];
            snprintf(name, sizeof name, "seen:%" PRIu32, lane);
            snprintf(text, sizeof text, id->flags & ID_STORED ? "the id of a record of lane %u again"
                                                              : "a record that is another one in the snapshot, in lane %u", id->lane);
            report_difference(proof->options.report, name, slice_of("a record"), (struct slice){0}, slice_of(text));
            id->flags |= ID_STORED;
            continue;
        }
        id->flags |= ID_STORED;
        if (!known) {
            id->lane = (uint8_t)lane;
            id->digest = digest;
        }
    }
    return 0;
}

int proof_letter(struct proof *proof, const struct dead_letter *letter, struct error *error)
{
    for (int type = 0; type < EVENT_TYPES; type++) {
        char topic[PARTITION_FIELD_SIZE];
        snprintf(topic, sizeof topic, "%s.%s", proof->options.city, event_topic_suffix((enum event_type)type));
        if (!slice_equal(letter->topic, slice_of(topic)) || letter->partition >= PARTITIONS_MOST || letter->offset < 0 ||
            letter->offset >= INT64_C(1) << 48)
            continue;
        uint8_t *reasons = places_get(proof->letters, (uint8_t)type, letter->partition, letter->offset);
        if (!reasons)
            return error_set(error, ERROR_MEMORY, "out of memory for %zu dead letters", places_count(proof->letters));
        *reasons |= (uint8_t)(1u << letter->reason);
        return 0;
    }
    report_remark(proof->options.report, "a dead letter is about a record of %.*s/%" PRId32 ", which is not this city's",
                  SLICE_ARG(letter->topic), letter->partition);
    return 0;
}

void proof_letters_are_partial(struct proof *proof, const char *why)
{
    proof->letters_partial = true;
    if (proof->options.agency_count == 0)
        report_unproved(proof->options.report, "whether every dead letter was written: %s", why);
}

int proof_partitions(struct proof *proof, const int32_t counts[EVENT_TYPES], struct partitions **ret_partitions,
                     struct error *error)
{
    struct partitions *partitions = &proof->partitions;
    size_t total = 0;
    for (int type = 0; type < EVENT_TYPES; type++)
        total += (size_t)(counts[type] < PARTITIONS_MOST ? counts[type] : PARTITIONS_MOST);
    partitions->items = calloc(total + 1, sizeof *partitions->items);
    proof->parts = calloc(total + 1, sizeof *proof->parts);
    proof->visits = visits_new((size_t)counts[EVENT_PAGE_VISIT]);
    if (!partitions->items || !proof->parts || !proof->visits)
        return error_set(error, ERROR_MEMORY, "out of memory for %zu partitions", total);
    for (int type = 0; type < EVENT_TYPES; type++) {
        for (int32_t id = 0; id < counts[type] && id < PARTITIONS_MOST; id++) {
            proof->parts[partitions->count].visit_part = (size_t)id;
            proof->parts[partitions->count].base_last = LAST_RECORD_NONE;
            partition_init(&partitions->items[partitions->count++], proof->options.city, (enum event_type)type, id);
            partitions->index[type][id] = (uint16_t)partitions->count;
        }
    }
    *ret_partitions = partitions;
    return 0;
}

/* The gaps that were accepted: field "<topic>/<partition>/<from>", value "<to> …". In order of `from`. */
static void take_gaps(struct proof *proof, const struct partition *partition, struct proof_part *part)
{
    const struct state_hash *gaps = proof_state_hash(proof->options.state, "gaps");
    size_t prefix = strlen(partition->field);
    for (size_t i = 0; gaps && i < gaps->count && part->gap_count < GAPS_MOST; i++) {
        struct slice field = gaps->fields[i].field, value = gaps->fields[i].value;
        const char *space = memchr(value.data, ' ', value.size);
        int64_t from, to;
        if (field.size <= prefix + 1 || memcmp(field.data, partition->field, prefix) != 0 || field.data[prefix] != '/' ||
            !space || !proof_integer((struct slice){field.data + prefix + 1, field.size - prefix - 1}, &from) ||
            !proof_integer((struct slice){value.data, (size_t)(space - value.data)}, &to))
            continue;
        size_t at = part->gap_count++;
        for (; at > 0 && part->gaps[at - 1].from > from; at--)
            part->gaps[at] = part->gaps[at - 1];
        part->gaps[at].from = from;
        part->gaps[at].to = to;
    }
}

void proof_meet(struct proof *proof, size_t index, int64_t low, int64_t high, int64_t *ret_from, int64_t *ret_to)
{
    struct partition *partition = &proof->partitions.items[index];
    struct proof_part *part = &proof->parts[index];
    struct slice offset = proof_state_value(proof->options.state, "offsets", partition->field);
    struct slice last = proof_state_value(proof->options.state, "last", partition->field);
    part->low = low;
    part->high = high;
    part->first_ms = INT64_MIN;
    part->log_last = part->base_last;
    part->has_offset = proof_integer(offset, &part->stored_offset) && part->stored_offset >= 0;
    if (!part->has_offset)
        part->stored_offset = 0;
    part->has_last = last_record_parse(last, &part->stored_last);
    part->last_met = part->last_equal = part->has_last && part->base_last.offset >= 0 &&
                                        part->stored_last.offset == part->base_last.offset &&
                                        part->stored_last.timestamp_ms == part->base_last.timestamp_ms &&
                                        part->stored_last.crc == part->base_last.crc;
    take_gaps(proof, partition, part);
    /* The first offset that was folded must be in the log, or else what it said can't be told any more. */
    int64_t first = part->base_offset;
    for (size_t i = 0; i < part->gap_count; i++)
        if (part->gaps[i].from == first)
            first = part->gaps[i].to;
    int64_t from = low > part->base_offset ? low : part->base_offset;
    part->to = part->stored_offset < high ? part->stored_offset : high;
    part->from = from > part->to ? part->to : from;
    part->whole = first >= low || first >= part->stored_offset;
    partition->state = PARTITION_ACTIVE;
    partition->position = partition->read_position = part->from;
    *ret_from = part->from;
    *ret_to = part->to;
}

struct batch *proof_batch(struct proof *proof)
{
    return proof->batch;
}

const struct proof_counts *proof_counts(const struct proof *proof)
{
    return &proof->counts;
}

bool proof_is_read(const struct proof *proof)
{
    return proof_left(proof) == 0;
}

int64_t proof_left(const struct proof *proof)
{
    int64_t left = 0;
    for (size_t i = 0; i < proof->partitions.count; i++) {
        int64_t behind = proof->parts[i].to - proof->partitions.items[i].read_position;
        left += behind > 0 ? behind : 0;
    }
    return left;
}

static bool is_in_gap(const struct proof_part *part, int64_t offset)
{
    for (size_t i = 0; i < part->gap_count; i++)
        if (offset >= part->gaps[i].from && offset < part->gaps[i].to)
            return true;
    return false;
}

/* Is this record among those that were folded? Also notes that the partition has been read past the end of its range. */
static int is_wanted(struct proof *proof, struct source_record *record, bool *ret_wanted, struct error *error)
{
    struct partition *partition = partition_find(&proof->partitions, record->topic, record->partition);
    *ret_wanted = false;
    if (record->kind == RECORD_ERROR && (partition || record->offset >= 0))
        return error_set(error, ERROR_KAFKA, "read %s at offset %" PRId64 ": %s", partition ? partition->field : "a partition",
                         record->offset, record->error_text ? record->error_text : "an error");
    if (!partition || record->kind == RECORD_ERROR)
        return 0;
    struct proof_part *part = &proof->parts[partition - proof->partitions.items];
    /* The position passes what is not folded only once the records before it are folded. */
    if (record->offset >= part->to) {
        part->passed_to = part->to;
        return 0;
    }
    if (record->kind == RECORD_MESSAGE && is_in_gap(part, record->offset)) {
        part->passed_to = record->offset + 1;
        return 0;
    }
    *ret_wanted = record->kind == RECORD_EOF || record->offset >= partition->read_position;
    return 0;
}

/* The last record of each partition, and the one that Redis remembers. */
static void look_at_last(struct proof *proof)
{
    struct batch *batch = proof->batch;
    struct partition *done = NULL;
    for (size_t i = batch->count; i-- > 0;) {
        const struct source_record *record = &batch->records[i];
        struct partition *partition = batch->items[i].partition;
        if (batch->items[i].kind == ITEM_NOTHING || record->kind != RECORD_MESSAGE)
            continue;
        struct proof_part *part = &proof->parts[partition - proof->partitions.items];
        if (part->has_last && record->offset == part->stored_last.offset) {
            part->last_met = true;
            part->last_equal = record->timestamp_ms == part->stored_last.timestamp_ms &&
                               record_crc(record->value) == part->stored_last.crc;
        }
        if (partition != done && record->offset > part->log_last.offset) {
            part->log_last.offset = record->offset;
            part->log_last.timestamp_ms = record->timestamp_ms;
            part->log_last.crc = record_crc(record->value);
        }
        done = partition; /* runs of one partition are long; a partition met again is told by its offset */
    }
    for (size_t i = 0; i < batch->count; i++) {
        const struct item *item = &batch->items[i];
        if (item->kind == ITEM_NOTHING || item->kind == ITEM_END)
            continue;
        struct proof_part *part = &proof->parts[item->partition - proof->partitions.items];
        int64_t timestamp_ms = batch->records[i].timestamp_ms;
        if (part->first_ms == INT64_MIN)
            part->first_ms = timestamp_ms;
        if (timestamp_ms > part->log_last.newest_ms)
            part->log_last.newest_ms = timestamp_ms;
        if (timestamp_ms > proof->newest_ms)
            proof->newest_ms = timestamp_ms;
    }
}

static int fold_batch(struct proof *proof, struct error *error)
{
    /* Agencies are never forgotten here: contested events point to theirs, and each is in the totals anyway. */
    fold_decode(proof->fold, &proof->partitions, proof->batch);
    look_at_last(proof);
    int result = proof_decide(proof, error);
    if (result >= 0)
        result = proof_add(proof, proof->batch, error);
    if (result >= 0)
        result = proof_seal_add(proof, error);
    if (proof->visitors_closed != INT64_MIN)
        visits_let_go(proof->visits, proof->visitors_closed);
    return result;
}

int proof_take(struct proof *proof, size_t count, struct error *error)
{
    struct batch *batch = proof->batch;
    int result = 0;
    size_t kept = 0;
    for (size_t i = 0; i < count && result >= 0; i++) {
        bool wanted;
        result = is_wanted(proof, &batch->records[i], &wanted, error);
        if (result < 0 || !wanted)
            continue;
        struct source_record record = batch->records[kept];
        batch->records[kept++] = batch->records[i]; /* the others stay behind them, to be released with them */
        batch->records[i] = record;
    }
    batch->count = kept;
    if (result >= 0 && kept > 0)
        result = fold_batch(proof, error);
    for (size_t i = 0; i < proof->partitions.count; i++)
        if (proof->partitions.items[i].read_position < proof->parts[i].passed_to)
            proof->partitions.items[i].read_position = proof->parts[i].passed_to;
    return result;
}

int proof_finish(struct proof *proof, bool *ret_whole, struct error *error)
{
    bool whole = true, visits_whole = proof->carried_before == INT64_MIN;
    for (size_t i = 0; i < proof->partitions.count; i++) {
        bool *which = proof->partitions.items[i].type == EVENT_PAGE_VISIT ? &visits_whole : &whole;
        *which = *which && proof->parts[i].whole;
        if (!proof->parts[i].whole && proof->partitions.items[i].type != EVENT_PAGE_VISIT)
            report_unproved(proof->options.report,
                            "what was counted of %s before offset %" PRId64 ": its log begins there, so no organisational "
                            "total can be recomputed",
                            proof->partitions.items[i].field, proof->parts[i].low);
    }
    *ret_whole = whole;
    int result = proof_settle(proof, whole, error);
    if (result >= 0)
        proof_reversals(proof, whole);
    if (result >= 0)
        result = proof_compare(proof, whole, visits_whole, error);
    if (result >= 0)
        result = proof_seal_compare(proof, whole, error);
    return result;
}
