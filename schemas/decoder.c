/* Finds the plan for a Kafka value: its framing, then its writer schema. */
#include <endian.h>
#include <stdlib.h>

#include "schemas/codec_internal.h"

enum { IDS_MOST = 256 };

struct known_id {
    uint32_t id;
    struct decode_plan *plans[RECORD_DEAD_LETTER]; /* NULL: does not resolve to that record */
};

struct decoder {
    schema_lookup_fn lookup;
    void *context;
    uint64_t fingerprints[RECORD_DEAD_LETTER];
    struct decode_plan *plans[RECORD_DEAD_LETTER];
    struct known_id ids[IDS_MOST];
    size_t id_count;
};

int decoder_new(schema_lookup_fn lookup, void *context, struct decoder **ret_decoder, struct error *error)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return error_set(error, ERROR_MEMORY, "out of memory");
    decoder->lookup = lookup;
    decoder->context = context;
    for (int type = 0; type < RECORD_DEAD_LETTER; type++) {
        decoder->fingerprints[type] = schema_fingerprint((enum record_type)type);
        int result = decode_plan_new(schema_texts[type], strlen(schema_texts[type]), (enum record_type)type,
                                     &decoder->plans[type], error);
        if (result < 0) {
            decoder_free(decoder);
            return result;
        }
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
    for (int type = 0; type < RECORD_DEAD_LETTER; type++)
        decode_plan_free(decoder->plans[type]);
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
        if (le64toh(fingerprint) == decoder->fingerprints[expected])
            plan = decoder->plans[expected];
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
