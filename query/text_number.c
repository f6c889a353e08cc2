/* Widths in columns, and numbers, dates and ages as the two languages write them. Pure. */
#include <inttypes.h>
#include <stdio.h>
#include <utf8proc.h>

#include "query/text.h"

/* Columns and bytes of the first character; *ret_prints is false for what is no character or a control one. */
static int character(struct slice text, size_t *ret_size, bool *ret_prints)
{
    utf8proc_int32_t code;
    utf8proc_ssize_t size = utf8proc_iterate((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.size, &code);
    *ret_size = size > 0 ? (size_t)size : 1;
    *ret_prints = size > 0 && code >= 0x20 && !(code >= 0x7f && code < 0xa0);
    return *ret_prints ? utf8proc_charwidth(code) : 1;
}

int text_width(struct slice text)
{
    int width = 0;
    size_t size;
    bool prints;
    for (; text.size > 0; text = (struct slice){text.data + size, text.size - size})
        width += character(text, &size, &prints);
    return width;
}

int text_fit(struct slice text, int columns, char *to, size_t size)
{
    int taken = 0;
    size_t at = 0, used;
    bool prints;
    for (; text.size > 0; text = (struct slice){text.data + used, text.size - used}) {
        int width = character(text, &used, &prints);
        size_t wanted = prints ? used : 1;
        if (taken + width > columns || at + wanted >= size)
            break;
        memcpy(to + at, prints ? text.data : "?", wanted);
        at += wanted;
        taken += width;
    }
    to[at] = '\0';
    return taken;
}

/* `digits` in groups of three; returns how many bytes were written. */
static size_t group(enum language language, const char *digits, size_t count, char *to)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            to[at++] = language == LANGUAGE_VI ? '.' : ',';
        to[at++] = digits[i];
    }
    to[at] = '\0';
    return at;
}

char *text_number(enum language language, int64_t number, bool plus, char text[NUMBER_TEXT_SIZE])
{
    char digits[24];
    size_t at = 0;
    int size = snprintf(digits, sizeof digits, "%" PRIu64, number < 0 ? -(uint64_t)number : (uint64_t)number);
    if (number < 0 || (plus && number > 0))
        text[at++] = number < 0 ? '-' : '+';
    group(language, digits, (size_t)size, text + at);
    return text;
}

char *text_percent(enum language language, const char *percent, char text[NUMBER_TEXT_SIZE])
{
    if (!*percent) {
        snprintf(text, NUMBER_TEXT_SIZE, "–");
        return text;
    }
    size_t at = 0;
    if (*percent == '-')
        text[at++] = *percent++;
    size_t whole = strcspn(percent, ".");
    at += group(language, percent, whole, text + at);
    snprintf(text + at, NUMBER_TEXT_SIZE - at, "%c%s%%", language == LANGUAGE_VI ? ',' : '.', percent + whole + 1);
    return text;
}

char *text_date(enum language language, int32_t date, char text[NUMBER_TEXT_SIZE])
{
    int year, month, day;
    date_to_civil(date, &year, &month, &day);
    if (language == LANGUAGE_VI)
        snprintf(text, NUMBER_TEXT_SIZE, "%02d/%02d/%04d", day, month, year);
    else
        snprintf(text, NUMBER_TEXT_SIZE, "%04d-%02d-%02d", year, month, day);
    return text;
}

char *text_time(enum language language, int64_t wall_ms, char text[NUMBER_TEXT_SIZE])
{
    char date[NUMBER_TEXT_SIZE];
    int32_t day = date_in_city(wall_ms);
    int64_t second = (wall_ms + CITY_UTC_OFFSET_MS - day * MILLISECONDS_PER_DAY) / 1000;
    int hour = (int)(second / 3600), minute = (int)(second / 60 % 60), rest = (int)(second % 60);
    text_date(language, day, date);
    if (language == LANGUAGE_VI)
        snprintf(text, NUMBER_TEXT_SIZE, "%02d:%02d:%02d %s", hour, minute, rest, date);
    else
        snprintf(text, NUMBER_TEXT_SIZE, "%s %02d:%02d:%02d", date, hour, minute, rest);
    return text;
}

char *text_age(enum language language, int64_t ms, char text[NUMBER_TEXT_SIZE])
{
    static const struct {
        int64_t from_s, unit_s;
        enum word word;
    } units[] = {{172800, 86400, WORD_DAYS}, {3600, 3600, WORD_HOURS}, {60, 60, WORD_MINUTES}, {0, 1, WORD_SECONDS}};
    char number[NUMBER_TEXT_SIZE];
    int64_t seconds = ms < 0 ? 0 : ms / 1000;
    size_t i = 0;
    while (seconds < units[i].from_s)
        i++;
    snprintf(text, NUMBER_TEXT_SIZE, "%s %s", text_number(language, seconds / units[i].unit_s, false, number),
             text_word(language, units[i].word));
    return text;
}
