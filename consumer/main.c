/* citytotals-consumer: folds the log into Redis. */
#include "consumer/run.h"
#include "consumer/settings.h"
#include "consumer/verify.h"

int main(int argc, char **argv)
{
    static const struct program_command commands[] = {
        {&consumer_command_run, consumer_run}, {&consumer_command_verify, consumer_verify}, {0}};
    return program_main("citytotals-consumer", "Folds the city's event log into live totals in Redis.", commands, argc, argv);
}
