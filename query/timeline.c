/* The timeline as the server draws it, for pages without scripts: the reduction by the end of each month. Lines are an image that is
 * stretched to the page; what is to be read stands beside it as text, so that it keeps its size. Pure. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/markup.h"
#include "query/page.h"
#include "query/text.h"

enum { WIDTH = 12000, HEIGHT = 2400, LEVELS_MOST = 7, YEARS_MOST = 100, ROWS_MOST = 200, HUNDREDTHS = 100 };

struct plane {
    int32_t from, to;  /* days at the left and right edge */
    int64_t low, high; /* whole percent at the lower and upper edge */
    int64_t step;      /* between levels */
};

static int64_t across(const struct plane *plane, int32_t date)
{
    return (int64_t)(date - plane->from) * WIDTH / (plane->to - plane->from);
}

static int64_t down(const struct plane *plane, int64_t hundredths)
{
    return (plane->high * HUNDREDTHS - hundredths) * HEIGHT / ((plane->high - plane->low) * HUNDREDTHS);
}

/* For drawing only. */
static int64_t hundredths_of(const struct history_point *point)
{
    double value = strtod(point->percent, NULL) * HUNDREDTHS;
    return (int64_t)(value < -1e9 ? -1e9 : value > 1e9 ? 1e9 : value);
}

static int64_t floor_to(int64_t value, int64_t step)
{
    return (value < 0 ? -((-value + step - 1) / step) : value / step) * step;
}

/* From the year of the first day to that of the goal or of the last day, and from 0 to over the goal, or as far as the values go. */
static struct plane plane_of(const struct history *history)
{
    struct plane plane = {.step = 2};
    int32_t goal = history->to;
    int year, month, day, last_year;
    int64_t least = 0, most = PAGE_GAUGE_MOST * HUNDREDTHS;
    date_to_civil(history->from, &year, &month, &day);
    plane.from = date_from_civil(year, 1, 1);
    date_parse(slice_of(TARGET_DATE), &goal);
    date_to_civil(goal > history->to ? goal : history->to, &last_year, &month, &day);
    plane.to = date_from_civil(last_year, 12, 31);
    for (size_t i = 0; i < history->count; i++) {
        if (!history->points[i].has_value)
            continue;
        int64_t value = hundredths_of(&history->points[i]);
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    for (int turn = 0;; turn++) {
        plane.low = floor_to(floor_to(least, HUNDREDTHS) / HUNDREDTHS, plane.step);
        plane.high = -floor_to(floor_to(-most, HUNDREDTHS) / HUNDREDTHS, plane.step);
        if ((plane.high - plane.low) / plane.step < LEVELS_MOST)
            return plane;
        plane.step = plane.step * (turn % 3 == 0 ? 5 : 2) / (turn % 3 == 0 ? 2 : 1); /* 2, 5, 10, 20, 50, … */
    }
}

static void levels(const struct plane *plane, struct buffer *out)
{
    buffer_text_append(out, "<ol class=\"levels\">");
    for (int64_t level = plane->high; level >= plane->low; level -= plane->step)
        buffer_printf(out, "<li>%" PRId64 "%%</li>", level);
    buffer_text_append(out, "</ol>");
}

static void years(const struct plane *plane, struct buffer *out)
{
    int first, last, month, day;
    date_to_civil(plane->from, &first, &month, &day);
    date_to_civil(plane->to, &last, &month, &day);
    int step = (last - first) / 12 + 1;
    buffer_text_append(out, "<ol class=\"years\">");
    for (int year = first; year <= last; year += step)
        buffer_printf(out, "<li>%d</li>", year);
    buffer_text_append(out, "</ol>");
}

static void lines(const struct plane *plane, const struct history *history, struct buffer *out)
{
    int32_t goal;
    bool begun = false;
    buffer_printf(out, "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" focusable=\"false\">", WIDTH, HEIGHT);
    for (int64_t level = plane->low; level <= plane->high; level += plane->step)
        buffer_printf(out, "<path class=\"grid\" d=\"M0 %" PRId64 "H%d\"/>", down(plane, level * HUNDREDTHS), WIDTH);
    buffer_text_append(out, "<path class=\"line\" d=\"");
    for (size_t i = 0; i < history->count; i++) {
        const struct history_point *point = &history->points[i];
        if (!point->has_value)
            continue;
        int64_t x = across(plane, point->date), y = down(plane, hundredths_of(point));
        buffer_printf(out, begun ? "H%" PRId64 "V%" PRId64 : "M%" PRId64 " %" PRId64, x, y);
        begun = true;
    }
    buffer_printf(out, "\"/><path class=\"goal-line\" d=\"M0 %" PRId64 "H%d", down(plane, TARGET_PERCENT * HUNDREDTHS), WIDTH);
    if (date_parse(slice_of(TARGET_DATE), &goal) && goal > plane->from)
        buffer_printf(out, "M%" PRId64 " 0V%d", across(plane, goal), HEIGHT);
    buffer_text_append(out, "\"/></svg>");
}

static int monthly(const struct figures *figures, const struct totals *totals, struct history *ret_history)
{
    struct error error = {0};
    int32_t today = date_in_city(totals->read_at_ms ? totals->read_at_ms : figures->snapshot.now_ms);
    int32_t first = history_first_day(figures, HISTORY_REDUCTION_PERCENT, today);
    if (first > today || today - first > YEARS_MOST * 366)
        first = today;
    return history_make(figures, HISTORY_REDUCTION_PERCENT, STEP_MONTH, first, today, ret_history, &error);
}

void timeline_html(const struct figures *figures, const struct totals *totals, enum language language, struct buffer *out)
{
    struct history history = {0};
    char percent[NUMBER_TEXT_SIZE], date[NUMBER_TEXT_SIZE];
    if (monthly(figures, totals, &history) < 0)
        return;
    const struct history_point *last = &history.points[history.count - 1];
    if (!last->has_value) {
        buffer_text_append(out, "<p class=\"empty\">");
        markup_text(out, slice_of(text_word(language, WORD_NOTHING_YET)));
        buffer_text_append(out, "</p>");
    } else {
        struct plane plane = plane_of(&history);
        buffer_printf(out, "<div role=\"img\" aria-label=\"%s %s: %s\">",
                      language == LANGUAGE_VI ? "Tỷ lệ giảm biên chế theo tháng, đến" : "Payroll reduction by month, up to",
                      text_date(language, last->date, date), text_percent(language, last->percent, percent));
        levels(&plane, out);
        lines(&plane, &history, out);
        years(&plane, out);
        buffer_text_append(out, "</div>");
    }
    free(history.points);
}

void timeline_rows(const struct figures *figures, const struct totals *totals, enum language language, struct buffer *out)
{
    struct history history = {0};
    char shown[NUMBER_TEXT_SIZE];
    size_t rows = 0;
    if (monthly(figures, totals, &history) < 0)
        return;
    for (size_t i = history.count; i-- > 0 && rows < ROWS_MOST;) {
        const struct history_point *point = &history.points[i];
        if (!point->has_value || (i > 0 && strcmp(point->percent, point[-1].percent) == 0))
            continue;
        buffer_printf(out, "<tr><td>%s</td>", text_date(language, point->date, shown));
        buffer_printf(out, "<td class=\"n\">%s</td></tr>\n", text_percent(language, point->percent, shown));
        rows++;
    }
    free(history.points);
}
