/* `citytotals-query report`: reads one snapshot and writes the inspection report. */
#include "query/report_command.h"

#include <errno.h>
#include <stdio.h>

#include "base/program.h"
#include "base/redis.h"
#include "query/report.h"

enum { CONNECT_MS = 5000, COMMAND_MS = 10000 };

static int read_figures(const struct report_options *options, const struct names *names, struct figures *figures,
                        struct error *error)
{
    char key[REDIS_KEY_SIZE];
    struct redis *redis = NULL;
    struct snapshot snapshot = {0};
    redis_key(key, options->common.city, snapshot_hash_suffix(SNAPSHOT_TOTALS));
    int result = redis_connect(&(struct redis_options){.place = options->common.redis,
                                                       .route_key = key,
                                                       .connect_timeout_ms = CONNECT_MS,
                                                       .command_timeout_ms = COMMAND_MS},
                               &redis, error);
    if (result >= 0)
        result = snapshot_read(redis, options->common.city, SNAPSHOT_EVERYTHING, &snapshot, error);
    redis_free(redis);
    if (result >= 0)
        result = figures_make(&snapshot, options->common.city, names, figures, error);
    snapshot_free(&snapshot);
    return result;
}

static int write_report(const struct report_options *options, const struct figures *figures, struct error *error)
{
    static void (*const writers[])(const struct report *, struct buffer *) = {
        [REPORT_FORMAT_TEXT] = report_text, [REPORT_FORMAT_HTML] = report_html,
        [REPORT_FORMAT_CSV] = report_csv,   [REPORT_FORMAT_JSON] = report_json};
    struct report report;
    struct buffer out = BUFFER_BOUNDED(TEXT_MOST);
    int result = report_make(figures, options->as_of, (enum language)options->language, &report, error);
    if (result < 0)
        return result;
    writers[options->format](&report, &out);
    if (buffer_failed(&out))
        result = error_set(error, ERROR_LIMIT, "the report is over %zu bytes", out.bound);
    else if (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout) != 0)
        result = error_set(error, ERROR_IO, "write the report: %s", strerror(errno));
    buffer_free(&out);
    report_free(&report);
    return result;
}

int query_report(int argc, char **argv)
{
    struct report_options options = {0};
    struct program_run frame;
    struct names *names = NULL;
    struct figures figures = {0};
    int begun = program_begin(&frame, &query_command_report, argc, argv, &options), result = begun;
    if (begun > 0)
        result = options.agencies ? names_read(options.agencies, &names, &frame.error) : 0;
    if (begun > 0 && result >= 0)
        result = read_figures(&options, names, &figures, &frame.error);
    if (begun > 0 && result >= 0)
        result = write_report(&options, &figures, &frame.error);
    figures_free(&figures);
    names_free(names);
    return program_end(&frame, result);
}
