/* document: prints a reference page made from the settings or metrics tables, as docs/ keeps it. */
#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "consumer/consumer_metrics.h"
#include "consumer/settings.h"
#include "producer/gateway_metrics.h"
#include "producer/settings.h"
#include "query/query_metrics.h"
#include "query/settings.h"

int main(int argc, char **argv)
{
    static const struct command *const commands[] = {
        &producer_command_send,    &producer_command_reverse, &producer_command_gateway, &producer_command_token, &producer_command_schemas,
        &consumer_command_run,     &consumer_command_verify,  &consumer_command_rebuild, &consumer_command_dead_letters,
        &query_command_print,      &query_command_report,
        &query_command_serve,      &query_command_changes,    &query_command_explain,
    };
    if (argc == 2 && strcmp(argv[1], "configuration") == 0) {
        settings_document(stdout, commands, sizeof commands / sizeof *commands);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "metrics") == 0) {
        printf("# Metrics\n\nGenerated from the metrics tables by `./dev docs`. Served at `/metrics` of the "
               "`--management` listener.\n\n");
        metrics_document(stdout, "citytotals-producer gateway", gateway_metrics, GATEWAY_METRICS);
        metrics_document(stdout, "citytotals-consumer", consumer_metrics, CONSUMER_METRICS);
        metrics_document(stdout, "citytotals-query", query_metrics, QUERY_METRICS);
        return 0;
    }
    fprintf(stderr, "Usage: document configuration|metrics\n");
    return 2;
}
