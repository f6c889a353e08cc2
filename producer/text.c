/* The line's arena, and normalisation by utf8proc. */
#include "producer/text.h"

#include <stdlib.h>
#include <utf8proc.h>

char *arena_take(struct arena *arena, size_t size)
{
    if (size > sizeof arena->data - arena->used)
        return NULL;
    char *taken = arena->data + arena->used;
    arena->used += size;
    return taken;
}

/* Below U+0300 and from U+1E00 to U+1EFF (Vietnamese letters) nothing combines and nothing decomposes for good: text of
 * these alone is in form C. */
static bool is_plainly_normal(struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.data, *end = at + text.size;
    while (at < end) {
        if (*at < 0x80)
            at += 1;
        else if (*at < 0xCC)
            at += 2;
        else if (*at == 0xE1 && at[1] >= 0xB8 && at[1] <= 0xBB)
            at += 3;
        else
            return false;
    }
    return true;
}

bool text_normalise(struct slice text, struct arena *arena, struct slice *ret_text)
{
    if (is_plainly_normal(text)) {
        *ret_text = text;
        return true;
    }
    utf8proc_uint8_t *normal = NULL;
    utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.size, &normal,
                                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    char *copy = size >= 0 ? arena_take(arena, (size_t)size) : NULL;
    if (copy) {
        memcpy(copy, normal, (size_t)size);
        *ret_text = (struct slice){copy, (size_t)size};
    }
    free(normal);
    return copy != NULL;
}
