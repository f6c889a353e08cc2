/* The events that a number is made of: of the log's events those that count, that is, those whose identity and meaning the
 * seen lanes hold, each once. So duplicates, conflicts and dead letters are left out as the fold left them out. Of several records of
 * one event the earliest is listed, by Kafka's timestamp, then topic, partition and offset, whatever the order in which they were
 * met and whichever was folded. Pure. */
#ifndef CITYTOTALS_QUERY_LEDGER_H
#define CITYTOTALS_QUERY_LEDGER_H

#include "base/error.h"
#include "query/snapshot.h"
#include "schemas/event.h"
#include "schemas/layout.h"

enum ledger_part { /* of the events, those that go into a measure */
    LEDGER_ALL,
    LEDGER_HEADCOUNT,
    LEDGER_HEADCOUNT_BASELINE,
    LEDGER_UNITS,
    LEDGER_UNITS_BASELINE,
    LEDGER_UNITS_CHANGE,
    LEDGER_UNITS_MERGERS,
};
struct ledger_filter {
    struct slice agency;   /* absent = all */
    struct slice category; /* a unit category or a sector; absent = all */
    int32_t from, to;      /* effective dates, both included */
    enum ledger_part part;
    size_t limit; /* entries kept: the latest */
};

struct ledger_entry {
    struct event *event;
    const char *topic; /* its suffix: "unit-mergers" */
    int32_t partition;
    int64_t offset, timestamp_ms;
};

struct ledger_units {
    int64_t baselines, baseline, change, merged, mergers;
};
struct ledger_sums { /* over all events that match, also those that are not kept */
    int64_t events;
    int64_t headcount_baseline, headcount_current;
    int64_t by_reason[REASONS], reason_events[REASONS];
    struct ledger_units units[CATEGORIES];
};

struct ledger;
/* `expected` records of lanes will come; ERROR_LIMIT when they take more than memory_most bytes. */
int ledger_new(const struct ledger_filter *filter, int64_t expected, int64_t memory_most, struct ledger **ret_ledger,
               struct error *error);
struct ledger *ledger_free(struct ledger *ledger); /* NULL; accepts NULL */
/* Records of a lane. Those past `expected` came after the lanes were measured and are passed over: ERROR_LIMIT. */
int ledger_expect(struct ledger *ledger, const uint8_t *records, size_t count, struct error *error);
/* An event that passed the rules, in any order. `topic` outlives the ledger. ERROR_MEMORY. */
int ledger_add(struct ledger *ledger, const struct event *event, const char *topic, int32_t partition, int64_t offset,
               int64_t timestamp_ms, struct error *error);
/* Asked for once all were added. True: an event that would be listed has an earlier record than the one that was met first, and
 * what it kept out is gone; add all of the log again, in any order, which then chooses only the entries anew. */
bool ledger_begin_again(struct ledger *ledger);

const struct ledger_sums *ledger_sums(const struct ledger *ledger);
int64_t ledger_met(const struct ledger *ledger); /* events that count, also those that do not match */
int64_t ledger_uncounted(const struct ledger *ledger); /* repeats and conflicts */
/* Newest first, by Kafka's timestamp. No ledger_add afterwards. */
const struct ledger_entry *ledger_entries(struct ledger *ledger, size_t *ret_count);
bool ledger_event_matches(const struct ledger_filter *filter, const struct event *event);

/* The entry as a change of the stream has it, in one block for free(); NULL when memory ran out. Its id is absent. */
struct snapshot_change *ledger_change(const char *city, const struct ledger_entry *entry);

#endif
