/* From Kafka records to one commit: check and decode each, decide what is new, sum what is to be added. Pure.
 *
 * Two passes, so that the first can run while the commit before is still in flight:
 *   fold_decode   looks at no state but the partitions' positions: framing, Avro, rules, identity, lane.
 *   fold_prepare, fold_settle, fold_sum   decide against the seen lanes and sum a window of the batch. */
#ifndef CITYTOTALS_CONSUMER_FOLD_H
#define CITYTOTALS_CONSUMER_FOLD_H

#include "base/buffer.h"
#include "consumer/cells.h"
#include "consumer/lane.h"
#include "consumer/partition.h"
#include "consumer/record.h"
#include "schemas/codec.h"
#include "schemas/identity.h"

#define PARTITIONS_MOST 1024 /* of one topic */

/* All partitions that this consumer was given, found by topic and number. */
struct partitions {
    struct partition *items;
    size_t count;
    uint16_t index[EVENT_TYPES][PARTITIONS_MOST]; /* place in items + 1, 0 = not ours */
};
static inline struct partition *partition_find(struct partitions *partitions, uint8_t type, int32_t id)
{
    if (type >= EVENT_TYPES || id < 0 || id >= PARTITIONS_MOST || !partitions->index[type][id])
        return NULL;
    return &partitions->items[partitions->index[type][id] - 1];
}

enum item_kind {
    ITEM_NOTHING, /* folded before, or not ours */
    ITEM_END,     /* the end of the log: the position passes transaction markers */
    ITEM_EVENT,
    ITEM_VISIT,
    ITEM_LETTER,
};
enum item_seen { ITEM_NEW, ITEM_DUPLICATE, ITEM_CONFLICT };

struct agency;
struct item {
    uint8_t kind;   /* enum item_kind */
    uint8_t type;   /* enum event_type */
    uint8_t seen;   /* enum item_seen */
    uint8_t letter; /* enum dead_letter_reason */
    uint8_t lane;
    uint8_t word1, word2; /* sector and reason, or category and kind */
    uint8_t reverses;
    int32_t effective_date;
    int32_t number1, number2; /* delta, or units before and after */
    uint32_t pilot;           /* place in the batch's details of "<model>/<district>", + 1; 0 = none */
    struct partition *partition;
    union {
        struct {
            struct agency *agency;
            struct identity identity;
            uint64_t digest;
            uint64_t hash; /* of the identity, for the lanes */
        };
        struct {
            int64_t occurred_at_ms;
            uint8_t visitor[16];
        };
        const char *detail; /* of a letter known by the first pass; in the batch's arena */
    };
};

struct batch {
    struct source_record *records; /* filled by the source, */
    struct buffer bytes;           /* with what they point to */
    struct item *items;
    size_t count, capacity;
    size_t low, high; /* the window being folded; before `low` all is committed */
    struct buffer details;
    int64_t gaps;         /* offsets passed over between the records */
    size_t errors;        /* records of that kind */
    size_t first_event;   /* place of the first ITEM_EVENT, */
    uint32_t lane_events[SEEN_LANES]; /* and how many there are of each lane */
};
/* Where its partition stands after an item that is not ITEM_NOTHING. */
static inline int64_t item_position_after(const struct batch *batch, size_t i)
{
    return batch->records[i].offset + (batch->items[i].kind != ITEM_END);
}
/* Does this item, decided, go to the dead letters? */
static inline bool item_is_letter(const struct item *item)
{
    return item->kind == ITEM_LETTER || (item->kind == ITEM_EVENT && item->seen == ITEM_CONFLICT);
}
struct batch *batch_new(size_t capacity);
struct batch *batch_free(struct batch *batch);

struct fold_counts {
    int64_t folded; /* records, those below included */
    int64_t events, duplicates, conflicts, letters, visits;
    int64_t letters_of[LETTER_REASONS];
};

/* A record of a lane that must be read to tell a duplicate or conflict from a mere likeness. */
struct suspect {
    size_t item;
    uint32_t lane;
    uint32_t index; /* record number in the lane */
};

struct fold;
int fold_new(const char *city, struct decoder *decoder, struct lanes *lanes, size_t batch_most, struct fold **ret_fold,
             struct error *error);
struct fold *fold_free(struct fold *fold);
/* The keys that commits go to: GENERATION_LIVE unless this was called. */
void fold_set_generation(struct fold *fold, const char *generation);

/* Whoever wants to see each event of the first pass as it was decoded: `event` is valid during the call. */
typedef void (*fold_observe_fn)(void *context, const struct batch *batch, const struct item *item, const struct event *event);
void fold_observe(struct fold *fold, fold_observe_fn observe, void *context);

/* First pass over all records of the batch. */
void fold_decode(struct fold *fold, struct partitions *partitions, struct batch *batch);

/* The lanes that the window needs. Cuts the window (`high`) where more lanes would be needed than may be loaded at once:
 * `lanes_most`. */
void fold_lanes(struct fold *fold, struct batch *batch, size_t lanes_most, bool ret_needed[SEEN_LANES]);
/* Look every event of the window up. Each suspect's record must be read and given to fold_settle. */
size_t fold_prepare(struct fold *fold, struct batch *batch, const struct suspect **ret_suspects);
/* True when the item is decided; false when the record was another id's and suspect->index is the next one to read. */
bool fold_settle(struct fold *fold, struct batch *batch, struct suspect *suspect, const uint8_t record[SEEN_RECORD_SIZE]);
/* Decide and sum the window, from the start each time it is called. ERROR_MEMORY. */
int fold_sum(struct fold *fold, struct batch *batch, struct fold_counts *ret_counts, struct error *error);

/* What the summed window adds to each hash. Once after fold_sum; not together with fold_arguments. ERROR_MEMORY. */
int fold_cells(struct fold *fold, const struct cell **ret_cells, size_t *ret_count, struct error *error);

/* Dead letters of the summed window, up to `most` from item *cursor on; 0 = no more. Slices are valid until the next call. */
size_t fold_letters(struct fold *fold, struct batch *batch, size_t *cursor, struct dead_letter *letters, size_t most);

/* The window as arguments of the commit Function (after its keys count and key): valid until the next fold_sum. */
struct arguments {
    const char **values;
    size_t *sizes;
    int count;
};
int fold_arguments(struct fold *fold, struct batch *batch, const char *function, const char *epoch,
                   int32_t visit_partitions, struct arguments *ret_arguments, struct error *error);
/* The commit went through: the new records join the lanes, the partitions move on. */
void fold_committed(struct fold *fold, struct batch *batch);
/* Agencies are remembered to a bound; true when the caller should let go of all batches and call fold_forget. */
bool fold_is_full(const struct fold *fold);
void fold_forget(struct fold *fold);

#endif
