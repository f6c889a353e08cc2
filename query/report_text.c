/* The report as text for a terminal or a letter. Pure. */
#include <inttypes.h>
#include <stdio.h>

#include "query/report.h"

enum { LABEL_COLUMNS = 46 };

/* As it is but for what could steer a terminal. */
static void safe(struct buffer *out, struct slice text)
{
    char fitting[REPORT_LINE_SIZE];
    text_fit(text, REPORT_LINE_SIZE, fitting, sizeof fitting);
    buffer_text_append(out, fitting);
}

static void heading(struct buffer *out, const char *text)
{
    buffer_printf(out, "\n%s\n", text);
}

static void labelled(struct buffer *out, struct slice label, int columns)
{
    char fitting[REPORT_LINE_SIZE];
    buffer_text_append(out, "  ");
    int taken = text_fit(label, columns, fitting, sizeof fitting);
    buffer_text_append(out, fitting);
    text_pad(out, columns - taken + 1);
}

void report_text(const struct report *report, struct buffer *out)
{
    enum language language = report->language;
    const struct totals *totals = &report->totals;
    struct report_line lines[REPORT_LINES_MOST];
    char text[NUMBER_TEXT_SIZE], base[NUMBER_TEXT_SIZE], now[NUMBER_TEXT_SIZE], less[NUMBER_TEXT_SIZE], percent[NUMBER_TEXT_SIZE];
    buffer_printf(out, "%s\n", report_word(language, REPORT_TITLE));
    buffer_text_append(out, "\n");
    totals_text(totals, &(struct text_style){.language = language}, out);

    heading(out, report_word(language, REPORT_FIGURES));
    size_t count = report_lines(report, lines);
    for (size_t i = 0; i < count; i++) {
        labelled(out, slice_of(lines[i].label), LABEL_COLUMNS);
        safe(out, slice_of(lines[i].value));
        buffer_text_append(out, "\n");
    }
    heading(out, report_word(language, REPORT_AGENCIES));
    buffer_printf(out, "  %s\n", report_word(language, REPORT_AGENCIES_NOTE));
    for (size_t i = 0; i < report->figures->agency_count; i++) {
        const struct headcount *headcount = &report->figures->agencies[i].headcount;
        if (headcount->baseline == 0 && headcount->current == 0)
            continue;
        labelled(out, report_agency_name(report, report->figures->agencies[i].id), LABEL_COLUMNS);
        buffer_printf(out, "%s → %s (%s, %s)\n", text_number(language, headcount->baseline, false, base),
                      text_number(language, headcount->current, false, now), text_number(language, -headcount->reduction, true, less),
                      text_percent(language, headcount->percent, percent));
    }
    heading(out, report_word(language, REPORT_DECISIONS));
    for (size_t i = 0; i < report->decision_count; i++) {
        const struct report_decision *decision = &report->decisions[i];
        buffer_printf(out, "  %s  ", text_date(language, decision->date, text));
        safe(out, decision->decision);
        buffer_text_append(out, " · ");
        safe(out, report_agency_name(report, decision->agency));
        buffer_text_append(out, "\n");
    }
    if (report->complete)
        buffer_printf(out, "  %s\n", report_word(language, REPORT_ALL_LISTED));
    else
        buffer_printf(out, "  %s %" PRId64 ".\n", report_word(language, REPORT_NOT_ALL), report->oldest_version);
    heading(out, report_word(language, REPORT_DEFINITIONS));
    for (size_t i = 0; i < definition_count; i++)
        buffer_printf(out, "  %s: %s\n", definitions[i].name, definitions[i].text[language]);
    buffer_printf(out, "\n%s: %" PRId64 "\n%s: %s\n%s:\n%s\n", report_word(language, REPORT_DATA), totals->version,
                  report_word(language, REPORT_DIGEST), report->digest, report_word(language, REPORT_SEAL), report->seal);
}
