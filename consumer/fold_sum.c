/* The sums of a window: what its new events add. */
#include <assert.h>
#include <endian.h>
#include <stdio.h>

#include "base/clock.h"
#include "consumer/agency.h"
#include "consumer/fold_internal.h"

void fold_sum_reset(struct fold *fold)
{
    fold->counts = (struct fold_counts){0};
    cells_reset(fold->cells);
    buffer_reset(&fold->visits);
    for (size_t i = 0; i < fold->touched_count; i++) {
        fold->touched[i]->touched = false;
        fold->touched[i]->baseline = fold->touched[i]->current = 0;
    }
    fold->touched_count = 0;
    for (size_t i = 0; i < fold->touched_day_count; i++)
        fold->days[fold->touched_days[i]] = (struct day_cells){0};
    fold->touched_day_count = 0;
    memset(fold->sector_baseline, 0, sizeof fold->sector_baseline);
    memset(fold->sector_current, 0, sizeof fold->sector_current);
    fold->newest_ms = INT64_MIN;
    fold->window++;
    fold->end_count = 0;
}

static void sum_headcount(struct fold *fold, const struct item *item)
{
    int64_t delta = item->reverses ? -(int64_t)item->number1 : item->number1;
    int64_t baseline = item->word2 == REASON_BASELINE ? delta : 0;
    struct agency *agency = item->agency;
    if (!agency->touched) {
        agency->touched = true;
        fold->touched[fold->touched_count++] = agency;
    }
    agency->current += delta;
    agency->baseline += baseline;
    int32_t day = item->effective_date - FIRST_DAY;
    assert(day >= 0 && day < DAYS);
    struct day_cells *cells = &fold->days[day];
    if (!cells->touched) {
        cells->touched = true;
        fold->touched_days[fold->touched_day_count++] = day;
    }
    cells->current[item->word1] += delta;
    cells->baseline[item->word1] += baseline;
    fold->sector_current[item->word1] += delta;
    fold->sector_baseline[item->word1] += baseline;
}

/* One amount in `units` or `pilots`, in all and by day. */
static bool add_dated(struct fold *fold, enum cell_hash hash, const char *field, int32_t date, int64_t amount)
{
    char dated[CELL_FIELD_MOST], day[DATE_TEXT_SIZE];
    int size = snprintf(dated, sizeof dated, "%s:%s", date_format(date, day), field);
    enum cell_hash by_day = hash == CELLS_UNITS ? CELLS_UNITS_BY_DAY : CELLS_PILOTS_BY_DAY;
    return cells_add(fold->cells, hash, slice_of(field), amount) &&
           cells_add(fold->cells, by_day, (struct slice){dated, (size_t)size}, amount);
}

static bool add_measure(struct fold *fold, const struct item *item, const char *measure, int64_t amount)
{
    char field[64];
    if (amount == 0)
        return true;
    snprintf(field, sizeof field, "%s:%s", measure, unit_category_name((enum unit_category)item->word1));
    return add_dated(fold, CELLS_UNITS, field, item->effective_date, amount);
}

static bool sum_merger(struct fold *fold, const struct batch *batch, const struct item *item)
{
    int64_t sign = item->reverses ? -1 : 1;
    bool ok = true;
    if (item->word2 == KIND_BASELINE)
        ok = add_measure(fold, item, "baselines", sign) && add_measure(fold, item, "baseline", sign * item->number2);
    else
        ok = add_measure(fold, item, "change", sign * ((int64_t)item->number2 - item->number1));
    if (item->word2 == KIND_MERGER)
        ok = ok && add_measure(fold, item, "merged", sign * item->number1) && add_measure(fold, item, "mergers", sign);
    if (item->pilot)
        ok = ok && add_dated(fold, CELLS_PILOTS, batch->details.data + item->pilot - 1, item->effective_date, sign);
    return ok;
}

static bool sum_event(struct fold *fold, const struct batch *batch, const struct item *item)
{
    if (item->seen == ITEM_DUPLICATE) {
        fold->counts.duplicates++;
        return true;
    }
    if (item->seen == ITEM_CONFLICT) {
        fold->counts.conflicts++;
        return true;
    }
    fold->counts.events++;
    if (item->type == EVENT_HEADCOUNT_CHANGE) {
        sum_headcount(fold, item);
        return true;
    }
    return sum_merger(fold, batch, item);
}

static void sum_visit(struct fold *fold, const struct item *item, int64_t timestamp_ms)
{
    uint64_t times[2] = {htobe64((uint64_t)item->occurred_at_ms), htobe64((uint64_t)timestamp_ms)};
    buffer_append(&fold->visits, item->visitor, sizeof item->visitor);
    buffer_append(&fold->visits, times, sizeof times);
    fold->counts.visits++;
}

static bool sum_letter(struct fold *fold, enum dead_letter_reason reason)
{
    fold->counts.letters++;
    fold->counts.letters_of[reason]++;
    return cells_add(fold->cells, CELLS_DEAD_LETTERS, slice_of(dead_letter_reason_name(reason)), 1);
}

static struct window_end *end_of(struct fold *fold, struct partition *partition)
{
    if (partition->window != fold->window) {
        partition->window = fold->window;
        partition->window_end = (uint32_t)fold->end_count;
        fold->ends[fold->end_count++] = (struct window_end){.partition = partition, .newest_ms = INT64_MIN};
    }
    return &fold->ends[partition->window_end];
}

int fold_sum(struct fold *fold, struct batch *batch, struct fold_counts *ret_counts, struct error *error)
{
    fold_sum_reset(fold);
    bool ok = !fold->out_of_memory;
    for (size_t i = batch->low; ok && i < batch->high; i++) {
        const struct item *item = &batch->items[i];
        switch ((enum item_kind)item->kind) {
        case ITEM_NOTHING:
        case ITEM_END:
            break;
        case ITEM_EVENT:
            ok = sum_event(fold, batch, item);
            if (ok && item->seen == ITEM_CONFLICT)
                ok = sum_letter(fold, LETTER_CONFLICT);
            break;
        case ITEM_VISIT:
            sum_visit(fold, item, batch->records[i].timestamp_ms);
            break;
        case ITEM_LETTER:
            ok = sum_letter(fold, (enum dead_letter_reason)item->letter);
            break;
        }
        if (item->kind == ITEM_NOTHING)
            continue;
        const struct source_record *record = &batch->records[i];
        struct window_end *end = end_of(fold, item->partition);
        end->position = item_position_after(batch, i);
        if (item->kind == ITEM_END)
            continue;
        fold->counts.folded++;
        end->record = record;
        if (record->timestamp_ms > end->newest_ms)
            end->newest_ms = record->timestamp_ms;
    }
    for (size_t i = 0; i < fold->end_count; i++)
        if (fold->ends[i].newest_ms > fold->newest_ms)
            fold->newest_ms = fold->ends[i].newest_ms;
    if (!ok || buffer_failed(&fold->visits))
        return error_set(error, ERROR_MEMORY, "out of memory while summing a batch of %zu records", batch->high - batch->low);
    *ret_counts = fold->counts;
    return 0;
}

size_t fold_letters(struct fold *fold, struct batch *batch, size_t *cursor, struct dead_letter *letters, size_t most)
{
    size_t n = 0;
    size_t i = *cursor < batch->low ? batch->low : *cursor;
    if (fold->counts.letters == 0)
        return 0;
    for (; i < batch->high && n < most; i++) {
        const struct item *item = &batch->items[i];
        const struct source_record *record = &batch->records[i];
        if (!item_is_letter(item))
            continue;
        bool conflict = item->kind == ITEM_EVENT;
        struct dead_letter *letter = &letters[n++];
        *letter = (struct dead_letter){
            .reason = conflict ? LETTER_CONFLICT : (enum dead_letter_reason)item->letter,
            .detail = slice_of(conflict ? CONFLICT_DETAIL : item->detail),
            .partition = record->partition,
            .offset = record->offset,
            .timestamp_ms = record->timestamp_ms,
            .key = record->key,
            .value = record->value,
        };
        /* The topic is the partition's field without "/<number>". */
        letter->topic = (struct slice){item->partition->field,
                                       (size_t)(strrchr(item->partition->field, '/') - item->partition->field)};
        if (letter->reason == LETTER_TOO_LARGE)
            letter->value = (struct slice){0};
    }
    *cursor = i;
    return n;
}
