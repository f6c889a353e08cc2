/* Parses an Avro schema's JSON into a tree, by the rules of the Avro specification (1.12). */
#include "schemas/schema_tree.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/codec.h"

static const char *const kind_names[] = {"null",   "boolean", "int",  "long",  "float", "double", "bytes",
                                         "string", "record",  "enum", "fixed", "array", "map",    "union"};
static const struct node primitives[] = {{.kind = NODE_NULL},  {.kind = NODE_BOOLEAN}, {.kind = NODE_INT},
                                         {.kind = NODE_LONG},  {.kind = NODE_FLOAT},   {.kind = NODE_DOUBLE},
                                         {.kind = NODE_BYTES}, {.kind = NODE_STRING}};

/* What the tree owns, freed all at once. */
struct block {
    struct block *next;
    max_align_t bytes[];
};
struct schema_tree {
    struct block *blocks;
    const struct node *root;
    const struct node *named[NAMED_TYPES_MOST];
    size_t named_count;
};

struct parser {
    struct schema_tree *tree;
    bool out_of_memory;
    char why[256];
};

static bool fail(struct parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct parser *parser, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (!*parser->why)
        vsnprintf(parser->why, sizeof parser->why, format, list);
    va_end(list);
    return false;
}

static void *take(struct parser *parser, size_t size)
{
    struct block *block = calloc(1, sizeof *block + size);
    if (!block) {
        parser->out_of_memory = true;
        fail(parser, "out of memory");
        return NULL;
    }
    block->next = parser->tree->blocks;
    parser->tree->blocks = block;
    return block->bytes;
}

static const char *take_text(struct parser *parser, const char *first, size_t first_size, const char *second)
{
    size_t size = strlen(second);
    char *text = take(parser, first_size + size + 1);
    if (text) {
        memcpy(text, first, first_size);
        memcpy(text + first_size, second, size);
    }
    return text;
}

/* [A-Za-z_][A-Za-z0-9_]*, with `dots` several of them with dots between. */
static bool name_is_valid(const char *name, bool dots)
{
    bool first = true;
    for (; *name; name++) {
        bool letter = (*name >= 'A' && *name <= 'Z') || (*name >= 'a' && *name <= 'z') || *name == '_';
        if (*name == '.' && dots && !first) {
            first = true;
            continue;
        }
        if (!letter && (first || *name < '0' || *name > '9'))
            return false;
        first = false;
    }
    return !first;
}

static int primitive_of(const char *word)
{
    for (int kind = NODE_NULL; kind <= NODE_STRING; kind++)
        if (strcmp(kind_names[kind], word) == 0)
            return kind;
    return -1;
}

/* `name` as written, inside `namespace` ("" = none). */
static const char *full_name(struct parser *parser, const char *name, const char *namespace)
{
    size_t namespace_size = strchr(name, '.') ? 0 : strlen(namespace);
    if (namespace_size + strlen(name) >= FULL_NAME_MOST) {
        fail(parser, "a name of more than %d bytes", FULL_NAME_MOST - 1);
        return NULL;
    }
    if (namespace_size == 0)
        return take_text(parser, "", 0, name);
    const char *prefix = take_text(parser, namespace, namespace_size, ".");
    return prefix ? take_text(parser, prefix, namespace_size + 1, name) : NULL;
}

static const struct node *named(const struct schema_tree *tree, const char *full)
{
    for (size_t i = 0; i < tree->named_count; i++)
        if (strcmp(tree->named[i]->full_name, full) == 0)
            return tree->named[i];
    return NULL;
}

static bool parse(struct parser *parser, const json_t *schema, const char *namespace, int depth,
                  struct child *ret_child);

static struct node *new_node(struct parser *parser, enum node_kind kind, size_t count)
{
    if (count > CHILDREN_MOST) {
        fail(parser, "a %s of %zu parts; allowed: %d", kind_names[kind], count, CHILDREN_MOST);
        return NULL;
    }
    struct node *node = take(parser, sizeof *node);
    struct child *children = node ? take(parser, count * sizeof *children) : NULL;
    if (!children)
        return NULL;
    node->kind = kind;
    node->children = children;
    node->default_symbol = -1;
    return node;
}

/* The aliases that are names; a type's are made full by its namespace, a field's (NULL) stay as they are. */
static bool take_aliases(struct parser *parser, const json_t *schema, const char *namespace, const char *const **ret_aliases,
                         size_t *ret_count)
{
    const json_t *list = json_object_get(schema, "aliases");
    size_t i, count = json_array_size(list), kept = 0;
    json_t *alias;
    if (count == 0 || count > ALIASES_MOST)
        return true;
    const char **aliases = take(parser, count * sizeof *aliases);
    if (!aliases)
        return false;
    json_array_foreach(list, i, alias)
    {
        const char *word = json_string_value(alias);
        if (!word || !name_is_valid(word, namespace != NULL) || (namespace ? strlen(namespace) : 0) + strlen(word) >= FULL_NAME_MOST - 1)
            continue;
        aliases[kept] = namespace ? full_name(parser, word, namespace) : take_text(parser, "", 0, word);
        if (!aliases[kept++])
            return false;
    }
    *ret_aliases = aliases;
    *ret_count = kept;
    return true;
}

static bool parse_union(struct parser *parser, const json_t *branches, const char *namespace, int depth,
                        struct child *ret_child)
{
    struct node *node = new_node(parser, NODE_UNION, json_array_size(branches));
    size_t i;
    json_t *branch;
    if (!node)
        return false;
    json_array_foreach(branches, i, branch)
    {
        if (!parse(parser, branch, namespace, depth + 1, &node->children[i]))
            return false;
        const struct node *added = node->children[i].node;
        if (added->kind == NODE_UNION)
            return fail(parser, "a union right inside a union");
        for (size_t before = 0; before < i; before++) {
            const struct node *other = node->children[before].node;
            if (other == added || (other->kind == added->kind && !other->full_name))
                return fail(parser, "a union with two branches %s",
                            added->full_name ? added->full_name : kind_names[added->kind]);
        }
        node->count = i + 1;
    }
    ret_child->node = node;
    return true;
}

static bool parse_fields(struct parser *parser, struct node *node, const json_t *fields, const char *namespace,
                         int depth)
{
    size_t i;
    json_t *field;
    json_array_foreach(fields, i, field)
    {
        const char *name = json_string_value(json_object_get(field, "name"));
        if (!name || !name_is_valid(name, false))
            return fail(parser, "record %s has a field without a good name", node->full_name);
        for (size_t before = 0; before < i; before++)
            if (strcmp(node->children[before].name, name) == 0)
                return fail(parser, "record %s has two fields %s", node->full_name, name);
        node->children[i].name = take_text(parser, "", 0, name);
        const json_t *value = json_object_get(field, "default");
        node->children[i].default_is_empty = json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0) ||
                                             (json_is_integer(value) && json_integer_value(value) == 0) ||
                                             (json_is_string(value) && json_string_length(value) == 0);
        if (!node->children[i].name ||
            !take_aliases(parser, field, NULL, &node->children[i].aliases, &node->children[i].alias_count) ||
            !parse(parser, json_object_get(field, "type"), namespace, depth + 1, &node->children[i]))
            return false;
        node->count = i + 1;
    }
    return true;
}

static bool parse_symbols(struct parser *parser, struct node *node, const json_t *symbols, const char *default_word)
{
    size_t i;
    json_t *symbol;
    json_array_foreach(symbols, i, symbol)
    {
        const char *word = json_string_value(symbol);
        if (!word || !name_is_valid(word, false))
            return fail(parser, "enum %s has a symbol that is not a name", node->full_name);
        for (size_t before = 0; before < i; before++)
            if (strcmp(node->children[before].name, word) == 0)
                return fail(parser, "enum %s has two symbols %s", node->full_name, word);
        node->children[i].name = take_text(parser, "", 0, word);
        if (!node->children[i].name)
            return false;
        if (default_word && strcmp(default_word, word) == 0)
            node->default_symbol = (int)i;
        node->count = i + 1;
    }
    return node->count > 0 || fail(parser, "enum %s has no symbol", node->full_name);
}

static bool parse_named(struct parser *parser, const json_t *schema, enum node_kind kind, const char *namespace,
                        int depth, struct child *ret_child)
{
    struct schema_tree *tree = parser->tree;
    const json_t *own = json_object_get(schema, "namespace"), *size = json_object_get(schema, "size");
    const json_t *parts = json_object_get(schema, kind == NODE_RECORD ? "fields" : "symbols");
    const char *name = json_string_value(json_object_get(schema, "name"));
    if (!name || !name_is_valid(name, true) || primitive_of(name) >= 0)
        return fail(parser, "a %s without a good name", kind_names[kind]);
    if (json_is_string(own))
    namespace = json_string_value(own);
    if (*namespace && !name_is_valid(namespace, true))
        return fail(parser, "%s has a namespace that is not a name", name);
    struct node *node = new_node(parser, kind, json_array_size(parts));
    const char *full = node ? full_name(parser, name, namespace) : NULL;
    if (!full)
        return false;
    if (named(tree, full) || tree->named_count == NAMED_TYPES_MOST)
        return fail(parser, "%s is defined twice, or there are more than %d named types", full, NAMED_TYPES_MOST);
    const char *dot = strrchr(full, '.');
    node->full_name = full;
    node->name = dot ? dot + 1 : full;
    tree->named[tree->named_count++] = node;
    ret_child->node = node;
    const char *inner = dot ? take_text(parser, full, (size_t)(dot - full), "") : "";
    if (!inner || !take_aliases(parser, schema, inner, &node->aliases, &node->alias_count))
        return false;
    if (kind == NODE_FIXED) {
        json_int_t bytes = json_integer_value(size);
        if (!json_is_integer(size) || bytes < 0 || bytes > INT32_MAX)
            return fail(parser, "fixed %s has no good size", full);
        node->size = (int32_t)bytes;
        return true;
    }
    if (!json_is_array(parts))
        return fail(parser, "%s has no %s", full, kind == NODE_RECORD ? "fields" : "symbols");
    if (kind == NODE_ENUM)
        return parse_symbols(parser, node, parts, json_string_value(json_object_get(schema, "default")));
    return parse_fields(parser, node, parts, inner, depth);
}

static bool parse_reference(struct parser *parser, const char *word, const char *namespace, struct child *ret_child)
{
    int primitive = primitive_of(word);
    if (primitive >= 0) {
        ret_child->node = &primitives[primitive];
        return true;
    }
    const char *full = full_name(parser, word, namespace);
    ret_child->node = full ? named(parser->tree, full) : NULL;
    ret_child->is_reference = true;
    return ret_child->node || fail(parser, "type %.100s is not defined", word);
}

static bool parse(struct parser *parser, const json_t *schema, const char *namespace, int depth,
                  struct child *ret_child)
{
    if (depth > SCHEMA_DEPTH_MOST)
        return fail(parser, "it is nested deeper than %d", SCHEMA_DEPTH_MOST);
    if (json_is_string(schema))
        return parse_reference(parser, json_string_value(schema), namespace, ret_child);
    if (json_is_array(schema))
        return parse_union(parser, schema, namespace, depth, ret_child);
    const json_t *type = json_object_get(schema, "type");
    if (!json_is_string(type))
        return type ? parse(parser, type, namespace, depth + 1, ret_child) : fail(parser, "a type is missing");
    const char *word = json_string_value(type);
    if (strcmp(word, "array") == 0 || strcmp(word, "map") == 0) {
        bool array = *word == 'a';
        struct node *node = new_node(parser, array ? NODE_ARRAY : NODE_MAP, 1);
        if (!node)
            return false;
        node->count = 1;
        ret_child->node = node;
        return parse(parser, json_object_get(schema, array ? "items" : "values"), namespace, depth + 1,
                     &node->children[0]);
    }
    if (strcmp(word, "record") == 0 || strcmp(word, "error") == 0)
        return parse_named(parser, schema, NODE_RECORD, namespace, depth, ret_child);
    if (strcmp(word, "enum") == 0 || strcmp(word, "fixed") == 0)
        return parse_named(parser, schema, *word == 'e' ? NODE_ENUM : NODE_FIXED, namespace, depth, ret_child);
    return parse_reference(parser, word, namespace, ret_child);
}

int schema_tree_parse(const char *json, size_t size, struct schema_tree **ret_tree, struct error *error)
{
    json_error_t where;
    if (size > SCHEMA_TEXT_MOST)
        return error_set(error, ERROR_INPUT, "schema of %zu bytes; allowed: %d", size, SCHEMA_TEXT_MOST);
    json_t *schema = json_loadb(json, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (!schema && (json_error_code(&where) == json_error_out_of_memory || !*where.text)) /* it says nothing then */
        return error_set(error, ERROR_MEMORY, "schema: out of memory");
    if (!schema)
        return error_set(error, ERROR_INPUT, "schema: line %d: %s", where.line, where.text);
    struct parser parser = {.tree = calloc(1, sizeof *parser.tree), .out_of_memory = false};
    struct child root = {0};
    bool ok = parser.tree && parse(&parser, schema, "", 0, &root);
    json_decref(schema);
    if (!ok) {
        bool memory = !parser.tree || parser.out_of_memory;
        schema_tree_free(parser.tree);
        return error_set(error, memory ? ERROR_MEMORY : ERROR_INPUT, "schema: %s",
                         memory ? "out of memory" : parser.why);
    }
    parser.tree->root = root.node;
    *ret_tree = parser.tree;
    return 0;
}

struct schema_tree *schema_tree_free(struct schema_tree *tree)
{
    if (!tree)
        return NULL;
    for (struct block *block = tree->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(tree);
    return NULL;
}

const struct node *schema_tree_root(const struct schema_tree *tree)
{
    return tree->root;
}

const char *node_kind_name(enum node_kind kind)
{
    return kind_names[kind];
}
