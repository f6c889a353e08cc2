/* Reads JSON from left to right, RFC 8259, and says once where its form is broken. Pure, without allocation. */
#ifndef CITYTOTALS_PRODUCER_JSON_CURSOR_H
#define CITYTOTALS_PRODUCER_JSON_CURSOR_H

#include "producer/problem.h"
#include "producer/text.h"

#define JSON_DEPTH_MOST 32 /* nesting of a value that is only passed over; deeper is refused */

/* `start`, `at` and `end` are within UTF-8 text. Texts point into it or the arena. */
struct json_cursor {
    const char *start, *at, *end;
    struct arena *arena; /* NULL: texts are only checked, and given as they stand */
    struct problems *problems;
    bool stopped; /* the form is broken: nothing after this place can be read */
};

void json_skip_space(struct json_cursor *cursor);
/* The form is broken at the cursor: a problem with its column, once. The first says what was found there. */
void json_stop(struct json_cursor *cursor, const char *allowed);
void json_stop_said(struct json_cursor *cursor, const char *text);
/* White space, then this sign; false (after the white space) when it is another. */
bool json_take(struct json_cursor *cursor, char sign);
bool json_read_word(struct json_cursor *cursor, const char *word);
/* At a `"`. data NULL when stopped. */
struct slice json_read_text(struct json_cursor *cursor);
/* At a `-` or digit. Returns whether it is an integer; the raw text is from where the cursor was. */
bool json_read_number(struct json_cursor *cursor);
/* Any value, only checked; `depth` is that of what it stands in. */
void json_skip_value(struct json_cursor *cursor, int depth);

#endif
