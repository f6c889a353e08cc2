/* The run of `changes`: the latest from Redis, or all of history from Kafka with sums that are compared. */
#include "query/changes.h"

#include <inttypes.h>

#include "base/json_text.h"
#include "base/log.h"
#include "query/changes_show.h"
#include "query/documents.h"
#include "query/text.h"

static void sums_text(const struct trace *trace, const struct change_rows *rows, enum trace_verdict verdict, const char *why,
                      struct buffer *out)
{
    const struct ledger_sums *sums = ledger_sums(trace->ledger);
    enum language language = (enum language)trace->options->language;
    text_say(out, language,
             "\n%" PRId64 " sự kiện khớp, liệt kê %zu; không tính: %" PRId64 " lần gửi lặp hoặc mâu thuẫn, %" PRId64 " dead letters\n",
             "\n%" PRId64 " events match, %zu are listed; left out: %" PRId64 " repeats or conflicts, %" PRId64 " dead letters\n",
             sums->events, rows->count, ledger_uncounted(trace->ledger), trace->refused);
    text_say(out, language, "biên chế: mốc 2015 %" PRId64 ", hiện nay %" PRId64 "\n", "headcount: baseline %" PRId64 ", current %" PRId64 "\n",
             sums->headcount_baseline, sums->headcount_current);
    for (int i = 0; i < CATEGORIES; i++) {
        const struct ledger_units *units = &sums->units[i];
        enum unit_category category = (enum unit_category)i;
        if (units->baseline || units->change || units->merged || units->mergers)
            text_say(out, language, "%s: mốc 2015 %" PRId64 ", tăng/giảm %" PRId64 ", sáp nhập %" PRId64 " trong %" PRId64 " lần\n",
                     "%s: baseline %" PRId64 ", change %" PRId64 ", merged %" PRId64 " in %" PRId64 " mergers\n",
                     language == LANGUAGE_VI ? text_category(language, category) : unit_category_name(category), units->baseline,
                     units->change, units->merged, units->mergers);
    }
    if (verdict == TRACE_NO_TOTAL)
        text_say(out, language, "%s\n", "%s\n",
                 language == LANGUAGE_VI ? "không có số tổng tương ứng để so sánh" : "there is no such total to compare with");
    else if (verdict == TRACE_AGREES)
        text_say(out, language, "khớp với số tổng của phiên bản %" PRId64 "\n", "these are the totals of version %" PRId64 "\n",
                 trace->totals.version);
    else
        text_say(out, language, "KHÁC với phiên bản %" PRId64 ": %s\n", "DIFFERS from version %" PRId64 ": %s\n", trace->totals.version, why);
}

static void show(const struct trace *trace, const struct change_rows *rows, enum trace_verdict verdict, const char *why,
                 struct buffer *out)
{
    enum language language = (enum language)trace->options->language;
    switch ((enum changes_format)trace->options->format) {
    case CHANGES_FORMAT_CSV:
        change_rows_csv(rows, out);
        break;
    case CHANGES_FORMAT_JSON:
        buffer_text_append(out, "{");
        document_begin(&trace->totals, out);
        buffer_printf(out, ",\"from_log\":%s,", trace->ledger ? "true" : "false");
        change_rows_json(rows, out);
        buffer_printf(out, ",\"more\":%s", rows->more ? "true" : "false");
        if (trace->ledger) {
            buffer_text_append(out, ",");
            ledger_sums_json(ledger_sums(trace->ledger), out);
            buffer_printf(out, ",\"agrees\":%s", verdict == TRACE_NO_TOTAL ? "null" : verdict == TRACE_AGREES ? "true" : "false");
        }
        buffer_text_append(out, "}\n");
        break;
    case CHANGES_FORMAT_TEXT:
        change_rows_text(rows, language, out);
        if (trace->ledger)
            sums_text(trace, rows, verdict, why, out);
        else
            text_say(out, language, "%s%zu sự kiện mới nhất%s; --from-log liệt kê toàn bộ lịch sử\n",
                     "%s%zu of the latest events%s; --from-log lists all of history\n", rows->count ? "\n" : "", rows->count,
                     !rows->more ? "" : language == LANGUAGE_VI ? ", còn sự kiện cũ hơn cũng khớp" : ", and older ones match too");
        break;
    }
}

int query_changes(int argc, char **argv)
{
    struct trace_options options = {0};
    struct trace trace = {0};
    struct program_run frame;
    struct change_rows rows = {0};
    struct buffer out = BUFFER_BOUNDED(CHANGES_OUT_MOST);
    enum trace_verdict verdict = TRACE_NO_TOTAL;
    char why[256] = "";
    int result = program_begin(&frame, &query_command_changes, argc, argv, &options);
    if (result <= 0)
        goto finish;
    if (options.from_log && !options.common.brokers)
        result = error_set(&frame.error, ERROR_USAGE, "--from-log reads Kafka: give --brokers HOST:PORT or CITYTOTALS_BROKERS");
    if (result >= 0)
        result = trace_begin(&trace, &options, &frame.error);
    if (result >= 0)
        result = trace_redis(&trace, &frame.error);
    if (result >= 0 && options.from_log)
        result = trace_log(&trace, &frame.error);
    if (result >= 0 && options.from_log)
        result = trace_compare(&trace, &verdict, why, &frame.error);
    if (result >= 0)
        result = options.from_log ? change_rows_from_ledger(&trace, &rows, &frame.error) : change_rows_from_stream(&trace, &rows, &frame.error);
    if (result >= 0) {
        show(&trace, &rows, verdict, why, &out);
        result = changes_write(&out, &frame.error);
    }
    if (result >= 0 && *trace.cut)
        log_warning("%s", trace.cut);
    if (result >= 0 && verdict == TRACE_DIFFERS)
        log_error("%s", why);
finish:
    change_rows_free(&rows);
    buffer_free(&out);
    return trace_finish(&trace, &frame, result, verdict);
}
