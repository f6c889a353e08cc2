/* What the registry client's files share: one HTTP request with its bounds and tries. */
#ifndef CITYTOTALS_SCHEMAS_REGISTRY_INTERNAL_H
#define CITYTOTALS_SCHEMAS_REGISTRY_INTERNAL_H

#include "schemas/registry.h"

struct http;
int http_new(const struct registry_options *options, registry_stopped_fn stopped, void *context, struct http **ret_http,
             struct error *error);
struct http *http_free(struct http *http);
/* `path` is appended to the base URL as it stands. `body` NULL: none. 0: there is an answer, of any status but 429 and
 * 5xx; *ret_body is valid until the next call. ERROR_REGISTRY: there is none, after all tries; ERROR_INTERRUPTED:
 * stopped. */
int http_ask(struct http *http, const char *method, const char *path, const char *body, long *ret_status,
             struct slice *ret_body, struct error *error);
/* The base URL without credentials. */
const char *http_shown(const struct http *http);

#endif
