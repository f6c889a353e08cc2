/* The static files of the page, made part of the program when it is built (query/embed.py). */
#ifndef CITYTOTALS_QUERY_WEB_H
#define CITYTOTALS_QUERY_WEB_H

#include "base/slice.h"

struct web_file {
    const char *path; /* "/app.js"; index.html is "/" */
    const char *type;
    struct slice body, gzip; /* gzip is empty where it saves nothing */
};
extern const struct web_file web_files[];
extern const size_t web_file_count;

#endif
