/* `citytotals-consumer rebuild`: folds the log anew beside the live state and puts it in its place. */
#ifndef CITYTOTALS_CONSUMER_REBUILD_H
#define CITYTOTALS_CONSUMER_REBUILD_H

int consumer_rebuild(int argc, char **argv);

#endif
