/* The settings table of the producer's commands: it makes the parser, --help and docs/configuration.md. */
#include "producer/settings.h"

const char producer_summary[] = "Sends agencies' events to the city's topics in Kafka.";

#define AT(field) offsetof(struct send_options, field)

static const char *const formats[] = {"auto", "ndjson", "csv", NULL};
static const char *const types[] = {"none", "headcount-change", "unit-merger", "page-visit", NULL};

static const char *const registrations[] = {"auto", "never", NULL};
const char *const schema_levels[] = {"keep", "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL",
                                     "FULL_TRANSITIVE", NULL};

static const struct setting send_settings[] = {
    {.name = "format", .kind = SETTING_CHOICE, .offset = AT(format), .placeholder = "FORMAT", .default_text = "auto",
     .choices = formats, .help = "Form of the files; auto: CSV for names that end in .csv or .tsv, else NDJSON."},
    {.name = "type", .kind = SETTING_CHOICE, .offset = AT(csv_type), .placeholder = "TYPE", .default_text = "none",
     .choices = types, .help = "Event type of CSV records that have no cell `type`."},
    {.name = "source", .kind = SETTING_TEXT, .offset = AT(source), .placeholder = "ID",
     .help = "Source of lines that name none: the sending system, 1 to 64 of a-z, 0-9 and -."},
    {.name = "dry-run", .kind = SETTING_FLAG, .offset = AT(dry_run),
     .help = "Only check; Kafka is not needed."},
    {.name = "keep-going", .kind = SETTING_FLAG, .offset = AT(keep_going),
     .help = "Send the good lines of a file that has refused ones; the exit status is 3 all the same."},
    {.name = "rejects", .kind = SETTING_TEXT, .offset = AT(rejects), .placeholder = "FILE",
     .help = "With --keep-going: write each refused line there as it was, after lines `# refused: PLACE: REASON`. Repair the "
             "lines in it and send the file; the reason lines may stay. Files of different form (NDJSON, CSV of another "
             "header) can't share one. It is replaced at each run."},
    {.name = "wait", .kind = SETTING_FLAG, .offset = AT(wait),
     .help = "Wait until the consumer has folded every event, and say of each that it refused why; needs --redis. The exit status is 3 "
             "when some were refused, 1 when not all were folded in time."},
    {.name = "wait-timeout", .kind = SETTING_DURATION, .offset = AT(wait_timeout_ms), .placeholder = "TIME", .default_text = "60s",
     .least = 1, .most = 86400000, .help = "With --wait: how long, once Kafka has acknowledged all."},
    {.name = "create-topics", .kind = SETTING_FLAG, .offset = AT(create_topics),
     .help = "Make the city's topics that are missing: kept for ever (page visits 90 days), three replicas where there are three "
             "brokers."},
    {.name = "partitions", .kind = SETTING_NUMBER, .offset = AT(partitions), .placeholder = "N", .default_text = "8",
     .least = 1, .most = 1024, .help = "Partitions of topics that --create-topics makes; best a divisor of 64."},
    {.name = "block-lines", .kind = SETTING_NUMBER, .offset = AT(block_lines), .placeholder = "N", .default_text = "1000",
     .least = 1, .most = 1000,
     .help = "Lines of standard input (or a pipe) that are checked together before they are sent; 1 for a live stream."},
    {.name = "check-memory", .kind = SETTING_SIZE, .offset = AT(check_memory), .placeholder = "SIZE", .default_text = "1GiB",
     .least = 8 << 20, .most = INT64_C(1) << 40,
     .help = "Most memory for finding repeats and conflicts within one file, at 34 to 40 bytes an event."},
    {.name = "connect-timeout", .kind = SETTING_DURATION, .offset = AT(connect_timeout_ms), .placeholder = "TIME",
     .default_text = "60s", .least = 1, .most = 3600000,
     .help = "How long to wait for Kafka before the first event is sent, before giving up with exit 1."},
    {.name = "ack-timeout", .kind = SETTING_DURATION, .offset = AT(ack_timeout_ms), .placeholder = "TIME",
     .default_text = "120s", .least = 1000, .most = 3600000,
     .help = "How long an event may wait for Kafka's acknowledgement before the run fails with exit 1."},
    REGISTRY_SETTINGS(struct send_options, registry),
    {.name = "schema-registration", .kind = SETTING_CHOICE, .offset = AT(registration), .placeholder = "WHEN",
     .default_text = "auto", .choices = registrations,
     .help = "What to do where the schema registry lacks one of our schemas; auto: register it; never: end with exit 1."},
    {0},
};

static const struct setting *const send_tables[] = {common_settings, send_settings, NULL};

const struct command producer_command_send = {
    .program = "citytotals-producer",
    .name = "send",
    .summary = "Check files of events (NDJSON or CSV) and send them to Kafka; ends when Kafka has acknowledged all.",
    .operands = "[FILE…]",
    .tables = send_tables,
    .options_size = sizeof(struct send_options),
    .notes =
        "FILE may be - for standard input, which is also read when none is named. A file is checked whole before its first\n"
        "event is sent: with a refused line nothing of it is sent, unless --keep-going. Standard input and pipes are checked in\n"
        "blocks of 1,000 lines; a block with a refused line ends the reading. Every event has an id: sending a file again is\n"
        "safe, what was sent before counts once. An identical repeat within a file is not sent a second time. A file that is\n"
        "not UTF-8 is refused as a whole.\n\n"
        "Ctrl-C (SIGINT, SIGTERM) stops reading, waits up to 10 s for what is on its way and tells how much Kafka has; a second\n"
        "one ends at once.\n\n"
        "Exit status: 0 all acknowledged; 1 failed at run time or stopped by a signal; 2 wrong usage or configuration; 3 some\n"
        "lines were refused, or with --wait events by the consumer (and nothing else went wrong).",
};

#undef AT
#define AT(field) offsetof(struct reverse_options, field)

static const char *const reversible[] = {"both", "headcount-change", "unit-merger", NULL};

static const struct setting reverse_settings[] = {
    {.name = "event-id", .kind = SETTING_LIST, .offset = AT(event_ids), .placeholder = "UUID",
     .help = "Event to take away, by its event id (36 characters). May be given several times."},
    {.name = "agency", .kind = SETTING_TEXT, .offset = AT(agency), .placeholder = "ID",
     .help = "The events' agency: its partitions are read first, and the others only if something is not found there."},
    {.name = "type", .kind = SETTING_CHOICE, .offset = AT(type), .placeholder = "TYPE", .default_text = "both",
     .choices = reversible, .help = "The events' type: only its topic is read."},
    {.name = "decision", .kind = SETTING_TEXT, .offset = AT(decision), .placeholder = "TEXT",
     .help = "Number of the legal document for the reversals; default: the originals' own."},
    {.name = "dry-run", .kind = SETTING_FLAG, .offset = AT(dry_run), .help = "Find the events and show the reversals; send nothing."},
    {.name = "keep-going", .kind = SETTING_FLAG, .offset = AT(keep_going),
     .help = "Reverse what can be reversed though an event id is refused; the exit status is 3 all the same."},
    {.name = "connect-timeout", .kind = SETTING_DURATION, .offset = AT(connect_timeout_ms), .placeholder = "TIME",
     .default_text = "60s", .least = 1, .most = 3600000, .help = "How long to wait for Kafka before giving up with exit 1."},
    {.name = "ack-timeout", .kind = SETTING_DURATION, .offset = AT(ack_timeout_ms), .placeholder = "TIME",
     .default_text = "120s", .least = 1000, .most = 3600000,
     .help = "How long a reversal may wait for Kafka's acknowledgement before the run fails with exit 1."},
    REGISTRY_SETTINGS(struct reverse_options, registry),
    {.name = "schema-registration", .kind = SETTING_CHOICE, .offset = AT(registration), .placeholder = "WHEN",
     .default_text = "auto", .choices = registrations,
     .help = "What to do where the schema registry lacks one of our schemas; auto: register it; never: end with exit 1."},
    {0},
};

static const struct setting *const reverse_tables[] = {common_settings, reverse_settings, NULL};

const struct command producer_command_reverse = {
    .program = "citytotals-producer",
    .name = "reverse",
    .summary = "Take events away: find them in Kafka's log by their event ids and send their reversals.",
    .tables = reverse_tables,
    .options_size = sizeof(struct reverse_options),
    .notes = "A reversal is a copy of its original, dates included, with its own time and, if given, decision; all that the original\n"
             "added is taken away. Each is printed as a line of JSON that `send` would take as well. It counts once: an event that was\n"
             "reversed already is told and nothing is sent. `citytotals-query changes` shows the event ids.\n\n"
             "Refused are: an event id that is not in the log, or only as a dead letter; a reversal; one that several agencies have (then\n"
             "give --agency and --type). With a refused one nothing is sent, unless --keep-going.\n\n"
             "Exit status: 0 all are reversed, now or before; 1 failed at run time or stopped by a signal; 2 wrong usage or configuration;\n"
             "3 an event id was refused.",
};

#undef AT
#define AT(field) offsetof(struct schemas_options, field)

static const struct setting schemas_settings[] = {
    REGISTRY_SETTINGS(struct schemas_options, registry),
    {.name = "compatibility", .kind = SETTING_CHOICE, .offset = AT(level), .placeholder = "LEVEL", .default_text = "keep",
     .choices = schema_levels,
     .help = "With `register`: the compatibility level that the subjects get; keep: leave it as it is."},
    {0},
};

static const struct setting *const schemas_tables[] = {common_settings, schemas_settings, NULL};

const struct command producer_command_schemas = {
    .program = "citytotals-producer",
    .name = "schemas",
    .summary = "Register the city's schemas at the schema registry, or check whether it would take them.",
    .operands = "register|check",
    .tables = schemas_tables,
    .options_size = sizeof(struct schemas_options),
    .notes = "The subjects are CITY.headcount-changes-value, CITY.unit-mergers-value, CITY.page-visits-value and\n"
             "CITY.dead-letters-value. A line for each is printed.\n\n"
             "Exit status: 0 all are registered, or would be taken; 1 one would not, or the registry could not be asked; 2 wrong\n"
             "usage or configuration.",
};

#undef AT
#define AT(field) offsetof(struct token_options, field)

static const struct setting token_settings[] = {
    {.name = "source", .kind = SETTING_TEXT, .offset = AT(source), .placeholder = "ID", .required = true,
     .help = "The sending system that the token is for; it is the source of all its events."},
    {.name = "agency", .kind = SETTING_TEXT, .offset = AT(agency), .placeholder = "ID[,ID…]|*", .required = true,
     .help = "The agencies that it may speak for, or * for all."},
    {.name = "rate", .kind = SETTING_NUMBER, .offset = AT(rate), .placeholder = "N", .default_text = "0", .least = 0,
     .most = 1000000, .help = "Events a second that it may send; 0: no limit."},
    {0},
};

static const struct setting *const token_tables[] = {common_settings, token_settings, NULL};

const struct command producer_command_token = {
    .program = "citytotals-producer",
    .name = "token",
    .summary = "Make a token for an agency's system, and its line for the gateway's --tokens file.",
    .operands = "new",
    .tables = token_tables,
    .options_size = sizeof(struct token_options),
    .notes = "Prints the token on the first line and the file's line on the second. The token is 32 random bytes; only its SHA-256\n"
             "goes into the file, so nobody who reads the file can send.\n\n"
             "Exit status: 0 printed; 1 failed at run time; 2 wrong usage or configuration.",
};

#undef AT
#define AT(field) offsetof(struct gateway_options, field)

static const struct setting gateway_settings[] = {
    {.name = "listen", .kind = SETTING_ADDRESS, .offset = AT(listen), .placeholder = "ADDR:PORT", .required = true,
     .help = "Take requests there; port 0 picks a free one, which is logged."},
    {.name = "management", .kind = SETTING_ADDRESS, .offset = AT(management), .placeholder = "ADDR:PORT",
     .help = "Serve /healthz, /readyz and /metrics there; port 0 picks a free one, which is logged."},
    {.name = "tokens", .kind = SETTING_TEXT, .offset = AT(tokens), .placeholder = "FILE", .required = true,
     .help = "The tokens in force, a line each, as `token new` prints it. Read again on SIGHUP and when it changed; a bad file is said and "
             "leaves those before in force."},
    {.name = "tls-cert", .kind = SETTING_TEXT, .offset = AT(tls_cert), .placeholder = "FILE",
     .help = "Speak TLS 1.2 and 1.3 with this certificate and those that it is signed by, in PEM. Read again on SIGHUP and when it or its "
             "key changed; a bad pair is said and leaves the one before in force. One that expires within 14 days or has expired stays in "
             "use, and is said daily with its date. Without it a proxy that ends TLS stands in front."},
    {.name = "tls-key", .kind = SETTING_TEXT, .offset = AT(tls_key), .placeholder = "FILE",
     .help = "The certificate's private key, in PEM without a password."},
    {.name = "visitor-secret-file", .kind = SETTING_TEXT, .offset = AT(visitor_secret), .placeholder = "FILE",
     .help = "Take page visits, with visitors hashed by keys made from this file's 32 to 4,096 random bytes, the same for every gateway "
             "of the city. Read again on SIGHUP. Without it visits are not taken."},
    {.name = "allow-origin", .kind = SETTING_LIST, .offset = AT(origins), .placeholder = "ORIGIN",
     .help = "An origin whose pages may count visits, such as https://haiphong.gov.vn, or * for all; repeatable."},
    {.name = "visit-rate", .kind = SETTING_NUMBER, .offset = AT(visit_rate), .placeholder = "N", .default_text = "600", .least = 1,
     .most = 1000000, .help = "Page visits that one address may make in a minute; offices share an address."},
    {.name = "trusted-proxy", .kind = SETTING_LIST, .offset = AT(trusted_proxies), .placeholder = "CIDR",
     .help = "A network whose X-Forwarded-For is believed, such as 10.0.0.0/8; repeatable. Needed where a proxy stands in front: else "
             "all visitors have its address."},
    {.name = "threads", .kind = SETTING_NUMBER, .offset = AT(threads), .placeholder = "N", .default_text = "1", .least = 1, .most = 16,
     .help = "Threads that read and judge requests."},
    {.name = "connections", .kind = SETTING_NUMBER, .offset = AT(connections), .placeholder = "N", .default_text = "12000", .least = 1,
     .most = 100000, .help = "Most connections at once; a further one waits until one ends. One that is idle takes about 10 KiB, with TLS about 40."},
    {.name = "queue-events", .kind = SETTING_NUMBER, .offset = AT(queue_events), .placeholder = "N", .default_text = "50000",
     .least = 10000, .most = 10000000,
     .help = "Most events that wait for Kafka at once; a request that does not fit is answered with 503."},
    {.name = "connect-timeout", .kind = SETTING_DURATION, .offset = AT(connect_timeout_ms), .placeholder = "TIME",
     .default_text = "60s", .least = 1, .most = 3600000,
     .help = "How long to wait for Kafka at the start before giving up with exit 1."},
    {.name = "ack-timeout", .kind = SETTING_DURATION, .offset = AT(ack_timeout_ms), .placeholder = "TIME", .default_text = "10s",
     .least = 1000, .most = 600000,
     .help = "How long a request may wait for Kafka's acknowledgement before it is answered with 503; repeating it is safe."},
    REGISTRY_SETTINGS(struct gateway_options, registry),
    {.name = "schema-registration", .kind = SETTING_CHOICE, .offset = AT(registration), .placeholder = "WHEN",
     .default_text = "auto", .choices = registrations,
     .help = "What to do where the schema registry lacks one of our schemas; auto: register it; never: end with exit 1."},
    {0},
};

static const struct setting *const gateway_tables[] = {common_settings, gateway_settings, NULL};

const struct command producer_command_gateway = {
    .program = "citytotals-producer",
    .name = "gateway",
    .summary = "Take agencies' events over HTTP and answer each request when Kafka has acknowledged its events.",
    .tables = gateway_tables,
    .options_size = sizeof(struct gateway_options),
    .notes = "POST /v1/events takes JSON, NDJSON, CSV and CloudEvents with a bearer token. Page visits come by POST /v1/visits,\n"
             "GET /v1/visit.gif and /beacon.js; docs/privacy.md says what is kept of them. It speaks TLS by --tls-cert and\n"
             "--tls-key; else a proxy that ends it stands in front.\n\n"
             "GET /v1/events/{event_id} and GET /v1/refused tell what became of events, from Redis; a replica and a Redis user with\n"
             "~{CITY}:* +@read are enough. While Redis is away they answer 503, and events are taken all the same.\n\n"
             "SIGTERM and SIGINT stop it: requests on their way are answered first.\n\n"
             "Exit status: 0 stopped by a signal; 1 failed at run time; 2 wrong usage or configuration.",
};
