/* A view of bytes that somebody else owns, and small helpers on it. */
#ifndef CITYTOTALS_BASE_SLICE_H
#define CITYTOTALS_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data; /* NULL means absent (null); not terminated */
    size_t size;      /* bytes */
};

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return (a.data == NULL) == (b.data == NULL) && a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Decimal text of an int64_t: an optional '-', then digits, and nothing else. *ret_number stays as it was where it is not that. */
bool integer_parse(struct slice text, int64_t *ret_number);

/* for printf("%.*s") */
#define SLICE_ARG(s) (int)(s).size, (s).data ? (s).data : ""

#endif
