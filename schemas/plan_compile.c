/* Makes a decoding plan: writer and reader are resolved by name, once per writer schema. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/codec_internal.h"

/* What our side wants of a field. */
enum want { WANT_NOTHING, WANT_LONG, WANT_INT, WANT_TEXT, WANT_FIXED, WANT_ENUM, WANT_UNITS };
struct target {
    const char *field;
    enum want want;
    bool nullable;
    bool optional; /* our schema has a default: null or [] */
    uint16_t at;
    uint16_t set_at; /* nullable fixed: the bool that says it is there */
    const char *type_name; /* of a fixed or enum */
    const char *const *symbols;
    int symbol_count;
    uint8_t list;
};

#define X(symbol, name) name,
static const char *const sectors[] = {SECTOR_TABLE(X)}, *const reasons[] = {HEADCOUNT_REASON_TABLE(X)},
                  *const categories[] = {UNIT_CATEGORY_TABLE(X)}, *const kinds[] = {MERGER_KIND_TABLE(X)};
#undef X
#define EV(field) offsetof(struct event, field)
#define COUNT(array) (int)(sizeof(array) / sizeof *(array))
#define COMMON                                                                                      \
    {"event_id", WANT_FIXED, .at = EV(event_id), .type_name = "EventId"},                           \
        {"source", WANT_TEXT, .at = EV(source)}, {"occurred_at", WANT_LONG, .at = EV(occurred_at_ms)}, \
        {"effective_date", WANT_INT, .at = EV(effective_date)}, {"agency", WANT_TEXT, .at = EV(agency)}
#define LAST                                                                              \
    {"decision", WANT_TEXT, .nullable = true, .optional = true, .at = EV(decision)},      \
        {"reverses", WANT_FIXED, .nullable = true, .optional = true, .at = EV(reverses), .set_at = EV(has_reverses), .type_name = "EventId"}, \
        {0}
static const struct target headcount_targets[] = {
    COMMON,
    {"sector", WANT_ENUM, .at = EV(headcount.sector), .type_name = "Sector", .symbols = sectors, .symbol_count = COUNT(sectors)},
    {"reason", WANT_ENUM, .at = EV(headcount.reason), .type_name = "HeadcountReason", .symbols = reasons, .symbol_count = COUNT(reasons)},
    {"delta", WANT_INT, .at = EV(headcount.delta)},
    LAST,
};
static const struct target merger_targets[] = {
    COMMON,
    {"category", WANT_ENUM, .at = EV(merger.category), .type_name = "UnitCategory", .symbols = categories, .symbol_count = COUNT(categories)},
    {"kind", WANT_ENUM, .at = EV(merger.kind), .type_name = "MergerKind", .symbols = kinds, .symbol_count = COUNT(kinds)},
    {"units_before", WANT_INT, .at = EV(merger.units_before)},
    {"units_after", WANT_INT, .at = EV(merger.units_after)},
    {"merged_units", WANT_UNITS, .optional = true, .list = LIST_MERGED},
    {"resulting_units", WANT_UNITS, .optional = true, .list = LIST_RESULTING},
    {"pilot_model", WANT_TEXT, .nullable = true, .optional = true, .at = EV(merger.pilot_model)},
    {"district", WANT_TEXT, .nullable = true, .optional = true, .at = EV(merger.district)},
    LAST,
};
static const struct target visit_targets[] = {
    {"occurred_at", WANT_LONG, .at = EV(occurred_at_ms)},
    {"visitor", WANT_FIXED, .at = EV(visit.visitor), .type_name = "Visitor"},
    {0},
};
static const struct target unit_targets[] = {
    {"id", WANT_TEXT, .at = offsetof(struct unit, id)},
    {"name", WANT_TEXT, .at = offsetof(struct unit, name)},
    {0},
};
static const struct {
    const char *record;
    const struct target *targets;
} readers[] = {{"HeadcountChange", headcount_targets}, {"UnitMerger", merger_targets}, {"PageVisit", visit_targets}};

_Static_assert(sizeof(enum sector) == 4 && sizeof(enum merger_kind) == 4, "OP_ENUM writes four bytes");
_Static_assert(sizeof(struct event) < UINT16_MAX, "places in struct event fit a step");

struct compiler {
    struct decode_plan *plan;
    const json_t *named[256]; /* named types of the writer, by definition */
    char names[256][128];
    size_t named_count;
    char why[256];
};

static bool fail(struct compiler *compiler, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct compiler *compiler, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (!*compiler->why)
        vsnprintf(compiler->why, sizeof compiler->why, format, list);
    va_end(list);
    return false;
}

static const char *keep_name(struct compiler *compiler, const char *name)
{
    struct decode_plan *plan = compiler->plan;
    char **names = realloc(plan->names, (plan->name_count + 1) * sizeof *names);
    char *copy = names ? strdup(name) : NULL;
    if (names)
        plan->names = names;
    if (copy)
        plan->names[plan->name_count++] = copy;
    return copy ? copy : "";
}

static size_t emit(struct compiler *compiler, struct step step)
{
    struct decode_plan *plan = compiler->plan;
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity ? plan->capacity * 2 : 32;
        struct step *steps = capacity <= STEPS_MOST * 2 ? realloc(plan->steps, capacity * sizeof *steps) : NULL;
        if (!steps) {
            fail(compiler, "it needs more than %d steps", STEPS_MOST);
            return 0;
        }
        plan->steps = steps;
        plan->capacity = capacity;
    }
    plan->steps[plan->count] = step;
    return plan->count++;
}

static uint32_t add_numbers(struct compiler *compiler, size_t count)
{
    struct decode_plan *plan = compiler->plan;
    int32_t *numbers = realloc(plan->numbers, (plan->number_count + count + 1) * sizeof *numbers);
    if (!numbers) {
        fail(compiler, "out of memory");
        return 0;
    }
    plan->numbers = numbers;
    size_t first = plan->number_count;
    plan->number_count += count;
    return (uint32_t)first;
}

static const char *last_part(const char *name)
{
    const char *dot = name ? strrchr(name, '.') : NULL;
    return dot ? dot + 1 : name;
}

static const char *type_word(const json_t *schema)
{
    if (json_is_string(schema))
        return json_string_value(schema);
    if (json_is_array(schema))
        return "union";
    const json_t *type = json_object_get(schema, "type");
    return json_is_string(type) ? json_string_value(type) : NULL;
}

static bool is_complex(const char *word)
{
    static const char *const words[] = {"record", "error", "enum", "fixed", "array", "map", "union"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], word) == 0)
            return true;
    return false;
}

/* {"type": {…}} and names lead to the definition. */
static const json_t *definition(struct compiler *compiler, const json_t *schema)
{
    for (int depth = 0; depth < SCHEMA_DEPTH_MOST; depth++) {
        if (json_is_object(schema) && !json_is_string(json_object_get(schema, "type")) && json_object_get(schema, "type")) {
            schema = json_object_get(schema, "type");
            continue;
        }
        const char *word = type_word(schema);
        if (!word)
            return NULL;
        if (is_complex(word) && !json_is_string(schema))
            return schema;
        const json_t *known = NULL;
        for (size_t i = 0; i < compiler->named_count; i++)
            if (strcmp(compiler->names[i], last_part(word)) == 0)
                known = compiler->named[i];
        if (!known)
            return schema; /* a primitive */
        schema = known;
    }
    return NULL;
}

/* Named types may be used after they are defined: gather the definitions first, in the writer's order. */
static bool gather(struct compiler *compiler, const json_t *schema, int depth)
{
    size_t i;
    json_t *item;
    if (depth > SCHEMA_DEPTH_MOST)
        return fail(compiler, "it is nested deeper than %d", SCHEMA_DEPTH_MOST);
    if (json_is_array(schema)) {
        json_array_foreach(schema, i, item)
            if (!gather(compiler, item, depth + 1))
                return false;
        return true;
    }
    if (!json_is_object(schema))
        return true;
    const char *word = type_word(schema), *name = json_string_value(json_object_get(schema, "name"));
    if (!word)
        return gather(compiler, json_object_get(schema, "type"), depth + 1);
    bool record = strcmp(word, "record") == 0 || strcmp(word, "error") == 0;
    if (record || strcmp(word, "enum") == 0 || strcmp(word, "fixed") == 0) {
        if (!name || compiler->named_count == 256)
            return fail(compiler, "a %s without a name, or more than 256 named types", word);
        snprintf(compiler->names[compiler->named_count], sizeof compiler->names[0], "%s", last_part(name));
        compiler->named[compiler->named_count++] = schema;
    }
    if (record) {
        json_array_foreach(json_object_get(schema, "fields"), i, item)
            if (!gather(compiler, json_object_get(item, "type"), depth + 1))
                return false;
        return true;
    }
    return gather(compiler, json_object_get(schema, *word == 'a' ? "items" : "values"), depth + 1);
}

static bool compile(struct compiler *compiler, const json_t *writer, const struct target *target, const char *field, int depth);

static bool compile_record(struct compiler *compiler, const json_t *writer, const struct target *targets, int depth)
{
    const json_t *fields = json_object_get(writer, "fields");
    bool found[32] = {false};
    size_t i;
    json_t *item;
    if (!json_is_array(fields))
        return fail(compiler, "a record without fields");
    json_array_foreach(fields, i, item) {
        const char *name = json_string_value(json_object_get(item, "name"));
        const struct target *target = NULL;
        if (!name)
            return fail(compiler, "a field without a name");
        for (size_t t = 0; targets && targets[t].field; t++) {
            if (strcmp(targets[t].field, name) == 0) {
                target = &targets[t];
                found[t] = true;
            }
        }
        if (!compile(compiler, json_object_get(item, "type"), target, keep_name(compiler, name), depth + 1))
            return false;
    }
    for (size_t t = 0; targets && targets[t].field; t++)
        if (!found[t] && !targets[t].optional)
            return fail(compiler, "it has no field %s", targets[t].field);
    return true;
}

static bool compile_union(struct compiler *compiler, const json_t *writer, const struct target *target, const char *field, int depth)
{
    size_t count = json_array_size(writer), matched = 0;
    if (count == 0 || count > 64)
        return fail(compiler, "field %s: a union of %zu branches; allowed: 1 to 64", field, count);
    uint32_t first = add_numbers(compiler, count);
    size_t jumps[64];
    emit(compiler, (struct step){.op = OP_UNION, .limit = (uint32_t)count, .target = first, .field = field});
    for (size_t i = 0; i < count; i++) {
        char why[sizeof compiler->why];
        memcpy(why, compiler->why, sizeof why);
        size_t start = compiler->plan->count;
        compiler->plan->numbers[first + i] = (int32_t)start;
        if (compile(compiler, json_array_get(writer, i), target, field, depth + 1)) {
            matched++;
        } else {
            memcpy(compiler->why, why, sizeof why);
            compiler->plan->count = start;
            emit(compiler, (struct step){.op = OP_FAIL, .field = field});
        }
        jumps[i] = emit(compiler, (struct step){.op = OP_JUMP});
    }
    for (size_t i = 0; i < count; i++)
        compiler->plan->steps[jumps[i]].target = (uint32_t)compiler->plan->count;
    return matched > 0 || fail(compiler, "field %s: no branch of the union fits", field);
}

static bool compile_list(struct compiler *compiler, const json_t *writer, const struct target *target, const char *field, int depth)
{
    bool map = strcmp(type_word(writer), "map") == 0;
    const json_t *items = json_object_get(writer, map ? "values" : "items");
    const struct target *inside = NULL;
    if (target) {
        const json_t *unit = definition(compiler, items);
        if (map || target->want != WANT_UNITS || !unit || !type_word(unit) || strcmp(type_word(unit), "record") != 0 ||
            strcmp(last_part(json_string_value(json_object_get(unit, "name"))), "Unit") != 0)
            return fail(compiler, "field %s: an array of another type", field);
        inside = unit_targets;
        items = unit;
    }
    size_t begin = emit(compiler, (struct step){.op = OP_LIST, .at = target ? target->list : 0, .field = field});
    size_t body = compiler->plan->count;
    if (map)
        emit(compiler, (struct step){.op = OP_SKIP_BYTES, .field = field});
    if (inside ? !compile_record(compiler, items, inside, depth + 1) : !compile(compiler, items, NULL, field, depth + 1))
        return false;
    emit(compiler, (struct step){.op = OP_NEXT, .target = (uint32_t)body, .field = field});
    compiler->plan->steps[begin].target = (uint32_t)compiler->plan->count;
    return true;
}

static bool compile_enum(struct compiler *compiler, const json_t *writer, const struct target *target, const char *field)
{
    const json_t *symbols = json_object_get(writer, "symbols");
    size_t count = json_array_size(symbols);
    if (count == 0 || count > 1000)
        return fail(compiler, "field %s: an enum of %zu symbols", field, count);
    if (!target) {
        emit(compiler, (struct step){.op = OP_SKIP_VARINT, .limit = (uint32_t)count, .field = field});
        return true;
    }
    if (strcmp(last_part(json_string_value(json_object_get(writer, "name"))), target->type_name) != 0)
        return fail(compiler, "field %s: an enum of another name", field);
    uint32_t first = add_numbers(compiler, count);
    for (size_t i = 0; i < count; i++) {
        const char *symbol = json_string_value(json_array_get(symbols, i));
        compiler->plan->numbers[first + i] = -1;
        for (int s = 0; symbol && s < target->symbol_count; s++)
            if (strcmp(symbol, target->symbols[s]) == 0)
                compiler->plan->numbers[first + i] = s;
    }
    emit(compiler, (struct step){.op = OP_ENUM, .at = target->at, .limit = (uint32_t)count, .target = first, .field = field});
    return true;
}

static bool compile_fixed(struct compiler *compiler, const json_t *writer, const struct target *target, const char *field)
{
    json_int_t size = json_integer_value(json_object_get(writer, "size"));
    if (size < 0 || size > VALUE_SIZE_MOST)
        return fail(compiler, "field %s: a fixed of %lld bytes", field, (long long)size);
    if (!target) {
        emit(compiler, (struct step){.op = OP_SKIP_FIXED, .limit = (uint32_t)size, .field = field});
        return true;
    }
    if (target->want != WANT_FIXED || size != 16 ||
        strcmp(last_part(json_string_value(json_object_get(writer, "name"))), target->type_name) != 0)
        return fail(compiler, "field %s: another type than ours", field);
    emit(compiler, (struct step){.op = OP_FIXED, .at = target->at, .limit = 16, .field = field});
    if (target->nullable)
        emit(compiler, (struct step){.op = OP_SET, .at = target->set_at});
    return true;
}

static bool compile_primitive(struct compiler *compiler, const char *word, const struct target *target, const char *field)
{
    struct step step = {.field = field, .at = target ? target->at : 0};
    if (strcmp(word, "null") == 0)
        return !target || target->nullable || fail(compiler, "field %s: null, which ours is not", field);
    bool is_int = strcmp(word, "int") == 0, is_long = strcmp(word, "long") == 0;
    bool is_text = strcmp(word, "string") == 0 || strcmp(word, "bytes") == 0;
    if (target) {
        if (target->want == WANT_LONG && (is_int || is_long))
            step.op = is_int ? OP_INT_AS_LONG : OP_LONG;
        else if (target->want == WANT_INT && is_int)
            step.op = OP_INT;
        else if (target->want == WANT_TEXT && is_text)
            step.op = OP_TEXT;
        else
            return fail(compiler, "field %s: %s, which is not promoted to ours", field, word);
    } else if (is_int || is_long) {
        step.op = OP_SKIP_VARINT;
    } else if (is_text) {
        step.op = OP_SKIP_BYTES;
    } else if (strcmp(word, "boolean") == 0) {
        step.op = OP_BOOLEAN;
    } else if (strcmp(word, "float") == 0 || strcmp(word, "double") == 0) {
        step.op = OP_SKIP_FIXED;
        step.limit = *word == 'f' ? 4 : 8;
    } else {
        return fail(compiler, "field %s: unknown type %s", field, word);
    }
    emit(compiler, step);
    return true;
}

static bool compile(struct compiler *compiler, const json_t *writer, const struct target *target, const char *field, int depth)
{
    if (depth > SCHEMA_DEPTH_MOST || compiler->plan->count > STEPS_MOST)
        return fail(compiler, "it is recursive, nested deeper than %d, or needs more than %d steps", SCHEMA_DEPTH_MOST, STEPS_MOST);
    writer = definition(compiler, writer);
    const char *word = writer ? type_word(writer) : NULL;
    if (!word)
        return fail(compiler, "field %s: not an Avro type", field);
    if (strcmp(word, "union") == 0)
        return compile_union(compiler, writer, target, field, depth);
    if (strcmp(word, "array") == 0 || strcmp(word, "map") == 0)
        return compile_list(compiler, writer, target, field, depth);
    if (strcmp(word, "enum") == 0)
        return target && target->want != WANT_ENUM ? fail(compiler, "field %s: an enum", field)
                                                   : compile_enum(compiler, writer, target, field);
    if (strcmp(word, "fixed") == 0)
        return compile_fixed(compiler, writer, target, field);
    if (strcmp(word, "record") == 0 || strcmp(word, "error") == 0)
        return target ? fail(compiler, "field %s: a record", field) : compile_record(compiler, writer, NULL, depth);
    return compile_primitive(compiler, word, target, field);
}

int decode_plan_new(const char *writer_json, size_t size, enum record_type reader, struct decode_plan **ret_plan,
                    struct error *error)
{
    json_error_t where;
    if (size > SCHEMA_TEXT_MOST)
        return error_set(error, ERROR_INPUT, "schema of %zu bytes; allowed: %d", size, SCHEMA_TEXT_MOST);
    json_t *schema = json_loadb(writer_json, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (!schema)
        return error_set(error, ERROR_INPUT, "schema: line %d: %s", where.line, where.text);
    struct compiler *compiler = calloc(1, sizeof *compiler);
    struct decode_plan *plan = calloc(1, sizeof *plan);
    int result = 0;
    if (!compiler || !plan || reader > RECORD_PAGE_VISIT) {
        result = error_set(error, ERROR_MEMORY, "out of memory");
    } else {
        plan->reader = reader;
        compiler->plan = plan;
        bool ok = gather(compiler, schema, 0);
        const json_t *record = ok ? definition(compiler, schema) : NULL;
        const char *word = record ? type_word(record) : NULL;
        const char *name = last_part(json_string_value(json_object_get(record, "name")));
        if (ok && (!word || strcmp(word, "record") != 0 || !name || strcmp(name, readers[reader].record) != 0))
            ok = fail(compiler, "it is not a record %s", readers[reader].record);
        ok = ok && compile_record(compiler, record, readers[reader].targets, 1);
        emit(compiler, (struct step){.op = OP_END});
        if (!ok || *compiler->why)
            result = error_set(error, ERROR_INPUT, "schema: %s", *compiler->why ? compiler->why : "not an Avro schema");
    }
    json_decref(schema);
    free(compiler);
    if (result < 0) {
        decode_plan_free(plan);
        return result;
    }
    *ret_plan = plan;
    return 0;
}

struct decode_plan *decode_plan_free(struct decode_plan *plan)
{
    if (!plan)
        return NULL;
    for (size_t i = 0; i < plan->name_count; i++)
        free(plan->names[i]);
    free(plan->names);
    free(plan->steps);
    free(plan->numbers);
    free(plan);
    return NULL;
}
