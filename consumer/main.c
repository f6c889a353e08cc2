/* citytotals-consumer: folds the log into Redis. */
#include "consumer/dead_letters.h"
#include "consumer/rebuild.h"
#include "consumer/run.h"
#include "consumer/settings.h"
#include "consumer/snapshot.h"
#include "consumer/verify.h"

int main(int argc, char **argv)
{
    static const struct program_command commands[] = {
        {&consumer_command_run, consumer_run}, {&consumer_command_verify, consumer_verify},
        {&consumer_command_rebuild, consumer_rebuild},   {&consumer_command_snapshot, consumer_snapshot},
        {&consumer_command_dead_letters, consumer_dead_letters}, {0}};
    return program_main("citytotals-consumer", consumer_summary, commands, argc, argv);
}
