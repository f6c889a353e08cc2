/* Encodes events and dead letters by avro-c, framed. */
#include <avro.h>
#include <endian.h>
#include <stdlib.h>

#include "schemas/codec_internal.h"


struct encoder {
    avro_schema_t schemas[RECORD_TYPES];
    avro_value_iface_t *classes[RECORD_TYPES];
    avro_value_t values[RECORD_TYPES];
    bool made[RECORD_TYPES];
};

int encoder_new(struct encoder **ret_encoder, struct error *error)
{
    struct encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (int type = 0; type < RECORD_TYPES; type++) {
        if (avro_schema_from_json_length(schema_texts[type], strlen(schema_texts[type]), &encoder->schemas[type]) != 0 ||
            !(encoder->classes[type] = avro_generic_class_from_schema(encoder->schemas[type])) ||
            avro_generic_value_new(encoder->classes[type], &encoder->values[type]) != 0) {
            encoder_free(encoder);
            return error_set(error, ERROR_MEMORY, "avro-c: %s", avro_strerror());
        }
        encoder->made[type] = true;
    }
    *ret_encoder = encoder;
    return 0;
}

struct encoder *encoder_free(struct encoder *encoder)
{
    if (!encoder)
        return NULL;
    for (int type = 0; type < RECORD_TYPES; type++) {
        if (encoder->made[type])
            avro_value_decref(&encoder->values[type]);
        if (encoder->classes[type])
            avro_value_iface_decref(encoder->classes[type]);
        if (encoder->schemas[type])
            avro_schema_decref(encoder->schemas[type]);
    }
    free(encoder);
    return NULL;
}

/* Sets the record's fields in their order; the first failure sticks. */
struct setter {
    avro_value_t *record;
    size_t next;
    int failed;
};

static avro_value_t next_field(struct setter *setter)
{
    avro_value_t field = {0};
    setter->failed |= avro_value_get_by_index(setter->record, setter->next++, &field, NULL);
    return field;
}

static void set_text(struct setter *setter, avro_value_t *field, struct slice text)
{
    /* avro-c takes a terminated string: its own copy of the bytes, with the zero counted. */
    char *copy = malloc(text.size + 1);
    if (!copy) {
        setter->failed = 1;
        return;
    }
    if (text.size)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    setter->failed |= avro_value_set_string_len(field, copy, text.size + 1);
    free(copy);
}

static void text(struct setter *setter, struct slice value)
{
    avro_value_t field = next_field(setter);
    if (!setter->failed)
        set_text(setter, &field, value);
}

static void number(struct setter *setter, int64_t value, bool is_long)
{
    avro_value_t field = next_field(setter);
    if (!setter->failed)
        setter->failed |= is_long ? avro_value_set_long(&field, value) : avro_value_set_int(&field, (int32_t)value);
}

static void symbol(struct setter *setter, int value)
{
    avro_value_t field = next_field(setter);
    if (!setter->failed)
        setter->failed |= avro_value_set_enum(&field, value);
}

static void fixed(struct setter *setter, const uint8_t bytes[16])
{
    avro_value_t field = next_field(setter);
    if (!setter->failed)
        setter->failed |= avro_value_set_fixed(&field, (void *)(uintptr_t)bytes, 16);
}

enum branch_kind { BRANCH_TEXT, BRANCH_BYTES, BRANCH_FIXED };
static void nullable(struct setter *setter, enum branch_kind kind, struct slice value)
{
    avro_value_t field = next_field(setter), branch;
    if (setter->failed)
        return;
    setter->failed |= avro_value_set_branch(&field, value.data ? 1 : 0, &branch);
    if (setter->failed)
        return;
    void *bytes = (void *)(uintptr_t)value.data;
    if (!value.data)
        setter->failed |= avro_value_set_null(&branch);
    else if (kind == BRANCH_TEXT)
        set_text(setter, &branch, value);
    else
        setter->failed |= kind == BRANCH_BYTES ? avro_value_set_bytes(&branch, bytes, value.size)
                                               : avro_value_set_fixed(&branch, bytes, value.size);
}

static void units(struct setter *setter, const struct unit *list, uint32_t count)
{
    avro_value_t field = next_field(setter), item;
    for (uint32_t i = 0; i < count && !setter->failed; i++) {
        setter->failed |= avro_value_append(&field, &item, NULL);
        struct setter inner = {.record = &item, .failed = setter->failed};
        text(&inner, list[i].id);
        text(&inner, list[i].name);
        setter->failed |= inner.failed;
    }
}

static int write_value(struct encoder *encoder, enum record_type type, int64_t schema_id, struct buffer *out, struct error *error)
{
    size_t size = 0;
    avro_value_t *value = &encoder->values[type];
    /* The caller's buffer is the bound: a letter holds its record's key, which Kafka alone limits. */
    if (avro_value_sizeof(value, &size) != 0 || size > out->bound)
        return error_set(error, ERROR_INPUT, "encode a %s of %zu bytes: %s", type == RECORD_DEAD_LETTER ? "dead letter" : "record",
                         size, size > out->bound ? "too large" : avro_strerror());
    uint8_t head[10];
    size_t head_size;
    if (schema_id >= 0) {
        uint32_t id = htobe32((uint32_t)schema_id);
        head[0] = 0;
        memcpy(head + 1, &id, sizeof id);
        head_size = 5;
    } else {
        uint64_t fingerprint = htole64(schema_fingerprint(type));
        head[0] = 0xC3;
        head[1] = 0x01;
        memcpy(head + 2, &fingerprint, sizeof fingerprint);
        head_size = 10;
    }
    char *body = malloc(size ? size : 1);
    avro_writer_t writer = body ? avro_writer_memory(body, (int64_t)size) : NULL;
    int failed = !writer || avro_value_write(writer, value) != 0;
    if (writer)
        avro_writer_free(writer);
    if (!failed) {
        buffer_append(out, head, head_size);
        buffer_append(out, body, size);
    }
    free(body);
    return failed || buffer_failed(out) ? error_set(error, ERROR_MEMORY, "encode a record: %s", avro_strerror()) : 0;
}

int encoder_event(struct encoder *encoder, const struct event *event, int64_t schema_id, struct buffer *out, struct error *error)
{
    avro_value_t *record = &encoder->values[event->type];
    struct setter setter = {.record = record};
    struct slice reverses = event->has_reverses ? (struct slice){(const char *)event->reverses.bytes, 16} : (struct slice){0};
    avro_value_reset(record);
    if (event->type == EVENT_PAGE_VISIT) {
        number(&setter, event->occurred_at_ms, true);
        fixed(&setter, event->visit.visitor);
    } else {
        fixed(&setter, event->event_id.bytes);
        text(&setter, event->source);
        number(&setter, event->occurred_at_ms, true);
        number(&setter, event->effective_date, false);
        text(&setter, event->agency);
        if (event->type == EVENT_HEADCOUNT_CHANGE) {
            symbol(&setter, (int)event->headcount.sector);
            symbol(&setter, (int)event->headcount.reason);
            number(&setter, event->headcount.delta, false);
        } else {
            symbol(&setter, (int)event->merger.category);
            symbol(&setter, (int)event->merger.kind);
            number(&setter, event->merger.units_before, false);
            number(&setter, event->merger.units_after, false);
            units(&setter, event->merger.merged_units, event->merger.merged_count);
            units(&setter, event->merger.resulting_units, event->merger.resulting_count);
            nullable(&setter, BRANCH_TEXT, event->merger.pilot_model);
            nullable(&setter, BRANCH_TEXT, event->merger.district);
        }
        nullable(&setter, BRANCH_TEXT, event->decision);
        nullable(&setter, BRANCH_FIXED, reverses);
    }
    if (setter.failed)
        return error_set(error, ERROR_MEMORY, "encode a %s: %s", event_type_name(event->type), avro_strerror());
    return write_value(encoder, (enum record_type)event->type, schema_id, out, error);
}

int encoder_dead_letter(struct encoder *encoder, const struct dead_letter *letter, int64_t schema_id, struct buffer *out,
                        struct error *error)
{
    avro_value_t *record = &encoder->values[RECORD_DEAD_LETTER];
    struct setter setter = {.record = record};
    avro_value_reset(record);
    symbol(&setter, (int)letter->reason);
    text(&setter, letter->detail);
    text(&setter, letter->topic);
    number(&setter, letter->partition, false);
    number(&setter, letter->offset, true);
    number(&setter, letter->timestamp_ms, true);
    nullable(&setter, BRANCH_BYTES, letter->key);
    nullable(&setter, BRANCH_BYTES, letter->value);
    if (setter.failed)
        return error_set(error, ERROR_MEMORY, "encode a dead letter: %s", avro_strerror());
    return write_value(encoder, RECORD_DEAD_LETTER, schema_id, out, error);
}
