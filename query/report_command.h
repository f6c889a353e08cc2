/* `citytotals-query report`. */
#ifndef CITYTOTALS_QUERY_REPORT_COMMAND_H
#define CITYTOTALS_QUERY_REPORT_COMMAND_H

int query_report(int argc, char **argv); /* the exit status */

#endif
