/* Texts of a line: an arena that lives as long as the line's event, and Unicode normalisation form C. Pure. */
#ifndef CITYTOTALS_PRODUCER_TEXT_H
#define CITYTOTALS_PRODUCER_TEXT_H

#include "base/slice.h"

#define LINE_MOST (16 * 1024) /* bytes of a line or CSV record without its end */

struct arena {
    size_t used;
    char data[4 * LINE_MOST]; /* a line unescaped, and its texts in form C, which is at most three times as long */
};
static inline void arena_reset(struct arena *arena) { arena->used = 0; }
/* NULL when it does not fit. */
char *arena_take(struct arena *arena, size_t size);

/* The text in form C; the same slice where it is so already, else a copy in the arena. `text` is UTF-8. False when it does
 * not fit the arena or memory. */
bool text_normalise(struct slice text, struct arena *arena, struct slice *ret_text);

#endif
