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
};
#define DAY_MS INT64_C(86400000)

bool text_is_utf8(struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.data, *end = at + text.size;
    while (at < end) {
        unsigned char first = *at++;
        if (first < 0x80)
            continue;
        int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
        if (first < 0xC2 || first > 0xF4 || end - at < more)
            return false;
        if ((first == 0xE0 && at[0] < 0xA0) || (first == 0xED && at[0] > 0x9F) || (first == 0xF0 && at[0] < 0x90) ||
            (first == 0xF4 && at[0] > 0x8F))
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

bool id_is_valid(struct slice id)
{
    if (!id.data || id.size < 1 || id.size > 64 || id.data[0] == '-')
        return false;
    for (size_t i = 0; i < id.size; i++) {
        char c = id.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
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

static void check_id(struct findings *findings, const char *field, struct slice id)
{
    if (!id_is_valid(id))
        VIOLATED(field, "%s is \"%.*s\"; allowed: 1 to 64 of a-z, 0-9 and -, not beginning with -", field,
                 text_is_utf8(id) && id.size <= 100 ? (int)id.size : 0, id.data ? id.data : "");
}

static void check_text(struct findings *findings, const char *field, struct slice text, size_t most)
{
    if (text.size < 1 || text.size > most)
        VIOLATED(field, "%s has %zu bytes; allowed: 1 to %zu", field, text.size, most);
    else if (!text_is_utf8(text))
        VIOLATED(field, "%s is not UTF-8", field);
    else if (text_has_control(text))
        VIOLATED(field, "%s has a control character; allowed: text without", field);
}

static void check_headcount(struct findings *findings, const struct event *event)
{
    int32_t delta = event->headcount.delta;
    enum headcount_reason reason = event->headcount.reason;
    if (delta == 0 || delta > DELTA_MOST || delta < -DELTA_MOST) {
        VIOLATED("delta", "delta is %" PRId32 "; allowed: 1 to 1000000 either way, not 0", delta);
        return;
    }
    bool up = reason == REASON_BASELINE || reason == REASON_RECRUITED || reason == REASON_TRANSFERRED_IN;
    if (reason != REASON_CORRECTION && up != (delta > 0))
        VIOLATED("delta", "delta is %" PRId32 " with reason %s; allowed: %s 0", delta, headcount_reason_name(reason),
                 up ? "above" : "below");
}

static void check_units(struct findings *findings, const char *field, const struct unit *units, uint32_t count, int32_t expected)
{
    if (count == 0)
        return;
    if (count > UNIT_LIST_MOST || (int64_t)count != expected) {
        VIOLATED(field, "%s has %" PRIu32 " units; allowed: none or exactly %" PRId32 ", at most 256", field, count, expected);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        check_text(findings, field, units[i].id, UNIT_ID_MOST);
        check_text(findings, field, units[i].name, UNIT_NAME_MOST);
    }
}

static void check_merger(struct findings *findings, const struct event *event)
{
    int32_t before = event->merger.units_before, after = event->merger.units_after;
    if (before < 0 || before > UNITS_MOST)
        VIOLATED("units_before", "units_before is %" PRId32 "; allowed: 0 to 100000", before);
    if (after < 0 || after > UNITS_MOST)
        VIOLATED("units_after", "units_after is %" PRId32 "; allowed: 0 to 100000", after);
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

static void check(struct findings *findings, const struct event *event, int64_t kafka_ms)
{
    if (event->type == EVENT_PAGE_VISIT) {
        if (event->occurred_at_ms < kafka_ms - DAY_MS || event->occurred_at_ms > kafka_ms + 5 * 60 * 1000)
            found(findings, LETTER_OUT_OF_WINDOW, "occurred_at",
                  "occurred_at is %" PRId64 " ms, Kafka's timestamp %" PRId64 " ms; allowed: from 24 h before it to 5 min after",
                  event->occurred_at_ms, kafka_ms);
        return;
    }
    if (event_id_is_nil(event->event_id))
        VIOLATED("id", "the event id is the nil UUID; allowed: any other");
    check_id(findings, "source", event->source);
    if (event->effective_date < DATE_FIRST || event->effective_date > DATE_LAST)
        VIOLATED("effective_date", "effective_date is %" PRId32 " days after 1970-01-01; allowed: 2000-01-01 to 2099-12-31",
                 event->effective_date);
    check_id(findings, "agency", event->agency);
    if (event->type == EVENT_HEADCOUNT_CHANGE)
        check_headcount(findings, event);
    else
        check_merger(findings, event);
    if (event->decision.data)
        check_text(findings, "decision", event->decision, DECISION_MOST);
    if (event->has_reverses) {
        struct event_id expected = event_id_reversal(event->reverses);
        if (memcmp(expected.bytes, event->event_id.bytes, 16) != 0)
            VIOLATED("id", "the event id of a reversal is not uuid5(the reversed event's id, \"reversal\")");
    }
    if (event->occurred_at_ms < DATE_FIRST * DAY_MS || event->occurred_at_ms > kafka_ms + DAY_MS) {
        char text[TIMESTAMP_TEXT_SIZE] = "?";
        if (event->occurred_at_ms > -DAY_MS * 719000 && event->occurred_at_ms < DAY_MS * 2900000)
            timestamp_format(event->occurred_at_ms, text);
        found(findings, LETTER_OUT_OF_WINDOW, "occurred_at",
              "occurred_at is %s; allowed: from 2000-01-01 to 24 h after it was sent", text);
    }
}

enum dead_letter_reason event_check(const struct event *event, int64_t kafka_timestamp_ms, struct rule_violation *ret_violation)
{
    struct findings findings = {.list = ret_violation, .most = ret_violation ? 1 : 0, .first = LETTER_NONE};
    check(&findings, event, kafka_timestamp_ms);
    return findings.first;
}

size_t event_check_all(const struct event *event, int64_t kafka_timestamp_ms, struct rule_violation *ret_violations, size_t most)
{
    struct findings findings = {.list = ret_violations, .most = most, .first = LETTER_NONE};
    check(&findings, event, kafka_timestamp_ms);
    return findings.count;
}
