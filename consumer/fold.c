/* The fold: two passes over a batch of records, the sums of a window, and the words of the commit. */
#include "consumer/fold.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "consumer/agency.h"
#include "consumer/fold_internal.h"
#include "schemas/layout.h"
#include "schemas/rules.h"

struct batch *batch_new(size_t capacity)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    batch->capacity = capacity;
    batch->details = BUFFER_BOUNDED(capacity * (DEAD_LETTER_DETAIL_MOST + 1));
    batch->records = calloc(capacity, sizeof *batch->records);
    batch->items = calloc(capacity, sizeof *batch->items);
    return batch->records && batch->items ? batch : batch_free(batch);
}

struct batch *batch_free(struct batch *batch)
{
    if (!batch)
        return NULL;
    buffer_free(&batch->details);
    buffer_free(&batch->bytes);
    free(batch->records);
    free(batch->items);
    free(batch);
    return NULL;
}

int fold_new(const char *city, struct decoder *decoder, struct lanes *lanes, size_t batch_most, struct fold **ret_fold,
             struct error *error)
{
    struct fold *fold = calloc(1, sizeof *fold);
    if (fold) {
        snprintf(fold->city, sizeof fold->city, "%s", city);
        fold_set_generation(fold, GENERATION_LIVE);
        fold->decoder = decoder;
        fold->lanes = lanes;
        fold->batch_most = batch_most;
        fold->agencies = agencies_new();
        fold->cells = cells_new();
        fold->storage = calloc(1, sizeof *fold->storage);
        fold->suspects = calloc(batch_most, sizeof *fold->suspects);
        fold->touched = calloc(batch_most, sizeof *fold->touched);
        fold->days = calloc(DAYS, sizeof *fold->days);
        fold->touched_days = calloc(DAYS, sizeof *fold->touched_days);
        fold->ends = calloc(ENDS_MOST, sizeof *fold->ends);
        fold->visits = BUFFER_BOUNDED(batch_most * VISIT_RECORD_SIZE);
        fold->repeats = BUFFER_BOUNDED((size_t)REPEATS_PER_COMMIT * REPEAT_RECORD_SIZE);
        fold->text = BUFFER_BOUNDED(SIZE_MAX / 2);
    }
    if (!fold || !fold->agencies || !fold->cells || !fold->storage || !fold->suspects ||
        !fold->touched || !fold->days || !fold->touched_days || !fold->ends) {
        fold_free(fold);
        return error_set(error, ERROR_MEMORY, "out of memory for a batch of %zu events", batch_most);
    }
    *ret_fold = fold;
    return 0;
}

void fold_set_generation(struct fold *fold, const char *generation)
{
    snprintf(fold->totals, sizeof fold->totals, "%stotals", generation);
}

struct fold *fold_free(struct fold *fold)
{
    if (!fold)
        return NULL;
    agencies_free(fold->agencies);
    cells_free(fold->cells);
    free(fold->storage);
    free(fold->suspects);
    free(fold->touched);
    free(fold->days);
    free(fold->touched_days);
    free(fold->ends);
    buffer_free(&fold->visits);
    buffer_free(&fold->repeats);
    buffer_free(&fold->text);
    free(fold->values);
    free(fold->sizes);
    free(fold->offsets);
    free(fold);
    return NULL;
}

/* A letter's detail must outlive the pass: it is kept in the batch's arena, as an offset that is made a pointer at the
 * end of the pass, since the arena may move while it grows. */
static void letter(struct batch *batch, struct item *item, enum dead_letter_reason reason, const char *detail)
{
    item->kind = ITEM_LETTER;
    item->letter = (uint8_t)reason;
    item->detail = (const char *)(uintptr_t)batch->details.size; // NOLINT: an offset until the pass ends
    size_t size = strlen(detail);
    if (size > DEAD_LETTER_DETAIL_MOST) {
        size = DEAD_LETTER_DETAIL_MOST;
        while (size && ((unsigned char)detail[size] & 0xC0) == 0x80)
            size--;
    }
    buffer_append(&batch->details, detail, size);
    buffer_append(&batch->details, "", 1);
}

static uint32_t pilot(struct batch *batch, struct slice model, struct slice district)
{
    uint32_t place = (uint32_t)batch->details.size + 1;
    buffer_slice_append(&batch->details, model);
    buffer_append(&batch->details, "/", 1);
    buffer_slice_append(&batch->details, district);
    buffer_append(&batch->details, "", 1);
    return place;
}

/* Nothing can be said of the record now: its partition waits for what its schema id means, or halts since that changed. */
static void leave_undecided(struct partition *partition, const struct source_record *record,
                            const struct decode_failure *failure)
{
    uint32_t id;
    memcpy(&id, record->value.data + 1, sizeof id);
    id = be32toh(id);
    const char *why = failure->what && *failure->what ? failure->what : "the schema registry can't be asked";
    if (failure->changed)
        partition_halt(partition, "offset %" PRId64 ": %s", record->offset, why);
    else
        partition_wait_for_schema(partition, id, "the schema id %" PRIu32 " of offset %" PRId64 " is not known: %s", id,
                                  record->offset, why);
}

/* False when nothing can be said of the record: the partition has been told why. */
static bool decode_one(struct fold *fold, struct batch *batch, struct item *item, const struct source_record *record)
{
    struct event event;
    struct decode_failure failure = {0};
    bool away = false;
    char detail[DEAD_LETTER_DETAIL_MOST * 2];
    enum dead_letter_reason reason = decoder_decode(fold->decoder, (enum event_type)record->topic, record->value, &event,
                                                    fold->storage, &failure, &away);
    if (away) {
        leave_undecided(item->partition, record, &failure);
        return false;
    }
    if (reason == LETTER_TOO_LARGE) {
        too_large_detail(record->value, detail, sizeof detail);
        letter(batch, item, reason, detail);
        return true;
    }
    if (reason != LETTER_NONE) {
        snprintf(detail, sizeof detail, "%s%s%s at byte %zu", failure.what ? failure.what : dead_letter_reason_name(reason),
                 failure.field && *failure.field ? " in field " : "", failure.field ? failure.field : "", failure.offset);
        letter(batch, item, reason, detail);
        return true;
    }
    reason = event_check(&event, record->timestamp_ms, NULL);
    if (reason != LETTER_NONE) {
        struct rule_violation violation;
        event_check(&event, record->timestamp_ms, &violation);
        letter(batch, item, reason, violation.text);
        return true;
    }
    item->type = (uint8_t)event.type;
    if (event.type == EVENT_PAGE_VISIT) {
        item->kind = ITEM_VISIT;
        item->occurred_at_ms = event.occurred_at_ms;
        memcpy(item->visitor, event.visit.visitor, sizeof item->visitor);
        return true;
    }
    struct agency *agency = agencies_get(fold->agencies, event.agency);
    if (!agency) {
        item->kind = ITEM_NOTHING;
        fold->out_of_memory = true;
        return true;
    }
    item->kind = ITEM_EVENT;
    item->agency = agency;
    item->lane = agency->lane;
    item->identity = identity_of(event.event_id, &agency->salts[event.type]);
    item->digest = event_meaning_digest(&event);
    item->effective_date = event.effective_date;
    item->pilot = 0;
    item->reverses = event.has_reverses;
    if (event.type == EVENT_HEADCOUNT_CHANGE) {
        item->word1 = (uint8_t)event.headcount.sector;
        item->word2 = (uint8_t)event.headcount.reason;
        item->number1 = event.headcount.delta;
    } else {
        item->word1 = (uint8_t)event.merger.category;
        item->word2 = (uint8_t)event.merger.kind;
        item->number1 = event.merger.units_before;
        item->number2 = event.merger.units_after;
        item->pilot = event.merger.pilot_model.data ? pilot(batch, event.merger.pilot_model, event.merger.district) : 0;
    }
    item->hash = lanes_hash(fold->lanes, &item->identity);
    if (fold->observe)
        fold->observe(fold->observe_context, batch, item, &event);
    return true;
}

void fold_observe(struct fold *fold, fold_observe_fn observe, void *context)
{
    fold->observe = observe;
    fold->observe_context = context;
}

void fold_decode(struct fold *fold, struct partitions *partitions, struct batch *batch)
{
    buffer_reset(&batch->details);
    batch->low = 0;
    batch->high = 0;
    batch->gaps = 0;
    batch->errors = 0;
    batch->first_event = batch->count;
    memset(batch->lane_events, 0, sizeof batch->lane_events);
    for (size_t i = 0; i < batch->count; i++) {
        const struct source_record *record = &batch->records[i];
        struct item *item = &batch->items[i];
        item->kind = ITEM_NOTHING;
        batch->errors += record->kind == RECORD_ERROR;
        struct partition *partition = partition_find(partitions, record->topic, record->partition);
        item->partition = partition;
        if (!partition || record->kind == RECORD_ERROR)
            continue;
        int64_t before = partition->read_position;
        if (record->kind == RECORD_EOF) {
            if (partition_take_end(partition, record->offset)) {
                item->kind = ITEM_END;
                batch->gaps += record->offset - before;
            }
        } else if (partition_take(partition, record->offset, record->timestamp_ms, record->value)) {
            if (decode_one(fold, batch, item, record))
                batch->gaps += record->offset - before;
            else
                partition->read_position = before;
            if (item->kind == ITEM_EVENT) {
                batch->first_event = batch->first_event < i ? batch->first_event : i;
                batch->lane_events[item->lane]++;
            }
        }
    }
    fold->out_of_memory = fold->out_of_memory || buffer_failed(&batch->details);
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i].kind == ITEM_LETTER)
            batch->items[i].detail =
                buffer_failed(&batch->details) ? "" : batch->details.data + (uintptr_t)batch->items[i].detail;
}

static bool window_has_all_events(const struct batch *batch)
{
    return batch->low <= batch->first_event && batch->high == batch->count;
}

void fold_lanes(struct fold *fold, struct batch *batch, size_t lanes_most, bool ret_needed[SEEN_LANES])
{
    size_t needed = 0;
    memset(ret_needed, 0, SEEN_LANES * sizeof *ret_needed);
    if (window_has_all_events(batch) && lanes_most >= SEEN_LANES) {
        for (uint32_t lane = 0; lane < SEEN_LANES; lane++)
            if ((ret_needed[lane] = batch->lane_events[lane] > 0))
                lanes_touch(fold->lanes, lane);
        return;
    }
    for (size_t i = batch->low; i < batch->high; i++) {
        const struct item *item = &batch->items[i];
        if (item->kind != ITEM_EVENT || ret_needed[item->lane])
            continue;
        if (needed == lanes_most) {
            batch->high = i;
            return;
        }
        ret_needed[item->lane] = true;
        needed++;
        lanes_touch(fold->lanes, item->lane);
    }
}

static enum item_seen item_seen_of(enum seen seen)
{
    return seen == SEEN_NEW ? ITEM_NEW : seen == SEEN_DUPLICATE ? ITEM_DUPLICATE : ITEM_CONFLICT;
}

/* Places for the window's events; on failure fold_sum tells. */
static bool reserve(struct fold *fold, const struct batch *batch)
{
    struct error error = {0};
    if (window_has_all_events(batch)) {
        memcpy(fold->lane_events, batch->lane_events, sizeof fold->lane_events);
    } else {
        memset(fold->lane_events, 0, sizeof fold->lane_events);
        for (size_t i = batch->low; i < batch->high; i++)
            if (batch->items[i].kind == ITEM_EVENT)
                fold->lane_events[batch->items[i].lane]++;
    }
    if (lanes_reserve(fold->lanes, fold->lane_events, &error) < 0)
        fold->out_of_memory = true;
    return !fold->out_of_memory;
}

size_t fold_prepare(struct fold *fold, struct batch *batch, const struct suspect **ret_suspects)
{
    enum { AHEAD = 24 }; /* items whose places are fetched before they are looked at */
    fold->suspect_count = 0;
    *ret_suspects = fold->suspects;
    if (!reserve(fold, batch))
        return 0;
    for (size_t i = batch->low; i < batch->high; i++) {
        struct item *item = &batch->items[i];
        if (i + AHEAD < batch->high && batch->items[i + AHEAD].kind == ITEM_EVENT)
            lane_prefetch(fold->lanes, batch->items[i + AHEAD].lane, batch->items[i + AHEAD].hash);
        if (item->kind != ITEM_EVENT)
            continue;
        uint32_t index;
        enum seen seen = lane_add(fold->lanes, item->lane, item->hash, &item->identity, item->digest, &index);
        if (seen == SEEN_MAYBE)
            fold->suspects[fold->suspect_count++] = (struct suspect){i, item->lane, index};
        else
            item->seen = (uint8_t)item_seen_of(seen);
    }
    return fold->suspect_count;
}

bool fold_settle(struct fold *fold, struct batch *batch, struct suspect *suspect, const uint8_t record[SEEN_RECORD_SIZE])
{
    struct item *item = &batch->items[suspect->item];
    if (memcmp(record, item->identity.bytes, sizeof item->identity.bytes) != 0) {
        enum seen seen =
            lane_add_after(fold->lanes, suspect->lane, item->hash, &item->identity, item->digest, &suspect->index);
        if (seen == SEEN_MAYBE)
            return false;
        item->seen = (uint8_t)item_seen_of(seen);
        return true;
    }
    uint64_t stored;
    memcpy(&stored, record + sizeof item->identity.bytes, sizeof stored);
    item->seen = le64toh(stored) == item->digest ? ITEM_DUPLICATE : ITEM_CONFLICT;
    return true;
}

bool fold_is_full(const struct fold *fold)
{
    return agencies_count(fold->agencies) >= AGENCIES_MOST;
}

void fold_forget(struct fold *fold)
{
    fold->touched_count = 0;
    agencies_forget(fold->agencies);
}
