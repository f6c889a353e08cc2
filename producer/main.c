/* citytotals-producer: takes agencies' events into Kafka. */
#include "producer/gateway.h"
#include "producer/reverse.h"
#include "producer/schemas.h"
#include "producer/send.h"
#include "producer/settings.h"
#include "producer/token.h"

int main(int argc, char **argv)
{
    static const struct program_command commands[] = {{&producer_command_send, producer_send},
                                                        {&producer_command_gateway, producer_gateway},
                                                        {&producer_command_reverse, producer_reverse},
                                                        {&producer_command_schemas, producer_schemas},
                                                        {&producer_command_token, producer_token}, {0}};
    return program_main("citytotals-producer", producer_summary, commands, argc, argv);
}
