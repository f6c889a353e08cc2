/* citytotals-producer: takes agencies' events into Kafka. */
#include "producer/send.h"
#include "producer/settings.h"

int main(int argc, char **argv)
{
    static const struct program_command commands[] = {{&producer_command_send, producer_send}, {0}};
    return program_main("citytotals-producer", "Sends agencies' events to the city's topics in Kafka.", commands, argc, argv);
}
