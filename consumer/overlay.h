/* The new events of the window being folded, which no lane has yet: identity to meaning, exact. Pure. */
#ifndef CITYTOTALS_CONSUMER_OVERLAY_H
#define CITYTOTALS_CONSUMER_OVERLAY_H

#include "schemas/identity.h"

struct overlay;
struct overlay *overlay_new(size_t most); /* ids; NULL when memory ran out */
struct overlay *overlay_free(struct overlay *overlay); /* NULL */
bool overlay_find(const struct overlay *overlay, const struct identity *identity, uint64_t *ret_digest);
/* The first meaning of an identity stays. 0, or -ERROR_LIMIT when `most` are in. */
int overlay_add(struct overlay *overlay, const struct identity *identity, uint64_t digest);
size_t overlay_count(const struct overlay *overlay);
void overlay_reset(struct overlay *overlay); /* costs as much as was added */

#endif
