/* A dead letter as text or JSON. Foreign bytes never reach a terminal as they are. Pure. */
#ifndef CITYTOTALS_CONSUMER_LETTER_PRINT_H
#define CITYTOTALS_CONSUMER_LETTER_PRINT_H

#include "base/buffer.h"
#include "schemas/event.h"

void letter_table_head(struct buffer *out);
void letter_table_row(const struct dead_letter *letter, struct buffer *out);
/* All of it, the bytes as a dump. */
void letter_text(const struct dead_letter *letter, struct buffer *out);
/* One object without a line's end; `whole`: with the key and the value, in Base64. */
void letter_json(const struct dead_letter *letter, bool whole, struct buffer *out);

#endif
