/* The library's options: rows of a settings table, as the programs' are. */
#include <stdlib.h>

#include "library/library.h"
#include "schemas/rules.h"

#define AT(field) offsetof(struct library_options, field)
static const char *const registrations[] = {"auto", "never", NULL};

static const struct setting settings[] = {
    {.name = "brokers", .kind = SETTING_TEXT, .offset = AT(common.brokers), .placeholder = "HOST:PORT,…",
     .help = "Kafka brokers to start from; needed but with check-only."},
    {.name = "property", .kind = SETTING_LIST, .offset = AT(common.properties), .placeholder = "KEY=VALUE",
     .help = "Any librdkafka property, security.protocol=ssl; may be set again for another one."},
    {.name = "city", .kind = SETTING_TEXT, .offset = AT(common.city), .placeholder = "NAME", .default_text = "haiphong",
     .help = "The city: prefix of its topics."},
    {.name = "source", .kind = SETTING_TEXT, .offset = AT(source), .placeholder = "ID",
     .help = "Source of events that name none: the sending system, 1 to 64 of a-z, 0-9 and -, the first not -."},
    {.name = "client-id", .kind = SETTING_TEXT, .offset = AT(client_id), .placeholder = "TEXT", .default_text = "libcitytotals",
     .help = "What the brokers' logs call this client."},
    {.name = "queue-events", .kind = SETTING_NUMBER, .offset = AT(queue_events), .placeholder = "N", .default_text = "100000",
     .least = 1, .most = 10000000, .help = "Most events without a verdict; while there are so many, submitting waits."},
    {.name = "queue-size", .kind = SETTING_SIZE, .offset = AT(queue_bytes), .placeholder = "SIZE", .default_text = "64MiB",
     .least = 1 << 20, .most = INT64_C(2) << 30, .help = "Most bytes of them."},
    {.name = "linger", .kind = SETTING_DURATION, .offset = AT(linger_ms), .placeholder = "TIME", .default_text = "5ms", .least = 1,
     .most = 60000, .help = "How long an event may wait for others to go with it."},
    {.name = "ack-timeout", .kind = SETTING_DURATION, .offset = AT(ack_timeout_ms), .placeholder = "TIME", .default_text = "120s",
     .least = 1000, .most = 3600000,
     .help = "How long an event may wait for Kafka's acknowledgement before its verdict is that it failed."},
    {.name = "check-only", .kind = SETTING_FLAG, .offset = AT(check_only),
     .help = "true: the client checks events and can't submit them; neither Kafka nor a registry is needed."},
    REGISTRY_SETTINGS(struct library_options, registry),
    {.name = "schema-registration", .kind = SETTING_CHOICE, .offset = AT(registration), .placeholder = "WHEN",
     .default_text = "auto", .choices = registrations,
     .help = "What to do where the schema registry lacks one of our schemas; auto: register it; never: opening fails."},
    {0},
};

static const struct setting *const tables[] = {settings, NULL};
const struct command library_command = {.program = "libcitytotals", .tables = tables, .options_size = sizeof(struct library_options)};

struct citytotals_options *citytotals_options_new(void)
{
    struct citytotals_options *options = calloc(1, sizeof *options);
    if (!options)
        return NULL;
    options->owners = 1;
    if (settings_begin(&library_command, &options->values, &options->settings, NULL) < 0) {
        free(options);
        return NULL;
    }
    return options;
}

void citytotals_options_free(struct citytotals_options *options)
{
    if (!options || atomic_fetch_sub(&options->owners, 1) > 1)
        return;
    settings_free(options->settings);
    free(options);
}

static int refuse_change(const struct citytotals_options *options, struct citytotals_error **ret_error)
{
    if (!options)
        return fail(ret_error, CITYTOTALS_MISUSE, "options is NULL");
    if (options->in_use)
        return fail(ret_error, CITYTOTALS_MISUSE, "a client was opened with these options: they can't be changed any more");
    no_error(ret_error);
    return CITYTOTALS_OK;
}

int citytotals_options_set(struct citytotals_options *options, const char *name, const char *value, struct citytotals_error **ret_error)
{
    struct error error = {0};
    int result = refuse_change(options, ret_error);
    if (result < 0)
        return result;
    if (!name || !value)
        return fail(ret_error, CITYTOTALS_MISUSE, "%s is NULL", name ? "value" : "name");
    if (settings_set(options->settings, &library_command, name, value, &options->values, &error) < 0)
        return fail_below(ret_error, error.code == ERROR_MEMORY ? CITYTOTALS_MEMORY : CITYTOTALS_OPTION, &error);
    return CITYTOTALS_OK;
}

int citytotals_options_read(struct citytotals_options *options, const char *path, struct citytotals_error **ret_error)
{
    struct error error = {0};
    int result = refuse_change(options, ret_error);
    if (result < 0)
        return result;
    if (!path)
        return fail(ret_error, CITYTOTALS_MISUSE, "path is NULL");
    if (settings_read(options->settings, &library_command, path, &options->values, &error) < 0)
        return fail_below(ret_error, error.code == ERROR_MEMORY ? CITYTOTALS_MEMORY : CITYTOTALS_OPTION, &error);
    return CITYTOTALS_OK;
}

int citytotals_options_on_delivery(struct citytotals_options *options, citytotals_delivery_fn on_delivery, void *context,
                                   struct citytotals_error **ret_error)
{
    int result = refuse_change(options, ret_error);
    if (result < 0)
        return result;
    options->on_delivery = on_delivery;
    options->delivery_context = context;
    return CITYTOTALS_OK;
}

int citytotals_options_on_log(struct citytotals_options *options, citytotals_log_fn on_log, void *context,
                              struct citytotals_error **ret_error)
{
    int result = refuse_change(options, ret_error);
    if (result < 0)
        return result;
    options->on_log = on_log;
    options->log_context = context;
    return CITYTOTALS_OK;
}

int options_take(struct citytotals_options *options, struct citytotals_error **ret_error)
{
    struct error error = {0};
    const struct library_options *values = &options->values;
    if (settings_check(&library_command, values, &error) < 0)
        return fail_below(ret_error, CITYTOTALS_OPTION, &error);
    if (!values->common.brokers && !values->check_only)
        return fail(ret_error, CITYTOTALS_OPTION, "the option brokers is not set; it says where Kafka is, HOST:PORT");
    if (values->source && !id_is_valid(slice_of(values->source)))
        return fail(ret_error, CITYTOTALS_OPTION, "option: source is \"%s\"; allowed: 1 to 64 of a-z, 0-9 and -, the first not -",
                    values->source);
    options->in_use = true;
    atomic_fetch_add(&options->owners, 1);
    return CITYTOTALS_OK;
}
