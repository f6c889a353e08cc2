/* A growing byte buffer with a hard bound. Errors stick: after a failed append every later one fails too, so that a
 * caller may append many times and look at `buffer_failed` once. */
#ifndef CITYTOTALS_BASE_BUFFER_H
#define CITYTOTALS_BASE_BUFFER_H

#include <stdint.h>

#include "base/slice.h"

struct buffer {
    char *data;      /* owned; not terminated unless buffer_text() was called */
    size_t size;     /* bytes used */
    size_t capacity; /* bytes allocated */
    size_t bound;    /* most bytes it may grow to; at most SIZE_MAX / 2 */
    bool failed;     /* an append did not fit the bound or memory */
};

#define BUFFER_BOUNDED(most) ((struct buffer){.bound = (most)})

void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_text_append(struct buffer *buffer, const char *text);
void buffer_slice_append(struct buffer *buffer, struct slice slice);
void buffer_number_append(struct buffer *buffer, int64_t number); /* decimal */
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Terminates the bytes with a zero that is not counted in size; NULL when failed. Valid until the next change. */
const char *buffer_text(struct buffer *buffer);
static inline bool buffer_failed(const struct buffer *buffer) { return buffer->failed; }
/* Empties it and clears `failed`, keeps the memory. */
void buffer_reset(struct buffer *buffer);
/* Frees it; safe on a zeroed one, twice. */
void buffer_free(struct buffer *buffer);

#endif
