/* One walk through a user agent finds every pattern: docs/adr/0017-bots.md. */
#include "producer/bots.h"

#include "producer/bots_table.h"

enum { STATE_FIRST, STATE_BOT };

static uint16_t after(uint16_t state, unsigned sign)
{
    uint8_t symbol = bots_symbols[sign];
    for (uint32_t i = bots_firsts[state]; i < bots_firsts[state + 1]; i++)
        if (bots_other_symbols[i] == symbol)
            return bots_other_states[i];
    return bots_usual[symbol];
}

bool user_agent_is_bot(struct slice user_agent)
{
    if (user_agent.size == 0)
        return true;
    uint16_t state = after(STATE_FIRST, BOTS_BEFORE);
    for (size_t i = 0; i < user_agent.size && state != STATE_BOT; i++)
        state = after(state, (unsigned char)user_agent.data[i]);
    return state == STATE_BOT || after(state, BOTS_AFTER) == STATE_BOT;
}
