/* Avro's parsing canonical form and its CRC-64 fingerprint. */
#include <pthread.h>

#include "schemas/codec_internal.h"

const char *schema_text(enum record_type type)
{
    return schema_texts[type];
}

static const uint64_t crc_empty = UINT64_C(0xc15d213aa4d7a795);
static uint64_t crc_table[256];

static void fill_crc_table(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = (value >> 1) ^ (crc_empty & -(value & 1));
        crc_table[i] = value;
    }
}

uint64_t crc64_avro(const void *data, size_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_crc_table);
    uint64_t crc = crc_empty;
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        crc = (crc >> 8) ^ crc_table[(crc ^ bytes[i]) & 0xFF];
    return crc;
}

/* Names hold nothing that JSON would escape: the tree has checked them. */
static void write_form(struct buffer *out, const struct child *child)
{
    const struct node *node = child->node;
    const char *kind = node_kind_name(node->kind);
    if (node->kind <= NODE_STRING) {
        buffer_printf(out, "\"%s\"", kind);
        return;
    }
    if (child->is_reference) {
        buffer_printf(out, "\"%s\"", node->full_name);
        return;
    }
    switch (node->kind) {
    case NODE_FIXED:
        buffer_printf(out, "{\"name\":\"%s\",\"type\":\"fixed\",\"size\":%d}", node->full_name, node->size);
        return;
    case NODE_ARRAY:
    case NODE_MAP:
        buffer_printf(out, "{\"type\":\"%s\",\"%s\":", kind, node->kind == NODE_ARRAY ? "items" : "values");
        write_form(out, &node->children[0]);
        buffer_text_append(out, "}");
        return;
    case NODE_UNION:
        buffer_text_append(out, "[");
        break;
    default:
        buffer_printf(out, "{\"name\":\"%s\",\"type\":\"%s\",\"%s\":[", node->full_name, kind,
                      node->kind == NODE_ENUM ? "symbols" : "fields");
    }
    for (size_t i = 0; i < node->count; i++) {
        if (i)
            buffer_text_append(out, ",");
        if (node->kind == NODE_ENUM) {
            buffer_printf(out, "\"%s\"", node->children[i].name);
        } else if (node->kind == NODE_RECORD) {
            buffer_printf(out, "{\"name\":\"%s\",\"type\":", node->children[i].name);
            write_form(out, &node->children[i]);
            buffer_text_append(out, "}");
        } else {
            write_form(out, &node->children[i]);
        }
    }
    buffer_text_append(out, node->kind == NODE_UNION ? "]" : "]}");
}

int schema_canonical_form(const char *json, size_t size, struct buffer *out, struct error *error)
{
    struct schema_tree *tree = NULL;
    int result = schema_tree_parse(json, size, &tree, error);
    if (result < 0)
        return result;
    struct buffer form = BUFFER_BOUNDED(CANONICAL_FORM_MOST);
    write_form(&form, &(struct child){.node = schema_tree_root(tree)});
    schema_tree_free(tree);
    if (!buffer_failed(&form))
        buffer_append(out, form.data, form.size);
    bool failed = buffer_failed(&form) || buffer_failed(out);
    buffer_free(&form);
    return failed ? error_set(error, ERROR_LIMIT, "schema: no room for its canonical form") : 0;
}

uint64_t schema_fingerprint(enum record_type type)
{
    static _Atomic uint64_t known[RECORD_TYPES];
    uint64_t fingerprint = known[type];
    if (fingerprint)
        return fingerprint;
    struct buffer form = BUFFER_BOUNDED(CANONICAL_FORM_MOST);
    if (schema_canonical_form(schema_texts[type], strlen(schema_texts[type]), &form, NULL) == 0)
        fingerprint = crc64_avro(form.data, form.size);
    buffer_free(&form);
    known[type] = fingerprint;
    return fingerprint;
}
