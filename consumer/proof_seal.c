/* A report's seal against the log: what was counted up to the seal's positions, summed apart from what Redis holds now. */
#include <stdlib.h>

#include "base/clock.h"
#include "consumer/proof_internal.h"

enum { DATE_SIZE = 10 };

static int out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory for what the report counted");
}

/* A record of the counted meaning: the first one that the report's positions had passed counts, whichever other ones came later. */
void proof_seal_note(struct proof *proof, struct id *id, const struct item *item, struct extra *extra, int64_t offset)
{
    const struct report_seal *seal = proof->options.seal;
    size_t partition = (size_t)item->partition->id;
    if (!seal || item->type >= SEAL_TOPICS || (id->flags & ID_SEALED) || partition >= seal->counts[item->type] ||
        offset >= seal->positions[item->type][partition])
        return;
    id->flags |= ID_SEALED;
    extra->sealed = true;
}

int proof_seal_add(struct proof *proof, struct error *error)
{
    struct batch *batch = proof->batch;
    struct fold_counts counts;
    const struct cell *cells;
    size_t count;
    if (!proof->options.seal)
        return 0;
    for (size_t i = 0; i < batch->count; i++) { /* the batch has been summed: nothing else is made of it */
        if (proof->extras[i].sealed)
            batch->items[i].seen = ITEM_NEW;
        else
            batch->items[i].kind = ITEM_NOTHING;
    }
    int result = proof_sum(proof, batch, &counts, &cells, &count, error);
    for (size_t i = 0; result >= 0 && i < count; i++)
        if ((cells[i].hash == CELLS_HEADCOUNT_BY_DAY || cells[i].hash == CELLS_UNITS_BY_DAY || cells[i].hash == CELLS_PILOTS_BY_DAY) &&
            !cells_add(proof->sealed, cells[i].hash, slice_of(cells[i].field), cells[i].amount))
            result = out_of_memory(error);
    return result;
}

/* Has the log that was read all that the report counted? */
static bool is_reached(struct proof *proof)
{
    const struct report_seal *seal = proof->options.seal;
    bool reached = true;
    for (int topic = 0; topic < SEAL_TOPICS; topic++)
        for (size_t i = 0; i < seal->counts[topic]; i++) {
            const struct partition *partition = partition_find(&proof->partitions, (uint8_t)topic, (int32_t)i);
            int64_t to = partition ? proof->parts[partition - proof->partitions.items].to : 0;
            if (seal->positions[topic][i] <= to)
                continue;
            reached = false;
            report_unproved(proof->options.report, "the report: it counted %s.%s/%zu up to offset %" PRId64 ", and the totals stand at %" PRId64,
                            proof->options.city, event_topic_suffix((enum event_type)topic), i, seal->positions[topic][i], to);
        }
    return reached;
}

int proof_seal_compare(struct proof *proof, bool whole, struct error *error)
{
    const struct report_seal *seal = proof->options.seal;
    size_t count;
    const struct cell *cells = cells_all(proof->sealed, &count);
    char digest[REPORT_DIGEST_SIZE], day[DATE_TEXT_SIZE];
    if (!seal)
        return 0;
    if (!is_reached(proof) || !whole) {
        if (whole)
            return 0;
        report_unproved(proof->options.report, "the report: the log does not hold all that it counted");
        return 0;
    }
    struct seal_cell *lines = calloc(count + 1, sizeof *lines);
    char(*numbers)[24] = calloc(count + 1, sizeof *numbers);
    int result = lines && numbers ? 0 : out_of_memory(error);
    for (size_t i = 0; result >= 0 && i < count; i++)
        lines[i] = (struct seal_cell){cell_hash_suffix(cells[i].hash), slice_of(cells[i].field), number_slice(numbers[i], cells[i].amount)};
    if (result >= 0)
        result = report_digest(seal->city, seal->date, lines, count, digest, error);
    free(lines);
    free(numbers);
    if (result < 0)
        return result;
    proof->seal_proved = strcmp(digest, seal->digest) == 0;
    if (!proof->seal_proved)
        report_difference_in_kafka(proof->options.report, "the report's digest", slice_of(date_format(seal->date, day)), slice_of(digest),
                                   slice_of(seal->digest));
    return 0;
}

bool proof_seal_is_proved(const struct proof *proof)
{
    return proof->seal_proved;
}

int proof_seal_sums(const struct proof *proof, struct cells *ret_sums, struct error *error)
{
    size_t count;
    const struct cell *cells = cells_all(proof->sealed, &count);
    for (size_t i = 0; i < count; i++) {
        struct slice field = slice_of(cells[i].field);
        int32_t day;
        if (field.size <= DATE_SIZE + 1 || !date_parse((struct slice){field.data, DATE_SIZE}, &day) || day > proof->options.seal->date)
            continue;
        field = (struct slice){field.data + DATE_SIZE + 1, field.size - DATE_SIZE - 1};
        if (!cells_add(ret_sums, cells[i].hash, field, cells[i].amount))
            return out_of_memory(error);
    }
    return 0;
}
