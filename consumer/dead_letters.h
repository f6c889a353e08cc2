/* `citytotals-consumer dead-letters`: list, show, export and replay records that could not be folded. */
#ifndef CITYTOTALS_CONSUMER_DEAD_LETTERS_H
#define CITYTOTALS_CONSUMER_DEAD_LETTERS_H

int consumer_dead_letters(int argc, char **argv);

#endif
