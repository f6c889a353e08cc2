/* JSON strings: escaping, and the shape of UTF-8. Pure. */
#include "base/json_text.h"

size_t utf8_character(const char *text, size_t size)
{
    const unsigned char *byte = (const unsigned char *)text;
    if (byte[0] < 0x80)
        return 1;
    size_t length = byte[0] >= 0xF0 ? 4 : byte[0] >= 0xE0 ? 3 : 2;
    if (byte[0] < 0xC2 || byte[0] > 0xF4 || length > size)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((byte[i] & 0xC0) != 0x80)
            return 0;
    if ((byte[0] == 0xE0 && byte[1] < 0xA0) || (byte[0] == 0xED && byte[1] > 0x9F) || (byte[0] == 0xF0 && byte[1] < 0x90) ||
        (byte[0] == 0xF4 && byte[1] > 0x8F))
        return 0;
    return length;
}

void json_text_append(struct buffer *out, struct slice text)
{
    if (!text.data) {
        buffer_text_append(out, "null");
        return;
    }
    buffer_text_append(out, "\"");
    size_t plain = 0; /* where what needs no escape began */
    for (size_t i = 0; i < text.size;) {
        unsigned char byte = (unsigned char)text.data[i];
        size_t length = utf8_character(text.data + i, text.size - i);
        if (length > 0 && byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7F) {
            i += length;
            continue;
        }
        buffer_append(out, text.data + plain, i - plain);
        if (length == 0)
            buffer_text_append(out, "\xEF\xBF\xBD");
        else if (byte == '"' || byte == '\\')
            buffer_printf(out, "\\%c", byte);
        else
            buffer_printf(out, "\\u%04x", byte);
        plain = ++i;
    }
    buffer_append(out, text.data + plain, text.size - plain);
    buffer_text_append(out, "\"");
}
