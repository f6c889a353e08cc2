/* A set of records by topic, partition and offset, with a byte for each: which have a dead letter, and for what. Pure. */
#ifndef CITYTOTALS_CONSUMER_PLACES_H
#define CITYTOTALS_CONSUMER_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct places;
struct places *places_new(void); /* NULL when memory ran out */
struct places *places_free(struct places *places); /* NULL */
/* Finds or adds (with 0). NULL when memory ran out. Valid until the next call. */
uint8_t *places_get(struct places *places, uint8_t topic, int32_t partition, int64_t offset);
uint8_t places_find(const struct places *places, uint8_t topic, int32_t partition, int64_t offset); /* 0 when not there */
size_t places_count(const struct places *places);

#endif
