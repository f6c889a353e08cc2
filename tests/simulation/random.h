/* Numbers drawn from a seed: the same seed gives the same run. */
#ifndef CITYTOTALS_SIMULATION_RANDOM_H
#define CITYTOTALS_SIMULATION_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = (random->state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline uint32_t random_below(struct random *random, uint32_t bound)
{
    return bound ? (uint32_t)(random_next(random) % bound) : 0;
}

static inline int64_t random_between(struct random *random, int64_t least, int64_t most)
{
    return least + (int64_t)(random_next(random) % (uint64_t)(most - least + 1));
}

/* True so many times in a thousand. */
static inline bool random_permille(struct random *random, uint32_t permille)
{
    return random_below(random, 1000) < permille;
}

#endif
