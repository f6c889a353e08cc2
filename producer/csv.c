/* CSV: the header, the cells, and where records end. */
#include "producer/csv.h"

#include <stdio.h>
#include <strings.h>

enum { COLUMNS_MOST = 256 };

/* One cell from *at on; *at goes behind the delimiter. `ret_last` when it was the record's last. NULL, or a sentence about
 * its form. */
static const char *read_cell(struct slice record, char delimiter, size_t *at, struct arena *arena, struct slice *ret_cell,
                             bool *ret_last)
{
    const char *data = record.data;
    size_t place = *at;
    if (place < record.size && data[place] == '"') {
        size_t first = ++place, size = 0;
        char *copy = NULL;
        for (;; place++) {
            if (place >= record.size)
                return "the quoted cell has no closing \"";
            if (data[place] == '"') {
                if (place + 1 >= record.size || data[place + 1] != '"')
                    break;
                if (!copy) { /* "" stands for ": from here on a copy */
                    copy = arena_take(arena, record.size - first);
                    if (!copy)
                        return "the record's texts are too long";
                    memcpy(copy, data + first, size);
                }
                place++;
            }
            if (copy)
                copy[size] = data[place];
            size++;
        }
        if (copy)
            arena->used -= record.size - first - size;
        *ret_cell = (struct slice){copy ? copy : data + first, size};
        place++;
        if (place < record.size && data[place] != delimiter)
            return "text follows a closing \"; a \" inside a quoted cell is written \"\"";
    } else {
        size_t first = place;
        for (; place < record.size && data[place] != delimiter; place++)
            if (data[place] == '"')
                return "a \" stands inside an unquoted cell; quote the cell and write \"\"";
        *ret_cell = (struct slice){data + first, place - first};
    }
    *ret_last = place >= record.size;
    *at = place + 1;
    return NULL;
}

static char delimiter_of(struct slice line)
{
    size_t commas = 0, semicolons = 0, tabs = 0;
    for (size_t i = 0; i < line.size; i++) {
        commas += line.data[i] == ',';
        semicolons += line.data[i] == ';';
        tabs += line.data[i] == '\t';
    }
    return semicolons > commas && semicolons >= tabs ? ';' : tabs > commas ? '\t' : ',';
}

/* Our name that was probably meant: the same but for case and spaces. */
static enum field meant(struct slice name)
{
    while (name.size && (name.data[0] == ' ' || name.data[0] == '\t'))
        name.data++, name.size--;
    while (name.size && (name.data[name.size - 1] == ' ' || name.data[name.size - 1] == '\t'))
        name.size--;
    for (int field = 0; field < FIELDS; field++)
        if (strlen(field_name((enum field)field)) == name.size &&
            strncasecmp(field_name((enum field)field), name.data, name.size) == 0)
            return (enum field)field;
    return FIELDS;
}

static void read_column(struct slice name, size_t number, struct csv_header *header, uint32_t *seen, struct problems *problems)
{
    char found[QUOTED_SIZE];
    enum field field = field_find(name);
    if (field == FIELDS && meant(name) != FIELDS)
        problem_add(problems, field_name(meant(name)), 0, "column %zu is named %s; allowed: %s, exactly", number,
                    quoted(name, found), field_name(meant(name)));
    else if (field == FIELDS)
        problem_add(problems, "", 0, "column %zu has the unknown name %s", number, quoted(name, found));
    else if (field_kind(field) == KIND_UNITS)
        problem_add(problems, field_name(field), 0, "column %zu, %s, is a list; lists can't be given in CSV, only in NDJSON", number,
                    field_name(field));
    else if (*seen & FIELD_BIT(field))
        problem_add(problems, field_name(field), 0, "column %zu, %s, is there twice", number, field_name(field));
    else
        header->columns[header->count++] = field;
    if (field < FIELDS)
        *seen |= FIELD_BIT(field);
}

bool csv_header_read(struct slice line, bool typed, struct csv_header *ret_header, struct problems *ret_problems)
{
    struct arena arena;
    struct csv_header header = {.delimiter = delimiter_of(line)};
    uint32_t seen = 0;
    size_t at = 0, number = 0, known = 0;
    bool last = false;
    ret_problems->count = 0;
    arena_reset(&arena);
    if (line.size >= 4 && strncasecmp(line.data, "sep=", 4) == 0) {
        problem_add(ret_problems, "", 0, "it is a sep= line for Excel, not the header; delete this line (the delimiter is found "
                                         "without it)");
        return false;
    }
    while (!last && number < COLUMNS_MOST) {
        struct slice name;
        const char *broken = read_cell(line, header.delimiter, &at, &arena, &name, &last);
        number++;
        if (broken) {
            problem_add(ret_problems, "", 0, "column %zu of the header: %s", number, broken);
            return false;
        }
        read_column(name, number, &header, &seen, ret_problems);
        known += field_find(name) != FIELDS || meant(name) != FIELDS;
    }
    if (known == 0) {
        ret_problems->count = 0;
        problem_add(ret_problems, "", 0, "a CSV file begins with a header of field names, such as "
                                         "type,id,source,agency,sector,reason,delta,effective_date; none of them is here");
        return false;
    }
    if (!(seen & FIELD_BIT(FIELD_TYPE)) && !typed)
        problem_add(ret_problems, "type", 0, "the header has no column type; add one, or give --type");
    if (ret_problems->count)
        return false;
    *ret_header = header;
    return true;
}

static void take_cell(enum field field, struct slice cell, struct fields *fields, struct problems *problems)
{
    char found[QUOTED_SIZE];
    if (cell.size == 0)
        return; /* absent */
    fields->texts[field] = cell;
    fields->kinds[field] = VALUE_TEXT;
    if (field_kind(field) != KIND_INTEGER)
        return;
    fields->kinds[field] = text_is_integer(cell) ? VALUE_INTEGER : VALUE_BAD;
    if (fields->kinds[field] == VALUE_BAD)
        problem_add(problems, field_name(field), 0, "%s is %s; allowed: a whole number, without spaces, +, point, comma or exponent",
                    field_name(field), quoted(cell, found));
}

bool csv_record_read(const struct csv_header *header, struct slice record, struct arena *arena, struct fields *ret_fields,
                     struct problems *problems)
{
    memset(ret_fields->kinds, 0, sizeof ret_fields->kinds);
    ret_fields->counts[0] = ret_fields->counts[1] = 0;
    size_t at = 0, count = 0;
    bool last = false, empty = true;
    while (!last) {
        struct slice cell;
        const char *broken = read_cell(record, header->delimiter, &at, arena, &cell, &last);
        if (broken) {
            problem_add(problems, count < header->count ? field_name(header->columns[count]) : "", 0, "cell %zu%s%s%s: %s",
                        count + 1, count < header->count ? " (" : "",
                        count < header->count ? field_name(header->columns[count]) : "", count < header->count ? ")" : "", broken);
            return false;
        }
        empty = empty && cell.size == 0;
        if (count < header->count)
            take_cell(header->columns[count], cell, ret_fields, problems);
        count++;
    }
    if (count != header->count) {
        problems->count = 0; /* a shifted row makes nonsense of the cells */
        problem_add(problems, "", 0, "it has %zu cells; allowed: %zu, as the header has", count, header->count);
        return false;
    }
    if (empty)
        problem_add(problems, "", 0, "every cell is empty; delete the line");
    return !empty;
}

size_t csv_scan_to_end(struct csv_scan *scan, char delimiter, const char *data, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        char c = data[at];
        if (scan->state == CSV_QUOTED) {
            const char *quote = memchr(data + at, '"', size - at);
            if (!quote)
                return size;
            at = (size_t)(quote - data);
            scan->state = CSV_QUOTE_SEEN;
        } else if (scan->state == CSV_QUOTE_SEEN && c == '"') {
            scan->state = CSV_QUOTED;
        } else if (c == '\n') {
            return at;
        } else if (c == delimiter) {
            scan->state = CSV_CELL_START;
        } else {
            scan->state = scan->state == CSV_CELL_START && c == '"' ? CSV_QUOTED : CSV_UNQUOTED;
        }
    }
    return size;
}
