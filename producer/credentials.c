/* Reads the credentials file, finds a token's line in constant time, and keeps each one's bucket. */
#define OPENSSL_API_COMPAT 0x10100000L /* SHA256_Init and so on: EVP costs twenty times as much for so little */
#include "producer/credentials.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "schemas/rules.h"

enum { HASH_TEXT_SIZE = 2 * TOKEN_HASH_SIZE };
#define HASH_PREFIX "sha256:"

struct credentials {
    char *text; /* what the slices point into */
    struct credential *items;
    size_t count;
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
void token_hash(struct slice token, uint8_t ret_hash[TOKEN_HASH_SIZE])
{
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, token.data, token.size);
    SHA256_Final(ret_hash, &context);
}
#pragma GCC diagnostic pop

void token_format(const uint8_t bytes[TOKEN_BYTES], char text[TOKEN_TEXT_SIZE])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *at = text;
    memcpy(at, "ct_", 3);
    at += 3;
    uint32_t bits = 0;
    int held = 0;
    for (int i = 0; i < TOKEN_BYTES; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            *at++ = digits[bits >> (held - 6) & 63];
    }
    if (held)
        *at++ = digits[bits << (6 - held) & 63];
    *at = '\0';
}

static int compare(const void *a, const void *b)
{
    const struct slice *left = a, *right = b;
    size_t size = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->data, right->data, size);
    return order ? order : (left->size > right->size) - (left->size < right->size);
}

static int parse_agencies(struct slice list, struct credential *credential, struct error *error)
{
    if (slice_equal(list, slice_of("*"))) {
        credential->every_agency = true;
        return 0;
    }
    size_t count = 1;
    for (size_t i = 0; i < list.size; i++)
        count += list.data[i] == ',';
    if (count > CREDENTIAL_AGENCIES_MOST)
        return error_set(error, ERROR_CONFIG, "agencies has %zu ids; allowed: at most %d, or *", count, CREDENTIAL_AGENCIES_MOST);
    credential->agencies = calloc(count, sizeof *credential->agencies);
    if (!credential->agencies)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (const char *at = list.data, *end = list.data + list.size; at <= end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        struct slice id = {at, (size_t)((comma ? comma : end) - at)};
        if (!id_is_valid(id))
            return error_set(error, ERROR_CONFIG, "agencies has \"%.*s\"; allowed: ids of 1 to 64 of a-z, 0-9 and -, the first not -, "
                             "with commas between, or *", id.size > 80 ? 80 : (int)id.size, id.data);
        credential->agencies[credential->agency_count++] = id;
        at = (comma ? comma : end) + 1;
    }
    qsort(credential->agencies, credential->agency_count, sizeof *credential->agencies, compare);
    return 0;
}

static int parse_rate(struct slice text, struct credential *credential, struct error *error)
{
    int64_t rate = 0;
    bool good = text.size > 0;
    for (size_t i = 0; good && i < text.size; i++) {
        good = text.data[i] >= '0' && text.data[i] <= '9';
        rate = rate * 10 + (text.data[i] - '0');
        good = good && rate <= CREDENTIAL_RATE_MOST;
    }
    if (!good)
        return error_set(error, ERROR_CONFIG, "rate is \"%.*s\"; allowed: 0 (no limit) to %d events a second",
                         text.size > 80 ? 80 : (int)text.size, text.data, CREDENTIAL_RATE_MOST);
    credential->rate = rate;
    return 0;
}

static bool parse_hash(struct slice word, struct credential *credential)
{
    size_t prefix = sizeof HASH_PREFIX - 1;
    if (word.size != prefix + HASH_TEXT_SIZE || memcmp(word.data, HASH_PREFIX, prefix) != 0)
        return false;
    for (size_t i = 0; i < HASH_TEXT_SIZE; i++) {
        char c = word.data[prefix + i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return false;
        credential->hash[i / 2] = (uint8_t)(credential->hash[i / 2] << 4 | digit);
    }
    return true;
}

static struct slice next_word(struct slice *line)
{
    while (line->size && (*line->data == ' ' || *line->data == '\t' || *line->data == '\r')) {
        line->data++;
        line->size--;
    }
    struct slice word = {line->data, 0};
    while (word.size < line->size && !strchr(" \t\r", line->data[word.size]))
        word.size++;
    line->data += word.size;
    line->size -= word.size;
    return word;
}

static bool takes(struct slice word, const char *name, struct slice *ret_value)
{
    size_t size = strlen(name);
    if (word.size < size || memcmp(word.data, name, size) != 0)
        return false;
    *ret_value = (struct slice){word.data + size, word.size - size};
    return true;
}

/* Nothing of a line is repeated in an error but what can't be a secret: somebody may have written the token itself. */
static int parse_line(struct slice line, struct credential *credential, struct error *error)
{
    bool agencies = false, rate = false;
    struct slice word = next_word(&line), value;
    if (!parse_hash(word, credential))
        return error_set(error, ERROR_CONFIG, "it does not begin with sha256: and 64 hexadecimal digits in lower case; "
                         "`citytotals-producer token new` makes such a line");
    while ((word = next_word(&line)).size) {
        int result = 0;
        if (!credential->source.data && takes(word, "source=", &value)) {
            if (!id_is_valid(value))
                return error_set(error, ERROR_CONFIG, "source is \"%.*s\"; allowed: 1 to 64 of a-z, 0-9 and -, the first not -",
                                 value.size > 80 ? 80 : (int)value.size, value.data);
            credential->source = value;
        } else if (!agencies && takes(word, "agencies=", &value)) {
            agencies = true;
            result = parse_agencies(value, credential, error);
        } else if (!rate && takes(word, "rate=", &value)) {
            rate = true;
            result = parse_rate(value, credential, error);
        } else {
            return error_set(error, ERROR_CONFIG, "a word after the hash is not allowed there; allowed: source=, agencies= and rate=, "
                             "each once");
        }
        if (result < 0)
            return result;
    }
    if (!credential->source.data || !agencies)
        return error_set(error, ERROR_CONFIG, "%s is missing", credential->source.data ? "agencies=" : "source=");
    credential->level = (double)credential->rate;
    return 0;
}

static int add_line(struct credentials *credentials, struct slice line, struct error *error)
{
    struct slice rest = line;
    struct slice first = next_word(&rest);
    if (first.size == 0 || *first.data == '#')
        return 0;
    if (credentials->count == CREDENTIALS_MOST)
        return error_set(error, ERROR_CONFIG, "it is one token too many; allowed: at most %d", CREDENTIALS_MOST);
    struct credential *credential = &credentials->items[credentials->count++];
    int result = parse_line(line, credential, error);
    for (size_t i = 0; result >= 0 && i + 1 < credentials->count; i++)
        if (memcmp(credentials->items[i].hash, credential->hash, TOKEN_HASH_SIZE) == 0)
            return error_set(error, ERROR_CONFIG, "the same hash stands in an earlier line");
    return result;
}

int credentials_parse(struct slice text, struct credentials **ret_credentials, struct error *error)
{
    if (text.size > CREDENTIALS_BYTES_MOST)
        return error_set(error, ERROR_CONFIG, "it has %zu bytes; allowed: at most %d", text.size, CREDENTIALS_BYTES_MOST);
    struct credentials *credentials = calloc(1, sizeof *credentials);
    size_t lines = 1;
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    if (lines > CREDENTIALS_MOST)
        lines = CREDENTIALS_MOST;
    if (credentials) {
        credentials->text = malloc(text.size + 1);
        credentials->items = calloc(lines, sizeof *credentials->items);
    }
    if (!credentials || !credentials->text || !credentials->items) {
        credentials_free(credentials);
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    if (text.size)
        memcpy(credentials->text, text.data, text.size);
    size_t number = 1;
    for (const char *at = credentials->text, *end = at + text.size; at < end; number++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        int result = add_line(credentials, (struct slice){at, (size_t)((feed ? feed : end) - at)}, error);
        if (result < 0) {
            credentials_free(credentials);
            return error_wrap(error, "line %zu", number);
        }
        at = feed ? feed + 1 : end;
    }
    *ret_credentials = credentials;
    return 0;
}

int credentials_load(const char *path, struct credentials **ret_credentials, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, ERROR_CONFIG, "open %s: %s", path, strerror(errno));
    struct buffer text = BUFFER_BOUNDED(CREDENTIALS_BYTES_MOST + 1);
    char block[4096];
    size_t size;
    while ((size = fread(block, 1, sizeof block, file)) > 0 && !buffer_failed(&text))
        buffer_append(&text, block, size);
    int result = 0;
    if (ferror(file))
        result = error_set(error, ERROR_CONFIG, "read %s: %s", path, strerror(errno));
    else if (buffer_failed(&text))
        result = error_set(error, ERROR_CONFIG, "%s: it is longer than %d bytes, or memory is short", path, CREDENTIALS_BYTES_MOST);
    else if ((result = credentials_parse((struct slice){text.data, text.size}, ret_credentials, error)) < 0)
        error_wrap(error, "%s", path);
    fclose(file);
    buffer_free(&text);
    return result;
}

struct credentials *credentials_free(struct credentials *credentials)
{
    if (!credentials)
        return NULL;
    for (size_t i = 0; i < credentials->count; i++)
        free(credentials->items[i].agencies);
    free(credentials->items);
    free(credentials->text);
    free(credentials);
    return NULL;
}

size_t credentials_count(const struct credentials *credentials)
{
    return credentials->count;
}

struct credential *credentials_find(struct credentials *credentials, struct slice token)
{
    uint8_t hash[TOKEN_HASH_SIZE];
    struct credential *found = NULL;
    if (token.size == 0 || token.size > TOKEN_SIZE_MOST)
        return NULL;
    token_hash(token, hash);
    for (size_t i = 0; i < credentials->count; i++)
        if (CRYPTO_memcmp(credentials->items[i].hash, hash, TOKEN_HASH_SIZE) == 0)
            found = &credentials->items[i];
    return found;
}

void credentials_inherit(struct credentials *credentials, const struct credentials *before)
{
    for (size_t i = 0; i < credentials->count; i++) {
        struct credential *credential = &credentials->items[i];
        for (size_t other = 0; other < before->count; other++) {
            const struct credential *old = &before->items[other];
            if (memcmp(old->hash, credential->hash, TOKEN_HASH_SIZE) != 0)
                continue;
            credential->filled_at_ms = old->filled_at_ms;
            credential->level = old->level < (double)credential->rate ? old->level : (double)credential->rate;
        }
    }
}

bool credential_allows(const struct credential *credential, struct slice agency)
{
    return credential->every_agency ||
           bsearch(&agency, credential->agencies, credential->agency_count, sizeof agency, compare) != NULL;
}

int64_t credential_take(struct credential *credential, int64_t count, int64_t now_ms)
{
    if (credential->rate == 0)
        return 0;
    double most = (double)credential->rate;
    if (now_ms > credential->filled_at_ms)
        credential->level += most * (double)(now_ms - credential->filled_at_ms) / 1000.0;
    credential->filled_at_ms = now_ms;
    if (credential->level > most)
        credential->level = most;
    if (credential->level <= 0)
        return 1 + (int64_t)(-credential->level * 1000.0 / most);
    credential->level -= (double)count;
    return 0;
}

void credential_charge(struct credential *credential, int64_t count)
{
    if (credential->rate > 0)
        credential->level -= (double)count;
}

int credential_line(struct slice token, const char *source, const char *agencies, int64_t rate, struct buffer *out,
                    struct error *error)
{
    uint8_t hash[TOKEN_HASH_SIZE];
    struct credential checked = {0};
    if (!id_is_valid(slice_of(source)))
        return error_set(error, ERROR_USAGE, "option --source: source is \"%s\"; allowed: 1 to 64 of a-z, 0-9 and -, the first not -",
                         source);
    int result = parse_agencies(slice_of(agencies), &checked, error);
    free(checked.agencies);
    if (result < 0) {
        if (error && error->code == ERROR_CONFIG)
            error->code = ERROR_USAGE;
        error_wrap(error, "option --agency");
        return error ? -(int)error->code : result;
    }
    token_hash(token, hash);
    buffer_text_append(out, HASH_PREFIX);
    for (size_t i = 0; i < sizeof hash; i++)
        buffer_printf(out, "%02x", hash[i]);
    buffer_printf(out, " source=%s agencies=%s", source, agencies);
    if (rate)
        buffer_printf(out, " rate=%" PRId64, rate);
    return buffer_failed(out) ? error_set(error, ERROR_MEMORY, "out of memory") : 0;
}
