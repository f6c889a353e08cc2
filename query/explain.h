/* citytotals-query explain: what one number is made of. */
#ifndef CITYTOTALS_QUERY_EXPLAIN_H
#define CITYTOTALS_QUERY_EXPLAIN_H

int query_explain(int argc, char **argv);

#endif
