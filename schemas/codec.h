/* Avro: our schemas, both wire framings, encoding by avro-c, decoding by plan.
 *
 * A plan is made once per writer schema: writer and reader are resolved by name into a flat table of steps; for each
 * message one bounded loop runs it over the bytes into a struct event: no allocation, no recursion on foreign bytes. */
#ifndef CITYTOTALS_SCHEMAS_CODEC_H
#define CITYTOTALS_SCHEMAS_CODEC_H

#include "base/buffer.h"
#include "base/error.h"
#include "schemas/event.h"

/* The records we have schemas of: the event types, then the dead letter. */
enum record_type {
    RECORD_HEADCOUNT_CHANGE = EVENT_HEADCOUNT_CHANGE,
    RECORD_UNIT_MERGER = EVENT_UNIT_MERGER,
    RECORD_PAGE_VISIT = EVENT_PAGE_VISIT,
    RECORD_DEAD_LETTER,
    RECORD_TYPES
};
/* The text of schemas/<file>.avsc, built into the library; static. */
const char *schema_text(enum record_type type);
/* CRC-64-AVRO of the schema's parsing canonical form. */
uint64_t schema_fingerprint(enum record_type type);
/* The parsing canonical form of any schema, appended to `out`; ERROR_INPUT for one that does not parse,
 * ERROR_LIMIT where it does not fit `out`'s bound or memory; then nothing is appended. */
int schema_canonical_form(const char *json, size_t size, struct buffer *out, struct error *error);
uint64_t crc64_avro(const void *data, size_t size);

#define SCHEMA_TEXT_MOST (64 * 1024) /* a writer schema's size bound, before parsing */
#define SCHEMA_DEPTH_MOST 32         /* and its nesting bound */

struct decode_plan;
/* Resolve a writer schema against ours. ERROR_INPUT when it does not parse, is over a bound, or does not resolve. */
int decode_plan_new(const char *writer_json, size_t size, enum record_type reader, struct decode_plan **ret_plan,
                    struct error *error);
struct decode_plan *decode_plan_free(struct decode_plan *plan);

/* Where and why decoding stopped. */
struct decode_failure {
    size_t offset;     /* byte of the value (its framing included) */
    const char *field; /* reader or writer field's name, valid as long as the plan; "" where none */
    const char *what;  /* static text, "union index out of range"; when nothing is decided: why, valid until the next call */
    bool changed;      /* nothing is decided, since the schema id means something else than it did before */
};

/* Run the plan over a body (without framing). LETTER_NONE, LETTER_UNKNOWN_SCHEMA (it chose a union's branch or an enum's
 * symbol that does not resolve to ours), LETTER_BAD_ENCODING or LETTER_TRAILING_BYTES. */
enum dead_letter_reason decode_plan_run(const struct decode_plan *plan, const uint8_t *data, size_t size,
                                        struct event *ret_event, struct unit_storage *storage,
                                        struct decode_failure *ret_failure);

/* Finds the plan for a value: framing, then by fingerprint, then (Confluent framing) by schema id. */
struct decoder;
/* What a registry knows of an id. A registry client gives it; without one, Confluent framing is LETTER_UNKNOWN_SCHEMA. */
enum schema_lookup {
    SCHEMA_LOOKUP_FOUND,
    SCHEMA_LOOKUP_UNKNOWN,
    SCHEMA_LOOKUP_AWAY,    /* can't be asked now; *ret_json may give a sentence */
    SCHEMA_LOOKUP_CHANGED, /* means something else than before, which somebody has to look at; *ret_json likewise */
};
typedef enum schema_lookup (*schema_lookup_fn)(void *context, uint32_t schema_id, const char **ret_json, size_t *ret_size);
int decoder_new(schema_lookup_fn lookup, void *context, struct decoder **ret_decoder, struct error *error);
struct decoder *decoder_free(struct decoder *decoder);
/* Would a value with this id be decided now? */
bool decoder_can_decide(struct decoder *decoder, uint32_t schema_id);
/* Look every id up again when it is next met. */
void decoder_forget_ids(struct decoder *decoder);

/* Decode one Kafka value (NULL data = null) that should be a record of `expected`. Returns LETTER_NONE or the first
 * reason that applies of too_large, bad_framing, unknown_schema, bad_encoding, trailing_bytes. The rules are not looked
 * at. `*ret_away` is set (and LETTER_NONE returned) when the lookup says AWAY or CHANGED: decide nothing. The event's
 * slices point into `value`. No allocation once the writer's plan is known. */
enum dead_letter_reason decoder_decode(struct decoder *decoder, enum event_type expected, struct slice value,
                                       struct event *ret_event, struct unit_storage *storage,
                                       struct decode_failure *ret_failure, bool *ret_away);

struct encoder; /* avro-c's values, made once */
int encoder_new(struct encoder **ret_encoder, struct error *error);
struct encoder *encoder_free(struct encoder *encoder);
/* Append the framed value: Avro single-object encoding, or Confluent framing when schema_id >= 0. The event is assumed to
 * pass event_check. */
int encoder_event(struct encoder *encoder, const struct event *event, int64_t schema_id, struct buffer *out,
                  struct error *error);
int encoder_dead_letter(struct encoder *encoder, const struct dead_letter *letter, int64_t schema_id, struct buffer *out,
                        struct error *error);

/* Decode the framed value of a dead letter as this program's consumer writes it (either framing): the slices point into
 * `value`. False when it is not one. */
bool dead_letter_decode(struct slice value, struct dead_letter *ret_letter);

#endif
