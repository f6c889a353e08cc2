/* Page visits: POST /v1/visits, GET /v1/visit.gif, /beacon.js, and what was counted instead of stored, GET /v1/visits. */
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "producer/bots.h"
#include "producer/client.h"
#include "producer/gateway_state.h"
#include "producer/visitor.h"

enum { FORWARDED_MOST = 4096, BODY_ROOM = 1024, SECRET_ROOM = VISIT_SECRET_MOST + 2 };

#define NOT_TAKEN "page visits are not taken here: the gateway has no --visitor-secret-file"

struct visits {
    char *secret; /* NULL: visits are not taken */
    size_t secret_size;
    struct visit_rates *rates;
    struct network proxies[PROXIES_MOST];
    size_t proxy_count;
    int64_t since_ms;
    struct http_response *script, *image;
};

/* What becomes of a visit. */
enum outcome { VISIT_TAKEN, VISIT_OPTED_OUT, VISIT_BOT, VISIT_FOREIGN, VISIT_LIMITED, VISIT_QUEUE_FULL };
static const struct {
    enum gateway_metric metric;
    const char *name;
} outcomes[] = {
    [VISIT_TAKEN] = {G_VISITS, "taken"},          [VISIT_OPTED_OUT] = {G_VISITS_OPTED_OUT, "opted_out"},
    [VISIT_BOT] = {G_VISITS_BOTS, "bots"},        [VISIT_FOREIGN] = {G_VISITS_FOREIGN, "other_origins"},
    [VISIT_LIMITED] = {G_VISITS_LIMITED, "over_rate"}, [VISIT_QUEUE_FULL] = {G_VISITS_LOST, "lost"},
};

/* No cookie, no storage, one request; a page that is prepared before it is shown waits until it is. The browser itself sends what
 * its user wants (Sec-GPC, DNT). */
static const char script[] =
    "(function(){var s=document.currentScript,u=s&&s.src.replace(/\\/beacon\\.js.*$/,\"/v1/visit\"),d=document;"
    "function go(){if(window.fetch)fetch(u+\"s\",{method:\"POST\",mode:\"no-cors\",credentials:\"omit\",keepalive:true,"
    "cache:\"no-store\",referrerPolicy:\"origin\"}).catch(function(){});"
    "else{var i=new Image();i.src=u+\".gif?\"+new Date().getTime()}}"
    "if(!u)return;"
    "if(d.prerendering)d.addEventListener(\"prerenderingchange\",go,{once:true});else go()})();\n";
_Static_assert(sizeof script <= 1024, "the beacon stays below 1 KiB");

/* One transparent pixel. */
static const uint8_t pixel[] = {0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0x21, 0xF9, 4,
                                1,    0,    0,    0,    0,    0x2C, 0, 0, 0, 0, 1,    0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3B};

static int load_secret(struct gateway *gateway, struct error *error)
{
    const char *path = gateway->options.visitor_secret;
    char *text = malloc(SECRET_ROOM);
    FILE *file = text ? fopen(path, "re") : NULL;
    if (!file) {
        free(text);
        return error_set(error, ERROR_CONFIG, "open %s: %m", path);
    }
    size_t size = fread(text, 1, SECRET_ROOM, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        size--;
    if (failed || size < VISIT_SECRET_LEAST || size > VISIT_SECRET_MOST) {
        free(text);
        return failed ? error_set(error, ERROR_CONFIG, "read %s", path)
                      : error_set(error, ERROR_CONFIG, "%s has %zu bytes; allowed: %d to %d, random ones", path, size,
                                  VISIT_SECRET_LEAST, VISIT_SECRET_MOST);
    }
    pthread_mutex_lock(&gateway->visits_lock);
    char *before = gateway->visits->secret;
    gateway->visits->secret = text;
    gateway->visits->secret_size = size;
    pthread_mutex_unlock(&gateway->visits_lock);
    if (before)
        explicit_bzero(before, SECRET_ROOM);
    free(before);
    return 0;
}

void gateway_reload_secret(struct gateway *gateway)
{
    struct error error = {0};
    if (!gateway->options.visitor_secret)
        return;
    if (load_secret(gateway, &error) < 0)
        log_error("the visitors' secret is not taken, that before stays in force: %s", error.text);
    else
        log_info("the visitors' secret was read again");
}

static struct http_response *for_every_page(struct http_response *response)
{
    return http_response_header(response, "Cross-Origin-Resource-Policy", "cross-origin");
}

int gateway_open_visits(struct gateway *gateway, struct error *error)
{
    const struct gateway_options *options = &gateway->options;
    struct visits *visits = gateway->visits = calloc(1, sizeof *visits);
    if (!visits)
        return error_set(error, ERROR_MEMORY, "out of memory");
    visits->since_ms = clock_wall_ms();
    if (options->trusted_proxies.count > PROXIES_MOST)
        return error_set(error, ERROR_USAGE, "option --trusted-proxy: it is given %zu times; allowed: %d", options->trusted_proxies.count,
                         PROXIES_MOST);
    for (; visits->proxy_count < options->trusted_proxies.count; visits->proxy_count++)
        if (network_parse(options->trusted_proxies.items[visits->proxy_count], &visits->proxies[visits->proxy_count], error) < 0)
            return error_wrap(error, "option --trusted-proxy");
    if (!options->visitor_secret)
        return 0;
    if (options->origins.count == 0)
        return error_set(error, ERROR_USAGE, "option --allow-origin is missing: the origins whose pages may count visits, such as "
                                             "https://haiphong.gov.vn; * for every page");
    visits->rates = calloc(1, sizeof *visits->rates);
    if (!visits->rates)
        return error_set(error, ERROR_MEMORY, "out of memory");
    visits->rates->rate = options->visit_rate;
    if (RAND_bytes(visits->rates->key, sizeof visits->rates->key) != 1)
        return error_set(error, ERROR_IO, "the system gives no random bytes");
    visits->script = for_every_page(http_response_header(
        http_response_new(200, "text/javascript; charset=utf-8", script, sizeof script - 1), "Cache-Control", "public, max-age=3600"));
    visits->image = for_every_page(
        http_response_header(http_response_new(200, "image/gif", pixel, sizeof pixel), "Cache-Control", "no-store"));
    if (!visits->script || !visits->image)
        return error_set(error, ERROR_MEMORY, "out of memory");
    int result = load_secret(gateway, error);
    if (result >= 0)
        log_info("page visits are taken; programs are told from people by %u patterns%s%s", bots_patterns,
                 *bots_list ? ", those of " : " of our own: the list of crawler-user-agents is not in this build", bots_list);
    return result;
}

void gateway_close_visits(struct gateway *gateway)
{
    struct visits *visits = gateway->visits;
    if (!visits)
        return;
    http_response_unref(visits->script);
    http_response_unref(visits->image);
    if (visits->secret)
        explicit_bzero(visits->secret, SECRET_ROOM);
    free(visits->secret);
    free(visits->rates);
    free(visits);
    gateway->visits = NULL;
}

static bool is_one(const struct http_request *request, const char *name)
{
    const char *value = http_header(request, name);
    return value && strcmp(value, "1") == 0;
}

/* A browser that fetches what nobody looks at yet. */
static bool is_prefetch(const struct http_request *request)
{
    const char *purpose = http_header(request, "Sec-Purpose");
    purpose = purpose ? purpose : http_header(request, "Purpose");
    return purpose && strstr(purpose, "prefetch");
}

static enum outcome send_visit(struct gateway *gateway, const struct http_request *request, const char *client, int64_t now_ms)
{
    struct error error = {0};
    uint8_t key[VISIT_KEY_SIZE];
    struct event event = {.type = EVENT_PAGE_VISIT, .occurred_at_ms = now_ms};
    struct ingested ingested = {0};
    pthread_mutex_lock(&gateway->visits_lock);
    struct slice secret = {gateway->visits->secret, gateway->visits->secret_size};
    visit_day_key(secret, date_in_city(now_ms), key);
    pthread_mutex_unlock(&gateway->visits_lock);
    visitor_hash(key, slice_of(client), slice_of(http_header(request, "User-Agent")), slice_of(http_header(request, "Host")),
                 event.visit.visitor);
    struct ingest *worker = gateway_take_worker(gateway);
    int result = ingest_make_visit(worker, &event, &ingested, &error);
    gateway_give_worker(gateway, worker);
    struct post *post = result < 0 ? NULL : gateway_post_new(gateway, &ingested, 1);
    if (!post) {
        ingested_free(&ingested);
        return VISIT_QUEUE_FULL;
    }
    gateway_post_hand_over(gateway, post, NULL);
    return VISIT_TAKEN;
}

static enum outcome judge(struct gateway *gateway, const struct http_request *request)
{
    struct visits *visits = gateway->visits;
    const struct setting_list *origins = &gateway->options.origins;
    char client[CLIENT_TEXT_SIZE];
    int64_t now_ms = clock_wall_ms();
    if (!visit_origin_allowed(origins->items, origins->count, slice_of(http_header(request, "Origin")),
                              slice_of(http_header(request, "Referer"))))
        return VISIT_FOREIGN;
    if (is_one(request, "Sec-GPC") || is_one(request, "DNT"))
        return VISIT_OPTED_OUT;
    if (is_prefetch(request) || user_agent_is_bot(slice_of(http_header(request, "User-Agent"))))
        return VISIT_BOT;
    struct buffer forwarded = BUFFER_BOUNDED(FORWARDED_MOST); /* some proxies add a line of their own to what a client wrote */
    client_address(request->client, http_header_all(request, "X-Forwarded-For", &forwarded), visits->proxies, visits->proxy_count, client);
    buffer_free(&forwarded);
    pthread_mutex_lock(&gateway->visits_lock);
    bool within = visit_rates_take(visits->rates, client, clock_monotonic_ms());
    pthread_mutex_unlock(&gateway->visits_lock);
    return within ? send_visit(gateway, request, client, now_ms) : VISIT_LIMITED;
}

static enum outcome take(struct gateway *gateway, const struct http_request *request)
{
    enum outcome outcome = judge(gateway, request);
    metrics_add(gateway->metrics, outcomes[outcome].metric, NULL, 1);
    return outcome;
}

void gateway_post_visit(struct http_request *request, void *context)
{
    struct gateway *gateway = context;
    if (!gateway->visits->secret) {
        http_reply(request, http_problem(404, NOT_TAKEN, NULL, 0));
        return;
    }
    switch (take(gateway, request)) {
    case VISIT_FOREIGN:
        http_reply(request, http_problem(403, "this page's origin may not count visits here", NULL, 0));
        return;
    case VISIT_LIMITED:
        http_reply(request, http_response_later(http_problem(429, "there are too many visits from this address", NULL, 0), 60));
        return;
    case VISIT_QUEUE_FULL:
        http_reply(request, http_response_later(http_problem(503, "visits can't be taken now", NULL, 0), 1));
        return;
    case VISIT_TAKEN:
    case VISIT_OPTED_OUT:
    case VISIT_BOT:
        http_reply(request, for_every_page(http_response_header(http_response_new(204, NULL, "", 0), "Cache-Control", "no-store")));
        return;
    }
}

void gateway_get_pixel(struct http_request *request, void *context)
{
    struct gateway *gateway = context;
    if (!gateway->visits->secret) {
        http_reply(request, http_problem(404, NOT_TAKEN, NULL, 0));
        return;
    }
    if (!request->head) /* who asks only what the picture is like shows no page */
        take(gateway, request); /* the page shows the same whatever it was */
    http_reply(request, http_response_ref(gateway->visits->image));
}

void gateway_get_script(struct http_request *request, void *context)
{
    struct gateway *gateway = context;
    http_reply(request, gateway->visits->script ? http_response_ref(gateway->visits->script) : http_problem(404, NOT_TAKEN, NULL, 0));
}

void gateway_get_visits(struct http_request *request, void *context)
{
    struct gateway *gateway = context;
    char since[TIMESTAMP_TEXT_SIZE];
    struct buffer body = BUFFER_BOUNDED(BODY_ROOM);
    buffer_printf(&body, "{\"since\":\"%s\"", timestamp_format(gateway->visits->since_ms, since));
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        buffer_printf(&body, ",\"%s\":%lld", outcomes[i].name, (long long)metrics_get(gateway->metrics, outcomes[i].metric, NULL));
    buffer_printf(&body, ",\"bots_by\":\"%s\"}\n", bots_list);
    http_reply(request, http_response_header(http_response_take(200, "application/json", &body), "Cache-Control", "no-store"));
}
