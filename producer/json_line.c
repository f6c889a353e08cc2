/* A reader of JSON for lines that are one flat object: it knows the fields, so that it can say what was found where. */
#include "producer/json_line.h"

#include <stdio.h>

#include "producer/json_cursor.h"

/* A value of a wrong type: read over it and say what it was. */
static void wrong_type(struct json_cursor *cursor, const char *name, enum field_kind wanted)
{
    static const char *const allowed[] = {[KIND_TEXT] = "text in \"quotes\"",
                                          [KIND_INTEGER] = "a whole number, without quotes, point or exponent",
                                          [KIND_UNITS] = "a list of {\"id\": …, \"name\": …}"};
    const char *first = cursor->at;
    const char *what = *first == '"'                    ? "a text"
                       : *first == '{'                  ? "an object"
                       : *first == '['                  ? "a list"
                       : *first == 't' || *first == 'f' ? "a truth value"
                                                        : "a number";
    json_skip_value(cursor, 1);
    if (cursor->stopped)
        return;
    struct slice raw = {first, (size_t)(cursor->at - first)};
    char found[QUOTED_SIZE];
    if (*first == '"')
        raw = (struct slice){first + 1, raw.size - 2};
    problem_add(cursor->problems, name, 0, "%s is %s, %s; allowed: %s", name, quoted(raw, found), what, allowed[wanted]);
}

static bool at_null(struct json_cursor *cursor)
{
    return json_read_word(cursor, "null");
}

/* One field of a unit; `there` are the bits of those seen, `good` of those that have a value (or a problem of their own). */
static void read_unit_field(struct json_cursor *cursor, const char *unit_name, struct unit *unit, unsigned *there, unsigned *good)
{
    char name[PROBLEM_FIELD_SIZE], found[QUOTED_SIZE];
    json_skip_space(cursor);
    if (cursor->at >= cursor->end || *cursor->at != '"') {
        json_stop(cursor, "a field's name in \"quotes\"");
        return;
    }
    struct slice key = json_read_text(cursor);
    if (cursor->stopped)
        return;
    if (!json_take(cursor, ':')) {
        json_stop(cursor, "a : after a field's name");
        return;
    }
    json_skip_space(cursor);
    bool is_id = slice_equal(key, slice_of("id"));
    if (!is_id && !slice_equal(key, slice_of("name"))) {
        problem_add(cursor->problems, unit_name, 0, "%s has the unknown field %s; allowed: id, name", unit_name, quoted(key, found));
        json_skip_value(cursor, 3);
        return;
    }
    unsigned bit = is_id ? 1 : 2;
    snprintf(name, sizeof name, "%s.%s", unit_name, is_id ? "id" : "name");
    if (*there & bit) {
        problem_add(cursor->problems, name, 0, "%s is there twice", name);
        json_skip_value(cursor, 3);
        return;
    }
    *there |= bit;
    if (at_null(cursor))
        return;
    *good |= bit;
    if (cursor->at < cursor->end && *cursor->at == '"')
        *(is_id ? &unit->id : &unit->name) = json_read_text(cursor);
    else if (cursor->at < cursor->end && strchr("{[-0123456789tf", *cursor->at))
        wrong_type(cursor, name, KIND_TEXT);
    else
        json_stop(cursor, "a text in \"quotes\"");
}

/* One {"id": …, "name": …}. */
static void read_unit(struct json_cursor *cursor, const char *list, uint32_t index, struct unit *ret_unit)
{
    struct unit unit = {{0}, {0}};
    unsigned there = 0, good = 0;
    char name[PROBLEM_FIELD_SIZE - 8], field[PROBLEM_FIELD_SIZE], found[QUOTED_SIZE];
    json_skip_space(cursor);
    snprintf(name, sizeof name, "%s[%u]", list, (unsigned)index);
    if (cursor->at >= cursor->end || *cursor->at != '{') {
        const char *first = cursor->at;
        json_skip_value(cursor, 2);
        if (!cursor->stopped)
            problem_add(cursor->problems, name, 0, "%s is %s; allowed: {\"id\": …, \"name\": …}", name,
                        quoted((struct slice){first, (size_t)(cursor->at - first)}, found));
        return;
    }
    cursor->at++;
    if (!json_take(cursor, '}')) {
        do
            read_unit_field(cursor, name, &unit, &there, &good);
        while (!cursor->stopped && json_take(cursor, ','));
        if (!cursor->stopped && !json_take(cursor, '}'))
            json_stop(cursor, ", or }");
    }
    for (unsigned bit = 1; !cursor->stopped && bit <= 2; bit++) {
        if (good & bit)
            continue;
        snprintf(field, sizeof field, "%s.%s", name, bit == 1 ? "id" : "name");
        problem_add(cursor->problems, field, 0, "%s is missing; a unit has an id and a name", field);
    }
    *ret_unit = unit;
}

static void read_units(struct json_cursor *cursor, struct fields *fields, enum field field)
{
    int which = field == FIELD_RESULTING_UNITS;
    struct unit *list = which ? fields->units->resulting : fields->units->merged;
    uint32_t count = 0;
    size_t before = cursor->problems->count;
    cursor->at++;
    if (!json_take(cursor, ']')) {
        do {
            struct unit past; /* a list that is too long is only counted */
            read_unit(cursor, field_name(field), count, count < UNIT_LIST_MOST ? &list[count] : &past);
            count++;
        } while (!cursor->stopped && json_take(cursor, ','));
        if (!cursor->stopped && !json_take(cursor, ']'))
            json_stop(cursor, ", or ]");
    }
    fields->counts[which] = count;
    fields->kinds[field] = cursor->problems->count > before ? VALUE_BAD : VALUE_UNITS;
}

static void read_value(struct json_cursor *cursor, struct fields *fields, enum field field)
{
    json_skip_space(cursor);
    const char *first = cursor->at;
    char sign = first < cursor->end ? *first : '\0';
    enum field_kind kind = field_kind(field);
    if (sign == '"' && kind == KIND_TEXT) {
        fields->texts[field] = json_read_text(cursor);
        fields->kinds[field] = VALUE_TEXT;
    } else if ((sign == '-' || (sign >= '0' && sign <= '9')) && kind == KIND_INTEGER) {
        if (json_read_number(cursor)) {
            fields->texts[field] = (struct slice){first, (size_t)(cursor->at - first)};
            fields->kinds[field] = VALUE_INTEGER;
        } else if (!cursor->stopped) {
            cursor->at = first;
            fields->kinds[field] = VALUE_BAD;
            wrong_type(cursor, field_name(field), kind);
        }
    } else if (sign == '[' && kind == KIND_UNITS) {
        read_units(cursor, fields, field);
    } else if (at_null(cursor)) {
        fields->kinds[field] = VALUE_ABSENT;
    } else if (sign && strchr("\"{[-0123456789tf", sign)) {
        fields->kinds[field] = VALUE_BAD;
        wrong_type(cursor, field_name(field), kind);
    } else {
        json_stop(cursor, "a value: \"text\", a number, null or a list");
    }
}

static void read_member(struct json_cursor *cursor, struct fields *fields, uint32_t *seen)
{
    json_skip_space(cursor);
    if (cursor->at >= cursor->end || *cursor->at != '"') {
        json_stop(cursor, "a field's name in \"quotes\"");
        return;
    }
    struct slice name = json_read_text(cursor);
    if (cursor->stopped)
        return;
    if (!json_take(cursor, ':')) {
        json_stop(cursor, "a : after a field's name");
        return;
    }
    enum field field = field_find(name);
    if (field == FIELDS) {
        char found[QUOTED_SIZE], copy[PROBLEM_FIELD_SIZE];
        snprintf(copy, sizeof copy, "%.*s", SLICE_ARG(name));
        problem_add(cursor->problems, copy, 0, "unknown field %s", quoted(name, found));
        json_skip_value(cursor, 1);
    } else if (*seen & FIELD_BIT(field)) {
        problem_add(cursor->problems, field_name(field), 0, "%s is there twice", field_name(field));
        json_skip_value(cursor, 1);
    } else {
        *seen |= FIELD_BIT(field);
        read_value(cursor, fields, field);
    }
}

void json_line_read(struct slice line, struct arena *arena, struct fields *ret_fields, struct problems *problems)
{
    struct json_cursor cursor = {line.data, line.data, line.data + line.size, arena, problems, false};
    memset(ret_fields->kinds, 0, sizeof ret_fields->kinds);
    ret_fields->counts[0] = ret_fields->counts[1] = 0;
    if (!json_take(&cursor, '{')) {
        json_stop(&cursor, "an event, which is a JSON object { … } on one line");
        return;
    }
    if (!json_take(&cursor, '}')) {
        uint32_t seen = 0;
        do
            read_member(&cursor, ret_fields, &seen);
        while (!cursor.stopped && json_take(&cursor, ','));
        if (!cursor.stopped && !json_take(&cursor, '}'))
            json_stop(&cursor, ", or }");
    }
    json_skip_space(&cursor);
    if (!cursor.stopped && cursor.at < cursor.end)
        json_stop(&cursor, "nothing after the event's }");
}
