/* Reads CloudEvents' attributes and maps id, type and time to our fields. */
#include "producer/cloudevent.h"

#include <stdio.h>

#include "producer/json_cursor.h"
#include "schemas/rules.h"

static struct slice *place_of(struct cloudevent *event, struct slice name)
{
    const struct {
        const char *name;
        struct slice *place;
    } known[] = {{"specversion", &event->specversion}, {"id", &event->id},     {"source", &event->source},
                 {"type", &event->type},               {"time", &event->time}, {"datacontenttype", &event->datacontenttype}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_equal(name, slice_of(known[i].name)))
            return known[i].place;
    return NULL;
}

static void read_attribute(struct json_cursor *cursor, struct slice name, struct slice *place)
{
    char text[PROBLEM_FIELD_SIZE];
    snprintf(text, sizeof text, "%.*s", (int)name.size, name.data);
    if (place->data)
        problem_add(cursor->problems, text, 0, "%s is there twice", text);
    if (cursor->at < cursor->end && *cursor->at == '"') {
        *place = json_read_text(cursor);
    } else if (!json_read_word(cursor, "null")) {
        json_skip_value(cursor, 1);
        if (!cursor->stopped)
            problem_add(cursor->problems, text, 0, "%s is no text; allowed: text in \"quotes\"", text);
    }
}

static void read_member(struct json_cursor *cursor, struct cloudevent *event)
{
    json_skip_space(cursor);
    if (cursor->at >= cursor->end || *cursor->at != '"') {
        json_stop(cursor, "an attribute's name in \"quotes\"");
        return;
    }
    struct slice name = json_read_text(cursor);
    if (cursor->stopped)
        return;
    if (!json_take(cursor, ':')) {
        json_stop(cursor, "a : after an attribute's name");
        return;
    }
    json_skip_space(cursor);
    struct slice *place = place_of(event, name);
    if (place) {
        read_attribute(cursor, name, place);
        return;
    }
    const char *first = cursor->at;
    json_skip_value(cursor, 1);
    if (cursor->stopped)
        return;
    if (slice_equal(name, slice_of("data_base64")))
        problem_add(cursor->problems, "data_base64", 0, "data_base64 is not taken here; allowed: data, the event's object");
    if (!slice_equal(name, slice_of("data")))
        return;
    if (event->data.data)
        problem_add(cursor->problems, "data", 0, "data is there twice");
    event->data = (struct slice){first, (size_t)(cursor->at - first)};
}

bool cloudevent_read(struct slice text, struct arena *arena, struct cloudevent *ret_event, struct problems *problems)
{
    struct json_cursor cursor = {text.data, text.data, text.data + text.size, arena, problems, false};
    *ret_event = (struct cloudevent){0};
    problems->count = 0;
    arena_reset(arena);
    if (!json_take(&cursor, '{')) {
        json_stop(&cursor, "a CloudEvent, which is a JSON object { … }");
        return false;
    }
    if (!json_take(&cursor, '}')) {
        do
            read_member(&cursor, ret_event);
        while (!cursor.stopped && json_take(&cursor, ','));
        if (!cursor.stopped && !json_take(&cursor, '}'))
            json_stop(&cursor, ", or }");
    }
    json_skip_space(&cursor);
    if (!cursor.stopped && cursor.at < cursor.end)
        json_stop(&cursor, "nothing after the CloudEvent's }");
    return problems->count == 0;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool cloudevent_header(struct slice value, struct arena *arena, struct slice *ret_text)
{
    char *out = arena_take(arena, value.size + 1);
    size_t size = 0;
    if (!out)
        return false;
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        if (c == '%') {
            int high = i + 2 < value.size ? hex(value.data[i + 1]) : -1, low = i + 2 < value.size ? hex(value.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[size++] = c;
    }
    *ret_text = (struct slice){out, size};
    return text_is_utf8(*ret_text);
}

static void require(struct slice text, const char *name, struct problems *problems)
{
    if (!text.data || text.size == 0)
        problem_add(problems, name, 0, "%s is missing; required for a CloudEvent", name);
}

/* "vn.haiphong.unit-merger" means unit-merger. */
static struct slice type_word(struct slice type)
{
    for (size_t i = type.size; i > 0; i--)
        if (type.data[i - 1] == '.')
            return (struct slice){type.data + i, type.size - i};
    return type;
}

/* application/json, application/anything+json, with or without parameters. */
static bool is_json_type(struct slice type)
{
    size_t size = 0;
    while (size < type.size && type.data[size] != ';' && type.data[size] != ' ')
        size++;
    return (size == 16 && memcmp(type.data, "application/json", 16) == 0) ||
           (size > 5 && memcmp(type.data + size - 5, "+json", 5) == 0);
}

bool cloudevent_check(const struct cloudevent *event, struct parser_stand_in ret_stand_ins[3], size_t *ret_count,
                      struct problems *problems)
{
    char found[QUOTED_SIZE];
    require(event->specversion, "specversion", problems);
    require(event->id, "id", problems);
    require(event->source, "source", problems);
    require(event->type, "type", problems);
    require(event->data, "data", problems);
    if (event->specversion.size && !slice_equal(event->specversion, slice_of("1.0")))
        problem_add(problems, "specversion", 0, "specversion is %s; allowed: 1.0", quoted(event->specversion, found));
    if (event->datacontenttype.size && !is_json_type(event->datacontenttype))
        problem_add(problems, "datacontenttype", 0, "datacontenttype is %s; allowed: application/json",
                    quoted(event->datacontenttype, found));
    if (problems->count)
        return false;
    ret_stand_ins[0] = (struct parser_stand_in){FIELD_TYPE, type_word(event->type), CLOUDEVENT_ENVELOPE};
    ret_stand_ins[1] = (struct parser_stand_in){FIELD_ID, event->id, CLOUDEVENT_ENVELOPE};
    *ret_count = 2;
    if (event->time.data)
        ret_stand_ins[(*ret_count)++] = (struct parser_stand_in){FIELD_OCCURRED_AT, event->time, NULL};
    return true;
}
