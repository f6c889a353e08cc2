/* Text as a JSON string. */
#ifndef CITYTOTALS_BASE_JSON_TEXT_H
#define CITYTOTALS_BASE_JSON_TEXT_H

#include "base/buffer.h"

/* Appends `text` in quotes, escaped; bytes that are no UTF-8 become U+FFFD; an absent one is null. */
void json_text_append(struct buffer *out, struct slice text);
/* Bytes of the UTF-8 character at the start of text[0..size), size >= 1; 0 when they are no well-formed one. */
size_t utf8_character(const char *text, size_t size);

#endif
