/* Finds the plan for a Kafka value: its framing, then its writer schema. */
#include <endian.h>
#include <stdlib.h>

#include "schemas/codec_internal.h"

enum { IDS_MOST = 256, KNOWN_MOST = 64 };

struct known_id {
    uint32_t id;
    struct decode_plan *plans[RECORD_DEAD_LETTER]; /* NULL: does not resolve to that record */
};

struct decoder {
    schema_lookup_fn lookup;
    void *context;
    struct {
        uint64_t fingerprint;
        enum record_type type;
        struct decode_plan *plan;
    } known[KNOWN_MOST]; /* ours as they are first, by type; then those that were released before */
    size_t known_count;
    struct known_id ids[IDS_MOST];
    size_t id_count;
};

int decoder_know(struct decoder *decoder, enum record_type type, const char *json, struct error *error)
{
    struct buffer form = BUFFER_BOUNDED(CANONICAL_FORM_MOST);
    struct decode_plan *plan;
    int result = schema_canonical_form(json, strlen(json), &form, error);
    uint64_t fingerprint = crc64_avro(form.data, form.size);
    buffer_free(&form);
    if (result == -ERROR_LIMIT) /* ours are far below the form's bound */
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (result < 0)
        return result;
    for (size_t i = 0; i < decoder->known_count; i++)
        if (decoder->known[i].fingerprint == fingerprint)
            return 0;
    if (decoder->known_count == KNOWN_MOST)
        return error_set(error, ERROR_LIMIT, "more than %d schemas of ours", KNOWN_MOST);
    if ((result = decode_plan_new(json, strlen(json), type, &plan, error)) < 0)
        return result;
    decoder->known[decoder->known_count].fingerprint = fingerprint;
    decoder->known[decoder->known_count].type = type;
    decoder->known[decoder->known_count++].plan = plan;
    return 0;
}

int decoder_new(schema_lookup_fn lookup, void *context, struct decoder **ret_decoder, struct error *error)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return error_set(error, ERROR_MEMORY, "out of memory");
    decoder->lookup = lookup;
    decoder->context = context;
    int result = 0;
    for (int type = 0; type < RECORD_DEAD_LETTER && result >= 0; type++)
        result = decoder_know(decoder, (enum record_type)type, schema_texts[type], error);
    for (size_t i = 0; i < released_schema_count && result >= 0; i++)
        if (released_schemas[i].type < RECORD_DEAD_LETTER)
            result = decoder_know(decoder, released_schemas[i].type, released_schemas[i].text, error);
    if (result < 0) {
        decoder_free(decoder);
        return result;
    }
    *ret_decoder = decoder;
    return 0;
}

bool decoder_can_decide(struct decoder *decoder, uint32_t schema_id)
{
    const char *json = "";
    size_t size = 0;
    for (size_t i = 0; i < decoder->id_count; i++)
        if (decoder->ids[i].id == schema_id)
            return true;
    return !decoder->lookup || decoder->lookup(decoder->context, schema_id, &json, &size) != SCHEMA_LOOKUP_AWAY;
}

void decoder_forget_ids(struct decoder *decoder)
{
    for (size_t i = 0; i < decoder->id_count; i++)
        for (int type = 0; type < RECORD_DEAD_LETTER; type++)
            decode_plan_free(decoder->ids[i].plans[type]);
    decoder->id_count = 0;
}

struct decoder *decoder_free(struct decoder *decoder)
{
    if (!decoder)
        return NULL;
    decoder_forget_ids(decoder);
    for (size_t i = 0; i < decoder->known_count; i++)
        decode_plan_free(decoder->known[i].plan);
    free(decoder);
    return NULL;
}

/* The plan of a registry's schema id; NULL when it is unknown or does not resolve, or when *ret_away. */
static const struct decode_plan *plan_of_id(struct decoder *decoder, uint32_t id, enum event_type expected,
                                            struct decode_failure *ret_failure, bool *ret_away)
{
    const char *json = "";
    size_t size = 0;
    for (size_t i = 0; i < decoder->id_count; i++)
        if (decoder->ids[i].id == id)
            return decoder->ids[i].plans[expected];
    enum schema_lookup found = decoder->lookup ? decoder->lookup(decoder->context, id, &json, &size) : SCHEMA_LOOKUP_UNKNOWN;
    *ret_away = found == SCHEMA_LOOKUP_AWAY || found == SCHEMA_LOOKUP_CHANGED;
    if (*ret_away && ret_failure)
        *ret_failure = (struct decode_failure){1, "", json, found == SCHEMA_LOOKUP_CHANGED};
    if (found != SCHEMA_LOOKUP_FOUND)
        return NULL;
    struct known_id made = {.id = id};
    for (int type = 0; type < RECORD_DEAD_LETTER; type++) {
        if (decode_plan_new(json, size, (enum record_type)type, &made.plans[type], NULL) == -ERROR_MEMORY) {
            for (int before = 0; before < type; before++)
                decode_plan_free(made.plans[before]);
            if (ret_failure)
                *ret_failure = (struct decode_failure){1, "", "out of memory for its schema", false};
            *ret_away = true; /* says nothing about the schema: decide later */
            return NULL;
        }
    }
    if (decoder->id_count == IDS_MOST) { /* let the oldest go */
        for (int type = 0; type < RECORD_DEAD_LETTER; type++)
            decode_plan_free(decoder->ids[0].plans[type]);
        memmove(&decoder->ids[0], &decoder->ids[1], (IDS_MOST - 1) * sizeof decoder->ids[0]);
        decoder->id_count--;
    }
    struct known_id *known = &decoder->ids[decoder->id_count++];
    *known = made;
    return known->plans[expected];
}

static enum dead_letter_reason refuse(struct decode_failure *ret_failure, size_t offset, const char *what,
                                      enum dead_letter_reason reason)
{
    if (ret_failure)
        *ret_failure = (struct decode_failure){offset, "", what, false};
    return reason;
}

enum dead_letter_reason decoder_decode(struct decoder *decoder, enum event_type expected, struct slice value,
                                       struct event *ret_event, struct unit_storage *storage,
                                       struct decode_failure *ret_failure, bool *ret_away)
{
    const uint8_t *bytes = (const uint8_t *)value.data;
    const struct decode_plan *plan = NULL;
    size_t head;
    *ret_away = false;
    if (value.data && value.size > VALUE_SIZE_MOST)
        return refuse(ret_failure, 0, "too large", LETTER_TOO_LARGE);
    if (!value.data)
        return refuse(ret_failure, 0, "a null value", LETTER_BAD_FRAMING);
    if (value.size >= 10 && bytes[0] == 0xC3 && bytes[1] == 0x01) {
        uint64_t fingerprint;
        memcpy(&fingerprint, bytes + 2, sizeof fingerprint);
        head = 10;
        fingerprint = le64toh(fingerprint);
        if (fingerprint == decoder->known[expected].fingerprint)
            plan = decoder->known[expected].plan;
        for (size_t i = EVENT_TYPES; !plan && i < decoder->known_count; i++)
            if (fingerprint == decoder->known[i].fingerprint && decoder->known[i].type == (enum record_type)expected)
                plan = decoder->known[i].plan;
    } else if (value.size >= 5 && bytes[0] == 0x00) {
        uint32_t id;
        memcpy(&id, bytes + 1, sizeof id);
        head = 5;
        plan = plan_of_id(decoder, be32toh(id), expected, ret_failure, ret_away);
        if (*ret_away)
            return LETTER_NONE;
    } else {
        return refuse(ret_failure, 0, "neither C3 01 and a fingerprint nor 00 and a schema id", LETTER_BAD_FRAMING);
    }
    if (!plan)
        return refuse(ret_failure, 1, "its schema is unknown here, or another record's", LETTER_UNKNOWN_SCHEMA);
    enum dead_letter_reason reason = decode_plan_run(plan, bytes + head, value.size - head, ret_event, storage, ret_failure);
    if (reason != LETTER_NONE && ret_failure)
        ret_failure->offset += head;
    return reason;
}
