/* `citytotals-producer send`: files and streams of events go to Kafka. */
#ifndef CITYTOTALS_PRODUCER_SEND_H
#define CITYTOTALS_PRODUCER_SEND_H

int producer_send(int argc, char **argv);

#endif
