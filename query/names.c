/* Reads the names of the agencies. */
#include "query/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "schemas/rules.h"

enum { COLUMNS = 3, NAME_MOST = 256 };

struct names {
    char *text; /* the file, whose cells are unquoted in place */
    struct agency_name *all;
    size_t count;
};

struct names *names_free(struct names *names)
{
    if (names) {
        free(names->all);
        free(names->text);
    }
    free(names);
    return NULL;
}

/* One cell from *at on; false for an open quote or text after a closing one. */
static bool take_cell(char **at, struct slice *cell)
{
    char *from = *at, *to = *at;
    bool quoted = *from == '"';
    *cell = (struct slice){to, 0};
    if (!quoted) {
        size_t size = strcspn(from, ",\r\n");
        *at = from + size;
        *cell = (struct slice){from, size};
        return !memchr(from, '"', size);
    }
    for (from++; *from; from++) {
        if (*from == '"' && from[1] == '"')
            from++;
        else if (*from == '"')
            break;
        *to++ = *from;
    }
    if (*from != '"')
        return false;
    cell->size = (size_t)(to - cell->data);
    *at = from + 1;
    return !**at || strchr(",\r\n", **at);
}

/* Three cells and the end of the line. */
static bool take_row(char **at, struct slice cells[COLUMNS])
{
    for (int i = 0; i < COLUMNS; i++) {
        if (!take_cell(at, &cells[i]))
            return false;
        if (i < COLUMNS - 1 && *(*at)++ != ',')
            return false;
    }
    if (**at == '\r' && (*at)[1] == '\n')
        ++*at;
    if (**at == '\n')
        ++*at;
    else if (**at)
        return false;
    return true;
}

static bool name_is_valid(struct slice name)
{
    if (name.size == 0 || name.size > NAME_MOST)
        return false;
    for (size_t i = 0, length; i < name.size; i += length) {
        length = utf8_character(name.data + i, name.size - i);
        if (length == 0 || (unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7F)
            return false;
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct agency_name *left = a, *right = b;
    size_t least = left->id.size < right->id.size ? left->id.size : right->id.size;
    int order = memcmp(left->id.data, right->id.data, least);
    return order ? order : (left->id.size > right->id.size) - (left->id.size < right->id.size);
}

static int refuse(const char *place, size_t line, const char *why, struct error *error)
{
    return error_set(error, ERROR_CONFIG, "%s: line %zu: %s", place, line, why);
}

static int parse(const char *place, struct names *names, struct error *error)
{
    char *at = names->text;
    struct slice cells[COLUMNS];
    size_t line = 1;
    if (strncmp(at, "\xEF\xBB\xBF", 3) == 0)
        at += 3;
    if (!take_row(&at, cells) || !slice_equal(cells[0], slice_of("id")) || !slice_equal(cells[1], slice_of("vi")) ||
        !slice_equal(cells[2], slice_of("en")))
        return refuse(place, line, "the header is not id,vi,en", error);
    size_t room = 0;
    for (const char *each = at; *each; each++)
        room += *each == '\n';
    names->all = calloc(room + 1, sizeof *names->all);
    if (!names->all)
        return error_set(error, ERROR_MEMORY, "out of memory");
    while (*at) {
        line++;
        if (*at == '\n' || (*at == '\r' && at[1] == '\n')) {
            at += 1 + (*at == '\r');
            continue;
        }
        if (!take_row(&at, cells))
            return refuse(place, line, "not three cells, id, vi and en, by RFC 4180", error);
        if (!id_is_valid(cells[0]))
            return refuse(place, line, "the id is not one; allowed: a-z, 0-9 and -, at most 64", error);
        if (!name_is_valid(cells[1]) || !name_is_valid(cells[2]))
            return refuse(place, line, "a name is not 1 to 256 bytes of UTF-8 without control characters", error);
        if (names->count == NAMES_MOST)
            return refuse(place, line, "more agencies than 10,000", error);
        names->all[names->count++] = (struct agency_name){cells[0], {cells[1], cells[2]}};
    }
    qsort(names->all, names->count, sizeof *names->all, compare);
    for (size_t i = 1; i < names->count; i++)
        if (slice_equal(names->all[i - 1].id, names->all[i].id))
            return error_set(error, ERROR_CONFIG, "%s: the id %.*s is given twice", place, SLICE_ARG(names->all[i].id));
    return 0;
}

int names_parse(const char *place, struct slice data, struct names **ret_names, struct error *error)
{
    if (data.size && memchr(data.data, '\0', data.size))
        return error_set(error, ERROR_CONFIG, "%s: it is no UTF-8 text", place);
    struct names *names = calloc(1, sizeof *names);
    if (names)
        names->text = malloc(data.size + 1);
    int result = names && names->text ? 0 : error_set(error, ERROR_MEMORY, "out of memory");
    if (result >= 0) {
        if (data.size)
            memcpy(names->text, data.data, data.size);
        names->text[data.size] = '\0';
        result = parse(place, names, error);
    }
    if (result < 0) {
        names_free(names);
        return result;
    }
    *ret_names = names;
    return 0;
}

int names_read(const char *path, struct names **ret_names, struct error *error)
{
    struct buffer data = BUFFER_BOUNDED(NAMES_FILE_MOST);
    char part[4096];
    size_t size;
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_set(error, ERROR_CONFIG, "open the agencies' names %s: %s", path, strerror(errno));
    while ((size = fread(part, 1, sizeof part, file)) > 0)
        buffer_append(&data, part, size);
    int result = ferror(file)             ? error_set(error, ERROR_IO, "read %s: %s", path, strerror(errno))
                 : buffer_failed(&data) ? error_set(error, ERROR_CONFIG, "%s is over %d bytes", path, NAMES_FILE_MOST)
                                          : names_parse(path, (struct slice){data.data, data.size}, ret_names, error);
    fclose(file);
    buffer_free(&data);
    return result;
}

const struct agency_name *names_find(const struct names *names, struct slice id)
{
    struct agency_name key = {.id = id};
    return names && names->count ? bsearch(&key, names->all, names->count, sizeof key, compare) : NULL;
}

const struct agency_name *names_all(const struct names *names, size_t *ret_count)
{
    *ret_count = names ? names->count : 0;
    return names ? names->all : NULL;
}
