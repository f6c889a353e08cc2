/* Badges: images of the latest numbers for pages that run no scripts. Pure. */
#include <stdio.h>
#include <stdlib.h>

#include "query/markup.h"
#include "query/page.h"
#include "query/text.h"

/* Light and dark by the reader's wish; an image has no other style than its own. */
static const char style[] =
    "<style>text{font:14px system-ui,\"Noto Sans\",\"DejaVu "
    "Sans\",sans-serif;fill:#14273b}.t{font-weight:700}.n{text-anchor:end;font-weight:600}"
    ".b{fill:#fff;stroke:#c9d4df}.r{fill:#dfe7ee}.g{fill:#0b6b50}.l{stroke:#8a2c0d;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#e8eff6}.b{fill:#13202d;stroke:#3a4d60}.r{fill:#2c3d4e}.g{fill:#"
    "4fc79d}"
    ".l{stroke:#ffb08a}}</style>";

static void open_svg(struct buffer *out, enum language language, int width, int height, const char *title)
{
    buffer_printf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:lang=\"%s\" width=\"%d\" height=\"%d\" viewBox=\"0 0 "
                  "%d %d\" role=\"img\">"
                  "<title>",
                  language == LANGUAGE_VI ? "vi" : "en", width, height, width, height);
    markup_text(out, slice_of(title));
    buffer_printf(out, "</title>%s<rect class=\"b\" x=\".5\" y=\".5\" width=\"%d\" height=\"%d\" rx=\"8\"/>", style,
                  width - 1, height - 1);
}

static void line(struct buffer *out, const char *kind, int x, int y, const char *text)
{
    buffer_printf(out, "<text class=\"%s\" x=\"%d\" y=\"%d\">", kind, x, y);
    markup_text(out, slice_of(text));
    buffer_text_append(out, "</text>");
}

void badge_visitors_svg(const struct totals *totals, enum language language, struct buffer *out)
{
    enum { WIDTH = 240, HEIGHT = 138, FIRST = 54, STEP = 24 };
    const struct {
        enum word word;
        int64_t number;
    } rows[] = {{WORD_ONLINE, totals->visitors.online},
                {WORD_TODAY, totals->visitors.today},
                {WORD_WEEK, totals->visitors.this_week},
                {WORD_ALL, totals->visitors.all}};
    const char *title = language == LANGUAGE_VI ? "Thống kê truy cập" : "Portal visits";
    char number[NUMBER_TEXT_SIZE];
    open_svg(out, language, WIDTH, HEIGHT, title);
    line(out, "t", 14, 28, title);
    for (int i = 0; i < 4; i++) {
        line(out, "", 14, FIRST + i * STEP, text_word(language, rows[i].word));
        line(out, "n", WIDTH - 14, FIRST + i * STEP, text_number(language, rows[i].number, false, number));
    }
    buffer_text_append(out, "</svg>\n");
}

void badge_reduction_svg(const struct totals *totals, enum language language, struct buffer *out)
{
    enum { WIDTH = 320, HEIGHT = 112, LEFT = 14, BAR = WIDTH - 2 * LEFT };
    char text[NUMBER_TEXT_SIZE], goal[128];
    int32_t day = 0;
    const char *title = language == LANGUAGE_VI ? "Tinh giản biên chế" : "Payroll reduction";
    double part = strtod(totals->headcount.percent, NULL) / PAGE_GAUGE_MOST;
    int reached = (int)((part < 0 ? 0 : part > 1 ? 1 : part) * BAR), at = LEFT + BAR * TARGET_PERCENT / PAGE_GAUGE_MOST;
    open_svg(out, language, WIDTH, HEIGHT, title);
    line(out, "t", LEFT, 28, title);
    line(out, "n", WIDTH - LEFT, 28, text_percent(language, totals->headcount.percent, text));
    buffer_printf(out,
                  "<rect class=\"r\" x=\"%d\" y=\"46\" width=\"%d\" height=\"16\" rx=\"8\"/><rect class=\"g\" x=\"%d\" "
                  "y=\"46\" width=\"%d\" "
                  "height=\"16\" rx=\"8\"/><path class=\"l\" d=\"M%d 41V67\"/>",
                  LEFT, BAR, LEFT, reached, at);
    if (date_parse(slice_of(TARGET_DATE), &day))
        snprintf(goal, sizeof goal, "%s %s", text_word(language, WORD_GOAL), text_date(language, day, text));
    line(out, "", LEFT, 94, totals->target_met ? text_word(language, WORD_GOAL_MET) : goal);
    buffer_text_append(out, "</svg>\n");
}
