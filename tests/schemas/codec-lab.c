/* The codec at the end of a pipe, for tests in other languages: reads requests, answers each with a line of JSON.
 *
 * A request: an operation, an event type (both a byte), a size (4 bytes, little-endian; all ones = null), the bytes.
 *   D  a Kafka value of that type's topic, by the plan         {"reason":…,"event":…,"again":"<hex>",…}
 *   A  a body, by avro-c's generic reader                      {"reason":…,"event":…}
 *   W  size of a writer schema (4 bytes), the schema, a body   {"reason":…,"event":…}
 *   R  the same with a reader's schema after the writer's      {"reason":…,"event":…}
 *   C  a schema: its canonical form                            {"form":…} or {"error":…}
 *   L  a dead letter with the bytes as key and value           {"value":"<hex>"}
 * Texts and bytes are in hex, enums are numbers: nothing is lost on the way. `again` is the event encoded by us; beside
 * it stand the first rule that the event breaks (`violation`, its reason, or null) with Kafka's time
 * 2020-11-20T02:00:00Z, and for the organisational events `digest`, `identity` and `lane`. */
#include <avro.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/codec_internal.h"
#include "schemas/identity.h"
#include "schemas/rules.h"

#define KAFKA_MS INT64_C(1605837600000)
enum { REQUEST_MOST = 16 * 1024 * 1024, LINE_MOST = 64 * 1024 * 1024 };

static struct decoder *decoder;
static struct encoder *encoder;

static void die(const char *what)
{
    fprintf(stderr, "codec-lab: %s\n", what);
    exit(1);
}

static void put_hex(struct buffer *out, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    buffer_text_append(out, "\"");
    for (size_t i = 0; i < size; i++)
        buffer_append(out, (const char[]){digits[bytes[i] >> 4], digits[bytes[i] & 15]}, 2);
    buffer_text_append(out, "\"");
}

static void put_text(struct buffer *out, const char *name, struct slice text)
{
    buffer_printf(out, ",\"%s\":", name);
    if (text.data)
        put_hex(out, text.data, text.size);
    else
        buffer_text_append(out, "null");
}

static void put_units(struct buffer *out, const char *name, const struct unit *units, uint32_t count)
{
    buffer_printf(out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < count && i < UNIT_LIST_MOST; i++) {
        buffer_printf(out, "%s{\"n\":0", i ? "," : "");
        put_text(out, "id", units[i].id);
        put_text(out, "name", units[i].name);
        buffer_text_append(out, "}");
    }
    buffer_printf(out, "],\"%s_count\":%" PRIu32, name, count);
}

static void put_event(struct buffer *out, const struct event *event)
{
    buffer_printf(out, "{\"occurred_at\":%" PRId64, event->occurred_at_ms);
    if (event->type == EVENT_PAGE_VISIT) {
        put_text(out, "visitor", (struct slice){(const char *)event->visit.visitor, 16});
    } else {
        put_text(out, "event_id", (struct slice){(const char *)event->event_id.bytes, 16});
        put_text(out, "source", event->source);
        put_text(out, "agency", event->agency);
        buffer_printf(out, ",\"effective_date\":%" PRId32, event->effective_date);
        put_text(out, "decision", event->decision);
        put_text(out, "reverses", (struct slice){event->has_reverses ? (const char *)event->reverses.bytes : NULL, 16});
        if (event->type == EVENT_HEADCOUNT_CHANGE) {
            buffer_printf(out, ",\"sector\":%d,\"reason\":%d,\"delta\":%" PRId32, (int)event->headcount.sector,
                          (int)event->headcount.reason, event->headcount.delta);
        } else {
            buffer_printf(out, ",\"category\":%d,\"kind\":%d,\"units_before\":%" PRId32 ",\"units_after\":%" PRId32,
                          (int)event->merger.category, (int)event->merger.kind, event->merger.units_before,
                          event->merger.units_after);
            put_units(out, "merged_units", event->merger.merged_units, event->merger.merged_count);
            put_units(out, "resulting_units", event->merger.resulting_units, event->merger.resulting_count);
            put_text(out, "pilot_model", event->merger.pilot_model);
            put_text(out, "district", event->merger.district);
        }
    }
    buffer_text_append(out, "}");
}

static void put_reason(struct buffer *out, enum dead_letter_reason reason)
{
    buffer_printf(out, "{\"reason\":\"%s\"", reason == LETTER_NONE ? "none" : dead_letter_reason_name(reason));
}

static void put_judgement(struct buffer *out, const struct event *event)
{
    enum dead_letter_reason reason = event_check(event, KAFKA_MS, NULL);
    buffer_printf(out, reason == LETTER_NONE ? ",\"violation\":null%s" : ",\"violation\":\"%s\"",
                  reason == LETTER_NONE ? "" : dead_letter_reason_name(reason));
    if (event->type == EVENT_PAGE_VISIT)
        return;
    struct identity_salt salt = identity_salt_of(event->type, event->agency);
    struct identity identity = identity_of(event->event_id, &salt);
    buffer_printf(out, ",\"digest\":\"%016" PRIx64 "\",\"lane\":%" PRIu32 ",\"identity\":", event_meaning_digest(event),
                  lane_of_agency(event->agency));
    put_hex(out, identity.bytes, sizeof identity.bytes);
}

static void by_decoder(struct buffer *out, enum event_type type, struct slice value)
{
    static struct unit_storage storage;
    struct event event;
    bool away;
    enum dead_letter_reason reason = decoder_decode(decoder, type, value, &event, &storage, NULL, &away);
    put_reason(out, reason);
    if (reason == LETTER_NONE) {
        buffer_text_append(out, ",\"event\":");
        put_event(out, &event);
        put_judgement(out, &event);
        if (type != EVENT_UNIT_MERGER ||
            (event.merger.merged_count <= UNIT_LIST_MOST && event.merger.resulting_count <= UNIT_LIST_MOST)) {
            struct buffer again = BUFFER_BOUNDED(2 * VALUE_SIZE_MOST);
            if (encoder_event(encoder, &event, -1, &again, NULL) != 0)
                die("the encoder failed");
            buffer_text_append(out, ",\"again\":");
            put_hex(out, again.data, again.size);
            buffer_free(&again);
        }
    }
    buffer_text_append(out, "}");
}

/* A text that comes after its size; moves `rest` past it. */
static struct slice sized(struct slice *rest)
{
    uint32_t size;
    if (rest->size < 4)
        die("a schema without its size");
    memcpy(&size, rest->data, 4);
    size = le32toh(size);
    if (size > rest->size - 4)
        die("a schema beyond the end");
    struct slice text = {rest->data + 4, size};
    *rest = (struct slice){rest->data + 4 + size, rest->size - 4 - size};
    return text;
}

static void by_writer(struct buffer *out, enum event_type type, struct slice body, bool own_reader)
{
    static struct unit_storage storage;
    struct decode_plan *plan = NULL;
    struct event event;
    struct slice writer = sized(&body), reader = own_reader ? sized(&body) : slice_of(schema_text((enum record_type)type));
    enum dead_letter_reason reason = LETTER_UNKNOWN_SCHEMA;
    if (decode_plan_resolve(writer.data, writer.size, reader.data, reader.size, (enum record_type)type, &plan, NULL) == 0)
        reason = decode_plan_run(plan, (const uint8_t *)body.data, body.size, &event, &storage, NULL);
    put_reason(out, reason);
    if (reason == LETTER_NONE) {
        buffer_text_append(out, ",\"event\":");
        put_event(out, &event);
    }
    buffer_text_append(out, "}");
    decode_plan_free(plan);
}

static void put_avro(struct buffer *out, const char *name, avro_value_t *value)
{
    avro_value_t part;
    const void *data = NULL;
    const char *text = NULL;
    size_t size = 0;
    int32_t number = 0;
    int64_t long_number = 0;
    int branch = 0;
    switch (avro_value_get_type(value)) {
    case AVRO_RECORD:
        avro_value_get_size(value, &size);
        buffer_text_append(out, "{\"n\":0");
        for (size_t i = 0; i < size; i++) {
            avro_value_get_by_index(value, i, &part, &text);
            buffer_printf(out, ",\"%s\":", text);
            put_avro(out, text, &part);
        }
        buffer_text_append(out, "}");
        break;
    case AVRO_ARRAY:
        avro_value_get_size(value, &size);
        buffer_text_append(out, "[");
        for (size_t i = 0; i < size && i < UNIT_LIST_MOST; i++) {
            avro_value_get_by_index(value, i, &part, NULL);
            if (i)
                buffer_text_append(out, ",");
            put_avro(out, "", &part);
        }
        buffer_printf(out, "],\"%s_count\":%zu", name, size);
        break;
    case AVRO_UNION:
        if (avro_value_get_discriminant(value, &branch) == 0 && branch == 1 &&
            avro_value_get_current_branch(value, &part) == 0)
            put_avro(out, name, &part);
        else
            buffer_text_append(out, "null");
        break;
    case AVRO_STRING:
        avro_value_get_string(value, &text, &size);
        put_hex(out, text, size ? size - 1 : 0);
        break;
    case AVRO_FIXED:
        avro_value_get_fixed(value, &data, &size);
        put_hex(out, data, size);
        break;
    case AVRO_ENUM:
        avro_value_get_enum(value, &branch);
        buffer_printf(out, "%d", branch);
        break;
    case AVRO_INT32:
        avro_value_get_int(value, &number);
        buffer_printf(out, "%" PRId32, number);
        break;
    case AVRO_INT64:
        avro_value_get_long(value, &long_number);
        buffer_printf(out, "%" PRId64, long_number);
        break;
    default:
        die("a type that is not in our schemas");
    }
}

static void by_avro_c(struct buffer *out, enum event_type type, struct slice body)
{
    static avro_schema_t schemas[EVENT_TYPES];
    static avro_value_iface_t *classes[EVENT_TYPES];
    avro_value_t value;
    const char *text = schema_text((enum record_type)type);
    if (!classes[type] && (avro_schema_from_json_length(text, strlen(text), &schemas[type]) != 0 ||
                           !(classes[type] = avro_generic_class_from_schema(schemas[type]))))
        die("avro-c does not take our schema");
    avro_reader_t reader = avro_reader_memory(body.data, (int64_t)body.size);
    if (!reader || avro_generic_value_new(classes[type], &value) != 0)
        die("avro-c: out of memory");
    if (avro_value_read(reader, &value) != 0) {
        buffer_text_append(out, "{\"reason\":\"bad_encoding\"}");
    } else if (avro_read(reader, &(char){0}, 1) == 0) {
        buffer_text_append(out, "{\"reason\":\"trailing_bytes\"}");
    } else {
        buffer_text_append(out, "{\"reason\":\"none\",\"event\":");
        put_avro(out, "", &value);
        buffer_text_append(out, "}");
    }
    avro_value_decref(&value);
    avro_reader_free(reader);
}

static void canonical(struct buffer *out, struct slice schema)
{
    struct buffer form = BUFFER_BOUNDED(LINE_MOST);
    struct error error = {0};
    int result = schema_canonical_form(schema.data, schema.size, &form, &error);
    buffer_text_append(out, result == 0 ? "{\"form\":" : "{\"error\":");
    put_hex(out, result == 0 ? form.data : error.text, result == 0 ? form.size : strlen(error.text));
    buffer_text_append(out, "}");
    buffer_free(&form);
}

static void letter(struct buffer *out, struct slice bytes)
{
    struct dead_letter dead = {.reason = LETTER_BAD_ENCODING,
                               .detail = slice_of("why"),
                               .topic = slice_of("haiphong.unit-mergers"),
                               .partition = 7,
                               .offset = INT64_C(1) << 40,
                               .timestamp_ms = 1605837600000,
                               .key = bytes,
                               .value = bytes};
    struct buffer value = BUFFER_BOUNDED(2 * VALUE_SIZE_MOST);
    if (encoder_dead_letter(encoder, &dead, -1, &value, NULL) != 0)
        die("the encoder failed");
    buffer_text_append(out, "{\"value\":");
    put_hex(out, value.data, value.size);
    buffer_text_append(out, "}");
    buffer_free(&value);
}

int main(void)
{
    struct buffer out = BUFFER_BOUNDED(LINE_MOST);
    unsigned char head[6];
    if (decoder_new(NULL, NULL, &decoder, NULL) != 0 || encoder_new(&encoder, NULL) != 0)
        die("no codec");
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        uint32_t size;
        memcpy(&size, head + 2, 4);
        size = le32toh(size);
        bool null = size == UINT32_MAX;
        if ((!null && size > REQUEST_MOST) || head[1] >= EVENT_TYPES)
            die("a request that is too long or of another type");
        char *bytes = malloc(null || !size ? 1 : size); /* of its exact size: a read past it shows */
        if (!bytes || (!null && fread(bytes, 1, size, stdin) != size))
            die("a request is cut off");
        struct slice value = {null ? NULL : bytes, null ? 0 : size};
        enum event_type type = (enum event_type)head[1];
        buffer_reset(&out);
        switch (head[0]) {
        case 'D':
            by_decoder(&out, type, value);
            break;
        case 'A':
            by_avro_c(&out, type, value);
            break;
        case 'W':
            by_writer(&out, type, value, false);
            break;
        case 'R':
            by_writer(&out, type, value, true);
            break;
        case 'C':
            canonical(&out, value);
            break;
        case 'L':
            letter(&out, value);
            break;
        default:
            die("an unknown operation");
        }
        buffer_text_append(&out, "\n");
        if (buffer_failed(&out) || fwrite(out.data, 1, out.size, stdout) != out.size ||
            (head[0] == 'A' && fflush(stdout) != 0))
            die("the answer could not be written");
        free(bytes);
    }
    buffer_free(&out);
    decoder_free(decoder);
    encoder_free(encoder);
    return 0;
}
