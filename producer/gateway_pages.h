/* The files of producer/web, made part of the program when it is built (producer/pages.py). */
#ifndef CITYTOTALS_PRODUCER_GATEWAY_PAGES_H
#define CITYTOTALS_PRODUCER_GATEWAY_PAGES_H

#include "base/slice.h"

struct gateway_page {
    const char *path;     /* "/upload"; NULL ends the table */
    const char *language; /* "vi", "en"; "" for what has none */
    const char *type;
    struct slice content;
};
extern const struct gateway_page gateway_pages[];

#endif
