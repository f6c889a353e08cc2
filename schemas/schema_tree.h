/* Any Avro schema as a checked tree of nodes: what the canonical form and the plan compiler work on. */
#ifndef CITYTOTALS_SCHEMAS_SCHEMA_TREE_H
#define CITYTOTALS_SCHEMAS_SCHEMA_TREE_H

#include "base/error.h"
#include "base/slice.h"

enum node_kind { /* the primitives first, in the order of their names in schema_tree.c */
                 NODE_NULL,
                 NODE_BOOLEAN,
                 NODE_INT,
                 NODE_LONG,
                 NODE_FLOAT,
                 NODE_DOUBLE,
                 NODE_BYTES,
                 NODE_STRING,
                 NODE_RECORD,
                 NODE_ENUM,
                 NODE_FIXED,
                 NODE_ARRAY,
                 NODE_MAP,
                 NODE_UNION
};

enum {
    NAMED_TYPES_MOST = 256,
    FULL_NAME_MOST = 512,
    CHILDREN_MOST = 2000, /* fields of a record, symbols of an enum, branches of a union */
    ALIASES_MOST = 64,    /* of one name; a longer list is passed over */
};

struct node;
struct child {
    const char *name;        /* a field's name, an enum's symbol; NULL for items, values and branches */
    const struct node *node; /* NULL for an enum's symbol */
    bool is_reference;       /* it names a type that is defined elsewhere */
    bool default_is_empty;   /* a field that has a default: null, [], 0 or "", what a zeroed struct holds */
    const char *const *aliases; /* of a field: its other names */
    size_t alias_count;
};
struct node {
    enum node_kind kind;
    const char *full_name;  /* namespace and name of a record, enum or fixed, else NULL */
    const char *name;       /* its last part */
    int32_t size;           /* of a fixed, in bytes */
    struct child *children; /* fields, symbols, branches, or the one child of an array or map */
    size_t count;
    const char *const *aliases; /* other full names of a record, enum or fixed */
    size_t alias_count;
    int default_symbol; /* an enum's: the place of the symbol that stands for unknown ones; -1 = none */
};

/* The specification's rules are checked: names, no name twice, no undefined name, unions without a branch twice or a
 * union inside. Aliases and defaults are kept where they are well-formed, else passed over: they matter in our own schemas
 * only. Attributes that say nothing about the encoding (doc, logical types) are not looked at. Nodes may refer to one another in circles. Nothing is kept of `json`. */
struct schema_tree;
int schema_tree_parse(const char *json, size_t size, struct schema_tree **ret_tree, struct error *error);
struct schema_tree *schema_tree_free(struct schema_tree *tree); /* NULL; accepts NULL */
const struct node *schema_tree_root(const struct schema_tree *tree);
const char *node_kind_name(enum node_kind kind); /* "null" … "union" */

#endif
