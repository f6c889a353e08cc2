/* Who asks, whatever is asked: the token, its rate, and the forms of answers that all handlers give. */
#include <strings.h>

#include "base/clock.h"
#include "producer/gateway_state.h"

struct http_response *gateway_problem(unsigned status, const char *detail)
{
    return http_problem(status, detail, NULL, 0);
}

/* "Bearer TOKEN"; data NULL without. */
static struct slice token_of(const struct http_request *request)
{
    const char *value = http_header(request, "Authorization");
    if (!value || strncasecmp(value, "Bearer ", 7) != 0)
        return (struct slice){0};
    value += 7;
    value += strspn(value, " ");
    return slice_of(value);
}

static int64_t take_from_bucket(struct gateway *gateway, struct credential *credential)
{
    pthread_mutex_lock(&gateway->buckets_lock);
    int64_t wait_ms = credential_take(credential, 1, clock_monotonic_ms());
    pthread_mutex_unlock(&gateway->buckets_lock);
    return wait_ms;
}

static struct http_response *unknown_token(void)
{
    return http_response_header(gateway_problem(401, "there is no token, or it is not known here; give it as `Authorization: Bearer TOKEN`"),
                                "WWW-Authenticate", "Bearer");
}

struct http_response *gateway_admit(struct gateway *gateway, const struct http_request *request, struct credential **ret_credential)
{
    *ret_credential = NULL;
    struct credential *credential = credentials_find(gateway->credentials, token_of(request));
    if (!credential)
        return unknown_token();
    int64_t wait_ms = take_from_bucket(gateway, credential);
    if (wait_ms)
        return http_response_later(gateway_problem(429, "this token's rate is used up; come again after the seconds of Retry-After"),
                             (wait_ms + 999) / 1000);
    *ret_credential = credential;
    return NULL;
}
