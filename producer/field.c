/* The table of fields. */
#include "producer/field.h"

static const struct {
    const char *name;
    size_t size;
    unsigned types;
    enum field_kind kind;
} table[] = {
#define X(symbol, name_, types_, kind_) [symbol] = {name_, sizeof name_ - 1, types_, kind_},
    FIELD_TABLE(X)
#undef X
};

enum field field_find(struct slice name)
{
    for (int field = 0; field < FIELDS; field++)
        if (table[field].size == name.size && table[field].name[0] == name.data[0] && memcmp(table[field].name, name.data, name.size) == 0)
            return (enum field)field;
    return FIELDS;
}

const char *field_name(enum field field)
{
    return field < FIELDS ? table[field].name : "?";
}

enum field_kind field_kind(enum field field)
{
    return table[field].kind;
}

unsigned field_types(enum field field)
{
    return table[field].types;
}

bool text_is_integer(struct slice text)
{
    size_t at = text.size > 0 && text.data[0] == '-';
    if (at == text.size || (text.data[at] == '0' && text.size > at + 1))
        return false;
    for (; at < text.size; at++)
        if (text.data[at] < '0' || text.data[at] > '9')
            return false;
    return true;
}
