/* `citytotals-producer token new`. */
#ifndef CITYTOTALS_PRODUCER_TOKEN_H
#define CITYTOTALS_PRODUCER_TOKEN_H

int producer_token(int argc, char **argv);

#endif
