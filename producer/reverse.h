/* citytotals-producer reverse: takes away events that are in the log. */
#ifndef CITYTOTALS_PRODUCER_REVERSE_H
#define CITYTOTALS_PRODUCER_REVERSE_H

int producer_reverse(int argc, char **argv);

#endif
