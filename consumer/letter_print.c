/* Writes dead letters for people and for programs. */
#include "consumer/letter_print.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/json_text.h"

enum { DUMP_WIDTH = 16 };

/* Printable ASCII as it is, other bytes as \xNN. */
static void shown(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= ' ' && c <= '~')
            buffer_append(out, &text.data[i], 1);
        else
            buffer_printf(out, "\\x%02x", c);
    }
}

static const char *time_text(const struct dead_letter *letter, char text[TIMESTAMP_TEXT_SIZE])
{
    return letter->timestamp_ms < 0 ? "-" : timestamp_format(letter->timestamp_ms, text);
}

void letter_table_head(struct buffer *out)
{
    buffer_printf(out, "%-24s  %-14s  %8s  %s\n", "TIME", "REASON", "BYTES", "RECORD: DETAIL");
}

void letter_table_row(const struct dead_letter *letter, struct buffer *out)
{
    char time[TIMESTAMP_TEXT_SIZE];
    buffer_printf(out, "%-24s  %-14s  ", time_text(letter, time), dead_letter_reason_name(letter->reason));
    if (letter->value.data)
        buffer_printf(out, "%8zu  ", letter->value.size);
    else
        buffer_printf(out, "%8s  ", "-");
    shown(out, letter->topic);
    buffer_printf(out, "/%" PRId32 "/%" PRId64 ": ", letter->partition, letter->offset);
    shown(out, letter->detail);
    buffer_text_append(out, "\n");
}

static void dump(const char *name, struct slice bytes, struct buffer *out)
{
    if (!bytes.data) {
        buffer_printf(out, "%s: null\n", name);
        return;
    }
    buffer_printf(out, "%s: %zu bytes\n", name, bytes.size);
    for (size_t at = 0; at < bytes.size; at += DUMP_WIDTH) {
        size_t count = bytes.size - at < DUMP_WIDTH ? bytes.size - at : DUMP_WIDTH;
        buffer_printf(out, "  %06zx ", at);
        for (size_t i = 0; i < DUMP_WIDTH; i++)
            if (i < count)
                buffer_printf(out, " %02x", (unsigned char)bytes.data[at + i]);
            else
                buffer_text_append(out, "   ");
        buffer_text_append(out, "  ");
        for (size_t i = 0; i < count; i++) {
            char c = bytes.data[at + i];
            buffer_append(out, c >= ' ' && c <= '~' ? &c : ".", 1);
        }
        buffer_text_append(out, "\n");
    }
}

void letter_text(const struct dead_letter *letter, struct buffer *out)
{
    char time[TIMESTAMP_TEXT_SIZE];
    buffer_text_append(out, "record: ");
    shown(out, letter->topic);
    buffer_printf(out, "/%" PRId32 "/%" PRId64 "\ntime: %s\nreason: %s\ndetail: ", letter->partition, letter->offset,
                  time_text(letter, time), dead_letter_reason_name(letter->reason));
    shown(out, letter->detail);
    buffer_text_append(out, "\n");
    dump("key", letter->key, out);
    dump("value", letter->value, out);
    buffer_text_append(out, "\n");
}

static void base64(struct buffer *out, struct slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!bytes.data) {
        buffer_text_append(out, "null");
        return;
    }
    buffer_text_append(out, "\"");
    for (size_t at = 0; at < bytes.size; at += 3) {
        size_t left = bytes.size - at;
        uint32_t three = (uint32_t)(unsigned char)bytes.data[at] << 16;
        if (left > 1)
            three |= (uint32_t)(unsigned char)bytes.data[at + 1] << 8;
        if (left > 2)
            three |= (unsigned char)bytes.data[at + 2];
        const char four[] = {digits[three >> 18], digits[three >> 12 & 63], left > 1 ? digits[three >> 6 & 63] : '=',
                             left > 2 ? digits[three & 63] : '='};
        buffer_append(out, four, sizeof four);
    }
    buffer_text_append(out, "\"");
}

void letter_json(const struct dead_letter *letter, bool whole, struct buffer *out)
{
    char time[TIMESTAMP_TEXT_SIZE];
    buffer_text_append(out, "{\"topic\":");
    json_text_append(out, letter->topic);
    buffer_printf(out, ",\"partition\":%" PRId32 ",\"offset\":%" PRId64 ",\"timestamp\":", letter->partition, letter->offset);
    json_text_append(out, letter->timestamp_ms < 0 ? (struct slice){0} : slice_of(timestamp_format(letter->timestamp_ms, time)));
    buffer_printf(out, ",\"reason\":\"%s\",\"detail\":", dead_letter_reason_name(letter->reason));
    json_text_append(out, letter->detail);
    if (letter->value.data)
        buffer_printf(out, ",\"value_bytes\":%zu", letter->value.size);
    else
        buffer_text_append(out, ",\"value_bytes\":null");
    if (whole) {
        buffer_text_append(out, ",\"key_base64\":");
        base64(out, letter->key);
        buffer_text_append(out, ",\"value_base64\":");
        base64(out, letter->value);
    }
    buffer_text_append(out, "}");
}
