/* Request targets: path, parameters, and patterns of routes. Pure. */
#include <stdio.h>
#include <strings.h>

#include "base/http_internal.h"
#include "base/json_text.h"

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes text[0..size) to `to` (may be the same place): %XX, and + where it stands for a space. False for a bad escape, a
 * control character, or what is not UTF-8. */
static bool decode(const char *text, size_t size, bool plus, char *to, size_t *ret_size)
{
    size_t written = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < size ? hex(text[i + 1]) : -1, low = i + 2 < size ? hex(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if ((unsigned char)c < 0x20 || c == 0x7F)
            return false;
        to[written++] = c;
    }
    for (size_t i = 0, length; i < written; i += length)
        if ((length = utf8_character(to + i, written - i)) == 0)
            return false;
    *ret_size = written;
    return true;
}

static bool take_parameter(char *text, size_t size, struct http_request *request, char *problem, size_t problem_size)
{
    if (size == 0)
        return true;
    if (request->parameter_count == HTTP_PARAMETERS_MOST) {
        snprintf(problem, problem_size, "the query has more than %d parameters", HTTP_PARAMETERS_MOST);
        return false;
    }
    char *equals = memchr(text, '=', size);
    size_t name_size = equals ? (size_t)(equals - text) : size, value_size = equals ? size - name_size - 1 : 0;
    char *value = equals ? equals + 1 : text + size;
    if (!decode(text, name_size, true, text, &name_size) || !decode(value, value_size, true, value, &value_size)) {
        snprintf(problem, problem_size, "parameter %zu of the query is not percent-encoded UTF-8 without control characters",
                 request->parameter_count + 1);
        return false;
    }
    struct http_parameter *parameter = &request->parameters[request->parameter_count++];
    *parameter = (struct http_parameter){{text, name_size}, {value, value_size}};
    for (size_t i = 0; i + 1 < request->parameter_count; i++)
        if (slice_equal(request->parameters[i].name, parameter->name)) {
            snprintf(problem, problem_size, "the parameter \"%.*s\" is given twice", (int)(name_size > 64 ? 64 : name_size), text);
            return false;
        }
    return true;
}

size_t http_target_parameters(const char *target, size_t most)
{
    size_t count = 0;
    for (const char *at = strchr(target, '?'); at && count < most; at = strchr(at + 1, '&'))
        count++;
    return count;
}

bool http_target_parse(char *target, struct http_request *request, char *problem, size_t size)
{
    if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
        /* as a client of a proxy writes it */
        target = strstr(target, "://") + 3;
        target += strcspn(target, "/?");
    }
    request->path = target;
    if (*target != '/') {
        snprintf(problem, size, "the path does not begin with /");
        return false;
    }
    char *query = strchr(target, '?');
    if (!query)
        return true;
    *query++ = '\0';
    for (size_t length; *query; query += length + (query[length] == '&')) {
        length = strcspn(query, "&");
        if (!take_parameter(query, length, request, problem, size))
            return false;
    }
    return true;
}

bool http_path_match(const char *pattern, const char *path, char *room, struct http_request *request)
{
    size_t parts = 0;
    while (*pattern && *path) {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        size_t size = strcspn(path, "/"), decoded = 0;
        if (size == 0 || parts == HTTP_PARTS_MOST || !decode(path, size, false, room, &decoded))
            return false;
        request->parts[parts++] = (struct slice){room, decoded};
        room += decoded;
        path += size;
        pattern = strchr(pattern, '}') + 1;
    }
    request->part_count = parts;
    return *pattern == '\0' && *path == '\0';
}

bool http_media_type_is(const char *value, const char *type)
{
    size_t size = strcspn(value, "; \t");
    return size == strlen(type) && strncasecmp(value, type, size) == 0;
}
