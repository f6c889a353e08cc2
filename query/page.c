/* The page at `/`: a template in two languages, filled with the numbers that scripts then keep up to date. Pure. */
#include "query/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/markup.h"
#include "query/text.h"

struct page {
    const struct figures *figures;
    const struct totals *totals;
    enum language language;
    struct buffer *out;
};

static void text(const struct page *page, const char *value)
{
    markup_text(page->out, slice_of(value));
}

static void plain_number(const struct page *page, bool has, int64_t value, bool plus)
{
    char number[NUMBER_TEXT_SIZE];
    text(page, has ? text_number(page->language, value, plus, number) : "–");
}

/* A cell whose number scripts find by its path in the totals' JSON; `form` is n, s (signed) or p (percent). */
static void open_cell(const struct page *page, const char *group, const char *name, const char *field, const char *form)
{
    buffer_printf(page->out, "<td class=\"n\" data-v=\"%s%s%s%s\" data-f=\"%s\">", group, name, *name ? "." : "", field,
                  form);
}

static void number_cell(const struct page *page, const char *group, const char *name, const char *field, bool has,
                        int64_t value, bool plus)
{
    open_cell(page, group, name, field, plus ? "s" : "n");
    plain_number(page, has, value, plus);
    buffer_text_append(page->out, "</td>");
}

static void row_head(const struct page *page, const char *label)
{
    buffer_text_append(page->out, "<tr><th scope=\"row\">");
    text(page, label);
    buffer_text_append(page->out, "</th>");
}

static void headcount_row(const struct page *page, const char *label, const char *group, const char *name,
                          const struct headcount *headcount)
{
    char percent[NUMBER_TEXT_SIZE];
    row_head(page, label);
    number_cell(page, group, name, "baseline", true, headcount->baseline, false);
    number_cell(page, group, name, "current", true, headcount->current, false);
    number_cell(page, group, name, "reduction", true, headcount->reduction, false);
    open_cell(page, group, name, "reduction_percent", "p");
    text(page, text_percent(page->language, headcount->percent, percent));
    buffer_text_append(page->out, "</td></tr>\n");
}

static void headcount_rows(const struct page *page)
{
    for (int i = 0; i < SECTORS; i++)
        headcount_row(page, text_sector(page->language, (enum sector)i), "headcount.by_sector.",
                      sector_name((enum sector)i), &page->totals->by_sector[i]);
    headcount_row(page, text_word(page->language, WORD_WHOLE_CITY), "headcount.", "", &page->totals->headcount);
}

static void unit_rows(const struct page *page)
{
    for (int i = 0; i < CATEGORIES; i++) {
        const struct units *units = &page->totals->units[i];
        const char *name = unit_category_name((enum unit_category)i);
        row_head(page, text_category(page->language, (enum unit_category)i));
        number_cell(page, "units.", name, "baseline", units->has_baseline, units->baseline, false);
        number_cell(page, "units.", name, "current", units->has_baseline, units->current, false);
        number_cell(page, "units.", name, "change", true, units->change, true);
        number_cell(page, "units.", name, "merged", true, units->merged, false);
        number_cell(page, "units.", name, "mergers", true, units->mergers, false);
        buffer_text_append(page->out, "</tr>\n");
    }
}

static void pilots(const struct page *page)
{
    const struct totals *totals = page->totals;
    for (size_t i = 0; i < totals->pilot_count; i++) {
        buffer_printf(page->out, "<li data-model=\"%s\" data-district=\"%s\">", totals->pilots[i].model,
                      totals->pilots[i].district);
        text(page, text_model_name(page->language, totals->pilots[i].model));
        buffer_text_append(page->out, " · ");
        text(page, text_district_name(totals->city, totals->pilots[i].district));
        buffer_text_append(page->out, "</li>\n");
    }
}

static const char *change_subject(const struct page *page, const struct snapshot_change *change)
{
    for (int i = 0; i < SECTORS; i++)
        if (slice_equal(change_field(change, "sector"), slice_of(sector_name((enum sector)i))))
            return text_sector(page->language, (enum sector)i);
    for (int i = 0; i < CATEGORIES; i++)
        if (slice_equal(change_field(change, "category"), slice_of(unit_category_name((enum unit_category)i))))
            return text_category(page->language, (enum unit_category)i);
    return "–";
}

static void change_date(const struct page *page, struct slice date)
{
    char shown[NUMBER_TEXT_SIZE];
    int32_t day;
    if (date_parse(date, &day))
        text(page, text_date(page->language, day, shown));
    else
        markup_text(page->out, date);
}

static void units(const struct page *page, struct slice count)
{
    int64_t number;
    if (integer_parse(count, &number))
        plain_number(page, true, number, false);
    else
        markup_text(page->out, count);
}

static void change_row(const struct page *page, const struct snapshot_change *change)
{
    struct slice agency = change_field(change, "agency"), decision = change_field(change, "decision");
    const struct agency_figures *known = figures_agency(page->figures, agency);
    int64_t delta;
    buffer_text_append(page->out, "<tr><td>");
    change_date(page, change_field(change, "effective_date"));
    buffer_text_append(page->out, "</td><td><a href=\"/v1/agencies/");
    markup_text(page->out, agency);
    buffer_text_append(page->out, "\">");
    markup_text(page->out, known && known->name ? known->name->name[page->language] : agency);
    buffer_text_append(page->out, "</a></td><td>");
    text(page, change_subject(page, change));
    buffer_text_append(page->out, "</td><td class=\"n\">");
    if (integer_parse(change_field(change, "delta"), &delta)) {
        plain_number(page, true, delta, true);
    } else {
        units(page, change_field(change, "units_before"));
        buffer_text_append(page->out, " → ");
        units(page, change_field(change, "units_after"));
    }
    buffer_text_append(page->out, "</td><td>");
    markup_text(page->out, decision.data ? decision : slice_of("–"));
    buffer_text_append(page->out, "</td></tr>\n");
}

static void changes(const struct page *page)
{
    const struct snapshot *snapshot = &page->figures->snapshot;
    for (size_t i = 0; i < snapshot->change_count && i < PAGE_CHANGES; i++)
        change_row(page, &snapshot->changes[i]);
}

static void timeline(const struct page *page)
{
    timeline_html(page->figures, page->totals, page->language, page->out);
}

static void history_rows(const struct page *page)
{
    timeline_rows(page->figures, page->totals, page->language, page->out);
}

/* The definitions whose names begin with `start`. */
static void meaning(const struct page *page, const char *start)
{
    for (size_t i = 0; i < definition_count; i++)
        if (strncmp(definitions[i].name, start, strlen(start)) == 0) {
            buffer_printf(page->out, "<dt><code>%s</code></dt><dd>", definitions[i].name);
            text(page, definitions[i].text[page->language]);
            buffer_text_append(page->out, "</dd>\n");
        }
}

/* The part of the gauge's arc that is reached, of 100; for drawing only. */
static void gauge(const struct page *page)
{
    double part = strtod(page->totals->headcount.percent, NULL) * 100 / PAGE_GAUGE_MOST;
    part = part < 0 ? 0 : part > 100 ? 100 : part;
    int64_t hundredths = (int64_t)(part * 100); /* not by the locale's decimal sign */
    buffer_printf(page->out, "%" PRId64 ".%02" PRId64, hundredths / 100, hundredths % 100);
}

static void goal(const struct page *page)
{
    const struct totals *totals = page->totals;
    enum language language = page->language;
    char number[NUMBER_TEXT_SIZE];
    if (!*totals->headcount.percent) {
        text(page, text_word(language, WORD_NO_BASELINE));
    } else if (totals->target_met) {
        text(page, language == LANGUAGE_VI ? "Đã đạt mục tiêu" : "The goal is met");
    } else {
        text(page, text_word(language, WORD_MISSING_BEFORE));
        text(page, text_number(language, target_missing(totals->headcount.reduction, totals->headcount.baseline), false,
                               number));
        text(page, text_word(language, WORD_MISSING_AFTER));
    }
}

static void fill(const struct page *page, struct slice name)
{
    const struct totals *totals = page->totals;
    const struct visitors *visitors = &totals->visitors;
    enum language language = page->language;
    char shown[NUMBER_TEXT_SIZE];
    const struct {
        const char *name;
        int64_t number;
    } numbers[] = {
        {"baseline", totals->headcount.baseline},
        {"current", totals->headcount.current},
        {"reduction", totals->headcount.reduction},
        {"later", totals->effective_later},
        {"online", visitors->online},
        {"today", visitors->today},
        {"week", visitors->this_week},
        {"all", visitors->all},
        {"today_visitors", visitors->today_visitors},
        {"events", totals->events},
        {"letters", totals->dead_letters},
        {"models", (int64_t)totals->models},
        {"districts", (int64_t)totals->districts},
        {"version", totals->version},
    };
    static const struct {
        const char *name;
        void (*write)(const struct page *page);
    } blocks[] = {{"headcount_rows", headcount_rows},
                  {"unit_rows", unit_rows},
                  {"pilots", pilots},
                  {"changes", changes},
                  {"timeline", timeline},
                  {"history_rows", history_rows},
                  {"gauge", gauge},
                  {"goal", goal}};
    static const char meanings[] = "means ";
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (slice_equal(name, slice_of(numbers[i].name)))
            plain_number(page, true, numbers[i].number, false);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (slice_equal(name, slice_of(blocks[i].name)))
            blocks[i].write(page);
    if (slice_equal(name, slice_of("percent")))
        text(page, text_percent(language, totals->headcount.percent, shown));
    else if (slice_equal(name, slice_of("city")))
        text(page, text_city_name(language, totals->city));
    else if (slice_equal(name, slice_of("updated")))
        text(page, totals->has_updated_at ? text_time(language, totals->updated_at_ms, shown)
                                          : text_word(language, WORD_NOTHING_YET));
    else if (slice_equal(name, slice_of("read")))
        text(page, text_time(language, totals->read_at_ms, shown));
    else if (slice_equal(name, slice_of("fresh")))
        buffer_text_append(page->out, totals->stale ? "" : "hidden");
    else if (name.size > strlen(meanings) && memcmp(name.data, meanings, strlen(meanings)) == 0) {
        char start[NUMBER_TEXT_SIZE];
        snprintf(start, sizeof start, "%.*s", (int)(name.size - strlen(meanings)), name.data + strlen(meanings));
        meaning(page, start);
    }
}

/* Where `mark` stands twice; NULL when it does not. */
static const char *find(const char *at, const char *end, char mark)
{
    while (at + 1 < end && (at = memchr(at, mark, (size_t)(end - at - 1)))) {
        if (at[1] == mark)
            return at;
        at++;
    }
    return NULL;
}

void page_html(struct slice template, const struct figures *figures, const struct totals *totals,
               enum language language, struct buffer *out)
{
    const struct page page = {figures, totals, language, out};
    const char *at = template.data, *end = at + template.size, *open, *close;
    while ((open = find(at, end, '{')) && (close = find(open + 2, end, '}'))) {
        buffer_append(out, at, (size_t)(open - at));
        open += 2;
        const char *bar = memchr(open, '|', (size_t)(close - open));
        if (*open == '#')
            fill(&page, (struct slice){open + 1, (size_t)(close - open - 1)});
        else if (bar && language == LANGUAGE_VI)
            buffer_append(out, open, (size_t)(bar - open));
        else if (bar)
            buffer_append(out, bar + 1, (size_t)(close - bar - 1));
        at = close + 2;
    }
    buffer_append(out, at, (size_t)(end - at));
}
