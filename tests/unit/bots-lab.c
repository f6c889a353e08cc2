/* Programs and people at the end of a pipe: a user agent a line comes in, 1 (a program) or 0 a line goes out. `bots-lab --time` says
 * how long one takes instead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "producer/bots.h"

enum { ROUNDS = 200 };

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t room = 0, lines = 0, bots = 0;
    bool time = argc > 1 && strcmp(argv[1], "--time") == 0;
    int64_t spent_ns = 0, worst_ns = 0;
    for (ssize_t size; (size = getline(&line, &room, stdin)) > 0; lines++) {
        struct slice agent = {line, (size_t)size - (line[size - 1] == '\n')};
        if (!time) {
            puts(user_agent_is_bot(agent) ? "1" : "0");
            continue;
        }
        int64_t begin_ns = clock_monotonic_ns();
        for (int i = 0; i < ROUNDS; i++)
            bots += user_agent_is_bot(agent);
        int64_t one_ns = (clock_monotonic_ns() - begin_ns) / ROUNDS;
        spent_ns += one_ns;
        worst_ns = one_ns > worst_ns ? one_ns : worst_ns;
    }
    if (time)
        printf("%zu user agents, %zu of programs: %lld ns each, %lld ns at most\n", lines, bots / ROUNDS,
               (long long)(lines ? spent_ns / (int64_t)lines : 0), (long long)worst_ns);
    free(line);
    return 0;
}
