/* One HTTP request to the schema registry over libcurl: authentication, TLS, time-outs, bounded answers, bounded tries.
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "schemas/registry_internal.h"

enum { URL_MOST = 2048, SLICE_OF_PAUSE_MS = 50 };
#define MEDIA_TYPE "application/vnd.schemaregistry.v1+json"

struct http {
    CURL *curl;
    struct curl_slist *headers;
    char *base; /* scheme, host, port, path; no credentials, no / at the end */
    char *user, *password, *token, *ca_file;
    int64_t timeout_ms, connect_timeout_ms;
    registry_stopped_fn stopped;
    void *stopped_context;
    struct buffer body;
    bool too_large;
    char why[CURL_ERROR_SIZE];
};

static int bad_url(struct error *error, const char *what)
{
    return error_set(error, ERROR_CONFIG,
                     "--schema-registry: %s; allowed: http://[user:password@]host[:port][/path], https://…", what);
}

static bool copy(const char *from, char **to)
{
    if (!from)
        return true;
    *to = strdup(from);
    return *to != NULL;
}

/* A part of the URL that the caller frees with curl_free; NULL where it is absent. */
static char *url_part(CURLU *url, CURLUPart part, unsigned flags)
{
    char *text = NULL;
    return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

/* Take the URL apart: what is shown and asked carries no credentials. */
static int take_url(struct http *http, const char *text, struct error *error)
{
    int result = 0;
    CURLU *url = curl_url();
    char *scheme = NULL, *query = NULL, *fragment = NULL, *user = NULL, *password = NULL, *base = NULL;
    if (!url)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (strlen(text) > URL_MOST) {
        result = bad_url(error, "the URL is too long");
        goto finish;
    }
    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK) {
        result = bad_url(error, "the URL is not one of a web server");
        goto finish;
    }
    scheme = url_part(url, CURLUPART_SCHEME, 0);
    query = url_part(url, CURLUPART_QUERY, 0);
    fragment = url_part(url, CURLUPART_FRAGMENT, 0);
    if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
        result = bad_url(error, "the URL's scheme is neither http nor https");
        goto finish;
    }
    if (query || fragment) {
        result = bad_url(error, "the URL has a query or a fragment");
        goto finish;
    }
    user = url_part(url, CURLUPART_USER, CURLU_URLDECODE);
    password = url_part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
    curl_url_set(url, CURLUPART_USER, NULL, 0);
    curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
    base = url_part(url, CURLUPART_URL, 0);
    if (!base || !copy(base, &http->base) || !copy(user, &http->user) ||
        !copy(user ? (password ? password : "") : NULL, &http->password)) {
        result = error_set(error, ERROR_MEMORY, "out of memory");
        goto finish;
    }
    for (size_t size = strlen(http->base); size > 0 && http->base[size - 1] == '/'; size--)
        http->base[size - 1] = '\0';
finish:
    curl_free(scheme);
    curl_free(query);
    curl_free(fragment);
    curl_free(user);
    curl_free(password);
    curl_free(base);
    curl_url_cleanup(url);
    return result;
}

static int take_credentials(struct http *http, const struct registry_options *options, struct error *error)
{
    if ((http->user != NULL) + (options->credentials != NULL) + (options->token != NULL) > 1)
        return error_set(error, ERROR_CONFIG,
                         "more than one way to authenticate at the schema registry; allowed: credentials in the URL, "
                         "--schema-registry-credentials, or --schema-registry-token");
    if (options->credentials) {
        const char *colon = strchr(options->credentials, ':');
        if (!colon || colon == options->credentials)
            return error_set(error, ERROR_CONFIG, "--schema-registry-credentials is not of the form USER:PASSWORD");
        http->user = strndup(options->credentials, (size_t)(colon - options->credentials));
        if (!http->user || !copy(colon + 1, &http->password))
            return error_set(error, ERROR_MEMORY, "out of memory");
    }
    for (const char *at = options->token; at && *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 127)
            return error_set(error, ERROR_CONFIG, "--schema-registry-token holds a character that no token has");
    if (options->ca_file) {
        FILE *file = fopen(options->ca_file, "r");
        if (!file)
            return error_set(error, ERROR_CONFIG, "--schema-registry-ca: %s can't be read: %m", options->ca_file);
        fclose(file);
    }
    return copy(options->token, &http->token) && copy(options->ca_file, &http->ca_file)
               ? 0
               : error_set(error, ERROR_MEMORY, "out of memory");
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct http *http = context;
    buffer_append(&http->body, data, size * count);
    http->too_large = buffer_failed(&http->body);
    return http->too_large ? 0 : size * count;
}

static bool is_stopped(const struct http *http)
{
    return http->stopped && http->stopped(http->stopped_context);
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return is_stopped(context);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void begin_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* What every request of this client has in common. */
static bool set_up(struct http *http)
{
    CURL *curl = http->curl;
    http->headers = curl_slist_append(NULL, "Accept: " MEDIA_TYPE ", application/json");
    struct curl_slist *more = http->headers ? curl_slist_append(http->headers, "Content-Type: " MEDIA_TYPE) : NULL;
    if (more)
        more = curl_slist_append(more, "Expect:"); /* schemas are small: no round trip to ask first */
    if (!more)
        return false;
    CURLcode code = curl_easy_setopt(curl, CURLOPT_HTTPHEADER, http->headers);
#define SET(option, value) (code = code != CURLE_OK ? code : curl_easy_setopt(curl, option, value))
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_USERAGENT, "citytotals/" CITYTOTALS_VERSION);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, http->why);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, (void *)http);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, (void *)http);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_TIMEOUT_MS, (long)http->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)http->connect_timeout_ms);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (http->ca_file)
        SET(CURLOPT_CAINFO, http->ca_file);
    if (http->user) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(CURLOPT_USERNAME, http->user);
        SET(CURLOPT_PASSWORD, http->password);
    } else if (http->token) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        SET(CURLOPT_XOAUTH2_BEARER, http->token);
    }
#undef SET
    return code == CURLE_OK;
}

int http_new(const struct registry_options *options, registry_stopped_fn stopped, void *context, struct http **ret_http,
             struct error *error)
{
    pthread_once(&once, begin_library);
    struct http *http = calloc(1, sizeof *http);
    if (!http)
        return error_set(error, ERROR_MEMORY, "out of memory");
    http->stopped = stopped;
    http->stopped_context = context;
    http->timeout_ms = options->timeout_ms ? options->timeout_ms : 5000;
    http->connect_timeout_ms = options->connect_timeout_ms ? options->connect_timeout_ms : 2000;
    http->body = BUFFER_BOUNDED(REGISTRY_ANSWER_MOST);
    http->curl = curl_easy_init();
    int result = take_url(http, options->url, error);
    if (result >= 0)
        result = take_credentials(http, options, error);
    if (result >= 0 && (!http->curl || !set_up(http)))
        result = error_set(error, ERROR_MEMORY, "out of memory for a client of the schema registry");
    if (result < 0) {
        http_free(http);
        return result;
    }
    *ret_http = http;
    return 0;
}

struct http *http_free(struct http *http)
{
    if (!http)
        return NULL;
    curl_easy_cleanup(http->curl);
    curl_slist_free_all(http->headers);
    buffer_free(&http->body);
    free(http->base);
    free(http->user);
    free(http->password);
    free(http->token);
    free(http->ca_file);
    free(http);
    return NULL;
}

const char *http_shown(const struct http *http)
{
    return http->base;
}

/* One try. 0: an answer that is to be taken; 1: worth another try; negative: not. */
static int try_once(struct http *http, long *ret_status, struct error *error)
{
    buffer_reset(&http->body);
    http->too_large = false;
    http->why[0] = '\0';
    CURLcode code = curl_easy_perform(http->curl);
    if (is_stopped(http))
        return error_set(error, ERROR_INTERRUPTED, "schema registry %s: stopped while asking", http->base);
    if (http->too_large)
        return error_set(error, ERROR_REGISTRY, "schema registry %s: the answer is longer than %d bytes", http->base,
                         REGISTRY_ANSWER_MOST);
    if (code != CURLE_OK) {
        error_set(error, ERROR_REGISTRY, "schema registry %s: %s", http->base,
                  http->why[0] ? http->why : curl_easy_strerror(code));
        return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE
                   ? error_set(
                         error, ERROR_REFUSED,
                         "schema registry %s: its certificate is not trusted (%s); --schema-registry-ca names the "
                         "authority's file",
                         http->base, http->why[0] ? http->why : curl_easy_strerror(code))
                   : 1;
    }
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, ret_status);
    if (*ret_status == 429 || *ret_status >= 500) {
        error_set(error, ERROR_REGISTRY, "schema registry %s: HTTP status %ld", http->base, *ret_status);
        return 1;
    }
    return 0;
}

static void pause_for(const struct http *http, int64_t ms)
{
    int64_t until = clock_monotonic_ms() + ms;
    while (!is_stopped(http) && clock_monotonic_ms() < until) {
        struct timespec time = {0, SLICE_OF_PAUSE_MS * INT64_C(1000000)};
        nanosleep(&time, NULL);
    }
}

int http_ask(struct http *http, const char *method, const char *path, const char *body, long *ret_status,
             struct slice *ret_body, struct error *error)
{
    char url[URL_MOST + 512];
    struct error local = {0};
    long status = 0;
    if ((size_t)snprintf(url, sizeof url, "%s%s", http->base, path) >= sizeof url)
        return error_set(error, ERROR_CONFIG, "schema registry %s: the URL is too long", http->base);
    CURLcode code = curl_easy_setopt(http->curl, CURLOPT_URL, url);
    if (code == CURLE_OK) /* forgets the body and method of the request before */
        code = curl_easy_setopt(http->curl, CURLOPT_HTTPGET, 1L);
    if (code == CURLE_OK && body) {
        code = curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        if (code == CURLE_OK)
            code = curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, body);
    }
    if (code == CURLE_OK)
        code = curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, method);
    if (code != CURLE_OK)
        return error_set(error, ERROR_MEMORY, "schema registry %s: %s", http->base, curl_easy_strerror(code));
    int result = 1;
    for (int i = 0; result > 0 && i < REGISTRY_TRIES_MOST; i++) {
        if (i > 0)
            pause_for(http, (int64_t)REGISTRY_PAUSE_FIRST_MS << (i - 1));
        result = try_once(http, &status, &local);
    }
    if (result != 0) {
        if (error)
            *error = local;
        return -(int)local.code;
    }
    *ret_status = status;
    *ret_body = (struct slice){http->body.data ? http->body.data : "", http->body.size};
    return 0;
}
