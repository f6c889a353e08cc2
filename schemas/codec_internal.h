/* What the codec's files share. */
#ifndef CITYTOTALS_SCHEMAS_CODEC_INTERNAL_H
#define CITYTOTALS_SCHEMAS_CODEC_INTERNAL_H

#include "schemas/codec.h"
#include "schemas/schema_tree.h"

extern const char *const schema_texts[]; /* by enum record_type; made from the .avsc files */

/* A plan is a flat program for one pass over the bytes. `at` is the step's place in struct event, or in struct unit
 * inside a list. */
enum op {
    OP_SKIP_VARINT,  /* long or enum of no interest; `limit` > 0: must be below (enum, checked all the same) */
    OP_SKIP_INT,     /* an int of no interest; its range is checked all the same */
    OP_SKIP_BYTES,   /* length, bytes */
    OP_SKIP_FIXED,   /* `limit` bytes */
    OP_BOOLEAN,      /* one byte, 0 or 1, of no interest */
    OP_LONG,         /* int64_t */
    OP_INT_AS_LONG,  /* an int into int64_t */
    OP_INT,          /* int32_t */
    OP_ENUM,         /* int, through `map` of `limit` entries; -1 there: a symbol that we don't have */
    OP_TEXT,         /* struct slice */
    OP_FIXED,        /* `limit` bytes */
    OP_SET,          /* bool true; reads nothing */
    OP_UNION,        /* branch number below `limit`; goes to targets[branch] */
    OP_JUMP,         /* to `target` */
    OP_LIST,         /* begins an array or map; goes to `target` when it is empty; `at` = which list, 0 = skipped;
                      * `limit` 1: its items take no bytes (arrays of null), so a block is one turn however many it has */
    OP_NEXT,         /* end of an item; goes back to `target` while there are items; `limit` as in OP_LIST */
    OP_FAIL,         /* a branch that our schema has no place for */
    OP_CALL,         /* passes over a record that holds itself: to `target`, and after its OP_RETURN on from here */
    OP_RETURN,
    OP_END,
};
struct step {
    uint8_t op;
    uint16_t at;
    uint32_t limit;
    uint32_t target;    /* a step's number, or for OP_ENUM and OP_UNION the first place in `numbers` */
    const char *field;  /* owned by the plan's tree */
};

/* Every step but a jump, OP_SET, OP_NEXT, OP_CALL and OP_RETURN reads at least one byte, and a record that holds itself
 * reads one (a union's branch, a list's block) or is nested too deeply, so a walk takes a number of steps that is linear in
 * the bytes, whatever the writer schema. */
enum {
    STEPS_MOST = 10000,
    VISITS_MOST = 20000,
    LISTS_DEEP_MOST = 8,  /* lists in lists in a schema */
    LISTS_OPEN_MOST = 64, /* and in a value, where records hold themselves */
    CALLS_DEEP_MOST = 64, /* how deep records hold themselves in a value */
    LIST_MERGED = 1,
    LIST_RESULTING = 2
};
#define CANONICAL_FORM_MOST (1024 * 1024)

/* decode_plan_new with a reader's schema that may differ from ours in what it names aliases and defaults. */
int decode_plan_resolve(const char *writer_json, size_t size, const char *reader_json, size_t reader_size,
                        enum record_type reader, struct decode_plan **ret_plan, struct error *error);

/* Every schema that was ever released, made from schemas/released/: what was written by one is read for ever. */
struct released_schema {
    enum record_type type;
    const char *text;
};
extern const struct released_schema released_schemas[];
extern const size_t released_schema_count;
/* Read values of `json`, a schema of `type`, in single-object encoding from now on. */
int decoder_know(struct decoder *decoder, enum record_type type, const char *json, struct error *error);

struct decode_plan {
    struct step *steps;
    size_t count, capacity;
    int32_t *numbers;
    size_t number_count, number_capacity;
    struct schema_tree *tree; /* the writer's; holds the fields' names */
    enum record_type reader;
};

#endif
