/* Makes a decoding plan: writer and reader are resolved by name, once per writer schema. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/codec_internal.h"

/* What our side wants of a field. */
enum want { WANT_LONG, WANT_INT, WANT_TEXT, WANT_FIXED, WANT_ENUM, WANT_UNITS, WANT_RECORD };
struct target {
    const char *field;
    enum want want;
    bool nullable;
    uint16_t at;
    uint16_t set_at; /* nullable fixed: the bool that says it is there */
    const char *const *symbols;
    int symbol_count;
    uint8_t list;
    const struct target *targets; /* a record's fields, ended by one without a name */
};

#define X(symbol, name) name,
static const char *const sectors[] = {SECTOR_TABLE(X)}, *const reasons[] = {HEADCOUNT_REASON_TABLE(X)},
                  *const categories[] = {UNIT_CATEGORY_TABLE(X)}, *const kinds[] = {MERGER_KIND_TABLE(X)};
#undef X
#define EV(field) offsetof(struct event, field)
#define COUNT(array) (int)(sizeof(array) / sizeof *(array))
#define COMMON                                                                                      \
    {"event_id", WANT_FIXED, .at = EV(event_id)},                           \
        {"source", WANT_TEXT, .at = EV(source)}, {"occurred_at", WANT_LONG, .at = EV(occurred_at_ms)}, \
        {"effective_date", WANT_INT, .at = EV(effective_date)}, {"agency", WANT_TEXT, .at = EV(agency)}
#define LAST                                                                              \
    {"decision", WANT_TEXT, .nullable = true, .at = EV(decision)},      \
        {"reverses", WANT_FIXED, .nullable = true, .at = EV(reverses), .set_at = EV(has_reverses)}, \
        {0}
static const struct target headcount_targets[] = {
    COMMON,
    {"sector", WANT_ENUM, .at = EV(headcount.sector), .symbols = sectors, .symbol_count = COUNT(sectors)},
    {"reason", WANT_ENUM, .at = EV(headcount.reason), .symbols = reasons, .symbol_count = COUNT(reasons)},
    {"delta", WANT_INT, .at = EV(headcount.delta)},
    LAST,
};
static const struct target merger_targets[] = {
    COMMON,
    {"category", WANT_ENUM, .at = EV(merger.category), .symbols = categories, .symbol_count = COUNT(categories)},
    {"kind", WANT_ENUM, .at = EV(merger.kind), .symbols = kinds, .symbol_count = COUNT(kinds)},
    {"units_before", WANT_INT, .at = EV(merger.units_before)},
    {"units_after", WANT_INT, .at = EV(merger.units_after)},
    {"merged_units", WANT_UNITS, .list = LIST_MERGED},
    {"resulting_units", WANT_UNITS, .list = LIST_RESULTING},
    {"pilot_model", WANT_TEXT, .nullable = true, .at = EV(merger.pilot_model)},
    {"district", WANT_TEXT, .nullable = true, .at = EV(merger.district)},
    LAST,
};
static const struct target visit_targets[] = {
    {"occurred_at", WANT_LONG, .at = EV(occurred_at_ms)},
    {"visitor", WANT_FIXED, .at = EV(visit.visitor)},
    {0},
};
static const struct target unit_targets[] = {
    {"id", WANT_TEXT, .at = offsetof(struct unit, id)},
    {"name", WANT_TEXT, .at = offsetof(struct unit, name)},
    {0},
};
static const struct target unit_target = {"", WANT_RECORD, .targets = unit_targets};
static const struct target readers[] = {{"", WANT_RECORD, .targets = headcount_targets},
                                        {"", WANT_RECORD, .targets = merger_targets},
                                        {"", WANT_RECORD, .targets = visit_targets}};

_Static_assert(sizeof(enum sector) == 4 && sizeof(enum merger_kind) == 4, "OP_ENUM writes four bytes");
enum { BRANCHES_MOST = 64, OUR_FIELDS_MOST = 32 };

_Static_assert(sizeof(struct event) < UINT16_MAX, "places in struct event fit a step");

/* Where a writer's value goes: the place, and what our schema says of it. */
struct goal {
    const struct target *target; /* NULL: nowhere, it is passed over */
    const struct node *ours;     /* without the null of a nullable one */
};
static const struct goal nowhere;

struct compiler {
    struct decode_plan *plan;
    struct {
        const struct node *node;
        uint32_t start;
    } calls[NAMED_TYPES_MOST]; /* records that hold themselves, to be passed over by OP_CALL */
    size_t call_count;
    const struct node *open[SCHEMA_DEPTH_MOST + 1]; /* the records that are being compiled, outermost first */
    size_t open_count;
    int lists_deep;
    size_t visits;
    bool hard; /* over a bound or out of memory: no other branch of a union makes up for it */
    bool out_of_memory;
    char why[256];
};

static bool fail(struct compiler *compiler, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct compiler *compiler, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (!compiler->hard)
        vsnprintf(compiler->why, sizeof compiler->why, format, list);
    va_end(list);
    return false;
}

static bool fail_for_memory(struct compiler *compiler)
{
    compiler->hard = compiler->out_of_memory = true;
    return false;
}

/* False when the step does not fit. */
static bool emit(struct compiler *compiler, struct step step)
{
    struct decode_plan *plan = compiler->plan;
    if (plan->count >= STEPS_MOST) {
        fail(compiler, "it needs more than %d steps", STEPS_MOST);
        compiler->hard = true;
        return false;
    }
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity ? plan->capacity * 2 : 32;
        struct step *steps = realloc(plan->steps, capacity * sizeof *steps);
        if (!steps)
            return fail_for_memory(compiler);
        plan->steps = steps;
        plan->capacity = capacity;
    }
    plan->steps[plan->count++] = step;
    return true;
}

static bool add_numbers(struct compiler *compiler, size_t count, uint32_t *ret_first)
{
    struct decode_plan *plan = compiler->plan;
    if (plan->number_count + count > plan->number_capacity) {
        size_t capacity = plan->number_capacity * 2 + count;
        int32_t *numbers = realloc(plan->numbers, capacity * sizeof *numbers);
        if (!numbers)
            return fail_for_memory(compiler);
        plan->numbers = numbers;
        plan->number_capacity = capacity;
    }
    *ret_first = (uint32_t)plan->number_count;
    plan->number_count += count;
    return true;
}

static bool compile(struct compiler *compiler, const struct node *writer, struct goal goal, const char *field, int depth);

/* By the last part of the name, or by an alias of ours that is the writer's full name. */
static bool same_name(const struct node *writer, const struct node *ours)
{
    bool same = strcmp(writer->name, ours->name) == 0;
    for (size_t i = 0; i < ours->alias_count && !same; i++)
        same = strcmp(writer->full_name, ours->aliases[i]) == 0;
    return same;
}

static size_t child_of(const struct node *record, const char *name)
{
    size_t i = 0;
    while (i < record->count && strcmp(record->children[i].name, name) != 0)
        i++;
    return i;
}

/* The writer's field that our field is read from: of its name, else of the first alias that is no name of ours; `count` of
 * the writer when there is none. */
static size_t source_of(const struct child *field, const struct node *ours, const struct node *writer)
{
    size_t found = child_of(writer, field->name);
    for (size_t i = 0; i < field->alias_count && found == writer->count; i++)
        if (child_of(ours, field->aliases[i]) == ours->count)
            found = child_of(writer, field->aliases[i]);
    return found;
}

static struct goal goal_of(const struct target *targets, const struct child *field)
{
    struct goal goal = {.ours = field->node};
    if (goal.ours->kind == NODE_UNION && goal.ours->count == 2) /* ["null", T] */
        goal.ours = goal.ours->children[goal.ours->children[0].node->kind == NODE_NULL].node;
    for (const struct target *target = targets; target->field && !goal.target; target++)
        if (strcmp(target->field, field->name) == 0)
            goal.target = target;
    return goal;
}

/* A record that holds itself is passed over by a call; its code is made when the rest is done. */
static bool call(struct compiler *compiler, const struct node *record)
{
    size_t i = 0;
    while (i < compiler->call_count && compiler->calls[i].node != record)
        i++;
    if (i == compiler->call_count)
        compiler->calls[compiler->call_count++].node = record; /* named types are no more than there is room for */
    return emit(compiler, (struct step){.op = OP_CALL, .target = (uint32_t)i, .field = record->name});
}

static bool compile_record(struct compiler *compiler, const struct node *writer, struct goal goal, const char *field, int depth)
{
    const struct node *ours = goal.ours;
    size_t sources[OUR_FIELDS_MOST] = {0}, our_count = goal.target ? ours->count : 0;
    if (goal.target && (goal.target->want != WANT_RECORD || !same_name(writer, ours)))
        return goal.target->want != WANT_RECORD || *field
                   ? fail(compiler, "field %s: record %s, which is not ours", field, writer->full_name)
                   : fail(compiler, "it is not a record %s", ours->name);
    assert(our_count <= OUR_FIELDS_MOST);
    for (size_t i = 0; i < compiler->open_count; i++)
        if (compiler->open[i] == writer)
            return call(compiler, writer);
    for (size_t i = 0; i < our_count; i++) {
        sources[i] = source_of(&ours->children[i], ours, writer);
        if (sources[i] == writer->count && !ours->children[i].default_is_empty)
            return fail(compiler, "it has no field %s", ours->children[i].name);
    }
    compiler->open[compiler->open_count++] = writer;
    for (size_t i = 0; i < writer->count; i++) {
        struct goal inner = nowhere;
        for (size_t o = 0; o < our_count; o++)
            if (sources[o] == i)
                inner = goal_of(goal.target->targets, &ours->children[o]);
        if (!compile(compiler, writer->children[i].node, inner, writer->children[i].name, depth + 1))
            return false;
    }
    compiler->open_count--;
    return true;
}

/* A branch that has no place in ours fails only the records that choose it. */
static bool compile_union(struct compiler *compiler, const struct node *writer, struct goal goal, const char *field, int depth)
{
    size_t count = writer->count, matched = 0, jumps[BRANCHES_MOST], open_count = compiler->open_count;
    int lists_deep = compiler->lists_deep;
    uint32_t first;
    if (count == 0 || count > BRANCHES_MOST)
        return fail(compiler, "field %s: a union of %zu branches; allowed: 1 to %d", field, count, BRANCHES_MOST);
    if (!add_numbers(compiler, count, &first) ||
        !emit(compiler, (struct step){.op = OP_UNION, .limit = (uint32_t)count, .target = first, .field = field}))
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t start = compiler->plan->count;
        compiler->plan->numbers[first + i] = (int32_t)start;
        if (compile(compiler, writer->children[i].node, goal, field, depth + 1)) {
            matched++;
        } else {
            if (compiler->hard)
                return false;
            compiler->plan->count = start;
            compiler->open_count = open_count;
            compiler->lists_deep = lists_deep;
            if (!emit(compiler, (struct step){.op = OP_FAIL, .field = field}))
                return false;
        }
        jumps[i] = compiler->plan->count;
        if (!emit(compiler, (struct step){.op = OP_JUMP, .field = field}))
            return false;
    }
    for (size_t i = 0; i < count; i++)
        compiler->plan->steps[jumps[i]].target = (uint32_t)compiler->plan->count;
    return matched > 0 || fail(compiler, "field %s: no branch of the union fits", field);
}

static bool compile_list(struct compiler *compiler, const struct node *writer, struct goal goal, const char *field, int depth)
{
    struct decode_plan *plan = compiler->plan;
    bool map = writer->kind == NODE_MAP, done;
    const struct target *target = goal.target;
    struct goal items = nowhere;
    if (target && (map || target->want != WANT_UNITS))
        return fail(compiler, "field %s: %s, which is not ours", field, node_kind_name(writer->kind));
    if (target)
        items = (struct goal){&unit_target, goal.ours->children[0].node};
    if (++compiler->lists_deep > LISTS_DEEP_MOST) {
        fail(compiler, "field %s: lists nested deeper than %d", field, LISTS_DEEP_MOST);
        compiler->hard = true;
        return false;
    }
    size_t begin = plan->count;
    if (!emit(compiler, (struct step){.op = OP_LIST, .at = target ? target->list : 0, .field = field}))
        return false;
    size_t body = plan->count;
    if (map && !emit(compiler, (struct step){.op = OP_SKIP_BYTES, .field = field}))
        return false;
    done = compile(compiler, writer->children[0].node, items, field, depth + 1);
    bool empty = plan->count == body;
    if (!done || !emit(compiler, (struct step){.op = OP_NEXT, .limit = empty, .target = (uint32_t)body, .field = field}))
        return false;
    compiler->lists_deep--;
    plan->steps[begin].limit = empty;
    plan->steps[begin].target = (uint32_t)plan->count;
    return true;
}

/* The value of our enum for a writer's symbol; -1 = none. */
static int symbol_of(const struct target *target, const struct node *ours, const char *symbol)
{
    size_t place = 0;
    while (place < ours->count && strcmp(ours->children[place].name, symbol) != 0)
        place++;
    if (place == ours->count && ours->default_symbol >= 0)
        place = (size_t)ours->default_symbol;
    for (int s = 0; place < ours->count && s < target->symbol_count; s++)
        if (strcmp(ours->children[place].name, target->symbols[s]) == 0)
            return s;
    return -1;
}

static bool compile_enum(struct compiler *compiler, const struct node *writer, struct goal goal, const char *field)
{
    uint32_t first;
    if (!goal.target)
        return emit(compiler, (struct step){.op = OP_SKIP_VARINT, .limit = (uint32_t)writer->count, .field = field});
    if (goal.target->want != WANT_ENUM || !same_name(writer, goal.ours))
        return fail(compiler, "field %s: enum %s, which is not ours", field, writer->full_name);
    if (!add_numbers(compiler, writer->count, &first))
        return false;
    for (size_t i = 0; i < writer->count; i++)
        compiler->plan->numbers[first + i] = symbol_of(goal.target, goal.ours, writer->children[i].name);
    return emit(compiler, (struct step){.op = OP_ENUM, .at = goal.target->at, .limit = (uint32_t)writer->count, .target = first, .field = field});
}

static bool compile_fixed(struct compiler *compiler, const struct node *writer, struct goal goal, const char *field)
{
    const struct target *target = goal.target;
    if (!target) /* one of no bytes needs no step */
        return writer->size == 0 ||
               emit(compiler, (struct step){.op = OP_SKIP_FIXED, .limit = (uint32_t)writer->size, .field = field});
    if (target->want != WANT_FIXED || writer->size != 16 || !same_name(writer, goal.ours))
        return fail(compiler, "field %s: fixed %s of %d bytes, which is not ours", field, writer->full_name, writer->size);
    return emit(compiler, (struct step){.op = OP_FIXED, .at = target->at, .limit = 16, .field = field}) &&
           (!target->nullable || emit(compiler, (struct step){.op = OP_SET, .at = target->set_at, .field = field}));
}

static bool compile_primitive(struct compiler *compiler, enum node_kind kind, const struct target *target, const char *field)
{
    struct step step = {.field = field, .at = target ? target->at : 0};
    if (kind == NODE_NULL)
        return !target || target->nullable || fail(compiler, "field %s: null, which ours is not", field);
    bool is_int = kind == NODE_INT, is_long = kind == NODE_LONG, is_text = kind == NODE_STRING || kind == NODE_BYTES;
    if (target) {
        if (target->want == WANT_LONG && (is_int || is_long))
            step.op = is_int ? OP_INT_AS_LONG : OP_LONG;
        else if (target->want == WANT_INT && is_int)
            step.op = OP_INT;
        else if (target->want == WANT_TEXT && is_text)
            step.op = OP_TEXT;
        else
            return fail(compiler, "field %s: %s, which is not promoted to ours", field, node_kind_name(kind));
    } else if (is_int || is_long) {
        step.op = is_int ? OP_SKIP_INT : OP_SKIP_VARINT;
    } else if (is_text) {
        step.op = OP_SKIP_BYTES;
    } else if (kind == NODE_BOOLEAN) {
        step.op = OP_BOOLEAN;
    } else {
        step.op = OP_SKIP_FIXED;
        step.limit = kind == NODE_FLOAT ? 4 : 8;
    }
    return emit(compiler, step);
}

static bool compile(struct compiler *compiler, const struct node *writer, struct goal goal, const char *field, int depth)
{
    if (depth > SCHEMA_DEPTH_MOST || ++compiler->visits > VISITS_MOST) {
        fail(compiler, "it is nested deeper than %d, or has more than %d fields in all", SCHEMA_DEPTH_MOST, VISITS_MOST);
        compiler->hard = true;
        return false;
    }
    if (goal.target && goal.target->want == WANT_RECORD && !*field && writer->kind != NODE_RECORD && writer->kind != NODE_UNION)
        return fail(compiler, "it is not a record %s", goal.ours->name);
    switch (writer->kind) {
    case NODE_UNION:
        return compile_union(compiler, writer, goal, field, depth);
    case NODE_ARRAY:
    case NODE_MAP:
        return compile_list(compiler, writer, goal, field, depth);
    case NODE_ENUM:
        return compile_enum(compiler, writer, goal, field);
    case NODE_FIXED:
        return compile_fixed(compiler, writer, goal, field);
    case NODE_RECORD:
        return compile_record(compiler, writer, goal, field, depth);
    default:
        return compile_primitive(compiler, writer->kind, goal.target, field);
    }
}

/* The whole program, then the code that its calls go to. */
static bool compile_all(struct compiler *compiler, const struct node *writer, struct goal goal)
{
    struct decode_plan *plan = compiler->plan;
    if (!compile(compiler, writer, goal, "", 1) || !emit(compiler, (struct step){.op = OP_END}))
        return false;
    for (size_t i = 0; i < compiler->call_count; i++) {
        compiler->calls[i].start = (uint32_t)plan->count;
        if (!compile(compiler, compiler->calls[i].node, nowhere, compiler->calls[i].node->name, 1) ||
            !emit(compiler, (struct step){.op = OP_RETURN}))
            return false;
    }
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].op == OP_CALL)
            plan->steps[i].target = compiler->calls[plan->steps[i].target].start;
    return true;
}

int decode_plan_resolve(const char *writer_json, size_t size, const char *reader_json, size_t reader_size,
                        enum record_type reader, struct decode_plan **ret_plan, struct error *error)
{
    assert(reader < RECORD_DEAD_LETTER);
    struct schema_tree *ours = NULL;
    struct decode_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return error_set(error, ERROR_MEMORY, "out of memory");
    plan->reader = reader;
    int result = schema_tree_parse(writer_json, size, &plan->tree, error);
    if (result == 0)
        result = schema_tree_parse(reader_json, reader_size, &ours, error);
    if (result == 0) {
        struct compiler compiler = {.plan = plan};
        bool ok = compile_all(&compiler, schema_tree_root(plan->tree), (struct goal){&readers[reader], schema_tree_root(ours)});
        if (compiler.out_of_memory)
            result = error_set(error, ERROR_MEMORY, "out of memory");
        else if (!ok)
            result = error_set(error, ERROR_INPUT, "schema: %s", compiler.why);
    }
    schema_tree_free(ours);
    if (result < 0) {
        decode_plan_free(plan);
        return result;
    }
    *ret_plan = plan;
    return 0;
}

int decode_plan_new(const char *writer_json, size_t size, enum record_type reader, struct decode_plan **ret_plan,
                    struct error *error)
{
    return decode_plan_resolve(writer_json, size, schema_texts[reader], strlen(schema_texts[reader]), reader, ret_plan, error);
}

struct decode_plan *decode_plan_free(struct decode_plan *plan)
{
    if (!plan)
        return NULL;
    schema_tree_free(plan->tree);
    free(plan->steps);
    free(plan->numbers);
    free(plan);
    return NULL;
}
