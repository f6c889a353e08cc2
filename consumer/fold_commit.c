/* The commit in words: the summed window as arguments of the commit Function, and what follows when it went through. */
#include <endian.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "consumer/agency.h"
#include "consumer/fold_internal.h"
#include "schemas/rules.h"

void too_large_detail(struct slice value, char *text, size_t size)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)value.data, value.size, hash);
    int at = snprintf(text, size, "%zu bytes, SHA-256 ", value.size);
    for (size_t i = 0; i < sizeof hash; i++)
        at += snprintf(text + at, size - (size_t)at, "%02x", hash[i]);
    snprintf(text + at, size - (size_t)at, "; allowed: %d bytes", VALUE_SIZE_MOST);
}

/* Values are gathered as places in one text buffer (offset + 1) or, for bytes that stay where they are, as pointers. */
static void value(struct fold *fold, const char *data, size_t size, bool copy)
{
    if (fold->value_count == fold->value_capacity) {
        int capacity = fold->value_capacity ? fold->value_capacity * 2 : 1024;
        const char **values = realloc(fold->values, (size_t)capacity * sizeof *values);
        if (values)
            fold->values = values;
        size_t *sizes = realloc(fold->sizes, (size_t)capacity * sizeof *sizes);
        if (sizes)
            fold->sizes = sizes;
        size_t *offsets = realloc(fold->offsets, (size_t)capacity * sizeof *offsets);
        if (offsets)
            fold->offsets = offsets;
        if (!values || !sizes || !offsets) {
            fold->out_of_memory = true;
            return;
        }
        fold->value_capacity = capacity;
    }
    int at = fold->value_count++;
    fold->sizes[at] = size;
    fold->values[at] = copy ? NULL : data;
    fold->offsets[at] = fold->text.size;
    if (copy)
        buffer_append(&fold->text, data, size);
}

static void text_value(struct fold *fold, const char *text)
{
    value(fold, text, strlen(text), true);
}

static void slice_value(struct fold *fold, struct slice slice)
{
    value(fold, slice.data ? slice.data : "", slice.size, true);
}

static void number_value(struct fold *fold, int64_t number)
{
    char text[24], *end = text + sizeof text, *at = end;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10));
    if (number < 0)
        *--at = '-';
    value(fold, at, (size_t)(end - at), true);
}

/* A number that is known only now takes the place of one that stood there: what is copied is appended and pointed to. */
static void replace_number(struct fold *fold, int at, int number)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%d", number);
    fold->offsets[at] = fold->text.size;
    fold->sizes[at] = (size_t)size;
    buffer_append(&fold->text, text, (size_t)size);
}

static struct last_record last_of(const struct window_end *end)
{
    struct last_record last = end->partition->last;
    last.offset = end->record->offset;
    last.timestamp_ms = end->record->timestamp_ms;
    last.crc = record_crc(end->record->value);
    if (end->newest_ms > last.newest_ms)
        last.newest_ms = end->newest_ms;
    return last;
}

static void add_partitions(struct fold *fold)
{
    number_value(fold, (int64_t)fold->end_count);
    for (size_t i = 0; i < fold->end_count; i++) {
        const struct window_end *end = &fold->ends[i];
        char text[LAST_RECORD_TEXT_SIZE] = "";
        if (end->record) {
            struct last_record last = last_of(end);
            last_record_format(&last, text);
        }
        text_value(fold, end->partition->field);
        number_value(fold, end->partition->position);
        number_value(fold, end->position);
        text_value(fold, text);
    }
}

static void add_lanes(struct fold *fold)
{
    int64_t count = 0;
    for (int lane = 0; lane < SEEN_LANES; lane++)
        count += fold->lane_events[lane] > 0;
    number_value(fold, count);
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++) {
        const uint8_t *records;
        if (fold->lane_events[lane] == 0)
            continue;
        size_t size = lane_pending(fold->lanes, lane, &records) * SEEN_RECORD_SIZE;
        number_value(fold, lane);
        number_value(fold, lane_length(fold->lanes, lane) * SEEN_RECORD_SIZE);
        value(fold, (const char *)records, size, false);
    }
}

static bool total(struct fold *fold, const char *field, int64_t amount)
{
    return amount == 0 || cells_add(fold->cells, CELLS_TOTALS, slice_of(field), amount);
}

/* Everything but the hot path's cells is already in `cells`; the citywide sums join it. */
static bool sum_totals(struct fold *fold)
{
    int64_t baseline = 0, current = 0;
    char field[64];
    bool ok = true;
    for (int sector = 0; sector < SECTORS; sector++) {
        baseline += fold->sector_baseline[sector];
        current += fold->sector_current[sector];
        snprintf(field, sizeof field, "headcount_baseline:%s", sector_name((enum sector)sector));
        ok = ok && total(fold, field, fold->sector_baseline[sector]);
        snprintf(field, sizeof field, "headcount_current:%s", sector_name((enum sector)sector));
        ok = ok && total(fold, field, fold->sector_current[sector]);
    }
    ok = ok && total(fold, "headcount_baseline", baseline) && total(fold, "headcount_current", current) &&
         total(fold, "events", fold->counts.events) && total(fold, "dead_letters", fold->counts.letters);
    for (size_t i = 0; ok && i < fold->touched_day_count; i++) {
        const struct day_cells *cells = &fold->days[fold->touched_days[i]];
        char day[DATE_TEXT_SIZE];
        date_format(fold->touched_days[i] + FIRST_DAY, day);
        for (int sector = 0; ok && sector < SECTORS; sector++) {
            for (int which = 0; ok && which < 2; which++) {
                int64_t amount = which ? cells->current[sector] : cells->baseline[sector];
                if (amount == 0)
                    continue;
                /* The many of a commit: three short texts, joined without a format. */
                const char *end = stpcpy(stpcpy(stpcpy(field, day), which ? ":current:" : ":baseline:"),
                                         sector_name((enum sector)sector));
                ok = cells_add(fold->cells, CELLS_HEADCOUNT_BY_DAY, (struct slice){field, (size_t)(end - field)}, amount);
            }
        }
    }
    for (size_t i = 0; ok && i < fold->touched_count; i++) {
        const struct agency *agency = fold->touched[i];
        struct slice name = {agency->name, agency->name_size};
        if (agency->baseline)
            ok = cells_add(fold->cells, CELLS_HEADCOUNT_BASELINE, name, agency->baseline);
        if (ok && agency->current)
            ok = cells_add(fold->cells, CELLS_HEADCOUNT_CURRENT, name, agency->current);
    }
    return ok;
}

int fold_cells(struct fold *fold, const struct cell **ret_cells, size_t *ret_count, struct error *error)
{
    if (!sum_totals(fold))
        return error_set(error, ERROR_MEMORY, "out of memory while summing");
    *ret_cells = cells_all(fold->cells, ret_count);
    return 0;
}

static void add_hashes(struct fold *fold)
{
    size_t count;
    const struct cell *cells = cells_all(fold->cells, &count);
    size_t sizes[CELL_HASHES] = {0};
    int64_t hashes = 0;
    for (size_t i = 0; i < count; i++)
        hashes += sizes[cells[i].hash]++ == 0;
    number_value(fold, hashes);
    for (int hash = 0; hash < CELL_HASHES; hash++) {
        if (!sizes[hash])
            continue;
        text_value(fold, cell_hash_suffix((enum cell_hash)hash));
        number_value(fold, (int64_t)sizes[hash]);
        for (size_t i = 0; i < count; i++)
            if (cells[i].hash == (enum cell_hash)hash)
                text_value(fold, cells[i].field);
        for (size_t i = 0; i < count; i++)
            if (cells[i].hash == (enum cell_hash)hash)
                number_value(fold, cells[i].amount);
    }
}

static void pair(struct fold *fold, const char *field, const char *text)
{
    text_value(fold, field);
    text_value(fold, text);
}

/* The latest new events of the window for the `changes` stream. They are decoded again: few, and their text is not kept. */
static void add_changes(struct fold *fold, const struct batch *batch)
{
    size_t places[CHANGES_PER_COMMIT], count = 0;
    size_t most = fold->counts.events > LARGE_COMMIT ? CHANGES_OF_A_LARGE : CHANGES_PER_COMMIT;
    for (size_t i = batch->high; i-- > batch->low && count < most;)
        if (batch->items[i].kind == ITEM_EVENT && batch->items[i].seen == ITEM_NEW)
            places[count++] = i;
    int count_at = fold->value_count, entries = 0;
    number_value(fold, 0);
    while (count > 0) {
        const struct item *item = &batch->items[places[--count]];
        const struct source_record *record = &batch->records[places[count]];
        struct event event;
        struct decode_failure failure;
        bool away = false;
        if (decoder_decode(fold->decoder, (enum event_type)record->topic, record->value, &event, fold->storage, &failure,
                           &away) != LETTER_NONE ||
            away)
            continue; /* its writer's schema was let go of meanwhile: it counts all the same */
        entries++;
        int at = fold->value_count;
        number_value(fold, 0);
        char text[64];
        pair(fold, "type", event_type_name(event.type));
        pair(fold, "event_id", event_id_format(event.event_id, text));
        text_value(fold, "source");
        slice_value(fold, event.source);
        text_value(fold, "agency");
        slice_value(fold, event.agency);
        pair(fold, "effective_date", date_format(event.effective_date, text));
        pair(fold, "occurred_at", timestamp_format(event.occurred_at_ms, text));
        if (event.type == EVENT_HEADCOUNT_CHANGE) {
            pair(fold, "sector", sector_name(event.headcount.sector));
            pair(fold, "reason", headcount_reason_name(event.headcount.reason));
            text_value(fold, "delta");
            number_value(fold, event.headcount.delta);
        } else {
            pair(fold, "category", unit_category_name(event.merger.category));
            pair(fold, "kind", merger_kind_name(event.merger.kind));
            text_value(fold, "units_before");
            number_value(fold, event.merger.units_before);
            text_value(fold, "units_after");
            number_value(fold, event.merger.units_after);
            if (event.merger.pilot_model.data) {
                text_value(fold, "pilot_model");
                slice_value(fold, event.merger.pilot_model);
                text_value(fold, "district");
                slice_value(fold, event.merger.district);
            }
        }
        if (event.decision.data) {
            text_value(fold, "decision");
            slice_value(fold, event.decision);
        }
        if (event.has_reverses)
            pair(fold, "reverses", event_id_format(event.reverses, text));
        pair(fold, "at", item->partition->field);
        text_value(fold, "offset");
        number_value(fold, record->offset);
        replace_number(fold, at, fold->value_count - at - 1);
    }
    replace_number(fold, count_at, entries);
}

/* Whose the record was that became a dead letter: what it says itself where it can be read, else its key, which is the
 * agency where ours sent it. False where nobody can be told. */
static bool sender_of(struct fold *fold, const struct item *item, const struct source_record *record, struct event *ret_event)
{
    struct decode_failure failure;
    bool away = false;
    *ret_event = (struct event){0};
    if ((item->kind == ITEM_EVENT || item->letter == LETTER_RULE_VIOLATION || item->letter == LETTER_OUT_OF_WINDOW) &&
        (decoder_decode(fold->decoder, (enum event_type)record->topic, record->value, ret_event, fold->storage, &failure, &away) !=
             LETTER_NONE ||
         away))
        *ret_event = (struct event){0};
    if (!id_is_valid(ret_event->agency))
        ret_event->agency = record->key;
    return id_is_valid(ret_event->agency);
}

static void add_refused_record(struct fold *fold, const struct item *item, const struct source_record *record,
                               const struct event *event)
{
    bool conflict = item->kind == ITEM_EVENT;
    char text[64];
    number_value(fold, lane_of_agency(event->agency));
    int at = fold->value_count;
    number_value(fold, 0);
    pair(fold, "type", event_type_name((enum event_type)record->topic));
    text_value(fold, "agency");
    slice_value(fold, event->agency);
    if (!event_id_is_nil(event->event_id))
        pair(fold, "event_id", event_id_format(event->event_id, text));
    if (id_is_valid(event->source)) {
        text_value(fold, "source");
        slice_value(fold, event->source);
    }
    pair(fold, "reason", dead_letter_reason_name(conflict ? LETTER_CONFLICT : (enum dead_letter_reason)item->letter));
    pair(fold, "detail", conflict ? CONFLICT_DETAIL : item->detail);
    pair(fold, "at", item->partition->field);
    text_value(fold, "offset");
    number_value(fold, record->offset);
    pair(fold, "acknowledged_at", timestamp_format(record->timestamp_ms, text));
    replace_number(fold, at, fold->value_count - at - 1);
}

/* The latest dead letters of the window that an agency sent, so that it can ask for them. */
static void add_refused(struct fold *fold, const struct batch *batch)
{
    size_t places[REFUSED_PER_COMMIT], count = 0;
    for (size_t i = batch->high; fold->counts.letters > 0 && i-- > batch->low && count < REFUSED_PER_COMMIT;)
        if (item_is_letter(&batch->items[i]) && batch->records[i].topic != EVENT_PAGE_VISIT)
            places[count++] = i;
    int count_at = fold->value_count, entries = 0;
    number_value(fold, 0);
    while (count > 0) {
        struct event event;
        size_t i = places[--count];
        if (!sender_of(fold, &batch->items[i], &batch->records[i], &event))
            continue;
        entries++;
        add_refused_record(fold, &batch->items[i], &batch->records[i], &event);
    }
    replace_number(fold, count_at, entries);
}

/* The latest repeats of the window, as `repeats` keeps them. */
static void add_repeats(struct fold *fold, const struct batch *batch)
{
    int64_t passed = fold->counts.duplicates - REPEATS_PER_COMMIT;
    buffer_reset(&fold->repeats);
    for (size_t i = batch->low; fold->counts.duplicates > 0 && i < batch->high; i++) {
        const struct item *item = &batch->items[i];
        if (item->kind != ITEM_EVENT || item->seen != ITEM_DUPLICATE || passed-- > 0)
            continue;
        uint64_t place[2] = {htobe64((uint64_t)batch->records[i].partition), htobe64((uint64_t)batch->records[i].offset)};
        buffer_append(&fold->repeats, item->identity.bytes, sizeof item->identity.bytes);
        buffer_append(&fold->repeats, place, sizeof place);
    }
    if (buffer_failed(&fold->repeats))
        fold->out_of_memory = true;
    value(fold, fold->repeats.data ? fold->repeats.data : "", fold->repeats.size, false);
}

int fold_arguments(struct fold *fold, struct batch *batch, const char *function, const char *epoch,
                   int32_t visit_partitions, struct arguments *ret_arguments, struct error *error)
{
    char text[REDIS_KEY_SIZE + TIMESTAMP_TEXT_SIZE];
    buffer_reset(&fold->text);
    fold->value_count = 0;
    text_value(fold, "FCALL");
    text_value(fold, function);
    text_value(fold, "1");
    text_value(fold, redis_key(text, fold->city, fold->totals));
    text_value(fold, epoch);
    text_value(fold, fold->newest_ms > INT64_MIN ? timestamp_format(fold->newest_ms, text) : "");
    add_partitions(fold);
    add_lanes(fold);
    bool ok = sum_totals(fold);
    add_hashes(fold);
    add_changes(fold, batch);
    add_refused(fold, batch);
    add_repeats(fold, batch);
    value(fold, fold->visits.data ? fold->visits.data : "", fold->visits.size, false);
    snprintf(text, sizeof text, "%s.%s", fold->city, event_topic_suffix(EVENT_PAGE_VISIT));
    text_value(fold, text);
    number_value(fold, visit_partitions);
    if (!ok || fold->out_of_memory || buffer_failed(&fold->text))
        return error_set(error, ERROR_MEMORY, "out of memory while preparing a commit");
    for (int i = 0; i < fold->value_count; i++)
        if (!fold->values[i])
            fold->values[i] = fold->text.data + fold->offsets[i];
    *ret_arguments = (struct arguments){fold->values, fold->sizes, fold->value_count};
    return 0;
}

void fold_committed(struct fold *fold, struct batch *batch)
{
    lanes_keep_pending(fold->lanes);
    for (size_t i = 0; i < fold->end_count; i++) {
        const struct window_end *end = &fold->ends[i];
        end->partition->position = end->position;
        if (end->record)
            end->partition->last = last_of(end);
    }
    batch->low = batch->high;
}
