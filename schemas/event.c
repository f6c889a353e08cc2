/* The words of the events, from the tables in the header. */
#include "schemas/event.h"

#define NAME_FUNCTION(function, type_, table, count)      \
    const char *function(type_ value)                     \
    {                                                     \
        static const char *const names[] = {table(X)};    \
        return (unsigned)value < (count) ? names[value] : "?"; \
    }
#define X(symbol, name) name,
NAME_FUNCTION(sector_name, enum sector, SECTOR_TABLE, SECTORS)
NAME_FUNCTION(headcount_reason_name, enum headcount_reason, HEADCOUNT_REASON_TABLE, REASONS)
NAME_FUNCTION(unit_category_name, enum unit_category, UNIT_CATEGORY_TABLE, CATEGORIES)
NAME_FUNCTION(merger_kind_name, enum merger_kind, MERGER_KIND_TABLE, KINDS)
NAME_FUNCTION(dead_letter_reason_name, enum dead_letter_reason, DEAD_LETTER_REASON_TABLE, LETTER_REASONS)
#undef X
#define X(symbol, type, topic, record) type,
NAME_FUNCTION(event_type_name, enum event_type, EVENT_TYPE_TABLE, EVENT_TYPES)
#undef X
#define X(symbol, type, topic, record) topic,
NAME_FUNCTION(event_topic_suffix, enum event_type, EVENT_TYPE_TABLE, EVENT_TYPES)
#undef X
