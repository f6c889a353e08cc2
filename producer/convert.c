/* Named values become an event: types, words, dates, ids; then the rules. The same for JSON and CSV. */
#include <stdio.h>

#include "base/clock.h"
#include "producer/parser_internal.h"

enum { ID_BYTES_MOST = 128, ALLOWED_SIZE = 192 };

struct conversion {
    struct parser *parser;
    struct fields *fields;
    const struct parser_defaults *defaults;
    struct event *event;
    struct problems *problems;
    uint32_t bad; /* fields that have a problem, and those that can't be judged because of one */
};

static bool is_bad(const struct conversion *c, enum field field)
{
    return (c->bad & FIELD_BIT(field)) != 0;
}

static void missing(struct conversion *c, enum field field)
{
    c->bad |= FIELD_BIT(field);
    problem_add(c->problems, field_name(field), 0, "%s is missing; required for a %s", field_name(field),
                event_type_name(c->event->type));
}

static void not_allowed(struct conversion *c, enum field field, struct slice text, const char *allowed)
{
    char found[QUOTED_SIZE];
    c->bad |= FIELD_BIT(field);
    problem_add(c->problems, field_name(field), 0, "%s is %s; allowed: %s", field_name(field), quoted(text, found), allowed);
}

/* The text in normal form; data NULL when it is absent or bad (then `bad` has it). */
static struct slice text_of(struct conversion *c, enum field field)
{
    struct slice text = {0};
    if (c->fields->kinds[field] != VALUE_TEXT)
        return text;
    if (text_is_blank(c->fields->texts[field])) {
        not_allowed(c, field, c->fields->texts[field], "text that is not blank, or leave it out where it is optional");
        return text;
    }
    if (!text_normalise(c->fields->texts[field], &c->parser->arena, &text)) {
        not_allowed(c, field, c->fields->texts[field], "a shorter text");
        return (struct slice){0};
    }
    return text;
}

static struct slice required_text(struct conversion *c, enum field field)
{
    struct slice text = text_of(c, field);
    if (!text.data && !is_bad(c, field))
        missing(c, field);
    return text;
}

/* The place of a required word in the table of `names`; 0 when it is bad. */
static int word_of(struct conversion *c, enum field field, const char *(*name_of)(int), int count)
{
    struct slice text = required_text(c, field);
    if (!text.data)
        return 0;
    char allowed[ALLOWED_SIZE];
    size_t at = 0;
    for (int i = 0; i < count; i++)
        if (slice_equal(text, slice_of(name_of(i))))
            return i;
    for (int i = 0; i < count && at < sizeof allowed; i++)
        at += (size_t)snprintf(allowed + at, sizeof allowed - at, "%s%s", i ? ", " : "", name_of(i));
    not_allowed(c, field, text, allowed);
    return 0;
}

static const char *type_word(int value) { return event_type_name((enum event_type)value); }
static const char *sector_word(int value) { return sector_name((enum sector)value); }
static const char *reason_word(int value) { return headcount_reason_name((enum headcount_reason)value); }
static const char *category_word(int value) { return unit_category_name((enum unit_category)value); }
static const char *kind_word(int value) { return merger_kind_name((enum merger_kind)value); }

/* A required number; `stand_in` when it is bad. */
static int32_t number_of(struct conversion *c, enum field field, int32_t stand_in, const char *allowed)
{
    if (is_bad(c, field))
        return stand_in;
    if (c->fields->kinds[field] != VALUE_INTEGER) {
        missing(c, field);
        return stand_in;
    }
    struct slice text = c->fields->texts[field];
    int64_t number = 0;
    bool negative = text.data[0] == '-';
    for (size_t i = negative; i < text.size && number <= INT32_MAX; i++)
        number = number * 10 + (text.data[i] - '0');
    if (number > INT32_MAX) {
        not_allowed(c, field, text, allowed);
        return stand_in;
    }
    return (int32_t)(negative ? -number : number);
}

static int32_t date_of(struct conversion *c, enum field field)
{
    struct slice text = required_text(c, field);
    int32_t days = 0;
    if (!text.data || date_parse(text, &days))
        return days;
    not_allowed(c, field, text, "an existing day as YYYY-MM-DD, such as 2020-10-30");
    return 0;
}

static void convert_occurred(struct conversion *c)
{
    struct slice text = text_of(c, FIELD_OCCURRED_AT);
    c->event->occurred_at_ms = c->defaults->now_ms;
    if (text.data && !timestamp_parse(text, &c->event->occurred_at_ms))
        not_allowed(c, FIELD_OCCURRED_AT, text, "RFC 3339 with an offset, such as 2020-10-30T08:15:00+07:00");
}

static void convert_visit(struct conversion *c)
{
    struct slice text = required_text(c, FIELD_VISITOR);
    if (!text.data)
        return;
    static const char digits[] = "0123456789abcdef";
    bool good = text.size == 32;
    for (size_t i = 0; good && i < text.size; i++) {
        const char *digit = text.data[i] ? strchr(digits, text.data[i]) : NULL;
        good = digit != NULL;
        if (good)
            c->event->visit.visitor[i / 2] = (uint8_t)(c->event->visit.visitor[i / 2] << 4 | (digit - digits));
    }
    if (!good)
        not_allowed(c, FIELD_VISITOR, text, "32 hexadecimal digits in lower case");
}

/* An id as a sender gives it: `id` and `reverses`. */
static struct slice sender_id(struct conversion *c, enum field field)
{
    struct slice text = text_of(c, field);
    if (!text.data)
        return text;
    if (text.size > ID_BYTES_MOST || text_has_control(text)) {
        not_allowed(c, field, text, "1 to 128 bytes without control characters");
        return (struct slice){0};
    }
    return text;
}

/* `id`, or instead of it `reverses` or `reverses_event_id`. */
static void convert_ids(struct conversion *c)
{
    struct event *event = c->event;
    struct slice id = sender_id(c, FIELD_ID), reverses = sender_id(c, FIELD_REVERSES);
    struct slice reverses_event_id = text_of(c, FIELD_REVERSES_EVENT_ID);
    if (reverses_event_id.data && !event_id_parse(reverses_event_id, &event->reverses))
        not_allowed(c, FIELD_REVERSES_EVENT_ID, reverses_event_id, "a UUID of 36 characters");
    bool reversal = c->fields->kinds[FIELD_REVERSES] != VALUE_ABSENT || c->fields->kinds[FIELD_REVERSES_EVENT_ID] != VALUE_ABSENT;
    if (reverses.data && reverses_event_id.data)
        not_allowed(c, FIELD_REVERSES_EVENT_ID, reverses_event_id, "one of reverses and reverses_event_id, not both");
    if (!reversal && !id.data && !is_bad(c, FIELD_ID))
        missing(c, FIELD_ID);
    if (reversal && c->fields->kinds[FIELD_ID] != VALUE_ABSENT && !is_bad(c, FIELD_ID))
        not_allowed(c, FIELD_ID, id, "none for a reversal: its event id is made from the original's");
    const uint32_t needed = FIELD_BIT(FIELD_ID) | FIELD_BIT(FIELD_REVERSES) | FIELD_BIT(FIELD_REVERSES_EVENT_ID);
    bool named = id_is_valid(event->source) && id_is_valid(event->agency);
    if ((c->bad & needed) || (!named && !reverses_event_id.data)) {
        c->bad |= FIELD_BIT(FIELD_ID);
        return;
    }
    if (!reverses_event_id.data) {
        struct event_id made = event_id_in_namespace(parser_space(c->parser, event)->namespace, reversal ? reverses : id);
        *(reversal ? &event->reverses : &event->event_id) = made;
    }
    event->has_reverses = reversal;
    if (reversal)
        event->event_id = event_id_reversal(event->reverses);
}

/* A list's texts in normal form, where they stand. */
static void normalise_units(struct conversion *c, enum field field, struct unit *list, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < UNIT_LIST_MOST; i++)
        if (!text_normalise(list[i].id, &c->parser->arena, &list[i].id) ||
            !text_normalise(list[i].name, &c->parser->arena, &list[i].name)) {
            not_allowed(c, field, list[i].name, "shorter texts");
            return;
        }
}

static void convert_merger(struct conversion *c)
{
    struct event *event = c->event;
    struct unit_storage *units = c->fields->units;
    event->merger.category = (enum unit_category)word_of(c, FIELD_CATEGORY, category_word, CATEGORIES);
    event->merger.kind = (enum merger_kind)word_of(c, FIELD_KIND, kind_word, KINDS);
    event->merger.units_before = number_of(c, FIELD_UNITS_BEFORE, 0, "0 to 100,000");
    event->merger.units_after = number_of(c, FIELD_UNITS_AFTER, 0, "0 to 100,000");
    if (c->fields->kinds[FIELD_MERGED_UNITS] == VALUE_UNITS) {
        event->merger.merged_count = c->fields->counts[0];
        event->merger.merged_units = units->merged;
        normalise_units(c, FIELD_MERGED_UNITS, units->merged, event->merger.merged_count);
    }
    if (c->fields->kinds[FIELD_RESULTING_UNITS] == VALUE_UNITS) {
        event->merger.resulting_count = c->fields->counts[1];
        event->merger.resulting_units = units->resulting;
        normalise_units(c, FIELD_RESULTING_UNITS, units->resulting, event->merger.resulting_count);
    }
    event->merger.pilot_model = text_of(c, FIELD_PILOT_MODEL);
    event->merger.district = text_of(c, FIELD_DISTRICT);
}

static void convert_headcount(struct conversion *c)
{
    struct event *event = c->event;
    event->headcount.sector = (enum sector)word_of(c, FIELD_SECTOR, sector_word, SECTORS);
    event->headcount.reason = (enum headcount_reason)word_of(c, FIELD_REASON, reason_word, REASONS);
    event->headcount.delta = number_of(c, FIELD_DELTA, 1, "-1,000,000 to 1,000,000, not 0");
    if (is_bad(c, FIELD_REASON))
        event->headcount.reason = REASON_CORRECTION; /* either sign: only the size is judged */
}

static void convert_organisational(struct conversion *c)
{
    struct event *event = c->event;
    event->source = text_of(c, FIELD_SOURCE);
    if (!event->source.data && !is_bad(c, FIELD_SOURCE)) {
        event->source = c->defaults->source;
        if (!event->source.data) {
            c->bad |= FIELD_BIT(FIELD_SOURCE);
            problem_add(c->problems, "source", 0, "source is missing; give it in the line or as the sender's default (--source)");
        }
    }
    event->agency = required_text(c, FIELD_AGENCY);
    if (event->type == EVENT_HEADCOUNT_CHANGE)
        convert_headcount(c);
    else
        convert_merger(c);
    event->effective_date = date_of(c, FIELD_EFFECTIVE_DATE);
    event->decision = text_of(c, FIELD_DECISION);
    convert_ids(c);
}

static void refuse_others_fields(struct conversion *c)
{
    for (int field = 0; field < FIELDS; field++) {
        if (c->fields->kinds[field] == VALUE_ABSENT || (field_types((enum field)field) & 1u << c->event->type))
            continue;
        c->bad |= FIELD_BIT(field);
        problem_add(c->problems, field_name((enum field)field), 0, "%s is not a field of a %s", field_name((enum field)field),
                    event_type_name(c->event->type));
    }
}

/* The fields that a rule's violation depends on: if one is bad already, the violation says nothing new. */
static uint32_t grounds_of(const struct rule_violation *violation, enum field field)
{
    const uint32_t pilot = FIELD_BIT(FIELD_PILOT_MODEL) | FIELD_BIT(FIELD_DISTRICT);
    const uint32_t before = FIELD_BIT(FIELD_UNITS_BEFORE), after = FIELD_BIT(FIELD_UNITS_AFTER);
    switch (field) {
    case FIELD_UNITS_AFTER:
        return strncmp(violation->text, "kind ", 5) == 0 ? FIELD_BIT(FIELD_KIND) | before | after | pilot : after;
    case FIELD_MERGED_UNITS:
        return FIELD_BIT(FIELD_MERGED_UNITS) | before;
    case FIELD_RESULTING_UNITS:
        return FIELD_BIT(FIELD_RESULTING_UNITS) | after;
    case FIELD_PILOT_MODEL:
    case FIELD_DISTRICT:
        return pilot;
    case FIELD_REVERSES:
        return FIELD_BIT(FIELD_ID) | FIELD_BIT(FIELD_REVERSES) | FIELD_BIT(FIELD_REVERSES_EVENT_ID);
    default:
        return field < FIELDS ? FIELD_BIT(field) : 0;
    }
}

static void apply_rules(struct conversion *c)
{
    struct rule_violation *violations = c->parser->violations;
    size_t count = event_check_all(c->event, c->defaults->now_ms, violations, VIOLATIONS_MOST);
    for (size_t i = 0; i < count; i++) {
        if (i >= VIOLATIONS_MOST) {
            c->problems->count += count - VIOLATIONS_MOST;
            return;
        }
        enum field field = field_find(slice_of(violations[i].field));
        if (!(c->bad & grounds_of(&violations[i], field)))
            problem_add(c->problems, violations[i].field, 0, "%s", violations[i].text);
    }
}

/* Before and after the type is known. */
static void apply_stand_ins(struct conversion *c, bool type_only)
{
    for (size_t i = 0; i < c->defaults->stand_in_count; i++) {
        const struct parser_stand_in *stand_in = &c->defaults->stand_ins[i];
        enum field field = stand_in->field;
        char found[QUOTED_SIZE], wanted[QUOTED_SIZE];
        if ((field == FIELD_TYPE) != type_only || (!type_only && !(field_types(field) & 1u << c->event->type)))
            continue;
        if (field == FIELD_ID && (c->fields->kinds[FIELD_REVERSES] != VALUE_ABSENT ||
                                  c->fields->kinds[FIELD_REVERSES_EVENT_ID] != VALUE_ABSENT))
            continue;
        if (c->fields->kinds[field] == VALUE_ABSENT) {
            c->fields->kinds[field] = VALUE_TEXT;
            c->fields->texts[field] = stand_in->text;
        } else if (stand_in->from && c->fields->kinds[field] == VALUE_TEXT &&
                   !slice_equal(c->fields->texts[field], stand_in->text)) {
            c->bad |= FIELD_BIT(field);
            problem_add(c->problems, field_name(field), 0, "%s is %s, but %s in %s; allowed: the same, or only in one of the two",
                        field_name(field), quoted(c->fields->texts[field], found), quoted(stand_in->text, wanted), stand_in->from);
        }
    }
}

bool event_from_fields(struct parser *parser, const struct parser_defaults *defaults, int default_type,
                       struct event *ret_event, struct problems *problems)
{
    struct conversion c = {parser, &parser->fields, defaults, ret_event, problems, 0};
    for (int field = 0; field < FIELDS; field++)
        if (c.fields->kinds[field] == VALUE_BAD)
            c.bad |= FIELD_BIT(field);
    *ret_event = (struct event){.type = EVENT_TYPES};
    apply_stand_ins(&c, true);
    if (c.fields->kinds[FIELD_TYPE] == VALUE_ABSENT && default_type >= 0) {
        ret_event->type = (enum event_type)default_type;
    } else if (c.fields->kinds[FIELD_TYPE] == VALUE_ABSENT) {
        problem_add(problems, "type", 0, "type is missing; allowed: headcount-change, unit-merger, page-visit");
        return false;
    } else {
        ret_event->type = (enum event_type)word_of(&c, FIELD_TYPE, type_word, EVENT_TYPES);
        if (is_bad(&c, FIELD_TYPE))
            return false; /* what else is right goes by the type */
    }
    apply_stand_ins(&c, false);
    refuse_others_fields(&c);
    convert_occurred(&c);
    if (ret_event->type == EVENT_PAGE_VISIT)
        convert_visit(&c);
    else
        convert_organisational(&c);
    apply_rules(&c);
    return problems->count == 0;
}
