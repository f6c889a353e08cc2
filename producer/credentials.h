/* The gateway's credentials: hashes of tokens, and what each may do. Pure: text in, values out; the caller gives the time.
 *
 * The file has a line for each token, `sha256:<64 hex digits> source=S agencies=A,B rate=N`: agencies are ids or `*` for
 * all, rate is events a second (0 or not given: no limit). Blank lines and those that begin with # are passed over. */
#ifndef CITYTOTALS_PRODUCER_CREDENTIALS_H
#define CITYTOTALS_PRODUCER_CREDENTIALS_H

#include "base/error.h"
#include "base/slice.h"

enum {
    CREDENTIALS_MOST = 4096,
    CREDENTIAL_AGENCIES_MOST = 1024,
    CREDENTIAL_RATE_MOST = 1000000,
    CREDENTIALS_BYTES_MOST = 8 * 1024 * 1024,
    TOKEN_HASH_SIZE = 32,
    TOKEN_BYTES = 32,
    TOKEN_TEXT_SIZE = 48, /* "ct_" and 43 characters of base64url, and the end */
    TOKEN_SIZE_MOST = 256, /* of one that somebody made himself */
};

struct credential {
    uint8_t hash[TOKEN_HASH_SIZE];
    struct slice source;
    bool every_agency;
    struct slice *agencies; /* sorted */
    size_t agency_count;
    int64_t rate; /* events a second; 0 = no limit */
    /* The bucket, owned by whoever holds the gateway's lock. Its level may fall below nothing: a batch is taken whole. */
    double level;
    int64_t filled_at_ms;
};

struct credentials;
/* ERROR_CONFIG names the line. The text is copied. */
int credentials_parse(struct slice text, struct credentials **ret_credentials, struct error *error);
/* The file's text, then the above; the sentence begins with the file's name. */
int credentials_load(const char *path, struct credentials **ret_credentials, struct error *error);
struct credentials *credentials_free(struct credentials *credentials);
size_t credentials_count(const struct credentials *credentials);
/* Looks at every line whatever it finds, each in constant time. NULL when no line has the token's hash. */
struct credential *credentials_find(struct credentials *credentials, struct slice token);
/* Buckets go on where the same token was known before. */
void credentials_inherit(struct credentials *credentials, const struct credentials *before);

bool credential_allows(const struct credential *credential, struct slice agency);
/* Take `count` from the bucket: 0, or the milliseconds after which to come again (nothing is taken then). */
int64_t credential_take(struct credential *credential, int64_t count, int64_t now_ms);
/* Take `count` whatever is there: what was taken with another batch already. */
void credential_charge(struct credential *credential, int64_t count);

void token_hash(struct slice token, uint8_t ret_hash[TOKEN_HASH_SIZE]);
/* From random bytes. */
void token_format(const uint8_t bytes[TOKEN_BYTES], char text[TOKEN_TEXT_SIZE]);
/* "sha256:… source=S agencies=A,B rate=N" without a line end, as the file wants it. `agencies` as given on the command line;
 * ERROR_USAGE says what is wrong with them. */
struct buffer;
int credential_line(struct slice token, const char *source, const char *agencies, int64_t rate, struct buffer *out,
                    struct error *error);

#endif
