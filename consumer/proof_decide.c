/* The proof's decisions: for each record, was it counted, a repeat, a conflict or a dead letter? */
#include <stdlib.h>

#include "consumer/agency.h"
#include "consumer/proof_internal.h"

enum { AHEAD = 8, BIT_CONFLICT = 1 << LETTER_CONFLICT };

static enum dead_letter_reason first_reason(uint8_t reasons)
{
    for (int reason = 0; reason < LETTER_REASONS; reason++)
        if (reasons & 1u << reason)
            return (enum dead_letter_reason)reason;
    return LETTER_NONE;
}

static bool is_sampled(const struct proof *proof, const struct item *item)
{
    struct slice name = {item->agency->name, item->agency->name_size};
    for (size_t i = 0; i < proof->options.agency_count; i++)
        if (slice_equal(name, slice_of(proof->options.agencies[i])))
            return true;
    return proof->options.agency_count == 0;
}

static void missing_letter(struct proof *proof, const struct partition *partition, int64_t offset, const char *reason)
{
    char topic[PARTITION_FIELD_SIZE], place[PARTITION_FIELD_SIZE + 32];
    if (proof->letters_partial)
        return;
    snprintf(topic, sizeof topic, "%s.%s", proof->options.city, DEAD_LETTER_TOPIC_SUFFIX);
    snprintf(place, sizeof place, "%s offset %" PRId64, partition->field, offset);
    report_difference_in_kafka(proof->options.report, topic, slice_of(place), slice_of(reason), (struct slice){0});
}

/* Sound today, but it was a dead letter then: it was not counted, so it is not counted here. */
static void judged_otherwise(struct proof *proof, struct item *item, int64_t offset, uint8_t reasons)
{
    enum dead_letter_reason reason = first_reason((uint8_t)(reasons & ~BIT_CONFLICT));
    report_remark(proof->options.report, "%s offset %" PRId64 " became a dead letter (%s); today it would be counted: replay it",
                  item->partition->field, offset, dead_letter_reason_name(reason));
    item->kind = ITEM_LETTER;
    item->letter = (uint8_t)reason;
    item->detail = "";
}

static void decide_letter(struct proof *proof, struct item *item, int64_t offset, uint8_t reasons)
{
    const char *today = dead_letter_reason_name((enum dead_letter_reason)item->letter);
    if (!reasons) {
        missing_letter(proof, item->partition, offset, today);
    } else if (!(reasons & 1u << item->letter)) {
        enum dead_letter_reason then = first_reason(reasons);
        report_remark(proof->options.report, "%s offset %" PRId64 " became a dead letter for %s; today it would for %s",
                      item->partition->field, offset, dead_letter_reason_name(then), today);
        item->letter = (uint8_t)then;
    }
}

/* Keep the event until it is known which one counts. Its pilot's text lies in the batch, so it is copied. */
static int contest(struct proof *proof, struct id *id, const struct item *item, int64_t offset, struct error *error)
{
    if (proof->contested_count == CONFLICTS_MOST)
        return error_set(error, ERROR_LIMIT, "over %d events conflict with another; so many can't be held", CONFLICTS_MOST);
    if (proof->contested_count == proof->contested_capacity) {
        size_t capacity = proof->contested_capacity ? proof->contested_capacity * 2 : 64;
        struct contested *contested = realloc(proof->contested, capacity * sizeof *contested);
        if (!contested)
            return error_set(error, ERROR_MEMORY, "out of memory for %zu conflicting events", capacity);
        proof->contested = contested;
        proof->contested_capacity = capacity;
    }
    struct contested *contested = &proof->contested[proof->contested_count];
    *contested = (struct contested){.item = *item, .offset = offset, .before = id->contested};
    if (item->pilot && !(contested->pilot = strdup(proof->batch->details.data + item->pilot - 1)))
        return error_set(error, ERROR_MEMORY, "out of memory for a conflicting event");
    id->contested = (uint32_t)++proof->contested_count;
    return 0;
}

/* Did another meaning of this identity come earlier in the same partition? Only those of one identity are looked at. */
static bool came_later(const struct proof *proof, const struct id *id, const struct item *item)
{
    for (uint32_t i = id->contested; i > 0; i = proof->contested[i - 1].before)
        if (proof->contested[i - 1].item.partition == item->partition)
            return true;
    return false;
}

static int note_reversal(struct proof *proof, const struct item *item, const struct extra *extra, int64_t offset,
                         struct error *error)
{
    if (proof->reversal_count == proof->reversal_capacity) {
        size_t capacity = proof->reversal_capacity ? proof->reversal_capacity * 2 : 64;
        struct reversal *reversals = realloc(proof->reversals, capacity * sizeof *reversals);
        if (!reversals)
            return error_set(error, ERROR_MEMORY, "out of memory for %zu reversals", capacity);
        proof->reversals = reversals;
        proof->reversal_capacity = capacity;
    }
    proof->reversals[proof->reversal_count++] =
        (struct reversal){item->identity, extra->original, extra->content, item->type, item->partition, offset};
    return 0;
}

static void name_of_lane(char name[16], unsigned lane)
{
    snprintf(name, 16, "seen:%u", lane);
}

static int decide_event(struct proof *proof, struct item *item, struct extra *extra, int64_t offset, uint8_t reasons,
                        struct error *error)
{
    if (!is_sampled(proof, item)) {
        item->kind = ITEM_NOTHING;
        return 0;
    }
    struct id *id = ids_get(proof->ids, &item->identity);
    if (!id)
        return error_set(error, ERROR_MEMORY, "out of memory for %zu event ids", ids_count(proof->ids));
    bool is_stored = (id->flags & ID_STORED) && id->digest == item->digest;
    if ((reasons & ~BIT_CONFLICT) && !is_stored) {
        judged_otherwise(proof, item, offset, reasons);
        return 0;
    }
    if (!(id->flags & (ID_STORED | ID_COUNTED))) {
        id->digest = item->digest;
        id->lane = item->lane;
    }
    if (id->digest != item->digest) {
        id->flags |= ID_CONTESTED;
        item->seen = ITEM_CONFLICT;
        return contest(proof, id, item, offset, error);
    }
    proof_seal_note(proof, id, item, extra, offset);
    if (!(id->flags & ID_FIRST) && (!(id->flags & ID_CONTESTED) || !came_later(proof, id, item)))
        id->flags |= ID_FIRST;
    if (id->flags & ID_COUNTED) {
        item->seen = ITEM_DUPLICATE;
        return 0;
    }
    if (id->lane != item->lane) {
        char name[16], text[EVENT_ID_TEXT_SIZE];
        struct event_id bytes;
        memcpy(bytes.bytes, id->identity.bytes, sizeof bytes.bytes);
        name_of_lane(name, id->lane);
        report_difference(proof->options.report, name, slice_of(event_id_format(bytes, text)), (struct slice){0},
                          slice_of("a record of another lane"));
    }
    item->seen = ITEM_NEW;
    id->flags |= (uint8_t)(ID_COUNTED | (item->reverses ? ID_REVERSAL : 0));
    id->content = extra->content;
    if (reasons & ~BIT_CONFLICT)
        report_remark(proof->options.report, "%s offset %" PRId64 " was counted, and there is a dead letter of it too",
                      item->partition->field, offset);
    return item->reverses ? note_reversal(proof, item, extra, offset, error) : 0;
}

static int decide_visit(struct proof *proof, struct item *item, const struct source_record *record, uint8_t reasons,
                        struct error *error)
{
    const struct proof_part *part = &proof->parts[item->partition - proof->partitions.items];
    if (reasons & ~BIT_CONFLICT) {
        judged_otherwise(proof, item, record->offset, reasons);
        return 0;
    }
    if (!visits_take(proof->visits, part->visit_part, item->visitor, item->occurred_at_ms, record->timestamp_ms))
        return error_set(error, ERROR_MEMORY, "out of memory for a day's visitors");
    return 0;
}

int proof_decide(struct proof *proof, struct error *error)
{
    struct batch *batch = proof->batch;
    bool any_letters = places_count(proof->letters) > 0;
    int result = 0;
    for (size_t i = 0; i < batch->count && result >= 0; i++) {
        struct item *item = &batch->items[i];
        const struct source_record *record = &batch->records[i];
        proof->extras[i].sealed = false;
        if (i + AHEAD < batch->count && batch->items[i + AHEAD].kind == ITEM_EVENT)
            ids_prefetch(proof->ids, &batch->items[i + AHEAD].identity);
        if (item->kind == ITEM_NOTHING || item->kind == ITEM_END)
            continue;
        proof->counts.records++;
        if (proof->options.agency_count > 0 && item->kind != ITEM_EVENT) {
            item->kind = ITEM_NOTHING;
            continue;
        }
        uint8_t reasons =
            any_letters ? places_find(proof->letters, record->topic, record->partition, record->offset) : 0;
        if (item->kind == ITEM_EVENT)
            result = decide_event(proof, item, &proof->extras[i], record->offset, reasons, error);
        else if (item->kind == ITEM_VISIT)
            result = decide_visit(proof, item, record, reasons, error);
        else
            decide_letter(proof, item, record->offset, reasons);
        if (record->topic == EVENT_PAGE_VISIT)
            visits_pass(proof->visits, proof->parts[item->partition - proof->partitions.items].visit_part,
                        record->timestamp_ms);
    }
    return result;
}

int proof_sum(struct proof *proof, struct batch *batch, struct fold_counts *ret_counts, const struct cell **ret_cells,
              size_t *ret_count, struct error *error)
{
    batch->low = 0;
    batch->high = batch->count;
    int result = fold_sum(proof->fold, batch, ret_counts, error);
    return result < 0 ? result : fold_cells(proof->fold, ret_cells, ret_count, error);
}

int proof_add(struct proof *proof, struct batch *batch, struct error *error)
{
    struct fold_counts counts;
    const struct cell *cells;
    size_t count;
    int result = proof_sum(proof, batch, &counts, &cells, &count, error);
    for (size_t i = 0; result >= 0 && i < count; i++)
        if (!cells_add(proof->cells, cells[i].hash, slice_of(cells[i].field), cells[i].amount))
            result = error_set(error, ERROR_MEMORY, "out of memory for the totals");
    if (result < 0)
        return result;
    proof->counts.events += counts.events;
    proof->counts.duplicates += counts.duplicates;
    proof->counts.conflicts += counts.conflicts;
    proof->counts.letters += counts.letters;
    proof->counts.visits += counts.visits;
    return 0;
}

/* It was summed as a conflict's dead letter, and is none. */
static int take_letter_back(struct proof *proof, struct error *error)
{
    proof->counts.conflicts--;
    proof->counts.letters--;
    return cells_add(proof->cells, CELLS_DEAD_LETTERS, slice_of(dead_letter_reason_name(LETTER_CONFLICT)), -1) &&
                   cells_add(proof->cells, CELLS_TOTALS, slice_of("dead_letters"), -1)
               ? 0
               : error_set(error, ERROR_MEMORY, "out of memory");
}

/* The lane's meaning is none that was sent: then the first one that was sent counts, and those that repeat it repeat it. */
static int elect(struct proof *proof, struct id *id, struct error *error)
{
    struct contested *winner = NULL;
    int result = 0;
    for (uint32_t i = id->contested; i > 0; i = proof->contested[i - 1].before)
        winner = &proof->contested[i - 1];
    if (!winner)
        return 0;
    for (uint32_t i = id->contested; i > 0 && result >= 0; i = proof->contested[i - 1].before) {
        struct contested *each = &proof->contested[i - 1];
        if (each->item.digest != winner->item.digest)
            continue;
        each->won = true;
        result = take_letter_back(proof, error);
    }
    buffer_reset(&proof->single->details);
    if (winner->pilot)
        buffer_append(&proof->single->details, winner->pilot, strlen(winner->pilot) + 1);
    proof->single->items[0] = winner->item;
    proof->single->items[0].pilot = winner->pilot != NULL;
    proof->single->items[0].seen = ITEM_NEW;
    proof->single->count = 1;
    if (result >= 0)
        result = proof_add(proof, proof->single, error);
    id->digest = winner->item.digest;
    id->flags |= ID_COUNTED;
    return result;
}

enum { DIGEST_TEXT_SIZE = 32 };

static struct slice digest_text(char text[DIGEST_TEXT_SIZE], uint64_t digest)
{
    int size = snprintf(text, DIGEST_TEXT_SIZE, "meaning %016" PRIx64, digest);
    return (struct slice){text, (size_t)size};
}

int proof_settle(struct proof *proof, bool whole, struct error *error)
{
    struct report *report = proof->options.report;
    bool sampled = proof->options.agency_count > 0;
    int result = 0;
    for (size_t i = 0; i < ids_count(proof->ids) && result >= 0; i++) {
        struct id *id = ids_at(proof->ids, i);
        bool stored = id->flags & ID_STORED, counted = id->flags & ID_COUNTED, contested = id->flags & ID_CONTESTED;
        if (stored && counted && (!contested || (id->flags & ID_FIRST)))
            continue;
        char name[16], text[EVENT_ID_TEXT_SIZE], was[DIGEST_TEXT_SIZE], is[DIGEST_TEXT_SIZE];
        struct event_id bytes;
        memcpy(bytes.bytes, id->identity.bytes, sizeof bytes.bytes);
        struct slice field = slice_of(event_id_format(bytes, text));
        name_of_lane(name, id->lane);
        if (stored && !counted && contested && !whole)
            continue; /* the one that was counted may lie in what the log has lost */
        if (stored && !counted && contested) {
            uint64_t found = id->digest;
            result = elect(proof, id, error);
            report_difference(report, name, field, digest_text(is, id->digest), digest_text(was, found));
        } else if (stored && !counted) {
            if (!sampled && whole)
                report_difference(report, name, field, (struct slice){0}, digest_text(was, id->digest));
        } else if (!stored && counted) {
            report_difference(report, name, field, digest_text(is, id->digest), (struct slice){0});
        } else if (stored && whole) {
            report_difference(report, name, field, slice_of("the meaning that came first in its partition"),
                              digest_text(was, id->digest));
        }
    }
    /* What is left of the contested are conflicts; each must have its letter. */
    for (size_t i = 0; i < proof->contested_count && !sampled; i++) {
        const struct contested *each = &proof->contested[i];
        const struct partition *partition = each->item.partition;
        if (!each->won &&
            !places_find(proof->letters, (uint8_t)partition->type, partition->id, each->offset))
            missing_letter(proof, partition, each->offset, dead_letter_reason_name(LETTER_CONFLICT));
    }
    return result;
}

void proof_reversals(struct proof *proof, bool whole)
{
    struct report *report = proof->options.report;
    proof->counts.reversals = (int64_t)proof->reversal_count;
    for (size_t i = 0; i < proof->reversal_count; i++) {
        const struct reversal *reversal = &proof->reversals[i];
        const struct id *original = ids_find(proof->ids, &reversal->original);
        const char *fault = NULL;
        if (!original || !(original->flags & ID_COUNTED))
            fault = whole ? "reverses an event that the log does not have" : "reverses an event that is not in what the log still has";
        else if (original->flags & ID_REVERSAL)
            fault = "reverses a reversal";
        else if (!(original->flags & ID_BASE) && original->content != reversal->content)
            fault = "is not a copy of the event that it reverses; put the difference right by a correction";
        if (fault)
            report_remark(report, "the reversal at %s offset %" PRId64 " %s", reversal->partition->field, reversal->offset,
                          fault);
    }
}
