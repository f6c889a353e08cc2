/* The contract's rules for one event, in the order of its tables. */
#include "schemas/rules.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "schemas/identity.h"

enum {
    DATE_FIRST = 10957, /* 2000-01-01 */
    DATE_LAST = 47481,  /* 2099-12-31 */
    DELTA_MOST = 1000000,
    UNITS_MOST = 100000,
    DECISION_MOST = 128,
    UNIT_ID_MOST = 64,
    UNIT_NAME_MOST = 256,
    ID_MOST = 64,
    QUOTED_MOST = 80, /* a longer value is not repeated in a violation's text */
};
#define LATER_MOST_MS MILLISECONDS_PER_DAY
#define VISIT_EARLIER_MOST_MS MILLISECONDS_PER_DAY
#define VISIT_LATER_MOST_MS INT64_C(300000)

bool text_is_utf8(struct slice text)
{
    if (text.size == 0)
        return true;
    const unsigned char *at = (const unsigned char *)text.data, *end = at + text.size;
    while (at < end) {
        while (end - at >= 8) { /* most text is ASCII */
            uint64_t word;
            memcpy(&word, at, sizeof word);
            if (word & UINT64_C(0x8080808080808080))
                break;
            at += 8;
        }
        if (at == end)
            break;
        unsigned char first = *at++;
        if (first < 0x80)
            continue;
        int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
        if (first < 0xC2 || first > 0xF4 || end - at < more)
            return false;
        if ((first == 0xE0 && at[0] < 0xA0) || (first == 0xED && at[0] > 0x9F) || (first == 0xF0 && at[0] < 0x90) ||
            (first == 0xF4 && at[0] > 0x8F)) /* overlong, surrogate, beyond U+10FFFF */
            return false;
        for (; more > 0; more--)
            if ((*at++ & 0xC0) != 0x80)
                return false;
    }
    return true;
}

bool text_has_control(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte < 0x20 || byte == 0x7F)
            return true;
        if (byte == 0xC2 && i + 1 < text.size && (unsigned char)text.data[i + 1] < 0xA0)
            return true; /* U+0080 to U+009F */
    }
    return false;
}

/* Bytes of the white-space character that `text` begins with, 0 if it begins with another. */
static size_t space_size(struct slice text)
{
    static const char *const spaces[] = {"\u00A0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004",
                                         "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200A", "\u2028",
                                         "\u2029", "\u202F", "\u205F", "\u3000"};
    if (text.data[0] == ' ')
        return 1;
    if ((unsigned char)text.data[0] < 0x80) /* most texts begin with a letter */
        return 0;
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        size_t size = strlen(spaces[i]);
        if (text.size >= size && memcmp(text.data, spaces[i], size) == 0)
            return size;
    }
    return 0;
}

bool text_is_blank(struct slice text)
{
    while (text.size > 0) {
        size_t size = space_size(text);
        if (size == 0)
            return false;
        text.data += size;
        text.size -= size;
    }
    return true;
}

bool id_is_valid(struct slice id)
{
    static const bool allowed[256] = {['a' ... 'z'] = true, ['0' ... '9'] = true, ['-'] = true};
    if (!id.data || id.size < 1 || id.size > ID_MOST || id.data[0] == '-')
        return false;
    bool all = true;
    for (size_t i = 0; i < id.size; i++)
        all &= allowed[(unsigned char)id.data[i]];
    return all;
}

struct findings {
    struct rule_violation *list; /* NULL: no text is wanted */
    size_t most, count;
    enum dead_letter_reason first;
};

static void found(struct findings *findings, enum dead_letter_reason reason, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void found(struct findings *findings, enum dead_letter_reason reason, const char *field, const char *format, ...)
{
    if (findings->count++ == 0)
        findings->first = reason;
    if (!findings->list || findings->count > findings->most)
        return;
    struct rule_violation *violation = &findings->list[findings->count - 1];
    violation->reason = reason;
    violation->field = field;
    va_list list;
    va_start(list, format);
    vsnprintf(violation->text, sizeof violation->text, format, list);
    va_end(list);
}

#define VIOLATED(field, ...) found(findings, LETTER_RULE_VIOLATION, field, __VA_ARGS__)

#define SAID_SIZE (QUOTED_MOST + 8)
/* What a text field holds, fit for a log or a terminal: foreign bytes are repeated only where they are harmless. */
static const char *said(struct slice text, char out[SAID_SIZE])
{
    if (!text.data)
        snprintf(out, SAID_SIZE, "missing");
    else if (!text_is_utf8(text))
        snprintf(out, SAID_SIZE, "%zu bytes that are not UTF-8", text.size);
    else if (text_has_control(text))
        snprintf(out, SAID_SIZE, "%zu bytes with a control character", text.size);
    else if (text.size > QUOTED_MOST)
        snprintf(out, SAID_SIZE, "%zu bytes long", text.size);
    else
        snprintf(out, SAID_SIZE, "\"%.*s\"", SLICE_ARG(text));
    return out;
}

static const char *said_time(int64_t ms, char out[TIMESTAMP_TEXT_SIZE])
{
    const int64_t year_0001 = INT64_C(-62135596800000), year_10000 = INT64_C(253402300800000);
    if (ms >= year_0001 && ms < year_10000)
        return timestamp_format(ms, out);
    snprintf(out, TIMESTAMP_TEXT_SIZE, "%" PRId64 " ms from 1970", ms);
    return out;
}

static const char *said_date(int32_t days, char out[TIMESTAMP_TEXT_SIZE])
{
    const int32_t year_0001 = -719162, year_10000 = 2932897;
    if (days >= year_0001 && days < year_10000)
        return date_format(days, out);
    snprintf(out, TIMESTAMP_TEXT_SIZE, "%" PRId32 " days from 1970", days);
    return out;
}

static void check_id(struct findings *findings, const char *field, struct slice id)
{
    char text[SAID_SIZE];
    if (!id_is_valid(id))
        VIOLATED(field, "%s is %s; allowed: 1 to 64 of a-z, 0-9 and -, the first not -", field, said(id, text));
}

/* `part` is "" or what of the field is meant, "[3].name". */
static void check_text(struct findings *findings, const char *field, const char *part, struct slice value, size_t most)
{
    char text[SAID_SIZE];
    if (value.size < 1 || value.size > most)
        VIOLATED(field, "%s%s has %zu bytes; allowed: 1 to %zu", field, part, value.size, most);
    else if (!text_is_utf8(value) || text_has_control(value))
        VIOLATED(field, "%s%s is %s; allowed: UTF-8 without control characters", field, part, said(value, text));
    else if (text_is_blank(value))
        VIOLATED(field, "%s%s is blank; allowed: text with more than spaces", field, part);
}

static void check_headcount(struct findings *findings, const struct event *event)
{
    int32_t delta = event->headcount.delta;
    enum headcount_reason reason = event->headcount.reason;
    if (delta == 0 || delta > DELTA_MOST || delta < -DELTA_MOST) {
        VIOLATED("delta", "delta is %" PRId32 "; allowed: 1 to 1,000,000 either way, not 0", delta);
        return;
    }
    bool up = reason == REASON_BASELINE || reason == REASON_RECRUITED || reason == REASON_TRANSFERRED_IN;
    if (reason != REASON_CORRECTION && up != (delta > 0))
        VIOLATED("delta", "delta is %" PRId32 " with reason %s; allowed: %s 0", delta, headcount_reason_name(reason),
                 up ? "above" : "below");
}

static bool text_is_good(struct slice text, size_t most)
{
    return text.size >= 1 && text.size <= most && text_is_utf8(text) && !text_has_control(text) && !text_is_blank(text);
}

/* First without text: a good list costs no formatting. */
static bool unit_is_good(const struct unit *unit)
{
    return text_is_good(unit->id, UNIT_ID_MOST) && text_is_good(unit->name, UNIT_NAME_MOST);
}

static void check_units(struct findings *findings, const char *field, const struct unit *units, uint32_t count,
                        int32_t expected)
{
    if (count == 0)
        return;
    if (count > UNIT_LIST_MOST || (int64_t)count != expected) {
        VIOLATED(field, "%s has %" PRIu32 " units; allowed: none, or exactly %" PRId32 " and at most %d", field, count,
                 expected, UNIT_LIST_MOST);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (unit_is_good(&units[i]))
            continue;
        char part[32];
        snprintf(part, sizeof part, "[%" PRIu32 "].id", i);
        check_text(findings, field, part, units[i].id, UNIT_ID_MOST);
        snprintf(part, sizeof part, "[%" PRIu32 "].name", i);
        check_text(findings, field, part, units[i].name, UNIT_NAME_MOST);
    }
}

static void check_merger(struct findings *findings, const struct event *event)
{
    int32_t before = event->merger.units_before, after = event->merger.units_after;
    if (before < 0 || before > UNITS_MOST)
        VIOLATED("units_before", "units_before is %" PRId32 "; allowed: 0 to 100,000", before);
    if (after < 0 || after > UNITS_MOST)
        VIOLATED("units_after", "units_after is %" PRId32 "; allowed: 0 to 100,000", after);
    const char *allowed = NULL;
    switch (event->merger.kind) {
    case KIND_BASELINE:
        allowed = before == 0 && after > 0 ? NULL : "before 0 and after above 0";
        break;
    case KIND_MERGER:
        allowed = before >= 2 && after >= 1 && after < before ? NULL : "before 2 or more, after 1 or more and below before";
        break;
    case KIND_DISSOLUTION:
        allowed = after < before ? NULL : "after below before";
        break;
    case KIND_ESTABLISHMENT:
        allowed = after > before ? NULL : "after above before";
        break;
    case KIND_REARRANGEMENT:
        allowed = after != before || event->merger.pilot_model.data ? NULL : "two different numbers, or a pilot";
        break;
    case KIND_CORRECTION:
    case KINDS:
        allowed = after != before ? NULL : "two different numbers";
        break;
    }
    if (allowed)
        VIOLATED("units_after", "kind %s has units_before %" PRId32 " and units_after %" PRId32 "; allowed: %s",
                 merger_kind_name(event->merger.kind), before, after, allowed);
    check_units(findings, "merged_units", event->merger.merged_units, event->merger.merged_count, before);
    check_units(findings, "resulting_units", event->merger.resulting_units, event->merger.resulting_count, after);
    struct slice pilot = event->merger.pilot_model, district = event->merger.district;
    if (!pilot.data != !district.data)
        VIOLATED(pilot.data ? "district" : "pilot_model", "%s is missing; allowed: pilot_model and district, both or neither",
                 pilot.data ? "district" : "pilot_model");
    if (pilot.data)
        check_id(findings, "pilot_model", pilot);
    if (district.data)
        check_id(findings, "district", district);
}

/* A sum that stays at int64's ends: both timestamps are foreign. */
static int64_t time_shifted(int64_t ms, int64_t by)
{
    int64_t sum;
    if (__builtin_add_overflow(ms, by, &sum))
        return by > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

static void check_visit_window(struct findings *findings, int64_t occurred_ms, int64_t kafka_ms)
{
    if (occurred_ms >= time_shifted(kafka_ms, -VISIT_EARLIER_MOST_MS) &&
        occurred_ms <= time_shifted(kafka_ms, VISIT_LATER_MOST_MS))
        return;
    char occurred[TIMESTAMP_TEXT_SIZE], kafka[TIMESTAMP_TEXT_SIZE];
    found(findings, LETTER_OUT_OF_WINDOW, "occurred_at",
          "occurred_at is %s; allowed: from 24 h before to 5 min after the Kafka timestamp %s",
          said_time(occurred_ms, occurred), said_time(kafka_ms, kafka));
}

static void check_occurred(struct findings *findings, int64_t occurred_ms, int64_t kafka_ms)
{
    if (occurred_ms >= DATE_FIRST * MILLISECONDS_PER_DAY && occurred_ms <= time_shifted(kafka_ms, LATER_MOST_MS))
        return;
    char occurred[TIMESTAMP_TEXT_SIZE], kafka[TIMESTAMP_TEXT_SIZE];
    found(findings, LETTER_OUT_OF_WINDOW, "occurred_at",
          "occurred_at is %s; allowed: from 2000-01-01T00:00:00.000Z to 24 h after the Kafka timestamp %s",
          said_time(occurred_ms, occurred), said_time(kafka_ms, kafka));
}

static void check_reversal(struct findings *findings, const struct event *event)
{
    char expected_text[EVENT_ID_TEXT_SIZE], text[EVENT_ID_TEXT_SIZE];
    if (event_id_is_nil(event->reverses)) {
        VIOLATED("reverses", "reverses is the nil UUID; allowed: the event id of an event");
        return;
    }
    struct event_id expected = event_id_reversal(event->reverses);
    if (memcmp(expected.bytes, event->event_id.bytes, sizeof expected.bytes) != 0)
        VIOLATED("id", "the event id is %s; allowed for a reversal: %s, the uuid5 of reverses and \"reversal\"",
                 event_id_format(event->event_id, text), event_id_format(expected, expected_text));
}

static void check(struct findings *findings, const struct event *event, int64_t kafka_ms)
{
    if (event->type == EVENT_PAGE_VISIT) {
        check_visit_window(findings, event->occurred_at_ms, kafka_ms);
        return;
    }
    if (event_id_is_nil(event->event_id))
        VIOLATED("id", "the event id is the nil UUID; allowed: any other");
    check_id(findings, "source", event->source);
    if (event->effective_date < DATE_FIRST || event->effective_date > DATE_LAST) {
        char text[TIMESTAMP_TEXT_SIZE];
        VIOLATED("effective_date", "effective_date is %s; allowed: 2000-01-01 to 2099-12-31",
                 said_date(event->effective_date, text));
    }
    check_id(findings, "agency", event->agency);
    if (event->type == EVENT_HEADCOUNT_CHANGE)
        check_headcount(findings, event);
    else
        check_merger(findings, event);
    if (event->decision.data)
        check_text(findings, "decision", "", event->decision, DECISION_MOST);
    if (event->has_reverses)
        check_reversal(findings, event);
    check_occurred(findings, event->occurred_at_ms, kafka_ms); /* last: a rule_violation goes before an out_of_window */
}

enum dead_letter_reason event_check(const struct event *event, int64_t kafka_timestamp_ms,
                                    struct rule_violation *ret_violation)
{
    struct findings findings = {.list = ret_violation, .most = ret_violation ? 1 : 0, .first = LETTER_NONE};
    check(&findings, event, kafka_timestamp_ms);
    return findings.first;
}

size_t event_check_all(const struct event *event, int64_t kafka_timestamp_ms, struct rule_violation *ret_violations,
                       size_t most)
{
    struct findings findings = {.list = ret_violations, .most = most, .first = LETTER_NONE};
    check(&findings, event, kafka_timestamp_ms);
    return findings.count;
}
