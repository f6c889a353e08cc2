/* The totals as text for a person: the goal first, then what it is made of. Pure. */
#include <stdio.h>

#include "query/text.h"

enum { SEGMENT_SIZE = 512, GAUGE_MOST = 56, GAUGE_LEAST = 10, INDENT = 2 };

/* Pieces one after another, on a new line where the next does not fit. */
struct flow {
    struct buffer *out;
    const struct text_style *style;
    int indent, column; /* column 0: nothing on this line yet */
};

static void flow_add(struct flow *flow, const char *separator, enum paint paint, const char *text)
{
    struct slice rest = slice_of(text);
    int width = text_width(rest), before = text_width(slice_of(separator));
    if (flow->column > 0 && flow->column + before + width > TEXT_COLUMNS) {
        buffer_text_append(flow->out, "\n");
        flow->column = 0;
    }
    if (flow->column == 0) {
        text_pad(flow->out, flow->indent);
        flow->column = flow->indent;
    } else {
        text_paint(flow->out, flow->style, PAINT_DIM, separator);
        flow->column += before;
    }
    char fitting[SEGMENT_SIZE];
    flow->column += text_fit(rest, TEXT_COLUMNS - flow->column, fitting, sizeof fitting);
    text_paint(flow->out, flow->style, paint, fitting);
}

static void flow_end(struct flow *flow)
{
    if (flow->column > 0)
        buffer_text_append(flow->out, "\n");
    flow->column = 0;
}

static void print_sentence(const char *sentence, const struct text_style *style, struct buffer *out)
{
    struct flow flow = {.out = out, .style = style};
    char word[SEGMENT_SIZE];
    for (size_t size; *sentence; sentence += size) {
        sentence += strspn(sentence, " ");
        size = strcspn(sentence, " ");
        text_fit((struct slice){sentence, size}, TEXT_COLUMNS, word, sizeof word);
        if (size)
            flow_add(&flow, " ", PAINT_DIM, word);
    }
    flow_end(&flow);
}

/* "<number> <word>", with the word for one where it is one. */
static const char *counted(enum language language, int64_t number, enum word one, enum word many, char text[SEGMENT_SIZE])
{
    char digits[NUMBER_TEXT_SIZE];
    snprintf(text, SEGMENT_SIZE, "%s %s", text_number(language, number, false, digits),
             text_word(language, number == 1 ? one : many));
    return text;
}

static void print_heading(const struct totals *totals, const struct text_style *style, struct buffer *out)
{
    enum language language = style->language;
    char text[SEGMENT_SIZE], part[NUMBER_TEXT_SIZE];
    text_paint(out, style, PAINT_BOLD, text_city_name(language, totals->city));
    buffer_printf(out, " · %s\n", text_word(language, WORD_TITLE));

    struct flow flow = {.out = out, .style = style};
    if (totals->by_date) {
        snprintf(text, sizeof text, "%s %s", text_word(language, WORD_AS_OF), text_date(language, totals->date, part));
        flow_add(&flow, "", PAINT_BOLD, text);
        flow_end(&flow);
    }
    if (totals->has_updated_at)
        snprintf(text, sizeof text, "%s %s", text_word(language, WORD_UPDATED),
                 text_time(language, totals->updated_at_ms, part));
    else
        snprintf(text, sizeof text, "%s", text_word(language, WORD_NOTHING_YET));
    flow_add(&flow, "", PAINT_DIM, text);
    snprintf(text, sizeof text, "%s %s%s", text_word(language, WORD_READ), text_time(language, totals->read_at_ms, part),
             text_word(language, WORD_ZONE));
    flow_add(&flow, " · ", PAINT_DIM, text);
    snprintf(text, sizeof text, "%s %s", text_word(language, WORD_VERSION),
             text_number(language, totals->version, false, part));
    flow_add(&flow, " · ", PAINT_DIM, text);
    if (totals->has_lag && totals->lag == 0)
        flow_add(&flow, " · ", PAINT_DIM, text_word(language, WORD_LAG_NONE));
    else if (totals->has_lag)
        flow_add(&flow, " · ", PAINT_WARN, counted(language, totals->lag, WORD_LAG_ONE, WORD_LAG, text));
    else if (style->lag_asked)
        flow_add(&flow, " · ", PAINT_WARN, text_word(language, WORD_LAG_UNKNOWN));
    flow_end(&flow);
    if (!totals->stale)
        return;
    snprintf(text, sizeof text, "%s%s%s", text_word(language, WORD_STALE_BEFORE),
             text_age(language, style->stale_age_ms, part), text_word(language, WORD_STALE_AFTER));
    flow_add(&flow, "", PAINT_BAD, text);
    flow_end(&flow);
    if (style->stale_reason)
        print_sentence(style->stale_reason, style, out);
}

/* Eighths of a column that the reduction fills on its way to the goal. */
static int gauge_eighths(const struct headcount *headcount, int columns)
{
    if (headcount->baseline <= 0 || headcount->reduction <= 0)
        return 0;
    if (target_is_met(headcount->reduction, headcount->baseline))
        return columns * 8;
    return (int)((__int128)headcount->reduction * 100 * columns * 8 / ((__int128)headcount->baseline * TARGET_PERCENT));
}

static void print_gauge(const struct totals *totals, const struct text_style *style, struct buffer *out)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    char percent[NUMBER_TEXT_SIZE], goal[NUMBER_TEXT_SIZE], bar[GAUGE_MOST * 3 + 1] = "", rest[GAUGE_MOST * 3 + 1] = "";
    text_percent(style->language, totals->headcount.percent, percent);
    snprintf(goal, sizeof goal, "%d%%", TARGET_PERCENT);
    int columns = TEXT_COLUMNS - 3 * INDENT - text_width(slice_of(percent)) - text_width(slice_of(goal));
    columns = columns > GAUGE_MOST ? GAUGE_MOST : columns < GAUGE_LEAST ? GAUGE_LEAST : columns;
    int filled = gauge_eighths(&totals->headcount, columns);
    for (int i = 0; i < filled / 8; i++)
        strcat(bar, "█");
    strcat(bar, eighths[filled % 8]);
    for (int i = (filled + 7) / 8; i < columns; i++)
        strcat(rest, "─");
    text_pad(out, INDENT);
    text_paint(out, style, PAINT_BOLD, percent);
    text_pad(out, INDENT);
    text_paint(out, style, totals->target_met ? PAINT_GOOD : PAINT_WARN, bar);
    text_paint(out, style, PAINT_DIM, rest);
    buffer_printf(out, "%*s%s\n", INDENT, "", goal);
}

static void print_goal(const struct totals *totals, const struct text_style *style, struct buffer *out)
{
    enum language language = style->language;
    const struct headcount *headcount = &totals->headcount;
    char text[SEGMENT_SIZE], date[NUMBER_TEXT_SIZE], number[NUMBER_TEXT_SIZE];
    int32_t target_date = 0;
    date_parse(slice_of(TARGET_DATE), &target_date);
    text_date(language, target_date, date);
    print_gauge(totals, style, out);
    struct flow flow = {.out = out, .style = style, .indent = INDENT};
    if (headcount->baseline <= 0) {
        flow_add(&flow, "", PAINT_WARN, text_word(language, WORD_NO_BASELINE));
    } else if (totals->target_met) {
        snprintf(text, sizeof text, "%s %s", text_word(language, WORD_GOAL_MET), date);
        flow_add(&flow, "", PAINT_GOOD, text);
    } else {
        text_number(language, target_missing(headcount->reduction, headcount->baseline), false, number);
        snprintf(text, sizeof text, "%s %s", text_word(language, WORD_GOAL), date);
        flow_add(&flow, "", PAINT_NONE, text);
        snprintf(text, sizeof text, "%s%s%s", text_word(language, WORD_MISSING_BEFORE), number,
                 text_word(language, WORD_MISSING_AFTER));
        flow_add(&flow, " · ", PAINT_NONE, text);
    }
    flow_end(&flow);
    if (!totals->by_date && totals->effective_later != 0) {
        snprintf(text, sizeof text, "%s: %s", text_word(language, WORD_LATER),
                 text_number(language, totals->effective_later, true, number));
        flow_add(&flow, "", PAINT_WARN, text);
        flow_end(&flow);
    }
}

static void number_cell(struct text_table *table, enum language language, bool has, int64_t number, bool plus)
{
    char text[NUMBER_TEXT_SIZE];
    table_cell(table, has ? text_number(language, number, plus, text) : "–");
}

static void headcount_row(struct text_table *table, enum language language, enum paint paint, const char *label,
                          const struct headcount *headcount)
{
    char text[NUMBER_TEXT_SIZE];
    table_row(table, paint, label);
    number_cell(table, language, true, headcount->baseline, false);
    number_cell(table, language, true, headcount->current, false);
    number_cell(table, language, true, headcount->reduction, false);
    table_cell(table, text_percent(language, headcount->percent, text));
}

static void begin_table(struct text_table *table, enum language language, enum word title, const enum word *headings,
                        size_t count)
{
    table_row(table, PAINT_BOLD, text_word(language, title));
    for (size_t i = 0; i < count; i++)
        table_cell(table, text_word(language, headings[i]));
}

static void print_tables(const struct totals *totals, const struct text_style *style, struct buffer *out)
{
    enum language language = style->language;
    enum word now = totals->by_date ? WORD_THEN : WORD_NOW;
    struct text_table headcount = {0}, units = {0};
    begin_table(&headcount, language, WORD_HEADCOUNT,
                (const enum word[]){WORD_BASELINE, now, WORD_REDUCTION, WORD_PERCENT}, 4);
    for (int i = 0; i < SECTORS; i++)
        headcount_row(&headcount, language, PAINT_NONE, text_sector(language, (enum sector)i), &totals->by_sector[i]);
    headcount_row(&headcount, language, PAINT_BOLD, text_word(language, WORD_WHOLE_CITY), &totals->headcount);

    begin_table(&units, language, WORD_UNITS,
                (const enum word[]){WORD_BASELINE, now, WORD_CHANGE, WORD_MERGED, WORD_MERGERS}, 5);
    for (int i = 0; i < CATEGORIES; i++) {
        const struct units *of = &totals->units[i];
        table_row(&units, PAINT_NONE, text_category(language, (enum unit_category)i));
        number_cell(&units, language, of->has_baseline, of->baseline, false);
        number_cell(&units, language, of->has_baseline, of->current, false);
        number_cell(&units, language, true, of->change, true);
        number_cell(&units, language, true, of->merged, false);
        number_cell(&units, language, true, of->mergers, false);
    }
    table_align(&headcount, &units);
    table_print(&headcount, style, out);
    buffer_text_append(out, "\n");
    table_print(&units, style, out);
}

static void print_pilots(const struct totals *totals, const struct text_style *style, struct buffer *out)
{
    enum language language = style->language;
    char models[SEGMENT_SIZE], districts[SEGMENT_SIZE];
    text_paint(out, style, PAINT_BOLD, text_word(language, WORD_PILOTS));
    if (totals->pilot_count == 0)
        buffer_printf(out, "  %s\n", text_word(language, WORD_PILOTS_NONE));
    else
        buffer_printf(out, "  %s %s %s\n",
                      counted(language, (int64_t)totals->models, WORD_MODEL, WORD_MODELS, models),
                      text_word(language, WORD_IN),
                      counted(language, (int64_t)totals->districts, WORD_DISTRICT, WORD_DISTRICTS, districts));
    struct flow flow = {.out = out, .style = style};
    for (size_t i = 0; i < totals->pilot_count; i++) {
        const struct pilot *pilot = &totals->pilots[i];
        bool first = i == 0 || strcmp(totals->pilots[i - 1].model, pilot->model) != 0;
        if (first) {
            flow_end(&flow);
            flow.indent = INDENT;
            flow_add(&flow, "", PAINT_NONE, pilot->model);
            flow.indent = 2 * INDENT;
        }
        flow_add(&flow, first ? ": " : ", ", PAINT_NONE, text_district_name(totals->city, pilot->district));
    }
    flow_end(&flow);
}

static void print_visitors(const struct totals *totals, const struct text_style *style, struct buffer *out)
{
    enum language language = style->language;
    const struct visitors *visitors = &totals->visitors;
    const int64_t numbers[] = {visitors->online, visitors->today, visitors->this_week, visitors->all};
    char text[SEGMENT_SIZE];
    struct text_table table = {0};
    begin_table(&table, language, WORD_VISITORS, (const enum word[]){WORD_ONLINE, WORD_TODAY, WORD_WEEK, WORD_ALL}, 4);
    table_row(&table, PAINT_NONE,
              counted(language, visitors->today_visitors, WORD_VISITOR_TODAY, WORD_VISITORS_TODAY, text));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        number_cell(&table, language, true, numbers[i], false);
    table_print(&table, style, out);

    struct flow flow = {.out = out, .style = style};
    buffer_text_append(out, "\n");
    flow_add(&flow, "", PAINT_DIM, counted(language, totals->events, WORD_EVENT, WORD_EVENTS, text));
    flow_add(&flow, " · ", totals->dead_letters ? PAINT_WARN : PAINT_DIM,
             counted(language, totals->dead_letters, WORD_LETTER, WORD_LETTERS, text));
    flow_end(&flow);
}

void totals_text(const struct totals *totals, const struct text_style *style, struct buffer *out)
{
    print_heading(totals, style, out);
    buffer_text_append(out, "\n");
    print_goal(totals, style, out);
    buffer_text_append(out, "\n");
    print_tables(totals, style, out);
    buffer_text_append(out, "\n");
    print_pilots(totals, style, out);
    if (totals->by_date)
        return;
    buffer_text_append(out, "\n");
    print_visitors(totals, style, out);
}
