/* producer/openapi.json, made part of the program when it is built (producer/embed.py). */
#ifndef CITYTOTALS_PRODUCER_GATEWAY_OPENAPI_H
#define CITYTOTALS_PRODUCER_GATEWAY_OPENAPI_H

#include "base/slice.h"

extern const struct slice gateway_openapi;

#endif
