/* The report's words, and the figures of the city's own report line by line. Pure. */
#include <inttypes.h>
#include <stdio.h>

#include "query/report.h"

static const char *const words[REPORT_WORDS][LANGUAGES] = {
    [REPORT_TITLE] = {"Báo cáo tinh giản biên chế và sắp xếp đơn vị", "Report on payroll reduction and unit mergers"},
    [REPORT_FIGURES] = {"Số liệu chính", "Key figures"},
    [REPORT_BASIS] = {"Căn cứ", "Basis"},
    [REPORT_DUE] = {"Mục tiêu biên chế", "Payroll goal"},
    [REPORT_PILOTS] = {"Mô hình hợp nhất thí điểm (Kết luận 34-KL/TW)", "Pilot merged agencies (Conclusion 34-KL/TW)"},
    [REPORT_AGENCIES] = {"Biên chế theo cơ quan, đơn vị", "Payroll by agency"},
    [REPORT_AGENCIES_NOTE] = {"Số theo cơ quan là số biết được hiện nay, gồm mọi ngày hiệu lực; các phần khác tính đến ngày báo cáo.",
                              "Figures by agency are as known now, whatever their dates; all others are by the report's day."},
    [REPORT_AGENCY] = {"Cơ quan, đơn vị", "Agency"},
    [REPORT_DECISIONS] = {"Văn bản", "Documents"},
    [REPORT_DECISION] = {"Số văn bản", "Document"},
    [REPORT_DATE] = {"Hiệu lực", "In effect"},
    [REPORT_EVENTS] = {"Số sự kiện", "Events"},
    [REPORT_ALL_LISTED] = {"Liệt kê mọi văn bản của mọi sự kiện đã tính.", "Every document of every counted event is listed."},
    [REPORT_NOT_ALL] = {"Chỉ liệt kê được văn bản của các sự kiện mới nhất, từ phiên bản",
                        "Only documents of the latest events can be listed, from version"},
    [REPORT_DEFINITIONS] = {"Định nghĩa", "Definitions"},
    [REPORT_DATA] = {"Phiên bản dữ liệu", "Data version"},
    [REPORT_DIGEST] = {"Mã kiểm chứng (SHA-256)", "Digest (SHA-256)"},
    [REPORT_SEAL] = {"Dấu niêm phong, kiểm bằng citytotals-consumer verify --report", "Seal, proved by citytotals-consumer verify --report"},
    [REPORT_FEWER] = {"giảm", "fewer"},
    [REPORT_MORE] = {"tăng", "more"},
    [REPORT_MERGED] = {"sáp nhập", "merged"},
    [REPORT_THAN_2015] = {"so với 2015", "than in 2015"},
    [REPORT_NOBODY] = {"chưa có", "none"},
};

const char *report_word(enum language language, enum report_word word)
{
    return words[word][language];
}

const char *report_basis(const char *city)
{
    return strcmp(city, "haiphong") == 0 ? "5730/BNV-TCBC" : NULL;
}

static void add(char text[REPORT_LINE_SIZE], const char *separator, const char *more)
{
    size_t size = strlen(text);
    snprintf(text + size, REPORT_LINE_SIZE - size, "%s%s", size ? separator : "", more);
}

/* "167; 6 fewer than in 2015", "9 merged; 6 fewer than in 2015" */
static void units_line(const struct report *report, enum unit_category category, struct report_line *line)
{
    enum language language = report->language;
    const struct units *units = &report->totals.units[category];
    char number[NUMBER_TEXT_SIZE], part[REPORT_LINE_SIZE];
    snprintf(line->label, sizeof line->label, "%s", text_category(language, category));
    *line->value = '\0';
    if (units->has_baseline)
        add(line->value, "; ", text_number(language, units->current, false, number));
    if (units->merged) {
        text_number(language, units->merged, false, number);
        snprintf(part, sizeof part, language == LANGUAGE_VI ? "%s %s" : "%2$s %1$s", words[REPORT_MERGED][language], number);
        add(line->value, "; ", part);
    }
    if (units->change) {
        text_number(language, units->change < 0 ? -units->change : units->change, false, number);
        const char *way = words[units->change < 0 ? REPORT_FEWER : REPORT_MORE][language];
        snprintf(part, sizeof part, language == LANGUAGE_VI ? "%s %s %s" : "%2$s %1$s %3$s", way, number,
                 words[REPORT_THAN_2015][language]);
        add(line->value, "; ", part);
    }
    if (!*line->value)
        add(line->value, "", words[REPORT_NOBODY][language]);
}

static void pilots_line(const struct report *report, struct report_line *line)
{
    enum language language = report->language;
    const struct totals *totals = &report->totals;
    char part[REPORT_LINE_SIZE];
    snprintf(line->label, sizeof line->label, "%s", words[REPORT_PILOTS][language]);
    snprintf(line->value, sizeof line->value, "%zu %s %s %zu %s", totals->models,
             text_word(language, totals->models == 1 ? WORD_MODEL : WORD_MODELS), text_word(language, WORD_IN), totals->districts,
             text_word(language, totals->districts == 1 ? WORD_DISTRICT : WORD_DISTRICTS));
    bool first = true;
    for (size_t i = 0; i < totals->pilot_count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i; j++)
            seen = seen || strcmp(totals->pilots[j].district, totals->pilots[i].district) == 0;
        if (seen)
            continue;
        snprintf(part, sizeof part, "%s", text_district_name(totals->city, totals->pilots[i].district));
        add(line->value, first ? ": " : ", ", part);
        first = false;
    }
}

size_t report_lines(const struct report *report, struct report_line lines[REPORT_LINES_MOST])
{
    enum language language = report->language;
    const struct headcount *headcount = &report->totals.headcount;
    char baseline[NUMBER_TEXT_SIZE], now[NUMBER_TEXT_SIZE], reduction[NUMBER_TEXT_SIZE], percent[NUMBER_TEXT_SIZE];
    size_t count = 0;
    int32_t due = 0;
    for (int category = 0; category < CATEGORIES; category++)
        units_line(report, (enum unit_category)category, &lines[count++]);
    snprintf(lines[count].label, REPORT_LINE_SIZE, "%s", text_word(language, WORD_HEADCOUNT));
    snprintf(lines[count++].value, REPORT_LINE_SIZE, "%s → %s (%s: %s, %s)",
             text_number(language, headcount->baseline, false, baseline), text_number(language, headcount->current, false, now),
             text_word(language, WORD_REDUCTION), text_number(language, headcount->reduction, false, reduction),
             text_percent(language, headcount->percent, percent));
    date_parse(slice_of(TARGET_DATE), &due);
    snprintf(lines[count].label, REPORT_LINE_SIZE, "%s", words[REPORT_DUE][language]);
    snprintf(lines[count++].value, REPORT_LINE_SIZE, "%s %s", text_word(language, report->totals.target_met ? WORD_GOAL_MET : WORD_GOAL),
             text_date(language, due, now));
    pilots_line(report, &lines[count++]);
    if (report_basis(report->totals.city)) {
        snprintf(lines[count].label, REPORT_LINE_SIZE, "%s", words[REPORT_BASIS][language]);
        snprintf(lines[count++].value, REPORT_LINE_SIZE, "%s", report_basis(report->totals.city));
    }
    return count;
}
