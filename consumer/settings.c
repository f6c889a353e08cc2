/* The settings table of the consumer's commands: it makes the parser, --help and docs/configuration.md. */
#include "consumer/settings.h"

#define AT(field) offsetof(struct run_options, field)

static const struct setting run_settings[] = {
    {.name = "until-end", .kind = SETTING_FLAG, .offset = AT(until_end),
     .help = "Fold to the end of the log as it was at the start, then exit 0; 1 if a partition halted."},
    {.name = "management", .kind = SETTING_ADDRESS, .offset = AT(management), .placeholder = "ADDR:PORT",
     .help = "Serve /healthz, /readyz and /metrics there; port 0 picks a free one, which is logged."},
    {.name = "connect-timeout", .kind = SETTING_DURATION, .offset = AT(connect_timeout_ms), .placeholder = "TIME",
     .default_text = "60s", .least = 1, .most = 3600000,
     .help = "How long to wait at the start for Kafka, its topics and Redis before giving up with exit 1."},
    {.name = "seen-memory", .kind = SETTING_SIZE, .offset = AT(seen_memory), .placeholder = "SIZE",
     .default_text = "1GiB", .least = 1 << 20, .most = INT64_C(1) << 40,
     .help = "Most memory for the ids of events seen before, at up to 24 bytes an id; lanes used least recently are let "
             "go and read again from Redis when needed."},
    {.name = "batch-events", .kind = SETTING_NUMBER, .offset = AT(batch_events), .placeholder = "N",
     .default_text = "20000", .least = 1, .most = 50000,
     .help = "Most records in one commit. A commit takes what is there, so an idle consumer commits each event at once."},
    {.name = "accept-log-start", .kind = SETTING_FLAG, .offset = AT(accept_log_start),
     .help = "Go on where a log starts after the stored offset; the gap is recorded in Redis."},
    {.name = "accept-cluster", .kind = SETTING_TEXT, .offset = AT(accept_cluster), .placeholder = "ID",
     .help = "Go on with this Kafka cluster though the state was folded from another; recorded in Redis."},
    {.name = "retry-interval", .kind = SETTING_DURATION, .offset = AT(retry_ms), .placeholder = "TIME",
     .default_text = "5s", .least = 100, .most = 600000,
     .help = "Pause before a partition that waits (dead-letter topic not writable) is tried again."},
    REGISTRY_SETTINGS(struct run_options, registry),
    {0},
};

static const struct setting *const run_tables[] = {common_settings, run_settings, NULL};

const struct command consumer_command_run = {
    .program = "citytotals-consumer",
    .name = "run",
    .summary = "Fold the city's topics into the live totals in Redis until stopped.",
    .tables = run_tables,
    .options_size = sizeof(struct run_options),
    .notes = "Exit status: 0 stopped by SIGTERM or SIGINT, or --until-end reached; 1 failed at run time, or --until-end "
             "with a halted partition; 2 wrong usage or configuration.",
};

#undef AT
#define AT(field) offsetof(struct verify_options, field)

static const char *const formats[] = {"text", "json", NULL};

static const struct setting verify_settings[] = {
    {.name = "format", .kind = SETTING_CHOICE, .offset = AT(format), .placeholder = "FORMAT", .default_text = "text",
     .choices = formats, .help = "Text for people, or one line of JSON."},
    {.name = "sample-agency", .kind = SETTING_LIST, .offset = AT(agencies), .placeholder = "AGENCY",
     .help = "Prove only the headcounts and the seen ids of this agency; may be given more than once. Needs less memory, "
             "and reads the whole log all the same."},
    {.name = "connect-timeout", .kind = SETTING_DURATION, .offset = AT(connect_timeout_ms), .placeholder = "TIME",
     .default_text = "60s", .least = 1, .most = 3600000,
     .help = "How long to wait for Kafka, at the start and whenever nothing comes, before giving up with exit 1."},
    {0},
};

static const struct setting *const verify_tables[] = {common_settings, verify_settings, NULL};

const struct command consumer_command_verify = {
    .program = "citytotals-consumer",
    .name = "verify",
    .summary = "Recompute everything from the log and compare it with what Redis holds.",
    .tables = verify_tables,
    .options_size = sizeof(struct verify_options),
    .notes = "Writes nothing to Redis, may run beside consumers, and takes some 60 bytes of memory a distinct event.\n"
             "What Kafka no longer has is told as not proved. Dead letters that today's rules would judge otherwise, and\n"
             "reversals without an equal original, are remarks.\n\n"
             "Exit status: 0 everything that can be proved is as it must be; 1 failed at run time, or the log does not hold\n"
             "all events that were counted; 2 wrong usage or configuration; 4 a difference was found.",
};
