/* What the gateway looks at while it runs: files that may change under it, and whether Kafka takes what it is sent. On the main
 * thread. */
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "producer/gateway_state.h"

enum {
    LOOK_MS = 1000,        /* between two looks at the files */
    ASK_AFTER_MS = 2000,   /* when Kafka has acknowledged nothing for so long it is asked */
    ASK_MS = 1000,         /* how long its answer is waited for */
    TRY_AGAIN_MS = 10000,  /* after a failure without a success since: who gets no requests could not be ready again */
    EXPIRES_SOON_S = 14 * 24 * 3600,
    REMIND_MS = 24 * 3600 * 1000,
    DATE_SIZE = 32,
};

int gateway_load_tokens(struct gateway *gateway, struct error *error)
{
    struct credentials *loaded = NULL;
    int result = credentials_load(gateway->options.tokens, &loaded, error);
    if (result < 0)
        return result;
    pthread_rwlock_wrlock(&gateway->credentials_lock);
    struct credentials *before = gateway->credentials;
    if (before)
        credentials_inherit(loaded, before);
    gateway->credentials = loaded;
    pthread_rwlock_unlock(&gateway->credentials_lock);
    credentials_free(before);
    metrics_set(gateway->metrics, G_TOKENS, NULL, (int64_t)credentials_count(loaded));
    if (credentials_count(loaded) == 0)
        log_warning("the tokens file %s holds no token: nobody can send events (citytotals-producer token new makes one)",
                    gateway->options.tokens);
    return 0;
}

static void reload_tokens(struct gateway *gateway)
{
    struct error error = {0};
    int result = gateway_load_tokens(gateway, &error);
    metrics_add(gateway->metrics, G_RELOADS, result < 0 ? "refused" : "taken", 1);
    if (result < 0)
        log_error("the tokens file is not taken, those before stay in force: %s", error.text);
    else
        log_info("tokens read again: %zu in force", credentials_count(gateway->credentials));
}

void gateway_tell_certificate(struct gateway *gateway)
{
    int64_t expires_s = http_certificate_expires_s(gateway->server), left_s = expires_s - clock_wall_ms() / 1000;
    char date[DATE_SIZE];
    struct tm parts;
    time_t time = (time_t)expires_s;
    metrics_set(gateway->metrics, G_CERTIFICATE_EXPIRES, NULL, expires_s);
    if (left_s > EXPIRES_SOON_S)
        return;
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&time, &parts));
    log_warning("the certificate %s %s %s", gateway->options.tls_cert, left_s > 0 ? "expires soon, at" : "expired at", date);
}

static bool certificate_is_over(const struct gateway *gateway)
{
    return http_certificate_expires_s(gateway->server) <= clock_wall_ms() / 1000;
}

/* Once a day, and when it expires: it stays in use, as clients decide whether they take it. */
static void remind_of_certificate(struct gateway *gateway, struct gateway_watch *watch)
{
    bool over = certificate_is_over(gateway);
    int64_t now_ms = clock_monotonic_ms();
    if ((over && !watch->certificate_over) || now_ms - watch->certificate_told_ms >= REMIND_MS) {
        gateway_tell_certificate(gateway);
        watch->certificate_told_ms = now_ms;
    }
    watch->certificate_over = over;
}

static void reload_certificate(struct gateway *gateway, struct gateway_watch *watch)
{
    struct error error = {0};
    if (http_reload_certificate(gateway->server, &error) < 0) {
        log_error("the certificate is not taken, the one before stays in force: %s", error.text);
        return;
    }
    log_info("the certificate was read again");
    gateway_tell_certificate(gateway);
    watch->certificate_told_ms = clock_monotonic_ms();
    watch->certificate_over = certificate_is_over(gateway);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Looked at before it is read: what is written meanwhile is read again. A file that is gone is said once. */
static bool changed(const char *path, struct stat *known)
{
    struct stat now;
    if (!path)
        return false;
    if (stat(path, &now) != 0)
        memset(&now, 0, sizeof now);
    bool different = !same_file(known, &now);
    *known = now;
    return different;
}

void gateway_watch_begin(struct gateway *gateway, struct gateway_watch *watch)
{
    const struct gateway_options *options = &gateway->options;
    *watch = (struct gateway_watch){.looked_ms = clock_monotonic_ms(), .reachable = true};
    changed(options->tokens, &watch->tokens);
    changed(options->tls_cert, &watch->cert);
    changed(options->tls_key, &watch->key);
    watch->certificate_told_ms = watch->looked_ms;
    watch->certificate_over = options->tls_cert && certificate_is_over(gateway);
}

static void look_at_files(struct gateway *gateway, struct gateway_watch *watch, bool asked)
{
    const struct gateway_options *options = &gateway->options;
    int64_t now_ms = clock_monotonic_ms();
    if (!asked && now_ms - watch->looked_ms < LOOK_MS)
        return;
    watch->looked_ms = now_ms;
    if (asked)
        gateway_reload_secret(gateway);
    if (changed(options->tokens, &watch->tokens) || asked)
        reload_tokens(gateway);
    /* Both files are seldom written at one moment; a pair that does not fit is said, and read again with the second's change. */
    bool cert = changed(options->tls_cert, &watch->cert), key = changed(options->tls_key, &watch->key);
    if (options->tls_cert && (cert || key || asked))
        reload_certificate(gateway, watch);
    if (options->tls_cert)
        remind_of_certificate(gateway, watch);
}

/* Does Kafka answer, when nothing else has shown that it is there? */
static bool is_reachable(struct gateway *gateway, struct gateway_watch *watch)
{
    int64_t now_ms = clock_monotonic_ms(), acked_ms = atomic_load(&gateway->acked_ms);
    if (now_ms - acked_ms < ASK_AFTER_MS)
        return true;
    if (watch->reachable && now_ms - watch->asked_ms < ASK_AFTER_MS)
        return true;
    const struct rd_kafka_metadata *metadata = NULL;
    bool answered = rd_kafka_metadata(sender_kafka(gateway->sender), 0, NULL, &metadata, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (answered)
        rd_kafka_metadata_destroy(metadata);
    watch->asked_ms = clock_monotonic_ms();
    return answered;
}

static void look_at_kafka(struct gateway *gateway, struct gateway_watch *watch)
{
    int64_t failed_ms = atomic_load(&gateway->failed_ms);
    bool failing = failed_ms > atomic_load(&gateway->acked_ms) && clock_monotonic_ms() - failed_ms < TRY_AGAIN_MS;
    watch->reachable = is_reachable(gateway, watch);
    const char *reason = !watch->reachable ? "no kafka broker answers" : failing ? "kafka does not acknowledge" : NULL;
    if (reason && !watch->reason)
        log_warning("not ready: %s", reason);
    else if (!reason && watch->reason)
        log_info("ready again");
    watch->reason = reason;
    health_set_ready(&gateway->health, reason);
}

void gateway_watch_turn(struct gateway *gateway, struct gateway_watch *watch, bool asked)
{
    metrics_set(gateway->metrics, G_CONNECTIONS, NULL, (int64_t)http_connections(gateway->server));
    look_at_files(gateway, watch, asked);
    look_at_kafka(gateway, watch);
}
