/* `citytotals-query print`. */
#ifndef CITYTOTALS_QUERY_PRINT_H
#define CITYTOTALS_QUERY_PRINT_H

int query_print(int argc, char **argv); /* the exit status */

#endif
