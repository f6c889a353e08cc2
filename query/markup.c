/* Escapes text for XML and HTML. Pure. */
#include "query/markup.h"

#include "base/json_text.h"

void markup_text(struct buffer *out, struct slice text)
{
    for (size_t i = 0, length; i < text.size; i += length) {
        unsigned char byte = (unsigned char)text.data[i];
        length = utf8_character(text.data + i, text.size - i);
        if (length == 0 || (byte < 0x20 && byte != '\n') || byte == 0x7F) {
            buffer_text_append(out, "\xEF\xBF\xBD");
            length = 1;
        } else if (byte == '<' || byte == '>' || byte == '&' || byte == '"' || byte == '\'') {
            buffer_printf(out, "&#%d;", byte);
        } else {
            buffer_append(out, text.data + i, length);
        }
    }
}
