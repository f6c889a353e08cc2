/* The events as plain structs, and their words. Names, order and limits: the public contract, docs/events.md.
 *
 * Text fields are slices into the bytes they were decoded from (or into the parser's arena): valid as long as those. */
#ifndef CITYTOTALS_SCHEMAS_EVENT_H
#define CITYTOTALS_SCHEMAS_EVENT_H

#include "base/slice.h"

/* enumerator, JSON `type`, topic suffix, Avro record */
#define EVENT_TYPE_TABLE(X)                                                                   \
    X(EVENT_HEADCOUNT_CHANGE, "headcount-change", "headcount-changes", "HeadcountChange")     \
    X(EVENT_UNIT_MERGER, "unit-merger", "unit-mergers", "UnitMerger")                         \
    X(EVENT_PAGE_VISIT, "page-visit", "page-visits", "PageVisit")
enum event_type {
#define X(symbol, type, topic, record) symbol,
    EVENT_TYPE_TABLE(X)
#undef X
    EVENT_TYPES
};

#define SECTOR_TABLE(X) X(SECTOR_ADMINISTRATIVE, "administrative") X(SECTOR_PUBLIC_SERVICE, "public_service") X(SECTOR_COMMUNE, "commune")
#define HEADCOUNT_REASON_TABLE(X)                                                                                       \
    X(REASON_BASELINE, "baseline") X(REASON_STREAMLINED, "streamlined") X(REASON_RETIRED, "retired")                    \
    X(REASON_RESIGNED, "resigned") X(REASON_TRANSFERRED_IN, "transferred_in") X(REASON_TRANSFERRED_OUT, "transferred_out") \
    X(REASON_RECRUITED, "recruited") X(REASON_CORRECTION, "correction")
#define UNIT_CATEGORY_TABLE(X)                                                                                     \
    X(CATEGORY_CITY_AGENCY, "city_agency") X(CATEGORY_CITY_DIVISION, "city_division")                              \
    X(CATEGORY_DISTRICT_DIVISION, "district_division") X(CATEGORY_PUBLIC_SERVICE_UNIT, "public_service_unit")      \
    X(CATEGORY_COMMUNE, "commune")
#define MERGER_KIND_TABLE(X)                                                                            \
    X(KIND_BASELINE, "baseline") X(KIND_MERGER, "merger") X(KIND_DISSOLUTION, "dissolution")            \
    X(KIND_ESTABLISHMENT, "establishment") X(KIND_REARRANGEMENT, "rearrangement") X(KIND_CORRECTION, "correction")
#define DEAD_LETTER_REASON_TABLE(X)                                                                              \
    X(LETTER_TOO_LARGE, "too_large") X(LETTER_BAD_FRAMING, "bad_framing") X(LETTER_UNKNOWN_SCHEMA, "unknown_schema") \
    X(LETTER_BAD_ENCODING, "bad_encoding") X(LETTER_TRAILING_BYTES, "trailing_bytes")                            \
    X(LETTER_RULE_VIOLATION, "rule_violation") X(LETTER_OUT_OF_WINDOW, "out_of_window") X(LETTER_CONFLICT, "conflict")

#define X(symbol, name) symbol,
enum sector { SECTOR_TABLE(X) SECTORS };
enum headcount_reason { HEADCOUNT_REASON_TABLE(X) REASONS };
enum unit_category { UNIT_CATEGORY_TABLE(X) CATEGORIES };
enum merger_kind { MERGER_KIND_TABLE(X) KINDS };
/* In the order in which they are looked for, which is that of the Avro symbols. */
enum dead_letter_reason { DEAD_LETTER_REASON_TABLE(X) LETTER_REASONS, LETTER_NONE = LETTER_REASONS };
#undef X

/* Each returns the word, or "?" out of range. */
const char *event_type_name(enum event_type type);   /* "headcount-change" */
const char *event_topic_suffix(enum event_type type); /* "headcount-changes" */
#define DEAD_LETTER_TOPIC_SUFFIX "dead-letters"
const char *sector_name(enum sector sector);
const char *headcount_reason_name(enum headcount_reason reason);
const char *unit_category_name(enum unit_category category);
const char *merger_kind_name(enum merger_kind kind);
const char *dead_letter_reason_name(enum dead_letter_reason reason);

struct event_id {
    uint8_t bytes[16]; /* a UUID in network order */
};
_Static_assert(sizeof(struct event_id) == 16, "an event id is 16 bytes on the wire and in the seen lanes");

struct unit {
    struct slice id, name;
};
#define UNIT_LIST_MOST 256
/* Where a decoder or parser puts the lists of one event; the event points into it. */
struct unit_storage {
    struct unit merged[UNIT_LIST_MOST], resulting[UNIT_LIST_MOST];
};

struct event {
    enum event_type type;
    int64_t occurred_at_ms; /* milliseconds since the epoch, UTC */
    /* The rest is unset for a page visit but `visit`. */
    struct event_id event_id;
    struct slice source, agency;
    struct slice decision;  /* data NULL = null */
    int32_t effective_date; /* days since 1970-01-01 */
    bool has_reverses;
    struct event_id reverses;
    union {
        struct {
            enum sector sector;
            enum headcount_reason reason;
            int32_t delta;
        } headcount;
        struct {
            enum unit_category category;
            enum merger_kind kind;
            int32_t units_before, units_after;
            /* Counts are as sent; over UNIT_LIST_MOST the items past it are not stored (and the rules refuse it). */
            uint32_t merged_count, resulting_count;
            const struct unit *merged_units, *resulting_units;
            struct slice pilot_model, district; /* data NULL = null */
        } merger;
        struct {
            uint8_t visitor[16];
        } visit;
    };
};

/* A record that could not be folded. */
struct dead_letter {
    enum dead_letter_reason reason;
    struct slice detail; /* at most DEAD_LETTER_DETAIL_MOST bytes */
    struct slice topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* Kafka's, of the source record */
    struct slice key;     /* data NULL = null */
    struct slice value;   /* data NULL = null (also for too_large) */
};
#define DEAD_LETTER_DETAIL_MOST 512
#define VALUE_SIZE_MOST (256 * 1024)

#endif
