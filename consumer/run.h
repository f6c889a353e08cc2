/* `citytotals-consumer run`: the drivers around the pure fold. */
#ifndef CITYTOTALS_CONSUMER_RUN_H
#define CITYTOTALS_CONSUMER_RUN_H

int consumer_run(int argc, char **argv);

#endif
