/* The run of `explain`: a number's meaning, the keys it comes from, and the events that add up to it. */
#include "query/explain.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json_text.h"
#include "base/log.h"
#include "query/changes_show.h"
#include "query/documents.h"
#include "query/text.h"

enum { CELLS_MOST = 2, MEASURE_MOST = 96 };

enum figure { FIGURE_BASELINE, FIGURE_CURRENT, FIGURE_REDUCTION, FIGURE_PERCENT, FIGURE_CHANGE, FIGURE_MERGED, FIGURE_MERGERS };

/* A measure taken apart. */
struct measure {
    char name[MEASURE_MOST];
    bool units;
    int sector, category; /* -1: all */
    enum figure figure;
    char definition[64];
    struct {
        enum snapshot_hash hash;
        char field[MEASURE_MOST];
        int64_t value, found;
    } cells[CELLS_MOST]; /* the stored numbers that it is made of, and what the events say */
    size_t cell_count;
};

static bool take_word(const char **at, const char *word)
{
    size_t size = strlen(word);
    if (strncmp(*at, word, size) != 0)
        return false;
    *at += size;
    return true;
}

static int unknown(const char *name, struct error *error)
{
    return error_set(error, ERROR_USAGE, "no measure \"%.64s\"; allowed: headcount.baseline, .current, .reduction or .reduction_percent, "
                     "headcount.by_sector.SECTOR.…, units.CATEGORY.baseline, .change, .current, .merged or .mergers", name);
}

static int measure_parse(const char *name, struct measure *ret_measure, struct error *error)
{
    static const char *const headcounts[] = {"baseline", "current", "reduction", "reduction_percent"};
    static const struct {
        const char *word;
        enum figure figure;
    } units[] = {{"baseline", FIGURE_BASELINE}, {"current", FIGURE_CURRENT}, {"change", FIGURE_CHANGE}, {"merged", FIGURE_MERGED},
                 {"mergers", FIGURE_MERGERS}};
    struct measure measure = {.sector = -1, .category = -1};
    const char *at = name, *figure = NULL;
    if (strlen(name) >= sizeof measure.name)
        return unknown(name, error);
    strcpy(measure.name, name);
    if (take_word(&at, "headcount.")) {
        if (take_word(&at, "by_sector.")) {
            for (int i = 0; i < SECTORS && measure.sector < 0; i++)
                if (take_word(&at, sector_name((enum sector)i)) && take_word(&at, "."))
                    measure.sector = i;
            if (measure.sector < 0)
                return unknown(name, error);
        }
        for (int i = 0; i < 4; i++)
            if (strcmp(at, headcounts[i]) == 0) {
                measure.figure = (enum figure)i;
                figure = headcounts[i];
            }
    } else if (take_word(&at, "units.")) {
        measure.units = true;
        for (int i = 0; i < CATEGORIES && measure.category < 0; i++)
            if (take_word(&at, unit_category_name((enum unit_category)i)) && take_word(&at, "."))
                measure.category = i;
        for (size_t i = 0; measure.category >= 0 && i < sizeof units / sizeof *units; i++)
            if (strcmp(at, units[i].word) == 0) {
                measure.figure = units[i].figure;
                figure = units[i].word;
            }
    }
    if (!figure)
        return unknown(name, error);
    snprintf(measure.definition, sizeof measure.definition, "%s.%s", measure.units ? "units" : "headcount", figure);
    *ret_measure = measure;
    return 0;
}

static enum ledger_part part_of(const struct measure *measure)
{
    switch (measure->figure) {
    case FIGURE_BASELINE:
        return measure->units ? LEDGER_UNITS_BASELINE : LEDGER_HEADCOUNT_BASELINE;
    case FIGURE_CHANGE:
        return LEDGER_UNITS_CHANGE;
    case FIGURE_MERGED:
    case FIGURE_MERGERS:
        return LEDGER_UNITS_MERGERS;
    case FIGURE_CURRENT:
    case FIGURE_REDUCTION:
    case FIGURE_PERCENT:
        break;
    }
    return measure->units ? LEDGER_UNITS : LEDGER_HEADCOUNT;
}

static int add_cell(const struct trace *trace, struct measure *measure, enum snapshot_hash hash, const char *name, const char *word,
                    int64_t found, struct error *error)
{
    size_t place = measure->cell_count++;
    measure->cells[place].hash = hash;
    measure->cells[place].found = found;
    snprintf(measure->cells[place].field, MEASURE_MOST, *name && *word ? "%s:%s" : "%s%s", name, word);
    return counter_find(&trace->snapshot, hash, trace->totals.city, measure->cells[place].field, &measure->cells[place].value, NULL, error);
}

/* The stored numbers, and beside each what the events add up to. */
static int gather(const struct trace *trace, struct measure *measure, struct error *error)
{
    const struct ledger_sums *sums = ledger_sums(trace->ledger);
    const char *agency = trace->options->agency;
    enum figure figure = measure->figure;
    int result = 0;
    if (!measure->units) {
        const char *sector = measure->sector < 0 ? "" : sector_name((enum sector)measure->sector);
        if (figure != FIGURE_CURRENT)
            result = agency ? add_cell(trace, measure, SNAPSHOT_AGENCY_BASELINE, "", agency, sums->headcount_baseline, error)
                            : add_cell(trace, measure, SNAPSHOT_TOTALS, "headcount_baseline", sector, sums->headcount_baseline, error);
        if (result >= 0 && figure != FIGURE_BASELINE)
            result = agency ? add_cell(trace, measure, SNAPSHOT_AGENCY_CURRENT, "", agency, sums->headcount_current, error)
                            : add_cell(trace, measure, SNAPSHOT_TOTALS, "headcount_current", sector, sums->headcount_current, error);
        return result;
    }
    const struct ledger_units *units = &sums->units[measure->category];
    const char *category = unit_category_name((enum unit_category)measure->category);
    if (figure == FIGURE_BASELINE || figure == FIGURE_CURRENT)
        result = add_cell(trace, measure, SNAPSHOT_TOTALS, "units_baseline", category, units->baselines > 0 ? units->baseline : 0, error);
    if (result >= 0 && (figure == FIGURE_CHANGE || figure == FIGURE_CURRENT))
        result = add_cell(trace, measure, SNAPSHOT_TOTALS, "units_change", category, units->change, error);
    if (result >= 0 && figure == FIGURE_MERGED)
        result = add_cell(trace, measure, SNAPSHOT_TOTALS, "units_merged", category, units->merged, error);
    if (result >= 0 && figure == FIGURE_MERGERS)
        result = add_cell(trace, measure, SNAPSHOT_TOTALS, "mergers", category, units->mergers, error);
    return result;
}

/* The number itself, as text; "" = null. */
static void value_of(const struct trace *trace, const struct measure *measure, char text[PERCENT_TEXT_SIZE])
{
    int64_t first = measure->cells[0].value, second = measure->cell_count > 1 ? measure->cells[1].value : 0;
    bool null = measure->units && (measure->figure == FIGURE_BASELINE || measure->figure == FIGURE_CURRENT) &&
                !trace->totals.units[measure->category].has_baseline;
    if (measure->figure == FIGURE_PERCENT)
        percent_format(first - second, first, text);
    else
        snprintf(text, PERCENT_TEXT_SIZE, "%" PRId64, measure->figure == FIGURE_REDUCTION ? first - second : first + second);
    if (null)
        *text = '\0';
}

static const char *formula_of(const struct measure *measure, enum language language)
{
    bool vi = language == LANGUAGE_VI;
    if (measure->figure == FIGURE_REDUCTION)
        return vi ? "số thứ nhất trừ số thứ hai" : "the first less the second";
    if (measure->figure == FIGURE_PERCENT)
        return vi ? "(số thứ nhất trừ số thứ hai) × 100 / số thứ nhất" : "(the first less the second) × 100 / the first";
    if (measure->cell_count == 2)
        return vi ? "số thứ nhất cộng số thứ hai" : "the first plus the second";
    return NULL;
}

static const char *meaning_of(const struct measure *measure, enum language language)
{
    for (size_t i = 0; i < definition_count; i++)
        if (strcmp(definitions[i].name, measure->definition) == 0)
            return definitions[i].text[language];
    return "";
}

static void show_text(const struct trace *trace, const struct measure *measure, const struct change_rows *rows, bool agrees,
                      struct buffer *out)
{
    char value[PERCENT_TEXT_SIZE];
    const struct ledger_sums *sums = ledger_sums(trace->ledger);
    enum language language = (enum language)trace->options->language;
    bool vi = language == LANGUAGE_VI;
    value_of(trace, measure, value);
    text_say(out, language, "%s%s%s = %s (phiên bản %" PRId64 ")\n%s\n\nTrong Redis:\n", "%s%s%s = %s (version %" PRId64 ")\n%s\n\nIn Redis:\n",
             measure->name, !trace->options->agency ? "" : vi ? " của " : " of ", trace->options->agency ? trace->options->agency : "",
             *value ? value : "null", trace->totals.version, meaning_of(measure, language));
    for (size_t i = 0; i < measure->cell_count; i++)
        text_say(out, language, "  HGET {%s}:%s %s = %" PRId64 "; các sự kiện cộng lại được %" PRId64 "\n",
                 "  HGET {%s}:%s %s = %" PRId64 "; its events add up to %" PRId64 "\n", trace->totals.city,
                 snapshot_hash_suffix(measure->cells[i].hash), measure->cells[i].field, measure->cells[i].value, measure->cells[i].found);
    if (formula_of(measure, language))
        text_say(out, language, "  và kết quả là %s\n", "  and the number is %s\n", formula_of(measure, language));
    text_say(out, language, "\nTrong Kafka: %" PRId64 " sự kiện, liệt kê %zu\n", "\nIn Kafka: %" PRId64 " events, %zu listed\n", sums->events,
             rows->count);
    for (int i = 0; i < REASONS && !measure->units; i++)
        if (sums->reason_events[i])
            text_say(out, language, "  %s: %" PRId64 " trong %" PRId64 " sự kiện\n", "  %s: %" PRId64 " in %" PRId64 " events\n",
                     text_reason(language, (enum headcount_reason)i), sums->by_reason[i], sums->reason_events[i]);
    buffer_text_append(out, "\n");
    change_rows_text(rows, language, out);
    if (agrees)
        buffer_text_append(out, vi ? "\ncác sự kiện cộng lại đúng bằng số này\n" : "\nthe events add up to the number\n");
    else
        buffer_text_append(out, vi ? "\nKHÁC: các sự kiện cộng lại không bằng số này\n" : "\nDIFFERS: the events do not add up to the number\n");
}

static void show_json(const struct trace *trace, const struct measure *measure, const struct change_rows *rows, bool agrees,
                      struct buffer *out)
{
    char value[PERCENT_TEXT_SIZE];
    value_of(trace, measure, value);
    buffer_text_append(out, "{");
    document_begin(&trace->totals, out);
    buffer_printf(out, ",\"measure\":\"%s\",\"agency\":", measure->name);
    json_text_append(out, slice_of(trace->options->agency));
    buffer_printf(out, measure->figure == FIGURE_PERCENT && *value ? ",\"value\":\"%s\",\"meaning\":" : ",\"value\":%s,\"meaning\":",
                  *value ? value : "null");
    json_text_append(out, slice_of(meaning_of(measure, LANGUAGE_EN)));
    buffer_text_append(out, ",\"keys\":[");
    for (size_t i = 0; i < measure->cell_count; i++)
        buffer_printf(out, "%s{\"key\":\"{%s}:%s\",\"field\":\"%s\",\"value\":%" PRId64 ",\"events_add_up_to\":%" PRId64 "}", i ? "," : "",
                      trace->totals.city, snapshot_hash_suffix(measure->cells[i].hash), measure->cells[i].field, measure->cells[i].value,
                      measure->cells[i].found);
    buffer_printf(out, "],\"events\":%" PRId64 ",\"agrees\":%s,", ledger_sums(trace->ledger)->events, agrees ? "true" : "false");
    change_rows_json(rows, out);
    buffer_printf(out, ",\"more\":%s}\n", rows->more ? "true" : "false");
}

static int explain(struct trace *trace, const char *name, enum trace_verdict *ret_verdict, struct buffer *out, struct error *error)
{
    struct measure measure;
    struct change_rows rows = {0};
    int result = measure_parse(name, &measure, error);
    if (result < 0)
        return result;
    if (trace->options->agency && (measure.units || measure.sector >= 0))
        return error_set(error, ERROR_USAGE, "Redis keeps only the headcount as a whole by agency; `citytotals-query changes --from-log "
                         "--agency` adds up the rest");
    trace->filter.part = part_of(&measure);
    if (measure.sector >= 0)
        trace->filter.category = slice_of(sector_name((enum sector)measure.sector));
    if (measure.category >= 0)
        trace->filter.category = slice_of(unit_category_name((enum unit_category)measure.category));
    if ((result = trace_redis(trace, error)) < 0 || (result = trace_log(trace, error)) < 0 || (result = gather(trace, &measure, error)) < 0 ||
        (result = change_rows_from_ledger(trace, &rows, error)) < 0)
        return result;
    bool agrees = true;
    for (size_t i = 0; i < measure.cell_count; i++)
        agrees = agrees && measure.cells[i].value == measure.cells[i].found;
    *ret_verdict = agrees ? TRACE_AGREES : TRACE_DIFFERS;
    if (trace->options->format == CHANGES_FORMAT_JSON)
        show_json(trace, &measure, &rows, agrees, out);
    else
        show_text(trace, &measure, &rows, agrees, out);
    change_rows_free(&rows);
    return changes_write(out, error);
}

int query_explain(int argc, char **argv)
{
    struct trace_options options = {.from = INT32_MIN, .to = INT32_MIN};
    struct trace trace = {0};
    struct program_run frame;
    struct buffer out = BUFFER_BOUNDED(CHANGES_OUT_MOST);
    enum trace_verdict verdict = TRACE_NO_TOTAL;
    int result = program_begin(&frame, &query_command_explain, argc, argv, &options);
    if (result <= 0)
        goto finish;
    options.from = options.to = INT32_MIN;
    if (frame.operand_count != 1)
        result = error_set(&frame.error, ERROR_USAGE, "%d measures named; allowed: one, such as headcount.current", frame.operand_count);
    else if (!options.common.brokers)
        result = error_set(&frame.error, ERROR_USAGE, "the events are in Kafka: give --brokers HOST:PORT or CITYTOTALS_BROKERS");
    if (result >= 0)
        result = trace_begin(&trace, &options, &frame.error);
    if (result >= 0)
        result = explain(&trace, frame.operands[0], &verdict, &out, &frame.error);
    if (result >= 0 && *trace.cut)
        log_warning("%s", trace.cut);
finish:
    buffer_free(&out);
    return trace_finish(&trace, &frame, result, verdict);
}
