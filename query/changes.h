/* citytotals-query changes: the events behind the numbers. */
#ifndef CITYTOTALS_QUERY_CHANGES_H
#define CITYTOTALS_QUERY_CHANGES_H

int query_changes(int argc, char **argv);

#endif
