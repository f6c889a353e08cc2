/* Avro's parsing canonical form and its CRC-64 fingerprint. */
#include <jansson.h>

#include "schemas/codec_internal.h"

const char *schema_text(enum record_type type)
{
    return schema_texts[type];
}

uint64_t crc64_avro(const void *data, size_t size)
{
    static uint64_t table[256];
    const uint64_t empty = UINT64_C(0xc15d213aa4d7a795);
    if (!table[1]) { /* idempotent: two threads write the same values */
        for (unsigned i = 0; i < 256; i++) {
            uint64_t value = i;
            for (int bit = 0; bit < 8; bit++)
                value = (value >> 1) ^ (empty & -(value & 1));
            table[i] = value;
        }
    }
    uint64_t crc = empty;
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xFF];
    return crc;
}

static bool is_primitive(const char *name)
{
    static const char *const names[] = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void quoted(struct buffer *out, const char *text)
{
    buffer_append(out, "\"", 1);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_append(out, "\\", 1);
        buffer_append(out, text, 1);
    }
    buffer_append(out, "\"", 1);
}

/* Writes the full name and returns the namespace that holds inside. */
static void full_name(struct buffer *out, const char *name, const char *namespace)
{
    if (strchr(name, '.') || !namespace || !*namespace) {
        quoted(out, name);
        return;
    }
    char full[512];
    snprintf(full, sizeof full, "%s.%s", namespace, name);
    quoted(out, full);
}

static bool write_form(struct buffer *out, const json_t *schema, const char *namespace, int depth);

static bool write_fields(struct buffer *out, const json_t *fields, const char *namespace, int depth)
{
    size_t i;
    json_t *field;
    if (!json_is_array(fields))
        return false;
    buffer_text_append(out, ",\"fields\":[");
    json_array_foreach(fields, i, field) {
        const char *name = json_string_value(json_object_get(field, "name"));
        if (!name)
            return false;
        buffer_text_append(out, i ? ",{\"name\":" : "{\"name\":");
        quoted(out, name);
        buffer_text_append(out, ",\"type\":");
        if (!write_form(out, json_object_get(field, "type"), namespace, depth + 1))
            return false;
        buffer_text_append(out, "}");
    }
    buffer_text_append(out, "]");
    return true;
}

static bool write_named(struct buffer *out, const json_t *schema, const char *type, const char *namespace, int depth)
{
    const char *name = json_string_value(json_object_get(schema, "name"));
    const char *own = json_string_value(json_object_get(schema, "namespace"));
    if (!name)
        return false;
    namespace = own ? own : namespace;
    buffer_text_append(out, "{\"name\":");
    full_name(out, name, namespace);
    buffer_text_append(out, ",\"type\":");
    quoted(out, type);
    if (strcmp(type, "record") == 0 || strcmp(type, "error") == 0) {
        char inner[512];
        const char *dot = strrchr(name, '.');
        if (dot) {
            snprintf(inner, sizeof inner, "%.*s", (int)(dot - name), name);
            namespace = inner;
        }
        if (!write_fields(out, json_object_get(schema, "fields"), namespace, depth))
            return false;
    } else if (strcmp(type, "enum") == 0) {
        size_t i;
        json_t *symbol;
        buffer_text_append(out, ",\"symbols\":[");
        json_array_foreach(json_object_get(schema, "symbols"), i, symbol) {
            if (!json_is_string(symbol))
                return false;
            if (i)
                buffer_text_append(out, ",");
            quoted(out, json_string_value(symbol));
        }
        buffer_text_append(out, "]");
    } else {
        buffer_printf(out, ",\"size\":%lld", (long long)json_integer_value(json_object_get(schema, "size")));
    }
    buffer_text_append(out, "}");
    return true;
}

static bool write_form(struct buffer *out, const json_t *schema, const char *namespace, int depth)
{
    if (depth > SCHEMA_DEPTH_MOST)
        return false;
    if (json_is_string(schema)) {
        const char *name = json_string_value(schema);
        if (is_primitive(name))
            quoted(out, name);
        else
            full_name(out, name, namespace);
        return true;
    }
    if (json_is_array(schema)) {
        size_t i;
        json_t *branch;
        buffer_text_append(out, "[");
        json_array_foreach(schema, i, branch) {
            if (i)
                buffer_text_append(out, ",");
            if (!write_form(out, branch, namespace, depth + 1))
                return false;
        }
        buffer_text_append(out, "]");
        return true;
    }
    const json_t *type = json_object_get(schema, "type");
    if (!json_is_string(type))
        return type && write_form(out, type, namespace, depth + 1);
    const char *word = json_string_value(type);
    if (strcmp(word, "array") == 0 || strcmp(word, "map") == 0) {
        const char *inside = *word == 'a' ? "items" : "values";
        buffer_printf(out, "{\"type\":\"%s\",\"%s\":", word, inside);
        if (!write_form(out, json_object_get(schema, inside), namespace, depth + 1))
            return false;
        buffer_text_append(out, "}");
        return true;
    }
    if (strcmp(word, "record") == 0 || strcmp(word, "error") == 0 || strcmp(word, "enum") == 0 || strcmp(word, "fixed") == 0)
        return write_named(out, schema, word, namespace, depth);
    return write_form(out, type, namespace, depth + 1);
}

int schema_canonical_form(const char *json, size_t size, struct buffer *out, struct error *error)
{
    json_error_t where;
    if (size > SCHEMA_TEXT_MOST)
        return error_set(error, ERROR_INPUT, "schema of %zu bytes; allowed: %d", size, SCHEMA_TEXT_MOST);
    json_t *schema = json_loadb(json, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (!schema)
        return error_set(error, ERROR_INPUT, "schema: line %d: %s", where.line, where.text);
    bool ok = write_form(out, schema, NULL, 0) && !buffer_failed(out);
    json_decref(schema);
    return ok ? 0 : error_set(error, ERROR_INPUT, "schema: not an Avro schema, or nested deeper than %d", SCHEMA_DEPTH_MOST);
}

uint64_t schema_fingerprint(enum record_type type)
{
    static _Atomic uint64_t known[RECORD_TYPES];
    uint64_t fingerprint = known[type];
    if (fingerprint)
        return fingerprint;
    struct buffer form = BUFFER_BOUNDED(SCHEMA_TEXT_MOST);
    if (schema_canonical_form(schema_texts[type], strlen(schema_texts[type]), &form, NULL) == 0)
        fingerprint = crc64_avro(form.data, form.size);
    buffer_free(&form);
    known[type] = fingerprint;
    return fingerprint;
}
