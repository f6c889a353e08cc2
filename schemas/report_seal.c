/* The seal of an inspection report. */
#include "schemas/report_seal.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "schemas/event.h"

#define BEGINNING "citytotals-report 1 "
enum { DATE_SIZE = 10, DIGEST_TEXT_MOST = 64 << 20, SHA256_SIZE = 32 };

static int slice_compare(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int cell_compare(const void *a, const void *b)
{
    const struct seal_cell *left = a, *right = b;
    int order = strcmp(left->hash, right->hash);
    return order ? order : slice_compare(left->field, right->field);
}

static bool is_sealed(const struct seal_cell *cell, int32_t date)
{
    static const char *const hashes[] = {"headcount:by-day", "pilots:by-day", "units:by-day"};
    int32_t day;
    bool named = false;
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        named = named || strcmp(cell->hash, hashes[i]) == 0;
    return named && cell->field.size > DATE_SIZE && date_parse((struct slice){cell->field.data, DATE_SIZE}, &day) && day <= date &&
           !slice_equal(cell->value, slice_of("0"));
}

int report_digest(const char *city, int32_t date, struct seal_cell *cells, size_t count, char digest[REPORT_DIGEST_SIZE],
                  struct error *error)
{
    struct buffer text = BUFFER_BOUNDED(DIGEST_TEXT_MOST);
    char day[DATE_TEXT_SIZE];
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (count)
        qsort(cells, count, sizeof *cells, cell_compare);
    buffer_printf(&text, BEGINNING "%s %s\n", city, date_format(date, day));
    for (size_t i = 0; i < count; i++)
        if (is_sealed(&cells[i], date)) {
            buffer_printf(&text, "%s ", cells[i].hash);
            buffer_slice_append(&text, cells[i].field);
            buffer_text_append(&text, " ");
            buffer_slice_append(&text, cells[i].value);
            buffer_text_append(&text, "\n");
        }
    bool ok = !buffer_failed(&text) && EVP_Digest(text.data, text.size, bytes, &size, EVP_sha256(), NULL) == 1 && size == SHA256_SIZE;
    for (size_t i = 0; ok && i < size; i++)
        snprintf(digest + 2 * i, 3, "%02x", bytes[i]);
    buffer_free(&text);
    return ok ? 0 : error_set(error, ERROR_MEMORY, "make the report's digest: out of memory");
}

void report_seal_write(const struct report_seal *seal, struct buffer *out)
{
    char day[DATE_TEXT_SIZE];
    buffer_printf(out, BEGINNING "%s %s %s", seal->city, date_format(seal->date, day), seal->digest);
    for (int topic = 0; topic < SEAL_TOPICS; topic++) {
        buffer_printf(out, " %s:", event_topic_suffix((enum event_type)topic));
        for (size_t i = 0; i < seal->counts[topic]; i++)
            buffer_printf(out, "%s%" PRId64, i ? "," : "", seal->positions[topic][i]);
    }
}

/* Where the first seal begins; NULL without one. */
static const char *find_beginning(struct slice text)
{
    size_t beginning = strlen(BEGINNING);
    const char *at = text.data, *end = text.data + text.size;
    while (text.size >= beginning && at + beginning <= end && (at = memchr(at, *BEGINNING, (size_t)(end - at) - beginning + 1))) {
        if (memcmp(at, BEGINNING, beginning) == 0)
            return at;
        at++;
    }
    return NULL;
}

/* The next word of the text, which moves on; empty at the end and at what closes an element, an attribute or a string. */
static struct slice next_word(struct slice *text)
{
    while (text->size && strchr(" \t\r\n", *text->data)) {
        text->data++;
        text->size--;
    }
    struct slice word = {text->data, 0};
    while (word.size < text->size && text->data[word.size] && !strchr(" \t\r\n\"<&", text->data[word.size]))
        word.size++;
    text->data += word.size;
    text->size -= word.size;
    return word;
}

/* "<topic>:<n>,<n>,…" */
static bool take_positions(struct slice word, const char *topic, int64_t *positions, size_t *ret_count)
{
    size_t name = strlen(topic), count = 0;
    if (word.size < name + 1 || memcmp(word.data, topic, name) != 0 || word.data[name] != ':')
        return false;
    const char *at = word.data + name + 1, *end = word.data + word.size;
    while (at < end) {
        int64_t number = 0;
        int digits = 0;
        for (; at < end && *at >= '0' && *at <= '9' && digits < 18; at++, digits++)
            number = number * 10 + (*at - '0');
        if (!digits || count == SEAL_PARTITIONS_MOST || (at < end && *at++ != ',') || (at == end && at[-1] == ','))
            return false;
        positions[count++] = number;
    }
    *ret_count = count;
    return true;
}

static bool parse(struct slice text, struct report_seal *seal)
{
    struct slice city = next_word(&text), date = next_word(&text), digest = next_word(&text);
    if (!city.size || city.size >= sizeof seal->city || !date_parse(date, &seal->date) || digest.size != REPORT_DIGEST_SIZE - 1)
        return false;
    for (size_t i = 0; i < digest.size; i++)
        if (!strchr("0123456789abcdef", digest.data[i]))
            return false;
    snprintf(seal->city, sizeof seal->city, "%.*s", SLICE_ARG(city));
    snprintf(seal->digest, sizeof seal->digest, "%.*s", SLICE_ARG(digest));
    for (int topic = 0; topic < SEAL_TOPICS; topic++)
        if (!take_positions(next_word(&text), event_topic_suffix((enum event_type)topic), seal->positions[topic], &seal->counts[topic]))
            return false;
    return true;
}

int report_seal_find(struct slice text, struct report_seal *ret_seal, struct error *error)
{
    const char *found = find_beginning(text);
    if (!found)
        return error_set(error, ERROR_CONFIG, "no seal, which begins with \"" BEGINNING "\": is it a report of citytotals-query?");
    found += strlen(BEGINNING);
    if (!parse((struct slice){found, text.size - (size_t)(found - text.data)}, ret_seal))
        return error_set(error, ERROR_CONFIG, "the seal is not whole; it is: " BEGINNING
                         "CITY YYYY-MM-DD DIGEST headcount-changes:N,N,… unit-mergers:N,N,…");
    return 0;
}
