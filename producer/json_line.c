/* A reader of JSON for lines that are one flat object: it knows the fields, so that it can say what was found where. */
#include "producer/json_line.h"

#include <stdio.h>

struct cursor {
    const char *start, *at, *end;
    struct arena *arena;
    struct fields *fields;
    struct problems *problems;
    bool stopped; /* the form is broken: nothing after this place can be read */
};

static void skip_space(struct cursor *cursor)
{
    while (cursor->at < cursor->end &&
           (*cursor->at == ' ' || *cursor->at == '\t' || *cursor->at == '\r' || *cursor->at == '\n'))
        cursor->at++;
}

static uint32_t column_of(const struct cursor *cursor, const char *place)
{
    uint32_t column = 1;
    for (const char *at = cursor->start; at < place; at++)
        column += ((unsigned char)*at & 0xC0) != 0x80;
    return column;
}

/* What stands at the cursor, for a sentence. */
static const char *standing(const struct cursor *cursor, char out[QUOTED_SIZE])
{
    if (cursor->at >= cursor->end) {
        snprintf(out, QUOTED_SIZE, "the end of the line");
        return out;
    }
    size_t size = 1;
    while (cursor->at + size < cursor->end && ((unsigned char)cursor->at[size] & 0xC0) == 0x80)
        size++;
    return quoted((struct slice){cursor->at, size}, out);
}

static void stop(struct cursor *cursor, const char *allowed)
{
    char found[QUOTED_SIZE];
    if (!cursor->stopped)
        problem_add(cursor->problems, "", column_of(cursor, cursor->at), "found %s; allowed: %s", standing(cursor, found), allowed);
    cursor->stopped = true;
}

static void stop_said(struct cursor *cursor, const char *text)
{
    if (!cursor->stopped)
        problem_add(cursor->problems, "", column_of(cursor, cursor->at), "%s", text);
    cursor->stopped = true;
}

static bool take(struct cursor *cursor, char sign)
{
    skip_space(cursor);
    if (cursor->at >= cursor->end || *cursor->at != sign)
        return false;
    cursor->at++;
    return true;
}

static int hex4(struct cursor *cursor)
{
    int value = 0;
    if (cursor->end - cursor->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = cursor->at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    cursor->at += 4;
    return value;
}

static size_t put_utf8(char *out, int code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* After `\u`. Returns the bytes written, 0 when stopped. An escape is six bytes or more, its character at most four. */
static size_t read_unicode(struct cursor *cursor, char *out)
{
    const char *escape = cursor->at - 2;
    int code = hex4(cursor);
    if (code < 0) {
        cursor->at = escape;
        stop_said(cursor, "\\u is not followed by four hexadecimal digits");
        return 0;
    }
    if (code >= 0xD800 && code <= 0xDBFF && cursor->end - cursor->at >= 2 && cursor->at[0] == '\\' && cursor->at[1] == 'u') {
        cursor->at += 2;
        int low = hex4(cursor);
        code = low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : 0xD800;
    }
    if (code >= 0xD800 && code <= 0xDFFF) {
        cursor->at = escape;
        stop_said(cursor, "half of a surrogate pair stands alone; allowed: \\ud800 to \\udbff followed by \\udc00 to \\udfff");
        return 0;
    }
    return put_utf8(out, code);
}

/* The rest of a text from its first escape on, into the arena. */
static struct slice read_escaped(struct cursor *cursor, const char *first)
{
    static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char *out = arena_take(cursor->arena, (size_t)(cursor->end - first));
    if (!out) {
        stop_said(cursor, "the line's texts are too long");
        return (struct slice){0};
    }
    size_t size = (size_t)(cursor->at - first);
    memcpy(out, first, size);
    while (cursor->at < cursor->end && *cursor->at != '"') {
        if ((unsigned char)*cursor->at < 0x20)
            break;
        if (*cursor->at != '\\') {
            out[size++] = *cursor->at++;
            continue;
        }
        const char *known = cursor->end - cursor->at >= 2 && cursor->at[1] ? strchr(plain, cursor->at[1]) : NULL;
        if (known) {
            out[size++] = meant[known - plain];
            cursor->at += 2;
        } else if (cursor->end - cursor->at >= 2 && cursor->at[1] == 'u') {
            cursor->at += 2;
            size_t more = read_unicode(cursor, out + size);
            if (more == 0)
                return (struct slice){0};
            size += more;
        } else {
            stop_said(cursor, "a \\ in a text is followed by something else than \" \\ / b f n r t u");
            return (struct slice){0};
        }
    }
    cursor->arena->used -= (size_t)(cursor->end - first) - size; /* the room that it did not need */
    return (struct slice){out, size};
}

/* At a `"`. data NULL when stopped. */
static struct slice read_text(struct cursor *cursor)
{
    const char *open = cursor->at++, *first = cursor->at;
    while (cursor->at < cursor->end && *cursor->at != '"' && *cursor->at != '\\' && (unsigned char)*cursor->at >= 0x20)
        cursor->at++;
    struct slice text = {first, (size_t)(cursor->at - first)};
    if (cursor->at < cursor->end && *cursor->at == '\\')
        text = read_escaped(cursor, first);
    if (cursor->stopped)
        return (struct slice){0};
    if (cursor->at >= cursor->end) {
        cursor->at = open;
        stop_said(cursor, "the text that begins here has no closing \"");
        return (struct slice){0};
    }
    if (*cursor->at != '"') {
        stop(cursor, "no control character within a text");
        return (struct slice){0};
    }
    cursor->at++;
    return text;
}

static bool read_digits(struct cursor *cursor)
{
    const char *first = cursor->at;
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9')
        cursor->at++;
    if (cursor->at > first)
        return true;
    stop(cursor, "a digit");
    return false;
}

/* Returns whether it is an integer; the raw text is from where the cursor was. */
static bool read_number(struct cursor *cursor)
{
    bool integer = true;
    if (*cursor->at == '-')
        cursor->at++;
    const char *first = cursor->at;
    if (!read_digits(cursor))
        return false;
    if (*first == '0' && cursor->at > first + 1) {
        cursor->at = first;
        stop_said(cursor, "a number begins with 0; allowed: no leading zeros");
        return false;
    }
    if (cursor->at < cursor->end && *cursor->at == '.') {
        cursor->at++;
        integer = false;
        if (!read_digits(cursor))
            return false;
    }
    if (cursor->at < cursor->end && (*cursor->at == 'e' || *cursor->at == 'E')) {
        cursor->at++;
        integer = false;
        if (cursor->at < cursor->end && (*cursor->at == '+' || *cursor->at == '-'))
            cursor->at++;
        read_digits(cursor);
    }
    return integer;
}

static bool read_word(struct cursor *cursor, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, word, size) != 0)
        return false;
    cursor->at += size;
    return true;
}

static void skip_value(struct cursor *cursor, int depth);

static void skip_items(struct cursor *cursor, char close, int depth)
{
    cursor->at++;
    if (take(cursor, close))
        return;
    do {
        skip_space(cursor);
        if (close == '}') {
            if (cursor->at >= cursor->end || *cursor->at != '"') {
                stop(cursor, "a field's name in \"quotes\"");
                return;
            }
            read_text(cursor);
            if (!cursor->stopped && !take(cursor, ':')) {
                stop(cursor, "a : after a field's name");
                return;
            }
        }
        if (!cursor->stopped)
            skip_value(cursor, depth + 1);
    } while (!cursor->stopped && take(cursor, ','));
    if (!cursor->stopped && !take(cursor, close))
        stop(cursor, close == '}' ? ", or }" : ", or ]");
}

/* Any value, only checked. */
static void skip_value(struct cursor *cursor, int depth)
{
    skip_space(cursor);
    if (depth > JSON_DEPTH_MOST) {
        stop_said(cursor, "values are nested more than 32 deep");
        return;
    }
    char first = cursor->at < cursor->end ? *cursor->at : '\0';
    if (first == '"')
        read_text(cursor);
    else if (first == '-' || (first >= '0' && first <= '9'))
        read_number(cursor);
    else if (first == '{' || first == '[')
        skip_items(cursor, first == '{' ? '}' : ']', depth);
    else if (!read_word(cursor, "true") && !read_word(cursor, "false") && !read_word(cursor, "null"))
        stop(cursor, "a value: \"text\", a number, true, false, null, { or [");
}

/* A value of a wrong type: read over it and say what it was. */
static void wrong_type(struct cursor *cursor, const char *name, enum field_kind wanted)
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
    skip_value(cursor, 1);
    if (cursor->stopped)
        return;
    struct slice raw = {first, (size_t)(cursor->at - first)};
    char found[QUOTED_SIZE];
    if (*first == '"')
        raw = (struct slice){first + 1, raw.size - 2};
    problem_add(cursor->problems, name, 0, "%s is %s, %s; allowed: %s", name, quoted(raw, found), what, allowed[wanted]);
}

static bool at_null(struct cursor *cursor)
{
    return read_word(cursor, "null");
}

/* One field of a unit; `there` are the bits of those seen, `good` of those that have a value (or a problem of their own). */
static void read_unit_field(struct cursor *cursor, const char *unit_name, struct unit *unit, unsigned *there, unsigned *good)
{
    char name[PROBLEM_FIELD_SIZE], found[QUOTED_SIZE];
    skip_space(cursor);
    if (cursor->at >= cursor->end || *cursor->at != '"') {
        stop(cursor, "a field's name in \"quotes\"");
        return;
    }
    struct slice key = read_text(cursor);
    if (cursor->stopped)
        return;
    if (!take(cursor, ':')) {
        stop(cursor, "a : after a field's name");
        return;
    }
    skip_space(cursor);
    bool is_id = slice_equal(key, slice_of("id"));
    if (!is_id && !slice_equal(key, slice_of("name"))) {
        problem_add(cursor->problems, unit_name, 0, "%s has the unknown field %s; allowed: id, name", unit_name, quoted(key, found));
        skip_value(cursor, 3);
        return;
    }
    unsigned bit = is_id ? 1 : 2;
    snprintf(name, sizeof name, "%s.%s", unit_name, is_id ? "id" : "name");
    if (*there & bit) {
        problem_add(cursor->problems, name, 0, "%s is there twice", name);
        skip_value(cursor, 3);
        return;
    }
    *there |= bit;
    if (at_null(cursor))
        return;
    *good |= bit;
    if (cursor->at < cursor->end && *cursor->at == '"')
        *(is_id ? &unit->id : &unit->name) = read_text(cursor);
    else if (cursor->at < cursor->end && strchr("{[-0123456789tf", *cursor->at))
        wrong_type(cursor, name, KIND_TEXT);
    else
        stop(cursor, "a text in \"quotes\"");
}

/* One {"id": …, "name": …}. */
static void read_unit(struct cursor *cursor, const char *list, uint32_t index, struct unit *ret_unit)
{
    struct unit unit = {{0}, {0}};
    unsigned there = 0, good = 0;
    char name[PROBLEM_FIELD_SIZE - 8], field[PROBLEM_FIELD_SIZE], found[QUOTED_SIZE];
    skip_space(cursor);
    snprintf(name, sizeof name, "%s[%u]", list, (unsigned)index);
    if (cursor->at >= cursor->end || *cursor->at != '{') {
        const char *first = cursor->at;
        skip_value(cursor, 2);
        if (!cursor->stopped)
            problem_add(cursor->problems, name, 0, "%s is %s; allowed: {\"id\": …, \"name\": …}", name,
                        quoted((struct slice){first, (size_t)(cursor->at - first)}, found));
        return;
    }
    cursor->at++;
    if (!take(cursor, '}')) {
        do
            read_unit_field(cursor, name, &unit, &there, &good);
        while (!cursor->stopped && take(cursor, ','));
        if (!cursor->stopped && !take(cursor, '}'))
            stop(cursor, ", or }");
    }
    for (unsigned bit = 1; !cursor->stopped && bit <= 2; bit++) {
        if (good & bit)
            continue;
        snprintf(field, sizeof field, "%s.%s", name, bit == 1 ? "id" : "name");
        problem_add(cursor->problems, field, 0, "%s is missing; a unit has an id and a name", field);
    }
    *ret_unit = unit;
}

static void read_units(struct cursor *cursor, enum field field)
{
    int which = field == FIELD_RESULTING_UNITS;
    struct unit *list = which ? cursor->fields->units->resulting : cursor->fields->units->merged;
    uint32_t count = 0;
    size_t before = cursor->problems->count;
    cursor->at++;
    if (!take(cursor, ']')) {
        do {
            struct unit past; /* a list that is too long is only counted */
            read_unit(cursor, field_name(field), count, count < UNIT_LIST_MOST ? &list[count] : &past);
            count++;
        } while (!cursor->stopped && take(cursor, ','));
        if (!cursor->stopped && !take(cursor, ']'))
            stop(cursor, ", or ]");
    }
    cursor->fields->counts[which] = count;
    cursor->fields->kinds[field] = cursor->problems->count > before ? VALUE_BAD : VALUE_UNITS;
}

static void read_value(struct cursor *cursor, enum field field)
{
    skip_space(cursor);
    const char *first = cursor->at;
    char sign = first < cursor->end ? *first : '\0';
    enum field_kind kind = field_kind(field);
    if (sign == '"' && kind == KIND_TEXT) {
        cursor->fields->texts[field] = read_text(cursor);
        cursor->fields->kinds[field] = VALUE_TEXT;
    } else if ((sign == '-' || (sign >= '0' && sign <= '9')) && kind == KIND_INTEGER) {
        if (read_number(cursor)) {
            cursor->fields->texts[field] = (struct slice){first, (size_t)(cursor->at - first)};
            cursor->fields->kinds[field] = VALUE_INTEGER;
        } else if (!cursor->stopped) {
            cursor->at = first;
            cursor->fields->kinds[field] = VALUE_BAD;
            wrong_type(cursor, field_name(field), kind);
        }
    } else if (sign == '[' && kind == KIND_UNITS) {
        read_units(cursor, field);
    } else if (at_null(cursor)) {
        cursor->fields->kinds[field] = VALUE_ABSENT;
    } else if (sign && strchr("\"{[-0123456789tf", sign)) {
        cursor->fields->kinds[field] = VALUE_BAD;
        wrong_type(cursor, field_name(field), kind);
    } else {
        stop(cursor, "a value: \"text\", a number, null or a list");
    }
}

static void read_member(struct cursor *cursor, uint32_t *seen)
{
    skip_space(cursor);
    if (cursor->at >= cursor->end || *cursor->at != '"') {
        stop(cursor, "a field's name in \"quotes\"");
        return;
    }
    struct slice name = read_text(cursor);
    if (cursor->stopped)
        return;
    if (!take(cursor, ':')) {
        stop(cursor, "a : after a field's name");
        return;
    }
    enum field field = field_find(name);
    if (field == FIELDS) {
        char found[QUOTED_SIZE], copy[PROBLEM_FIELD_SIZE];
        snprintf(copy, sizeof copy, "%.*s", SLICE_ARG(name));
        problem_add(cursor->problems, copy, 0, "unknown field %s", quoted(name, found));
        skip_value(cursor, 1);
    } else if (*seen & FIELD_BIT(field)) {
        problem_add(cursor->problems, field_name(field), 0, "%s is there twice", field_name(field));
        skip_value(cursor, 1);
    } else {
        *seen |= FIELD_BIT(field);
        read_value(cursor, field);
    }
}

void json_line_read(struct slice line, struct arena *arena, struct fields *ret_fields, struct problems *problems)
{
    struct cursor cursor = {line.data, line.data, line.data + line.size, arena, ret_fields, problems, false};
    memset(ret_fields->kinds, 0, sizeof ret_fields->kinds);
    ret_fields->counts[0] = ret_fields->counts[1] = 0;
    if (!take(&cursor, '{')) {
        stop(&cursor, "an event, which is a JSON object { … } on one line");
        return;
    }
    if (!take(&cursor, '}')) {
        uint32_t seen = 0;
        do
            read_member(&cursor, &seen);
        while (!cursor.stopped && take(&cursor, ','));
        if (!cursor.stopped && !take(&cursor, '}'))
            stop(&cursor, ", or }");
    }
    skip_space(&cursor);
    if (!cursor.stopped && cursor.at < cursor.end)
        stop(&cursor, "nothing after the event's }");
}
