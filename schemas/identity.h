/* Who an event is: its id, its reversal's id, what a seen lane stores of it, and which lane. Pure. */
#ifndef CITYTOTALS_SCHEMAS_IDENTITY_H
#define CITYTOTALS_SCHEMAS_IDENTITY_H

#include "schemas/event.h"

/* uuid5(uuid5(NAMESPACE_URL, "urn:citytotals:" + type + ":" + source + ":" + agency), id); RFC 9562. `id` is already NFC. */
struct event_id event_id_from(enum event_type type, struct slice source, struct slice agency, struct slice id);
/* The same in two steps, for a sender of many events: the namespace goes by type, source and agency, so keep it. */
struct event_id event_namespace(enum event_type type, struct slice source, struct slice agency);
struct event_id event_id_in_namespace(struct event_id namespace, struct slice id);
/* uuid5(original, "reversal") */
struct event_id event_id_reversal(struct event_id original);
bool event_id_is_nil(struct event_id id);
#define EVENT_ID_TEXT_SIZE 37
char *event_id_format(struct event_id id, char text[EVENT_ID_TEXT_SIZE]); /* lower case, 36 characters */
bool event_id_parse(struct slice text, struct event_id *ret_id);          /* 36 characters, either case */

/* What the lanes key an event by: (type, agency, event id) in 16 bytes, the first of SHA-256(salt + event id), where salt is
 * SHA-256(type + ":" + agency). One-way, so that nobody can make an event id that meets another agency's identity. Never
 * changes: it is stored. docs/events.md gives test vectors. */
struct identity_salt {
    uint8_t bytes[32];
};
struct identity_salt identity_salt_of(enum event_type type, struct slice agency);
struct identity {
    uint8_t bytes[16];
};
struct identity identity_of(struct event_id id, const struct identity_salt *salt);

/* XXH3-64 (seed 0) over an unambiguous serialisation of every field but occurred_at, type, agency and event_id (the
 * identity holds those): the event's meaning. Independent of framing and writer schema. Never changes: it is stored.
 * docs/events.md gives the serialisation and test vectors. */
uint64_t event_meaning_digest(const struct event *event);

#define SEEN_LANES 64
/* Kafka's murmur2 (seed 0x9747b28c) without its sign bit, as the Java and librdkafka partitioners have it. */
uint32_t murmur2_positive(struct slice bytes);
static inline uint32_t lane_of_agency(struct slice agency)
{
    return murmur2_positive(agency) % SEEN_LANES;
}

#endif
