/* Sentences and the progress line on standard error. */
#include "producer/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum { DRAW_EVERY_MS = 100, BAR_WIDTH = 20, NAME_WIDTH = 20, TEXT_SIZE = 8192 }; /* a progress line fits 79 columns */

void report_begin(struct report *report, enum log_format format)
{
    const char *term = getenv("TERM");
    *report = (struct report){.json = format == LOG_FORMAT_JSON, .begun_ms = clock_monotonic_ms()};
    report->terminal = !report->json && isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

void report_clear(struct report *report)
{
    if (report->drawn)
        fprintf(stderr, "\r\033[K");
    report->drawn = false;
}

void report_note(struct report *report, enum log_level level, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    report_clear(report);
    if (report->json) {
        log_write(level, "%s", text);
        return;
    }
    for (char *at = text; *at; at++) /* a file's name may hold anything */
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            *at = '?';
    fprintf(stderr, "%s\n", text);
}

void report_problem(struct report *report, const char *name, uint64_t line, const struct problem *problem)
{
    if (report->problems_shown >= PROBLEMS_SHOWN_MOST) {
        report->problems_hidden++;
        return;
    }
    report->problems_shown++;
    if (problem->column)
        report_note(report, LOG_LEVEL_ERROR, "%s: line %" PRIu64 ": column %" PRIu32 ": %s", name, line, problem->column, problem->text);
    else
        report_note(report, LOG_LEVEL_ERROR, "%s: line %" PRIu64 ": %s", name, line, problem->text);
}

void report_problems(struct report *report, const char *name, uint64_t line, const struct problems *problems)
{
    for (size_t i = 0; i < problems_kept(problems); i++)
        report_problem(report, name, line, &problems->items[i]);
    report->problems_hidden += problems->count - problems_kept(problems);
}

void report_repeat(struct report *report, const char *name, uint64_t line, uint64_t earlier_line)
{
    if (report->repeats_shown >= REPEATS_SHOWN_MOST) {
        report->repeats_hidden++;
        return;
    }
    report->repeats_shown++;
    report_note(report, LOG_LEVEL_INFO, "%s: line %" PRIu64 ": repeats line %" PRIu64 "; it counts once", name, line, earlier_line);
}

void report_file_end(struct report *report, const char *name)
{
    if (report->problems_hidden)
        report_note(report, LOG_LEVEL_ERROR, "%s: and %" PRIu64 " more problems", name, report->problems_hidden);
    if (report->repeats_hidden)
        report_note(report, LOG_LEVEL_INFO, "%s: and %" PRIu64 " more repeats", name, report->repeats_hidden);
    report->problems_hidden = report->repeats_hidden = 0;
    report->problems_shown = report->repeats_shown = 0;
}

void report_progress(struct report *report, const char *what, const char *name, int64_t done, int64_t total, uint64_t lines)
{
    int64_t now = clock_monotonic_ms();
    if (!report->terminal || now < report->next_draw_ms)
        return;
    report->next_draw_ms = now + DRAW_EVERY_MS;
    const char *slash = strrchr(name, '/');
    name = slash ? slash + 1 : name;
    int width = (int)strnlen(name, NAME_WIDTH + 1);
    for (width = width > NAME_WIDTH ? NAME_WIDTH : width; name[width] && ((unsigned char)name[width] & 0xC0) == 0x80;)
        width--;
    char bar[BAR_WIDTH + 1];
    memset(bar, '.', BAR_WIDTH);
    bar[BAR_WIDTH] = '\0';
    if (total > 0) {
        int64_t full = done >= total ? BAR_WIDTH : done * BAR_WIDTH / total;
        memset(bar, '#', (size_t)full);
        fprintf(stderr, "\r\033[K%-8s %.*s [%s] %3d %% %" PRIu64 " lines", what, width, name, bar,
                done >= total ? 100 : (int)(done * 100 / total), lines);
    } else {
        fprintf(stderr, "\r\033[K%-8s %.*s %" PRIu64 " lines", what, width, name, lines);
    }
    report->drawn = true;
}
