/* Is a snapshot whole, and whose? */
#ifndef CITYTOTALS_CONSUMER_SNAPSHOT_CHECK_H
#define CITYTOTALS_CONSUMER_SNAPSHOT_CHECK_H

#include "consumer/snapshot_file.h"
#include "schemas/layout.h"

#define SNAPSHOT_TEXT_SIZE 128

struct snapshot_head {
    char city[CITY_SIZE_MOST + 1];
    char cluster[SNAPSHOT_TEXT_SIZE], epoch[SNAPSHOT_TEXT_SIZE];
    char saved_at[SNAPSHOT_TEXT_SIZE], updated_at[SNAPSHOT_TEXT_SIZE]; /* RFC 3339; the latter may be "" */
    int64_t version, events;
    int64_t visitors, entries; /* found: of open days; of all streams */
};
/* The text of the head of a snapshot that is saved now. `layout` is the state's own. */
void snapshot_head_text(const struct snapshot_head *head, struct slice layout, struct buffer *out);
/* Read the file from its first block to its end: every checksum, every block's shape, that its schemas and its layout are
 * this program's, and that its lanes hold the ids of the events that its totals count. ERROR_REFUSED with what is wrong. */
int snapshot_check(struct snapshot_reader *reader, struct snapshot_head *ret_head, struct error *error);

#endif
