/* The fields that an event has in JSON and CSV, and a line's values before they are judged. Pure. */
#ifndef CITYTOTALS_PRODUCER_FIELD_H
#define CITYTOTALS_PRODUCER_FIELD_H

#include "schemas/event.h"

enum field_kind { KIND_TEXT, KIND_INTEGER, KIND_UNITS };

#define OF_HEADCOUNT (1u << EVENT_HEADCOUNT_CHANGE)
#define OF_MERGER (1u << EVENT_UNIT_MERGER)
#define OF_VISIT (1u << EVENT_PAGE_VISIT)
#define OF_BOTH (OF_HEADCOUNT | OF_MERGER)
#define OF_ALL (OF_BOTH | OF_VISIT)

/* enumerator, name, event types that have it, kind */
#define FIELD_TABLE(X)                                              \
    X(FIELD_TYPE, "type", OF_ALL, KIND_TEXT)                        \
    X(FIELD_ID, "id", OF_BOTH, KIND_TEXT)                           \
    X(FIELD_SOURCE, "source", OF_BOTH, KIND_TEXT)                   \
    X(FIELD_AGENCY, "agency", OF_BOTH, KIND_TEXT)                   \
    X(FIELD_SECTOR, "sector", OF_HEADCOUNT, KIND_TEXT)              \
    X(FIELD_REASON, "reason", OF_HEADCOUNT, KIND_TEXT)              \
    X(FIELD_DELTA, "delta", OF_HEADCOUNT, KIND_INTEGER)             \
    X(FIELD_CATEGORY, "category", OF_MERGER, KIND_TEXT)             \
    X(FIELD_KIND, "kind", OF_MERGER, KIND_TEXT)                     \
    X(FIELD_UNITS_BEFORE, "units_before", OF_MERGER, KIND_INTEGER)  \
    X(FIELD_UNITS_AFTER, "units_after", OF_MERGER, KIND_INTEGER)    \
    X(FIELD_MERGED_UNITS, "merged_units", OF_MERGER, KIND_UNITS)    \
    X(FIELD_RESULTING_UNITS, "resulting_units", OF_MERGER, KIND_UNITS) \
    X(FIELD_PILOT_MODEL, "pilot_model", OF_MERGER, KIND_TEXT)       \
    X(FIELD_DISTRICT, "district", OF_MERGER, KIND_TEXT)             \
    X(FIELD_EFFECTIVE_DATE, "effective_date", OF_BOTH, KIND_TEXT)   \
    X(FIELD_OCCURRED_AT, "occurred_at", OF_ALL, KIND_TEXT)          \
    X(FIELD_DECISION, "decision", OF_BOTH, KIND_TEXT)               \
    X(FIELD_REVERSES, "reverses", OF_BOTH, KIND_TEXT)               \
    X(FIELD_REVERSES_EVENT_ID, "reverses_event_id", OF_BOTH, KIND_TEXT) \
    X(FIELD_VISITOR, "visitor", OF_VISIT, KIND_TEXT)
enum field {
#define X(symbol, name, types, kind) symbol,
    FIELD_TABLE(X)
#undef X
    FIELDS, /* also: no such field */
};
_Static_assert(FIELDS < 32, "sets of fields are bits of a uint32_t");
#define FIELD_BIT(field) (UINT32_C(1) << (field))

enum field field_find(struct slice name); /* FIELDS when there is none of that exact name */
const char *field_name(enum field field);
enum field_kind field_kind(enum field field);
unsigned field_types(enum field field); /* OF_… bits */

enum value_kind {
    VALUE_ABSENT, /* not there, or null */
    VALUE_TEXT,
    VALUE_INTEGER, /* digits with an optional -, without leading zeros */
    VALUE_UNITS,
    VALUE_BAD, /* something else, and a problem says so already */
};

/* One line's values. Texts are not normalised yet. */
struct fields {
    enum value_kind kinds[FIELDS];
    struct slice texts[FIELDS]; /* of VALUE_TEXT and VALUE_INTEGER */
    uint32_t counts[2];         /* items of merged_units, resulting_units; those past UNIT_LIST_MOST are not stored */
    struct unit_storage *units;
};

/* -?(0|[1-9][0-9]*) */
bool text_is_integer(struct slice text);

#endif
