/* `citytotals-query serve`. */
#ifndef CITYTOTALS_QUERY_SERVE_H
#define CITYTOTALS_QUERY_SERVE_H

int query_serve(int argc, char **argv); /* the exit status */

#endif
