/* The settings table of the consumer's commands: it makes the parser, --help and docs/configuration.md. */
#include "consumer/settings.h"

const char consumer_summary[] = "Folds the city's event log into live totals in Redis.";

#define AT(field) offsetof(struct run_options, field)

/* How run and rebuild fold: both options begin with these. */
static const struct setting fold_settings[] = {
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
     .default_text = "40000", .least = 1, .most = 50000,
     .help = "Most records in one commit. A commit takes what is there, so an idle consumer commits each event at once."},
    {.name = "retry-interval", .kind = SETTING_DURATION, .offset = AT(retry_ms), .placeholder = "TIME",
     .default_text = "5s", .least = 100, .most = 600000,
     .help = "Pause before a partition that waits (dead-letter topic not writable) is tried again."},
    REGISTRY_SETTINGS(struct run_options, registry),
    {0},
};

static const struct setting run_settings[] = {
    {.name = "until-end", .kind = SETTING_FLAG, .offset = AT(until_end),
     .help = "Fold to the end of the log as it was at the start, then exit 0; 1 if a partition halted."},
    {.name = "accept-log-start", .kind = SETTING_FLAG, .offset = AT(accept_log_start),
     .help = "Go on where a log starts after the stored offset; the gap is recorded in Redis."},
    {.name = "accept-cluster", .kind = SETTING_TEXT, .offset = AT(accept_cluster), .placeholder = "ID",
     .help = "Go on with this Kafka cluster though the state was folded from another; recorded in Redis."},
    {0},
};

static const struct setting *const run_tables[] = {common_settings, fold_settings, run_settings, NULL};

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
    {.name = "snapshot", .kind = SETTING_TEXT, .offset = AT(snapshot), .placeholder = "FILE",
     .help = "Prove from this snapshot on: what it holds is taken as it is, and the log is read from its offsets."},
    {.name = "report", .kind = SETTING_TEXT, .offset = AT(report), .placeholder = "FILE",
     .help = "Prove this report too (any format of citytotals-query report; - is standard input): its digest is made anew from the log "
             "up to where the report was counted, and the sums behind its figures are printed."},
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

#undef AT
#define AT(field) offsetof(struct rebuild_options, field)

static const struct setting rebuild_settings[] = {
    {.name = "dry-run", .kind = SETTING_FLAG, .offset = AT(dry_run),
     .help = "Change nothing; print what the rebuilt state would be different in, as verify does: exit 4 when there is any."},
    {.name = "restart", .kind = SETTING_FLAG, .offset = AT(restart),
     .help = "Begin anew instead of going on with what a rebuild that was stopped has left."},
    {.name = "abandon", .kind = SETTING_FLAG, .offset = AT(abandon),
     .help = "Remove what a rebuild that was stopped has left, and do nothing else."},
    {.name = "accept-log-start", .kind = SETTING_FLAG, .offset = AT(run.accept_log_start),
     .help = "Count from where an organisational log begins, though it begins after offset 0: what was before is lost from the totals."},
    {.name = "accept-cluster", .kind = SETTING_TEXT, .offset = AT(run.accept_cluster), .placeholder = "ID",
     .help = "Put totals of this Kafka cluster in the place of those of another."},
    {0},
};

static const struct setting *const rebuild_tables[] = {common_settings, fold_settings, rebuild_settings, NULL};

const struct command consumer_command_rebuild = {
    .program = "citytotals-consumer",
    .name = "rebuild",
    .summary = "Fold the whole log anew beside the live totals, then put the result in their place at once.",
    .tables = rebuild_tables,
    .options_size = sizeof(struct rebuild_options),
    .notes = "The live totals go on being served and folded meanwhile; Redis needs room for both. Running consumers notice and\n"
             "go on. A rebuild that was killed goes on where it was when it is run again; two at once are refused. Visits of\n"
             "days that Kafka no longer has are carried over.\n\n"
             "Exit status: 0 the rebuilt state is in place; 1 failed or stopped, and the live state is as it was; 2 wrong usage\n"
             "or configuration; 4 --dry-run found a difference.",
};

#undef AT
#define AT(field) offsetof(struct snapshot_options, field)

static const struct setting snapshot_settings[] = {
    {.name = "replace", .kind = SETTING_FLAG, .offset = AT(replace),
     .help = "load: put the snapshot in the place of the totals that this Redis has, which are lost."},
    {.name = "accept-cluster", .kind = SETTING_TEXT, .offset = AT(accept_cluster), .placeholder = "ID",
     .help = "load: go on with this Kafka cluster though the snapshot is of another; recorded in Redis."},
    {.name = "connect-timeout", .kind = SETTING_DURATION, .offset = AT(connect_timeout_ms), .placeholder = "TIME",
     .default_text = "60s", .least = 1, .most = 3600000,
     .help = "load: how long to wait for Kafka before giving up with exit 1."},
    {0},
};

static const struct setting *const snapshot_tables[] = {common_settings, snapshot_settings, NULL};

const struct command consumer_command_snapshot = {
    .program = "citytotals-consumer",
    .name = "snapshot",
    .summary = "Save the city's state to a file, load it into a Redis, or show what a file holds.",
    .operands = "save|load|show FILE",
    .tables = snapshot_tables,
    .options_size = sizeof(struct snapshot_options),
    .notes = "save takes the state of one moment while consumers go on; FILE appears once it is whole and was read back.\n"
             "load puts it into a Redis all at once; consumers go on from its offsets. It asks Kafka only which cluster it is.\n"
             "show reads the whole file and needs neither Kafka nor Redis.\n\n"
             "Exit status: 0 done; 1 failed at run time: a damaged file, another city, cluster, layout or schema, a Redis that has\n"
             "totals already; then nothing was changed; 2 wrong usage or configuration.",
};

#undef AT
#define AT(field) offsetof(struct dead_letters_options, field)

static const struct setting dead_letters_settings[] = {
    {.name = "format", .kind = SETTING_CHOICE, .offset = AT(format), .placeholder = "FORMAT", .default_text = "text",
     .choices = formats, .help = "A table (list) or a dump (show), or a line of JSON for each dead letter."},
    {.name = "reason", .kind = SETTING_LIST, .offset = AT(reasons), .placeholder = "REASON",
     .help = "Only dead letters of this reason; may be given more than once."},
    {.name = "topic", .kind = SETTING_TEXT, .offset = AT(topic), .placeholder = "TOPIC",
     .help = "Only records of this topic, with or without the city's name."},
    {.name = "since", .kind = SETTING_TEXT, .offset = AT(since), .placeholder = "TIME",
     .help = "Only records with a Kafka time from then on: YYYY-MM-DD (in the city) or RFC 3339."},
    {.name = "until", .kind = SETTING_TEXT, .offset = AT(until), .placeholder = "TIME",
     .help = "Only records with a Kafka time up to then."},
    {.name = "output", .kind = SETTING_TEXT, .offset = AT(output), .placeholder = "FOLDER",
     .help = "Where export writes TOPIC-PARTITION-OFFSET.json, .key and .value; made when missing."},
    {.name = "dry-run", .kind = SETTING_FLAG, .offset = AT(dry_run), .help = "Only say what replay would send."},
    {.name = "again", .kind = SETTING_FLAG, .offset = AT(again), .help = "Replay also what was replayed before."},
    {.name = "connect-timeout", .kind = SETTING_DURATION, .offset = AT(connect_timeout_ms), .placeholder = "TIME",
     .default_text = "60s", .least = 1, .most = 3600000,
     .help = "How long to wait for Kafka, at the start and whenever nothing comes, before giving up with exit 1."},
    {0},
};

static const struct setting *const dead_letters_tables[] = {common_settings, dead_letters_settings, NULL};

const struct command consumer_command_dead_letters = {
    .program = "citytotals-consumer",
    .name = "dead-letters",
    .summary = "List, show, export or replay the records that could not be folded.",
    .operands = "list|show|export|replay [TOPIC/PARTITION/OFFSET...]",
    .tables = dead_letters_tables,
    .options_size = sizeof(struct dead_letters_options),
    .notes = "replay sends the records' keys and values to their topics again, once what made them fail is put right: an event's\n"
             "id makes that nothing counts twice. Conflicts and values that were too large are left out unless they are asked for\n"
             "by --reason or by name. What was replayed is kept in Redis ({CITY}:replayed) and left out the next time.\n\n"
             "Exit status: 0 done; 1 failed at run time; 2 wrong usage or configuration; 3 there is no such dead letter, or some\n"
             "can't be replayed.",
};
