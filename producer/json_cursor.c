/* The forms of JSON: white space, texts with their escapes, numbers, and values that nobody wants. */
#include "producer/json_cursor.h"

#include <endian.h>
#include <stdio.h>

void json_skip_space(struct json_cursor *cursor)
{
    while (cursor->at < cursor->end &&
           (*cursor->at == ' ' || *cursor->at == '\t' || *cursor->at == '\r' || *cursor->at == '\n'))
        cursor->at++;
}

static uint32_t column_of(const struct json_cursor *cursor, const char *place)
{
    uint32_t column = 1;
    for (const char *at = cursor->start; at < place; at++)
        column += ((unsigned char)*at & 0xC0) != 0x80;
    return column;
}

/* What stands at the cursor, for a sentence. */
static const char *standing(const struct json_cursor *cursor, char out[QUOTED_SIZE])
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

void json_stop(struct json_cursor *cursor, const char *allowed)
{
    char found[QUOTED_SIZE];
    if (!cursor->stopped)
        problem_add(cursor->problems, "", column_of(cursor, cursor->at), "found %s; allowed: %s", standing(cursor, found), allowed);
    cursor->stopped = true;
}

void json_stop_said(struct json_cursor *cursor, const char *text)
{
    if (!cursor->stopped)
        problem_add(cursor->problems, "", column_of(cursor, cursor->at), "%s", text);
    cursor->stopped = true;
}

bool json_take(struct json_cursor *cursor, char sign)
{
    json_skip_space(cursor);
    if (cursor->at >= cursor->end || *cursor->at != sign)
        return false;
    cursor->at++;
    return true;
}

static int hex4(struct json_cursor *cursor)
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
static size_t read_unicode(struct json_cursor *cursor, char *out)
{
    const char *escape = cursor->at - 2;
    int code = hex4(cursor);
    if (code < 0) {
        cursor->at = escape;
        json_stop_said(cursor, "\\u is not followed by four hexadecimal digits");
        return 0;
    }
    if (code >= 0xD800 && code <= 0xDBFF && cursor->end - cursor->at >= 2 && cursor->at[0] == '\\' && cursor->at[1] == 'u') {
        cursor->at += 2;
        int low = hex4(cursor);
        code = low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : 0xD800;
    }
    if (code >= 0xD800 && code <= 0xDFFF) {
        cursor->at = escape;
        json_stop_said(cursor, "half of a surrogate pair stands alone; allowed: \\ud800 to \\udbff followed by \\udc00 to \\udfff");
        return 0;
    }
    return put_utf8(out, code);
}

/* The rest of a text from its first escape on, into the arena. */
static struct slice read_escaped(struct json_cursor *cursor, const char *first)
{
    static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char scratch[4], *out = cursor->arena ? arena_take(cursor->arena, (size_t)(cursor->end - first)) : NULL;
    if (cursor->arena && !out) {
        json_stop_said(cursor, "the line's texts are too long");
        return (struct slice){0};
    }
    size_t size = (size_t)(cursor->at - first);
    if (out)
        memcpy(out, first, size);
    while (cursor->at < cursor->end && *cursor->at != '"') {
        if ((unsigned char)*cursor->at < 0x20)
            break;
        if (*cursor->at != '\\') {
            if (out)
                out[size++] = *cursor->at;
            cursor->at++;
            continue;
        }
        const char *known = cursor->end - cursor->at >= 2 && cursor->at[1] ? strchr(plain, cursor->at[1]) : NULL;
        if (known) {
            if (out)
                out[size++] = meant[known - plain];
            cursor->at += 2;
        } else if (cursor->end - cursor->at >= 2 && cursor->at[1] == 'u') {
            cursor->at += 2;
            size_t more = read_unicode(cursor, out ? out + size : scratch);
            if (more == 0)
                return (struct slice){0};
            size += more;
        } else {
            json_stop_said(cursor, "a \\ in a text is followed by something else than \" \\ / b f n r t u");
            return (struct slice){0};
        }
    }
    if (!out)
        return (struct slice){first, (size_t)(cursor->at - first)};
    cursor->arena->used -= (size_t)(cursor->end - first) - size; /* the room that it did not need */
    return (struct slice){out, size};
}

/* The place of the first ", \ or byte below 0x20; eight bytes at a time. Of each pattern's marks the lowest is exact, and so is the
 * lowest of all. */
static const char *find_special(const char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    for (uint64_t word; end - at >= (ptrdiff_t)sizeof word; at += sizeof word) {
        memcpy(&word, at, sizeof word);
        word = le64toh(word);
        uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
        uint64_t marks = (((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & highs;
        if (marks)
            return at + __builtin_ctzll(marks) / 8;
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

struct slice json_read_text(struct json_cursor *cursor)
{
    const char *open = cursor->at++, *first = cursor->at;
    cursor->at = find_special(first, cursor->end);
    struct slice text = {first, (size_t)(cursor->at - first)};
    if (cursor->at < cursor->end && *cursor->at == '\\')
        text = read_escaped(cursor, first);
    if (cursor->stopped)
        return (struct slice){0};
    if (cursor->at >= cursor->end) {
        cursor->at = open;
        json_stop_said(cursor, "the text that begins here has no closing \"");
        return (struct slice){0};
    }
    if (*cursor->at != '"') {
        json_stop(cursor, "no control character within a text");
        return (struct slice){0};
    }
    cursor->at++;
    return text;
}

static bool read_digits(struct json_cursor *cursor)
{
    const char *first = cursor->at;
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9')
        cursor->at++;
    if (cursor->at > first)
        return true;
    json_stop(cursor, "a digit");
    return false;
}

/* Returns whether it is an integer; the raw text is from where the cursor was. */
bool json_read_number(struct json_cursor *cursor)
{
    bool integer = true;
    if (*cursor->at == '-')
        cursor->at++;
    const char *first = cursor->at;
    if (!read_digits(cursor))
        return false;
    if (*first == '0' && cursor->at > first + 1) {
        cursor->at = first;
        json_stop_said(cursor, "a number begins with 0; allowed: no leading zeros");
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

bool json_read_word(struct json_cursor *cursor, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, word, size) != 0)
        return false;
    cursor->at += size;
    return true;
}

static void skip_items(struct json_cursor *cursor, char close, int depth)
{
    cursor->at++;
    if (json_take(cursor, close))
        return;
    do {
        json_skip_space(cursor);
        if (close == '}') {
            if (cursor->at >= cursor->end || *cursor->at != '"') {
                json_stop(cursor, "a field's name in \"quotes\"");
                return;
            }
            json_read_text(cursor);
            if (!cursor->stopped && !json_take(cursor, ':')) {
                json_stop(cursor, "a : after a field's name");
                return;
            }
        }
        if (!cursor->stopped)
            json_skip_value(cursor, depth + 1);
    } while (!cursor->stopped && json_take(cursor, ','));
    if (!cursor->stopped && !json_take(cursor, close))
        json_stop(cursor, close == '}' ? ", or }" : ", or ]");
}

/* Any value, only checked. */
void json_skip_value(struct json_cursor *cursor, int depth)
{
    json_skip_space(cursor);
    if (depth > JSON_DEPTH_MOST) {
        json_stop_said(cursor, "values are nested more than 32 deep");
        return;
    }
    char first = cursor->at < cursor->end ? *cursor->at : '\0';
    if (first == '"')
        json_read_text(cursor);
    else if (first == '-' || (first >= '0' && first <= '9'))
        json_read_number(cursor);
    else if (first == '{' || first == '[')
        skip_items(cursor, first == '{' ? '}' : ']', depth);
    else if (!json_read_word(cursor, "true") && !json_read_word(cursor, "false") && !json_read_word(cursor, "null"))
        json_stop(cursor, "a value: \"text\", a number, true, false, null, { or [");
}
