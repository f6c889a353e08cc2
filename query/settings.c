/* The settings table of the query's commands: it makes the parser, --help and docs/configuration.md. */
#include "query/settings.h"

const char query_summary[] = "Shows the city's live totals.";

#define AT(field) offsetof(struct print_options, field)

static const char *const formats[] = {"text", "json", NULL};
static const char *const languages[] = {"vi", "en", NULL};

static const struct setting print_settings[] = {
    {.name = "format", .kind = SETTING_CHOICE, .offset = AT(format), .placeholder = "FORMAT", .default_text = "text",
     .choices = formats, .help = "Text for people, or one line of JSON."},
    {.name = "lang", .kind = SETTING_CHOICE, .offset = AT(language), .placeholder = "LANG", .default_text = "vi",
     .choices = languages, .help = "Language of the text."},
    {.name = "as-of", .kind = SETTING_DATE, .offset = AT(as_of), .placeholder = "YYYY-MM-DD",
     .help = "Count only what had taken effect by the end of this day, as known now."},
    {.name = "watch", .kind = SETTING_FLAG, .offset = AT(watch),
     .help = "Stay and show each change until Ctrl-C; away from a terminal print a new block or line for each."},
    {.name = "interval", .kind = SETTING_DURATION, .offset = AT(interval_ms), .placeholder = "TIME",
     .default_text = "1s", .least = 100, .most = 3600000, .help = "How often --watch looks for a change."},
    {0},
};

static const struct setting *const print_tables[] = {common_settings, print_settings, NULL};

const struct command query_command_print = {
    .program = "citytotals-query",
    .name = "print",
    .summary = "Print the city's totals as they are now, as they were on a date, or as they change.",
    .tables = print_tables,
    .options_size = sizeof(struct print_options),
    .notes = "The lag (records in Kafka that are not folded yet) is told when --brokers is given and Kafka answers.\n"
             "Totals are stale when Redis can't be read and they are what it said last: that is seen under --watch only,\n"
             "with their age. A replica and a Redis user with ~{CITY}:* +@read +time +fcall_ro are enough once a\n"
             "citytotals-consumer of the same version has loaded the Functions.\n"
             "Colour is used on a terminal only, and not when NO_COLOR is set.\n\n"
             "Exit status: 0 printed, or --watch ended by a signal; 1 Redis can't be read; 2 wrong usage or configuration.",
};

#undef AT
#define AT(field) offsetof(struct serve_options, field)

static const struct setting serve_settings[] = {
    {.name = "listen", .kind = SETTING_ADDRESS, .offset = AT(listen), .placeholder = "ADDR:PORT", .required = true,
     .help = "Serve HTTP there; port 0 picks a free one, which is logged. TLS is a proxy's work."},
    {.name = "agencies", .kind = SETTING_TEXT, .offset = AT(agencies), .placeholder = "CSV",
     .help = "Names of the agencies: a CSV with the header id,vi,en, such as data/haiphong-agencies.csv."},
    {.name = "allow-origin", .kind = SETTING_LIST, .offset = AT(origins), .placeholder = "ORIGIN",
     .help = "Pages of this origin may read by script (CORS), once for each; without: every page may, since all is public."},
    {.name = "management", .kind = SETTING_ADDRESS, .offset = AT(management), .placeholder = "ADDR:PORT",
     .help = "Serve /healthz, /readyz and /metrics there; port 0 picks a free one, which is logged."},
    {.name = "threads", .kind = SETTING_NUMBER, .offset = AT(threads), .placeholder = "N", .default_text = "1", .least = 1,
     .most = 64, .help = "Threads that answer requests."},
    {.name = "streams", .kind = SETTING_NUMBER, .offset = AT(streams), .placeholder = "N", .default_text = "10000", .least = 1,
     .most = 200000, .help = "Most clients of /v1/stream at once; each takes a file and about 10 KiB."},
    {.name = "per-address", .kind = SETTING_NUMBER, .offset = AT(per_address), .placeholder = "N", .default_text = "0",
     .least = 0, .most = 200000,
     .help = "Most connections of one address; 0 for no limit, as behind a proxy, where all come from its address."},
    {.name = "interval", .kind = SETTING_DURATION, .offset = AT(interval_ms), .placeholder = "TIME", .default_text = "100ms",
     .least = 100, .most = 60000, .help = "How often Redis is asked for a new version; updates come at most as often."},
    {0},
};

static const struct setting *const serve_tables[] = {common_settings, serve_settings, NULL};

const struct command query_command_serve = {
    .program = "citytotals-query",
    .name = "serve",
    .summary = "Serve the totals, their history, changes and a live stream over HTTP until stopped.",
    .tables = serve_tables,
    .options_size = sizeof(struct serve_options),
    .notes = "The paths are described at /openapi.json. With --brokers the lag is told too.\n"
             "While Redis is away what was read last is served, marked stale, and /readyz says 503.\n\n"
             "Exit status: 0 stopped by SIGTERM or SIGINT; 1 failed at run time; 2 wrong usage or configuration.",
};

#undef AT
#define AT(field) offsetof(struct report_options, field)

static const char *const report_formats[] = {"text", "html", "csv", "json", NULL};

static const struct setting report_settings[] = {
    {.name = "as-of", .kind = SETTING_DATE, .offset = AT(as_of), .placeholder = "YYYY-MM-DD", .required = true,
     .help = "The report's day: what had taken effect by its end counts, as known now."},
    {.name = "lang", .kind = SETTING_CHOICE, .offset = AT(language), .placeholder = "LANG", .default_text = "vi",
     .choices = languages, .help = "Language of the report."},
    {.name = "format", .kind = SETTING_CHOICE, .offset = AT(format), .placeholder = "FORMAT", .default_text = "text",
     .choices = report_formats, .help = "Text, a page that prints on A4, a table for spreadsheets, or JSON."},
    {.name = "agencies", .kind = SETTING_TEXT, .offset = AT(agencies), .placeholder = "CSV",
     .help = "Names of the agencies: a CSV with the header id,vi,en, such as data/haiphong-agencies.csv."},
    {0},
};

static const struct setting *const report_tables[] = {common_settings, report_settings, NULL};

const struct command query_command_report = {
    .program = "citytotals-query",
    .name = "report",
    .summary = "Write the inspection report as of a date: key figures, sectors, categories, agencies, pilots, documents.",
    .tables = report_tables,
    .options_size = sizeof(struct report_options),
    .notes = "Figures by agency are as known now: Redis keeps them by agency or by day, not by both. Documents come from the\n"
             "latest changes, about a thousand; the report says whether that is all.\n"
             "The digest is the SHA-256 of the line \"citytotals-report 1 CITY DATE\" and a line \"HASH FIELD NUMBER\" for each\n"
             "field of headcount:by-day, units:by-day and pilots:by-day that is not 0 and not after the date, these lines sorted\n"
             "bytewise: it follows from Kafka's log alone.\n\n"
             "Exit status: 0 written; 1 Redis can't be read; 2 wrong usage or configuration.",
};

#undef AT
#define AT(field) offsetof(struct trace_options, field)

static const char *const changes_formats[] = {"text", "json", "csv", NULL};

#define LANGUAGE_SETTING                                                                                                    \
    {                                                                                                                       \
        .name = "lang", .kind = SETTING_CHOICE, .offset = AT(language), .placeholder = "LANG", .default_text = "vi",        \
        .choices = languages, .help = "Language of the text."                                                               \
    }
#define AGENCY_SETTING                                                                                             \
    {                                                                                                              \
        .name = "agency", .kind = SETTING_TEXT, .offset = AT(agency), .placeholder = "ID", .help = "Only this agency's." \
    }
#define LOG_SETTINGS                                                                                                        \
    {.name = "memory", .kind = SETTING_SIZE, .offset = AT(memory), .placeholder = "SIZE", .default_text = "1GiB",          \
     .least = 1 << 20, .most = INT64_C(1) << 40,                                                                           \
     .help = "Most memory for telling counted events apart, at 60 bytes an event of the city, or of the agency's lane."}, \
        {.name = "connect-timeout", .kind = SETTING_DURATION, .offset = AT(connect_timeout_ms), .placeholder = "TIME",     \
         .default_text = "60s", .least = 1, .most = 3600000, .help = "How long to wait for Kafka before giving up with exit 1."}, \
    REGISTRY_SETTINGS(struct trace_options, registry)

static const struct setting changes_settings[] = {
    {.name = "format", .kind = SETTING_CHOICE, .offset = AT(format), .placeholder = "FORMAT", .default_text = "text",
     .choices = changes_formats, .help = "Text for people, one line of JSON, or CSV for a spreadsheet."},
    LANGUAGE_SETTING,
    AGENCY_SETTING,
    {.name = "category", .kind = SETTING_TEXT, .offset = AT(category), .placeholder = "WORD",
     .help = "Only this unit category, or this sector."},
    {.name = "from", .kind = SETTING_DATE, .offset = AT(from), .placeholder = "YYYY-MM-DD",
     .help = "Only what takes effect on this day or later."},
    {.name = "to", .kind = SETTING_DATE, .offset = AT(to), .placeholder = "YYYY-MM-DD",
     .help = "Only what takes effect on this day or earlier."},
    {.name = "limit", .kind = SETTING_NUMBER, .offset = AT(limit), .placeholder = "N", .default_text = "50", .least = 0,
     .most = 1000000, .help = "Events to list, the latest first; sums are over all that match."},
    {.name = "from-log", .kind = SETTING_FLAG, .offset = AT(from_log),
     .help = "All of history, from Kafka; without: the latest 1,000 or so, from Redis."},
    LOG_SETTINGS,
    {0},
};
static const struct setting *const changes_tables[] = {common_settings, changes_settings, NULL};

const struct command query_command_changes = {
    .program = "citytotals-query",
    .name = "changes",
    .summary = "List the events behind the numbers, each with its place in Kafka, source and decision.",
    .tables = changes_tables,
    .options_size = sizeof(struct trace_options),
    .notes = "With --from-log the events listed are those that count: up to the stored offsets, and by the ids that Redis has seen,\n"
             "so that repeats, conflicts and dead letters are left out as the consumer left them out. Their sums are compared with the\n"
             "totals where there is such a total: of the city (with --to: as of that day; with --category: its), or of an agency.\n"
             "Order is by Kafka's timestamp. An event that stands in the log several times is listed where it stands first, by timestamp, then\n"
             "partition and offset; where one was met too late, all of the log is read a second time. Without --from-log it is the record that\n"
             "was folded, which may be another if they are in several partitions.\n\n"
             "Exit status: 0 listed; 1 Redis or Kafka can't be read; 2 wrong usage or configuration; 4 the sums are not the totals.",
};

static const struct setting explain_settings[] = {
    {.name = "format", .kind = SETTING_CHOICE, .offset = AT(format), .placeholder = "FORMAT", .default_text = "text",
     .choices = formats, .help = "Text for people, or one line of JSON."},
    LANGUAGE_SETTING,
    AGENCY_SETTING,
    {.name = "limit", .kind = SETTING_NUMBER, .offset = AT(limit), .placeholder = "N", .default_text = "10", .least = 0,
     .most = 1000000, .help = "Events to list, the latest first."},
    LOG_SETTINGS,
    {0},
};
static const struct setting *const explain_tables[] = {common_settings, explain_settings, NULL};

const struct command query_command_explain = {
    .program = "citytotals-query",
    .name = "explain",
    .summary = "Say what a number means, which keys it comes from, and which events it is made of.",
    .operands = "MEASURE",
    .tables = explain_tables,
    .options_size = sizeof(struct trace_options),
    .notes = "MEASURE is headcount.baseline, headcount.current, headcount.reduction, headcount.reduction_percent (also of an agency, and as\n"
             "headcount.by_sector.SECTOR.… of a sector), or units.CATEGORY.baseline, .change, .current, .merged or .mergers.\n\n"
             "Exit status: 0 the events add up to the number; 1 Redis or Kafka can't be read; 2 wrong usage or configuration; 4 they do not.",
};
