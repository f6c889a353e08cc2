/* The producer's commands and their settings. */
#ifndef CITYTOTALS_PRODUCER_SETTINGS_H
#define CITYTOTALS_PRODUCER_SETTINGS_H

#include "schemas/registry.h"

enum send_format { SEND_FORMAT_AUTO, SEND_FORMAT_NDJSON, SEND_FORMAT_CSV };

/* What to do where the registry lacks one of our schemas. */
enum schema_registration { REGISTRATION_AUTO, REGISTRATION_NEVER };
/* The compatibility level to set: the names in the settings table. */
enum { SCHEMA_LEVEL_KEEP };
extern const char *const schema_levels[];

struct send_options {
    struct common_options common; /* first: the common table's offsets are into it */
    int format;                   /* enum send_format */
    int csv_type;                 /* enum event_type + 1; 0 = not given */
    const char *source;
    bool dry_run, keep_going, wait;
    int64_t wait_timeout_ms;
    const char *rejects;
    bool create_topics;
    int64_t partitions;
    int64_t block_lines;
    int64_t check_memory;
    int64_t connect_timeout_ms, ack_timeout_ms;
    struct registry_options registry; /* .url NULL: none */
    int registration;                 /* enum schema_registration */
};
extern const struct command producer_command_send;

struct reverse_options {
    struct common_options common; /* first */
    struct setting_list event_ids;
    const char *agency;
    int type; /* enum event_type + 1; 0 = both */
    const char *decision;
    bool dry_run, keep_going;
    int64_t connect_timeout_ms, ack_timeout_ms;
    struct registry_options registry;
    int registration; /* enum schema_registration */
};
extern const struct command producer_command_reverse;

struct schemas_options {
    struct common_options common; /* first */
    struct registry_options registry;
    int level; /* enum schema_level */
};
extern const struct command producer_command_schemas;

struct gateway_options {
    struct common_options common; /* first */
    const char *listen, *management;
    const char *tokens;
    const char *tls_cert, *tls_key; /* files; both or neither */
    const char *visitor_secret; /* a file; NULL: visits are not taken */
    struct setting_list origins, trusted_proxies;
    int64_t visit_rate; /* a minute and address */
    int64_t threads, connections;
    int64_t queue_events;
    int64_t connect_timeout_ms, ack_timeout_ms;
    struct registry_options registry; /* .url NULL: none */
    int registration;                 /* enum schema_registration */
};
extern const struct command producer_command_gateway;

struct token_options {
    struct common_options common; /* first */
    const char *source, *agency;
    int64_t rate;
};
extern const struct command producer_command_token;

extern const char producer_summary[]; /* of the program */

#endif
