/* The settings table of the query's commands: it makes the parser, --help and docs/configuration.md. */
#include "query/settings.h"

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
