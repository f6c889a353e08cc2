/* What producer/bots.py makes: the states of an automaton, as 16 bits; 0 is the first, 1 is a program's. */
#ifndef CITYTOTALS_PRODUCER_BOTS_TABLE_H
#define CITYTOTALS_PRODUCER_BOTS_TABLE_H

#include <stdint.h>

#include "producer/bots.h"

enum { BOTS_BEFORE = 256, BOTS_AFTER = 257 }; /* stand before the first byte and after the last */

extern const uint8_t bots_symbols[];  /* of each byte, of BOTS_BEFORE and of BOTS_AFTER */
extern const uint16_t bots_usual[];   /* where each symbol leads to from most states */
extern const uint32_t bots_firsts[];  /* of each state and of the end: where those begin that lead elsewhere */
extern const uint8_t bots_other_symbols[];
extern const uint16_t bots_other_states[];

#endif
