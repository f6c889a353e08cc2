/* The totals as text that a person likes to read, in Vietnamese or English, and the pieces that it is made of. Pure.
 * Widths are columns of a terminal, not bytes: Vietnamese letters take two or three bytes and one column. */
#ifndef CITYTOTALS_QUERY_TEXT_H
#define CITYTOTALS_QUERY_TEXT_H

#include "base/buffer.h"
#include "query/settings.h"
#include "query/totals.h"

#define TEXT_COLUMNS 80
#define TEXT_MOST (16u << 20)

struct text_style {
    enum language language;
    bool colour;
    bool lag_asked;           /* then a lag that is not known is said */
    int64_t stale_age_ms;     /* how old the totals are, when stale */
    const char *stale_reason; /* why Redis can't be read; may be NULL */
};
/* Lines for a person, each at most TEXT_COLUMNS wide, whatever the numbers are. */
void totals_text(const struct totals *totals, const struct text_style *style, struct buffer *out);

/* Columns that `text` takes; bytes that are not UTF-8 count one each. */
int text_width(struct slice text);
/* What of `text` fits into `columns` and into `size` bytes, whole characters only, terminated, in `to`. What would not
 * print or could steer a terminal becomes '?': a text may quote what somebody stored. Returns the columns taken. */
int text_fit(struct slice text, int columns, char *to, size_t size);

#define NUMBER_TEXT_SIZE 48
/* 1.234.567 or 1,234,567; `plus` shows the sign of a positive number too. Returns `text`. */
char *text_number(enum language language, int64_t number, bool plus, char text[NUMBER_TEXT_SIZE]);
/* percent_format's text with the language's signs: 4,2500% or 4.2500%; "–" for an empty one. */
char *text_percent(enum language language, const char *percent, char text[NUMBER_TEXT_SIZE]);
/* 20/11/2020 or 2020-11-20 */
char *text_date(enum language language, int32_t date, char text[NUMBER_TEXT_SIZE]);
/* The city's clock: "09:00:00 20/11/2020" or "2020-11-20 09:00:00". */
char *text_time(enum language language, int64_t wall_ms, char text[NUMBER_TEXT_SIZE]);
/* "15 giây", "15 s"; from a minute on in minutes, from an hour on in hours, from two days on in days. */
char *text_age(enum language language, int64_t ms, char text[NUMBER_TEXT_SIZE]);

/* What a person calls a city or one of its districts; the id where it is not known. */
const char *text_city_name(enum language language, const char *city);
const char *text_district_name(const char *city, const char *district);
/* The same of a pilot's model. */
const char *text_model_name(enum language language, const char *model);

enum paint { PAINT_NONE, PAINT_BOLD, PAINT_DIM, PAINT_GOOD, PAINT_WARN, PAINT_BAD };
void text_paint(struct buffer *out, const struct text_style *style, enum paint paint, const char *text);
void text_pad(struct buffer *out, int columns); /* spaces */

#define TABLE_COLUMNS_MOST 6
#define TABLE_ROWS_MOST 8
#define TABLE_CELL_SIZE 64
/* A table: its first column is aligned left, the others right. */
struct text_table {
    int columns, rows; /* row 0 is the heading */
    char cells[TABLE_ROWS_MOST][TABLE_COLUMNS_MOST][TABLE_CELL_SIZE];
    enum paint paints[TABLE_ROWS_MOST];
    int least[TABLE_COLUMNS_MOST]; /* widths that columns have at least, of 0 the usual ones */
};
/* A new row whose first cell is `label`; the others are added after it. */
void table_row(struct text_table *table, enum paint paint, const char *label);
void table_cell(struct text_table *table, const char *text);
/* Give columns at the same place the same width, where the lines still fit. */
void table_align(struct text_table *first, struct text_table *second);
/* One line a row; where that is wider than TEXT_COLUMNS, one line a cell. */
void table_print(const struct text_table *table, const struct text_style *style, struct buffer *out);

enum word {
    WORD_TITLE, WORD_AS_OF, WORD_UPDATED, WORD_NOTHING_YET, WORD_READ, WORD_ZONE, WORD_VERSION, WORD_LAG_NONE,
    WORD_LAG, WORD_LAG_ONE, WORD_LAG_UNKNOWN, WORD_STALE_BEFORE, WORD_STALE_AFTER, WORD_GOAL, WORD_MISSING_BEFORE, WORD_MISSING_AFTER,
    WORD_GOAL_MET, WORD_NO_BASELINE, WORD_LATER, WORD_HEADCOUNT, WORD_BASELINE, WORD_NOW, WORD_THEN,
    WORD_REDUCTION, WORD_PERCENT, WORD_WHOLE_CITY, WORD_UNITS, WORD_CHANGE, WORD_MERGED, WORD_MERGERS, WORD_PILOTS,
    WORD_PILOTS_NONE, WORD_MODEL, WORD_MODELS, WORD_DISTRICT, WORD_DISTRICTS, WORD_IN, WORD_VISITORS, WORD_ONLINE,
    WORD_TODAY, WORD_WEEK, WORD_ALL, WORD_VISITOR_TODAY, WORD_VISITORS_TODAY, WORD_EVENT, WORD_EVENTS, WORD_LETTER,
    WORD_LETTERS, WORD_SECONDS, WORD_MINUTES, WORD_HOURS, WORD_DAYS, WORD_QUIT, WORD_MORE_LINES, WORDS
};
const char *text_word(enum language language, enum word word);
const char *text_sector(enum language language, enum sector sector);
const char *text_category(enum language language, enum unit_category category);
const char *text_reason(enum language language, enum headcount_reason reason);
const char *text_kind(enum language language, enum merger_kind kind);
/* A sentence in the language of the text. */
#define text_say(out, language, vi, en, ...) \
    ((language) == LANGUAGE_VI ? buffer_printf(out, vi, __VA_ARGS__) : buffer_printf(out, en, __VA_ARGS__))

#endif
