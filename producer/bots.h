/* Programs that read pages, told by their user agents. Pure; producer/bots.py makes the table of the public list and of bots.txt. */
#ifndef CITYTOTALS_PRODUCER_BOTS_H
#define CITYTOTALS_PRODUCER_BOTS_H

#include "base/slice.h"

/* No user agent at all is a program's. Takes time in proportion to the user agent's bytes, whatever they are. */
bool user_agent_is_bot(struct slice user_agent);

/* "crawler-user-agents 1.67.0"; "" in a build without that list. */
extern const char bots_list[];
/* Of the list and of our own. */
extern const unsigned bots_patterns;

#endif
