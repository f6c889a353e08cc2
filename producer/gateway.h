/* `citytotals-producer gateway`: events and page visits over HTTP. */
#ifndef CITYTOTALS_PRODUCER_GATEWAY_H
#define CITYTOTALS_PRODUCER_GATEWAY_H

int producer_gateway(int argc, char **argv);

#endif
