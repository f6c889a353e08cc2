/* The resolver's thread: asks Redis and the schema registry about each id that is wanted, one at a time. */
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "consumer/resolver_internal.h"
#include "schemas/layout.h"

enum { LOOK_AGAIN_MS = 1000 };

/* What was found out about one id, before it is told. */
struct finding {
    enum entry_state state;
    bool unconfirmed;
    struct buffer text; /* FOUND */
    char why[WHY_SIZE];
};

/* Two texts mean the same where their canonical forms are equal; texts that are no Avro schema, where they are equal.
 */
static bool same_schema(struct slice a, struct slice b)
{
    if (slice_equal(a, b))
        return true;
    struct buffer form_a = BUFFER_BOUNDED(2 * SCHEMA_TEXT_MOST), form_b = BUFFER_BOUNDED(2 * SCHEMA_TEXT_MOST);
    bool same = schema_canonical_form(a.data, a.size, &form_a, NULL) >= 0 &&
                schema_canonical_form(b.data, b.size, &form_b, NULL) >= 0 && !buffer_failed(&form_a) &&
                !buffer_failed(&form_b) && form_a.size == form_b.size &&
                memcmp(form_a.data, form_b.data, form_a.size) == 0;
    buffer_free(&form_a);
    buffer_free(&form_b);
    return same;
}

/* What is kept of a text: itself, or a stand-in for one so long that nobody could read by it. */
static void text_to_keep(struct slice text, struct buffer *out)
{
    buffer_reset(out);
    if (text.size <= SCHEMA_TEXT_MOST) {
        buffer_append(out, text.data, text.size);
        return;
    }
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text.data, text.size, digest);
    buffer_printf(out, "too long: %zu bytes, SHA-256 ", text.size);
    for (size_t i = 0; i < sizeof digest; i++)
        buffer_printf(out, "%02x", digest[i]);
}

static char *schemas_key(const struct resolver *resolver, char key[REDIS_KEY_SIZE])
{
    return redis_key(key, resolver->options.city, "schemas");
}

/* One command to {city}:schemas; connects where needed, and gives the connection up on any error. */
static int call_redis(struct resolver *resolver, redisReply **ret_reply, struct error *error, int argc,
                      const char *const *argv, const size_t *sizes)
{
    int result = 0;
    if (!resolver->redis) {
        char key[REDIS_KEY_SIZE];
        result = redis_connect(&(struct redis_options){.place = *resolver->options.redis,
                                                       .route_key = schemas_key(resolver, key),
                                                       .command_timeout_ms = 5000,
                                                       .writer = true},
                               &resolver->redis, error);
    }
    if (result >= 0)
        result = redis_call(resolver->redis, argc, argv, sizes, ret_reply, error);
    if (result < 0) {
        resolver->redis = redis_free(resolver->redis);
        error_wrap(error, "what schema ids meant before");
    }
    return result;
}

/* The field's value appended to `out`; *ret_there tells whether there is one. */
static int redis_get(struct resolver *resolver, const char *field, bool *ret_there, struct buffer *out,
                     struct error *error)
{
    char key[REDIS_KEY_SIZE];
    redisReply *reply = NULL;
    const char *argv[] = {"HGET", schemas_key(resolver, key), field};
    const size_t sizes[] = {4, strlen(key), strlen(field)};
    int result = call_redis(resolver, &reply, error, 3, argv, sizes);
    if (result < 0)
        return result;
    *ret_there = reply->type == REDIS_REPLY_STRING;
    buffer_reset(out);
    if (*ret_there)
        buffer_append(out, reply->str, (size_t)reply->len);
    freeReplyObject(reply);
    return buffer_failed(out) ? error_set(error, ERROR_MEMORY, "key %s field %s is too long", key, field) : 0;
}

static int redis_put(struct resolver *resolver, const char *command, const char *field, struct slice value,
                     struct error *error)
{
    char key[REDIS_KEY_SIZE];
    redisReply *reply = NULL;
    const char *argv[] = {command, schemas_key(resolver, key), field, value.data};
    const size_t sizes[] = {strlen(command), strlen(key), strlen(field), value.size};
    int result = call_redis(resolver, &reply, error, 4, argv, sizes);
    if (result >= 0)
        freeReplyObject(reply);
    return result;
}

/* Ask the registry, unless it is away; know afterwards whether it is. */
static bool may_ask(struct resolver *resolver, char why[WHY_SIZE])
{
    pthread_mutex_lock(&resolver->lock);
    bool may = !resolver->away || clock_monotonic_ms() >= resolver->away_until_ms;
    pthread_mutex_unlock(&resolver->lock);
    if (!may)
        snprintf(why, WHY_SIZE, "%s", resolver->away_why);
    return may;
}

/* Tell the log when the registry goes and when it is back. */
static void note_answer(struct resolver *resolver, bool answered, const struct error *error)
{
    if (!answered && error->code == ERROR_INTERRUPTED)
        return;
    pthread_mutex_lock(&resolver->lock);
    bool was_away = resolver->away;
    resolver->away = !answered;
    int64_t pause = resolver->pause_ms ? resolver->pause_ms * 2 : RESOLVER_PAUSE_FIRST_MS;
    resolver->pause_ms = answered ? 0 : pause < RESOLVER_PAUSE_MOST_MS ? pause : RESOLVER_PAUSE_MOST_MS;
    resolver->away_until_ms = clock_monotonic_ms() + resolver->pause_ms;
    for (size_t i = 0; answered && was_away && i < resolver->count; i++)
        resolver->entries[i].due_ms = resolver->entries[i].state == ENTRY_UNKNOWN ? resolver->entries[i].due_ms : 0;
    pthread_mutex_unlock(&resolver->lock);
    if (!answered)
        snprintf(resolver->away_why, WHY_SIZE, "%s", error->text);
    if (!answered && !was_away)
        log_warning("%s; trying again", error->text);
    else if (answered && was_away)
        log_info("the schema registry answers again");
}

/* The registry's text meets what Redis has, or is kept there now. */
static void found_in_registry(struct resolver *resolver, uint32_t id, const char *field, bool stored, struct slice text,
                              struct finding *finding)
{
    struct error error = {0};
    if (!stored) {
        bool there = false;
        /* Another consumer may be quicker: what stands there afterwards counts. */
        if (redis_put(resolver, "HSETNX", field, text, &error) < 0 ||
            redis_get(resolver, field, &there, &finding->text, &error) < 0 || !there) {
            finding->state = ENTRY_WANTED;
            snprintf(finding->why, WHY_SIZE, "%s", *error.text ? error.text : "it could not be kept in redis");
            return;
        }
    }
    struct slice kept = {finding->text.data ? finding->text.data : "", finding->text.size};
    finding->state = same_schema(kept, text) ? ENTRY_FOUND : ENTRY_CHANGED;
    if (finding->state == ENTRY_CHANGED)
        snprintf(
            finding->why, WHY_SIZE,
            "schema id %" PRIu32 " means another schema in the registry than the one it resolved to before, which key "
            "{%s}:schemas keeps: the registry was replaced, or the URL is another's; give the right registry its ids "
            "back, then start this again",
            id, resolver->options.city);
}

static void find_out(struct resolver *resolver, uint32_t id, struct finding *finding)
{
    char field[16];
    bool stored = false;
    const char *json = NULL;
    size_t size = 0;
    struct error error = {0};
    struct buffer text = BUFFER_BOUNDED(REGISTRY_ANSWER_MOST);
    snprintf(field, sizeof field, "%" PRIu32, id);
    finding->state = ENTRY_WANTED;
    if (redis_get(resolver, field, &stored, &finding->text, &error) < 0) {
        snprintf(finding->why, WHY_SIZE, "%s", error.text);
        return;
    }
    enum schema_lookup found = SCHEMA_LOOKUP_AWAY;
    if (may_ask(resolver, finding->why)) {
        found = registry_find(resolver->registry, id, &json, &size, &error);
        note_answer(resolver, found != SCHEMA_LOOKUP_AWAY, &error);
        snprintf(finding->why, WHY_SIZE, "%s", error.text);
    }
    switch (found) {
    case SCHEMA_LOOKUP_FOUND:
        text_to_keep((struct slice){json, size}, &text);
        if (!buffer_failed(&text))
            found_in_registry(resolver, id, field, stored, (struct slice){text.data ? text.data : "", text.size},
                              finding);
        break;
    case SCHEMA_LOOKUP_UNKNOWN:
        finding->state = stored ? ENTRY_WANTED : ENTRY_UNKNOWN;
        if (stored)
            snprintf(finding->why, WHY_SIZE,
                     "the schema registry has lost schema id %" PRIu32
                     ", which it resolved before: give it its ids back",
                     id);
        break;
    default:
        if (stored) { /* an outage stops nothing that is known */
            finding->state = ENTRY_FOUND;
            finding->unconfirmed = true;
        }
        break;
    }
    buffer_free(&text);
}

/* Take what was found out in; the entry may only move when nobody is at it. */
static void tell(struct resolver *resolver, struct entry *entry, struct finding *finding)
{
    int64_t now = clock_monotonic_ms();
    bool had_text = entry->state == ENTRY_FOUND;
    if (had_text && (finding->state == ENTRY_WANTED || finding->state == ENTRY_UNKNOWN)) {
        entry->unconfirmed = true; /* what was found once goes on being used */
        entry->due_ms = now + LOOK_AGAIN_MS;
        return;
    }
    if (finding->state == ENTRY_FOUND && !had_text) {
        entry->text = finding->text.data ? finding->text.data : strdup("");
        entry->size = finding->text.size;
        finding->text = BUFFER_BOUNDED(REGISTRY_ANSWER_MOST);
    }
    if (finding->state == ENTRY_CHANGED && had_text)
        atomic_store(&resolver->changed, true);
    entry->state = finding->state;
    entry->unconfirmed = finding->unconfirmed;
    entry->due_ms = now + (finding->state == ENTRY_UNKNOWN ? RESOLVER_UNKNOWN_MS : LOOK_AGAIN_MS);
    snprintf(entry->why, sizeof entry->why, "%s", finding->why);
}

/* What was found and lost by Redis is put there again, even while the registry is away. */
static void keep_again(struct resolver *resolver, const struct entry *entry)
{
    char field[16];
    snprintf(field, sizeof field, "%" PRIu32, entry->id);
    redis_put(resolver, "HSETNX", field, (struct slice){entry->text, entry->size}, NULL);
}

static struct entry *next_due(struct resolver *resolver, int64_t now, int64_t *wait_ms)
{
    struct entry *due = NULL;
    for (size_t i = 0; i < resolver->count; i++) {
        struct entry *entry = &resolver->entries[i];
        if (entry->state != ENTRY_WANTED && !(entry->state == ENTRY_FOUND && entry->unconfirmed))
            continue;
        if (entry->due_ms <= now && (!due || entry->due_ms < due->due_ms))
            due = entry;
        else if (entry->due_ms > now && entry->due_ms - now < *wait_ms)
            *wait_ms = entry->due_ms - now;
    }
    return due;
}

/* As redis has it from an earlier run; -1 where it has none. */
static int64_t letter_id_before(struct resolver *resolver, const char *field)
{
    int64_t id = -1;
    bool there = false;
    struct buffer text = BUFFER_BOUNDED(64);
    if (redis_get(resolver, field, &there, &text, NULL) >= 0 && there && buffer_text(&text))
        id = strtoll(text.data, NULL, 10);
    buffer_free(&text);
    return id;
}

/* The id of our own dead-letter schema: from the registry, or, while it is away, as it was told before. */
static void settle_letter(struct resolver *resolver)
{
    char field[64], number[24];
    struct error error = {0};
    pthread_mutex_lock(&resolver->lock);
    int64_t id = resolver->letter.id;
    bool settled = resolver->letter.settled;
    pthread_mutex_unlock(&resolver->lock);
    snprintf(field, sizeof field, "dead-letter:%016" PRIx64, schema_fingerprint(RECORD_DEAD_LETTER));
    if (!settled && may_ask(resolver, error.text)) {
        settled =
            registry_settle(resolver->registry, resolver->options.city, RECORD_DEAD_LETTER, true, &id, &error) >= 0;
        note_answer(resolver, settled || error.code == ERROR_REFUSED, &error);
    }
    bool refused = error.code == ERROR_REFUSED;
    if (id < 0 && !refused)
        id = letter_id_before(resolver, field);
    snprintf(number, sizeof number, "%" PRId64, id);
    bool kept = settled && redis_put(resolver, "HSET", field, slice_of(number), &error) >= 0;
    pthread_mutex_lock(&resolver->lock);
    bool say = refused && !resolver->letter.refused;
    resolver->letter.settled = settled;
    resolver->letter.kept = kept;
    resolver->letter.refused = refused;
    resolver->letter.id = id;
    snprintf(resolver->letter.why, WHY_SIZE, "%s", error.text);
    resolver->letter.due_ms = clock_monotonic_ms() + (refused ? RESOLVER_PAUSE_MOST_MS : LOOK_AGAIN_MS);
    pthread_cond_broadcast(&resolver->answered);
    pthread_mutex_unlock(&resolver->lock);
    if (say)
        log_error("the dead letter's schema: %s; dead letters can't be written", error.text);
}

void *resolver_ask_thread(void *context)
{
    struct resolver *resolver = context;
    pthread_mutex_lock(&resolver->lock);
    while (!atomic_load(&resolver->stop)) {
        int64_t now = clock_monotonic_ms(), wait_ms = LOOK_AGAIN_MS;
        if (!resolver->letter.kept && now >= resolver->letter.due_ms) {
            pthread_mutex_unlock(&resolver->lock);
            settle_letter(resolver);
            pthread_mutex_lock(&resolver->lock);
            continue;
        }
        struct entry *entry = next_due(resolver, now, &wait_ms);
        if (!entry) {
            resolver_wait(&resolver->wanted, &resolver->lock, wait_ms);
            continue;
        }
        struct finding finding = {.text = BUFFER_BOUNDED(REGISTRY_ANSWER_MOST)};
        uint32_t id = entry->id;
        bool found_before = entry->state == ENTRY_FOUND;
        entry->busy = true;
        pthread_mutex_unlock(&resolver->lock);
        if (found_before)
            keep_again(resolver, entry);
        find_out(resolver, id, &finding);
        pthread_mutex_lock(&resolver->lock);
        tell(resolver, entry, &finding);
        entry->busy = false;
        buffer_free(&finding.text);
        pthread_cond_broadcast(&resolver->answered);
    }
    pthread_mutex_unlock(&resolver->lock);
    return NULL;
}
