/* document: prints a reference page made from the tables of settings and metrics, as docs/ keeps it. Run in the sources' root. */
#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "consumer/consumer_metrics.h"
#include "consumer/settings.h"
#include "library/library.h"
#include "producer/gateway_metrics.h"
#include "producer/settings.h"
#include "query/query_metrics.h"
#include "query/settings.h"

static const struct command *const commands[] = {
    &producer_command_send, &producer_command_reverse, &producer_command_gateway, &producer_command_token, &producer_command_schemas,
    &consumer_command_run,  &consumer_command_verify,  &consumer_command_rebuild, &consumer_command_snapshot,
    &consumer_command_dead_letters,
    &query_command_print,   &query_command_report,     &query_command_serve,      &query_command_changes, &query_command_explain,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void configuration(void)
{
    settings_document(stdout, commands, COMMANDS);
}

static void metrics(void)
{
    printf("# Metrics\n\nGenerated from the metrics tables by `./dev docs`. Served at `/metrics` of the "
           "`--management` listener.\n\n");
    metrics_document(stdout, "citytotals-producer gateway", gateway_metrics, GATEWAY_METRICS);
    metrics_document(stdout, "citytotals-consumer", consumer_metrics, CONSUMER_METRICS);
    metrics_document(stdout, "citytotals-query", query_metrics, QUERY_METRICS);
}

static void producer_page(void)
{
    settings_man(stdout, "citytotals-producer", producer_summary, commands, COMMANDS);
}

static void consumer_page(void)
{
    settings_man(stdout, "citytotals-consumer", consumer_summary, commands, COMMANDS);
}

static void query_page(void)
{
    settings_man(stdout, "citytotals-query", query_summary, commands, COMMANDS);
}

/* Written by hand but for the options. */
static void library_page(void)
{
    char line[1024];
    FILE *file = fopen("library/libcitytotals.3.in", "re");
    while (file && fgets(line, sizeof line, file)) {
        char *version = strstr(line, "@VERSION@"), *abi = strstr(line, "@ABI@");
        if (strcmp(line, "@OPTIONS@\n") == 0)
            for (size_t t = 0; library_command.tables[t]; t++)
                for (const struct setting *setting = library_command.tables[t]; setting->name; setting++)
                    settings_man_option(stdout, setting, false);
        else if (version)
            printf("%.*s%s%s", (int)(version - line), line, CITYTOTALS_VERSION, version + strlen("@VERSION@"));
        else if (abi)
            printf("%.*s%d%s", (int)(abi - line), line, LIBRARY_ABI, abi + strlen("@ABI@"));
        else
            printf("%s", line);
    }
    if (file)
        fclose(file);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } pages[] = {
        {"configuration.md", configuration},        {"metrics.md", metrics},
        {"citytotals-producer.1", producer_page},   {"citytotals-consumer.1", consumer_page},
        {"citytotals-query.1", query_page},         {"libcitytotals.3", library_page},
    };
    for (size_t i = 0; argc == 2 && i < sizeof pages / sizeof *pages; i++)
        if (strcmp(argv[1], pages[i].name) == 0) {
            pages[i].print();
            return fflush(stdout) == 0 ? 0 : 1;
        }
    fprintf(stderr, "Usage: document PAGE, one of");
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        fprintf(stderr, " %s", pages[i].name);
    fprintf(stderr, "\n");
    return 2;
}
