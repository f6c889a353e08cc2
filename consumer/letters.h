/* The dead-letter producer: a record that can't be folded is written to <city>.dead-letters before its offset moves. */
#ifndef CITYTOTALS_CONSUMER_LETTERS_H
#define CITYTOTALS_CONSUMER_LETTERS_H

#include "base/error.h"
#include "base/settings.h"
#include "schemas/event.h"

struct letters;
/* Checks the configuration; connects when first used. The options must outlive it. */
int letters_open(const struct common_options *common, const char *city, struct letters **ret_letters,
                 struct error *error);
struct letters *letters_close(struct letters *letters); /* NULL; accepts NULL */
/* Write all of them and wait until Kafka has acknowledged every one (acks=all). On failure some may have been written
 * (readers tell repeats by topic, partition and offset); the same may be tried again. `schema_id` -1: Avro's single-object
 * encoding, else Confluent framing. ERROR_KAFKA. */
int letters_send(struct letters *letters, const struct dead_letter *items, size_t count, int64_t schema_id,
                 int64_t timeout_ms, struct error *error);

#endif
