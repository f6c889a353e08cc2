/* A growing byte buffer with a hard bound and errors that stick. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool reserve(struct buffer *buffer, size_t more)
{
    if (buffer->failed || more > buffer->bound || buffer->size > buffer->bound - more) {
        buffer->failed = true;
        return false;
    }
    size_t needed = buffer->size + more;
    if (needed <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity < needed)
        capacity *= 2;
    char *data = realloc(buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (!reserve(buffer, size) || size == 0)
        return;
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

void buffer_text_append(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_slice_append(struct buffer *buffer, struct slice slice)
{
    buffer_append(buffer, slice.data, slice.size);
}

void buffer_number_append(struct buffer *buffer, int64_t number)
{
    char text[20]; /* of INT64_MIN */
    size_t at = sizeof text;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0)
        text[--at] = '-';
    buffer_append(buffer, text + at, sizeof text - at);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int size = vsnprintf(NULL, 0, format, list);
    va_end(list);
    buffer->bound++; /* the terminator is not counted */
    if (size >= 0 && reserve(buffer, (size_t)size + 1)) {
        vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, again);
        buffer->size += (size_t)size;
    } else {
        buffer->failed = true;
    }
    buffer->bound--;
    va_end(again);
}

const char *buffer_text(struct buffer *buffer)
{
    if (!buffer->failed && buffer->size == buffer->capacity) {
        buffer->bound++; /* the terminator is not counted */
        bool ok = reserve(buffer, 1);
        buffer->bound--;
        if (!ok)
            return NULL;
    }
    if (buffer->failed)
        return NULL;
    buffer->data[buffer->size] = '\0';
    return buffer->data;
}

void buffer_reset(struct buffer *buffer)
{
    buffer->size = 0;
    buffer->failed = false;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){.bound = buffer->bound};
}
