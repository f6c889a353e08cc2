/* citytotals-query: shows the live totals. */
#include "query/changes.h"
#include "query/explain.h"
#include "query/print.h"
#include "query/report_command.h"
#include "query/serve.h"
#include "query/settings.h"

int main(int argc, char **argv)
{
    static const struct program_command commands[] = {{&query_command_print, query_print}, {&query_command_report, query_report},
                                                       {&query_command_serve, query_serve},
                                                       {&query_command_changes, query_changes}, {&query_command_explain, query_explain}, {0}};
    return program_main("citytotals-query", query_summary, commands, argc, argv);
}
