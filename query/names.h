/* What people call the agencies: a CSV with the columns id, vi, en. */
#ifndef CITYTOTALS_QUERY_NAMES_H
#define CITYTOTALS_QUERY_NAMES_H

#include "base/buffer.h"
#include "base/error.h"
#include "query/settings.h"

#define NAMES_FILE_MOST (1024 * 1024)
#define NAMES_MOST 10000

struct agency_name {
    struct slice id;
    struct slice name[LANGUAGES]; /* never absent */
};

struct names; /* owns the texts */
/* RFC 4180 with the header `id,vi,en`; a BOM and CRLF are taken. ERROR_CONFIG with file and line. */
int names_read(const char *path, struct names **ret_names, struct error *error);
/* The same from memory; `data` is copied. `place` names it in errors. Pure. */
int names_parse(const char *place, struct slice data, struct names **ret_names, struct error *error);
struct names *names_free(struct names *names); /* NULL; accepts NULL */
/* By id, in order of ids; NULL when it has none. Both accept NULL names. */
const struct agency_name *names_find(const struct names *names, struct slice id);
const struct agency_name *names_all(const struct names *names, size_t *ret_count);

#endif
