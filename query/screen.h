/* A terminal that is drawn over in place, and left as it was found. */
#ifndef CITYTOTALS_QUERY_SCREEN_H
#define CITYTOTALS_QUERY_SCREEN_H

#include <stdbool.h>

/* Standard output is a terminal that knows escapes (TERM is set and not "dumb"). */
bool screen_is_possible(void);
/* Colour is wanted: as above, and NO_COLOR is unset or empty. */
bool screen_has_colour(void);

/* Switch to the alternate screen without a cursor, and stop echoing typed keys. True when standard input is the
 * terminal's and keys can be read from it one by one. */
bool screen_enter(void);
/* Put everything back. Does nothing when not entered; safe in a signal handler. */
void screen_leave(void);
/* Draw `text` from the top, `status` on the last row; what does not fit is cut and said. -ERROR_IO when the terminal is
 * gone. */
int screen_draw(const char *text, const char *status, const char *more);

#endif
