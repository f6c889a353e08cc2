/* Events that a program puts together field by field: the values that a line of JSON would hold. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "library/library.h"
#include "schemas/rules.h"

enum { NUMBER_SIZE = 24 };

struct citytotals_event *citytotals_event_new(void)
{
    struct citytotals_event *event = calloc(1, sizeof *event);
    if (event)
        event->fields.units = &event->units;
    return event;
}

void citytotals_event_free(struct citytotals_event *event)
{
    free(event);
}

void citytotals_event_clear(struct citytotals_event *event)
{
    if (!event)
        return;
    memset(event->fields.kinds, 0, sizeof event->fields.kinds);
    memset(event->fields.counts, 0, sizeof event->fields.counts);
    event->used = 0;
}

/* `found` NULL: what is wrong is not what was given. */
static int refuse(struct citytotals_error **ret_error, const char *field, const char *found, const char *why)
{
    struct problems problems;
    char text[QUOTED_SIZE];
    problems.count = 0;
    if (found)
        problem_add(&problems, field, 0, "%s is %s; allowed: %s", field, quoted(slice_of(found), text), why);
    else
        problem_add(&problems, field, 0, "%s %s", field, why);
    return fail_event(ret_error, &problems);
}

static int find(const struct citytotals_event *event, const char *name, enum field *ret_field, struct citytotals_error **ret_error)
{
    struct problems problems;
    char text[QUOTED_SIZE];
    no_error(ret_error);
    if (!event || !name)
        return fail(ret_error, CITYTOTALS_MISUSE, "%s is NULL", event ? "field" : "event");
    *ret_field = field_find(slice_of(name));
    if (*ret_field != FIELDS)
        return CITYTOTALS_OK;
    problems.count = 0;
    problem_add(&problems, name, 0, "unknown field %s", text_is_utf8(slice_of(name)) ? quoted(slice_of(name), text) : "");
    return fail_event(ret_error, &problems);
}

/* Take a text out: those behind it move up. */
static void drop(struct citytotals_event *event, struct slice text)
{
    size_t end = (size_t)(text.data - event->texts) + text.size;
    const char *from = text.data;
    memmove(event->texts + (text.data - event->texts), event->texts + end, event->used - end);
    event->used -= text.size;
    for (int field = 0; field < FIELDS; field++)
        if ((event->fields.kinds[field] == VALUE_TEXT || event->fields.kinds[field] == VALUE_INTEGER) && event->fields.texts[field].data > from)
            event->fields.texts[field].data -= text.size;
    for (int list = 0; list < 2; list++)
        for (uint32_t i = 0; i < event->fields.counts[list]; i++) {
            struct unit *unit = &(list ? event->units.resulting : event->units.merged)[i];
            unit->id.data -= unit->id.data > from ? text.size : 0;
            unit->name.data -= unit->name.data > from ? text.size : 0;
        }
}

static void drop_field(struct citytotals_event *event, enum field field)
{
    enum value_kind kind = event->fields.kinds[field];
    int list = field == FIELD_RESULTING_UNITS;
    struct unit *units = list ? event->units.resulting : event->units.merged;
    event->fields.kinds[field] = VALUE_ABSENT;
    if (kind == VALUE_TEXT || kind == VALUE_INTEGER)
        drop(event, event->fields.texts[field]);
    while (kind == VALUE_UNITS && event->fields.counts[list] > 0) {
        struct unit last = units[--event->fields.counts[list]];
        drop(event, last.name); /* it stands behind the id */
        drop(event, last.id);
    }
}

static int judge_text(const struct citytotals_event *event, const char *field, const char *text, size_t more,
                      struct citytotals_error **ret_error)
{
    if (strlen(text) + more > sizeof event->texts - event->used)
        return refuse(ret_error, field, NULL, "does not fit; allowed: 16 KiB for all texts of an event");
    if (!text_is_utf8(slice_of(text)))
        return refuse(ret_error, field, NULL, "is not UTF-8");
    return CITYTOTALS_OK;
}

/* A copy of a judged text that lives as long as the event. */
static struct slice keep(struct citytotals_event *event, const char *text)
{
    struct slice kept = {event->texts + event->used, strlen(text)};
    memcpy(event->texts + event->used, text, kept.size);
    event->used += kept.size;
    return kept;
}

int citytotals_event_set(struct citytotals_event *event, const char *field, const char *text, struct citytotals_error **ret_error)
{
    enum field found;
    int result = find(event, field, &found, ret_error);
    if (result < 0)
        return result;
    bool is_number = field_kind(found) == KIND_INTEGER;
    if (text) {
        if (field_kind(found) == KIND_UNITS)
            return refuse(ret_error, field, NULL, "is a list; its units are added one by one");
        if ((result = judge_text(event, field, text, 0, ret_error)) < 0)
            return result;
        if (is_number && !text_is_integer(slice_of(text)))
            return refuse(ret_error, field, text, "a whole number");
    }
    drop_field(event, found);
    if (text) {
        event->fields.texts[found] = keep(event, text);
        event->fields.kinds[found] = is_number ? VALUE_INTEGER : VALUE_TEXT;
    }
    return CITYTOTALS_OK;
}

int citytotals_event_set_number(struct citytotals_event *event, const char *field, int64_t number, struct citytotals_error **ret_error)
{
    enum field found;
    char text[NUMBER_SIZE];
    int result = find(event, field, &found, ret_error);
    if (result < 0)
        return result;
    snprintf(text, sizeof text, "%" PRId64, number);
    if (field_kind(found) == KIND_TEXT)
        return refuse(ret_error, field, text, "text");
    return citytotals_event_set(event, field, text, ret_error);
}

int citytotals_event_add_unit(struct citytotals_event *event, const char *field, const char *id, const char *name,
                              struct citytotals_error **ret_error)
{
    enum field found;
    int result = find(event, field, &found, ret_error);
    if (result < 0)
        return result;
    if (!id || !name)
        return fail(ret_error, CITYTOTALS_MISUSE, "%s is NULL", id ? "name" : "id");
    if (field_kind(found) != KIND_UNITS)
        return refuse(ret_error, field, NULL, "holds no units; allowed: merged_units, resulting_units");
    int list = found == FIELD_RESULTING_UNITS;
    uint32_t *count = &event->fields.counts[list];
    if (*count == UNIT_LIST_MOST)
        return refuse(ret_error, field, NULL, "has 256 units; allowed: 256");
    if ((result = judge_text(event, field, id, strlen(name), ret_error)) < 0 ||
        (result = judge_text(event, field, name, strlen(id), ret_error)) < 0)
        return result;
    struct unit *unit = &(list ? event->units.resulting : event->units.merged)[*count];
    unit->id = keep(event, id);
    unit->name = keep(event, name);
    ++*count;
    event->fields.kinds[found] = VALUE_UNITS;
    return CITYTOTALS_OK;
}
