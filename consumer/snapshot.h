/* `citytotals-consumer snapshot save|load|show`: a city's state at one moment as a file, and back. */
#ifndef CITYTOTALS_CONSUMER_SNAPSHOT_H
#define CITYTOTALS_CONSUMER_SNAPSHOT_H

int consumer_snapshot(int argc, char **argv);

#endif
