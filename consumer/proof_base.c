/* A proof from a snapshot on: what the snapshot holds is where the proof begins, instead of nothing. */
#include <endian.h>

#include "base/clock.h"
#include "consumer/proof_internal.h"

static struct proof_part *part_of(struct proof *proof, struct slice field)
{
    for (size_t i = 0; i < proof->partitions.count; i++)
        if (slice_equal(field, slice_of(proof->partitions.items[i].field)))
            return &proof->parts[i];
    return NULL;
}

static int out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "out of memory for what the snapshot holds");
}

/* The fields of `totals` that are sums; the others follow from them. */
static bool is_sum(struct slice field)
{
    static const char *const sums[] = {"headcount_baseline", "headcount_current", "events", "dead_letters"};
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        size_t size = strlen(sums[i]);
        if (field.size >= size && memcmp(field.data, sums[i], size) == 0 && (field.size == size || field.data[size] == ':'))
            return true;
    }
    return false;
}

static int take_offset(struct proof *proof, struct slice field, struct slice value)
{
    struct proof_part *part = part_of(proof, field);
    if (part && !(proof_integer(value, &part->base_offset) && part->base_offset >= 0))
        part->base_offset = 0;
    return 0;
}

static int take_last(struct proof *proof, struct slice field, struct slice value)
{
    struct proof_part *part = part_of(proof, field);
    if (!part || !last_record_parse(value, &part->base_last))
        return 0;
    const struct partition *partition = &proof->partitions.items[part - proof->parts];
    if (partition->type == EVENT_PAGE_VISIT)
        visits_pass(proof->visits, part->visit_part, part->base_last.newest_ms);
    if (part->base_last.newest_ms > proof->newest_ms)
        proof->newest_ms = part->base_last.newest_ms;
    return 0;
}

int proof_base_field(struct proof *proof, struct slice name, struct slice field, struct slice value, struct error *error)
{
    int64_t number;
    int32_t day;
    if (slice_equal(name, slice_of("offsets")))
        return take_offset(proof, field, value);
    if (slice_equal(name, slice_of("last")))
        return take_last(proof, field, value);
    if (!proof_integer(value, &number))
        return 0;
    if (slice_equal(name, slice_of("visits:by-day")) && date_parse(field, &day))
        return visits_begin_day(proof->visits, day, number) ? 0 : out_of_memory(error);
    for (int hash = 0; hash < CELL_HASHES; hash++)
        if (slice_equal(name, slice_of(cell_hash_suffix((enum cell_hash)hash))) && field.size <= CELL_FIELD_MOST &&
            (hash != CELLS_TOTALS || is_sum(field)))
            return cells_add(proof->cells, (enum cell_hash)hash, field, number) ? 0 : out_of_memory(error);
    return 0;
}

int proof_base_lane(struct proof *proof, uint32_t lane, const uint8_t *records, size_t count, struct error *error)
{
    if (!proof_needs_lane(proof, lane))
        return 0;
    for (size_t i = 0; i < count; i++, records += SEEN_RECORD_SIZE) {
        struct identity identity;
        uint64_t digest;
        memcpy(identity.bytes, records, sizeof identity.bytes);
        memcpy(&digest, records + sizeof identity.bytes, sizeof digest);
        struct id *id = ids_get(proof->ids, &identity);
        if (!id)
            return out_of_memory(error);
        if (id->flags)
            return error_set(error, ERROR_REFUSED, "the snapshot holds the id of an event twice (lanes %u and %" PRIu32 "): nothing "
                             "can be proved from it",
                             id->lane, lane);
        id->flags = ID_BASE | ID_COUNTED | ID_FIRST;
        id->lane = (uint8_t)lane;
        id->digest = le64toh(digest);
    }
    return 0;
}

int proof_base_visitor(struct proof *proof, int32_t day, const uint8_t visitor[16], int64_t latest_ms, struct error *error)
{
    return visits_begin_visitor(proof->visits, day, visitor, latest_ms) ? 0 : out_of_memory(error);
}

void proof_base_is(struct proof *proof, int64_t version, const char *saved_at)
{
    proof->has_base = true;
    proof->carried_before = INT64_MIN; /* what was carried over is in the snapshot too */
    report_unproved(proof->options.report, "what was counted up to version %" PRId64 ": it is taken from the snapshot of %s as it is there",
                    version, saved_at);
}
