/* `send --wait`: what the consumer made of each event, told from the lanes in Redis once the stored offsets have passed them. */
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "producer/send_state.h"
#include "schemas/layout.h"

enum {
    REDIS_MS = 5000,
    TURN_MS = 100, /* between two looks at the stored offsets */
    FIRST_EVENTS = 1024,
    EVENT_BYTES = 64, /* of memory for an event that is waited for, its place in the table included */
    PARTITIONS_MOST = 1024,
};

enum standing { STANDING_NOWHERE, STANDING_COUNTED, STANDING_BEFORE, STANDING_CONFLICT, STANDINGS };

struct waited {
    struct identity identity;
    uint64_t meaning, stored; /* `stored`: of the event that counts under this identity, once it was found */
    void *place;
    uint8_t standing, found, before; /* `before`: it stood there when the sending began */
};

/* A refused event that is shown by its line. */
struct shown {
    size_t number;
    char why[768];
};

struct waiting {
    struct outcomes *outcomes; /* NULL after a failure, until it is opened again */
    char epoch[OUTCOMES_EPOCH_SIZE];
    int64_t lengths[SEEN_LANES]; /* of the lanes before the first of these events was sent */
    int64_t ends[EVENT_TYPES][PARTITIONS_MOST]; /* how far each log must be folded; 0 = nothing of ours there */
    size_t lane_events[SEEN_LANES], lane_found[SEEN_LANES];
    struct waited *items;
    size_t count, capacity, most;
    uint32_t *table; /* number of an item + 1, by identity */
    size_t table_size;
    struct identity_salt salt; /* of the latest event's type and agency */
    enum event_type salt_type;
    char salt_agency[72];
    struct shown *shown;
    size_t shown_count;
};

static int begin(struct send *send, struct error *error)
{
    struct waiting *waiting = send->waiting;
    int result = waiting->outcomes ? 0
                                   : outcomes_open(&send->options.common.redis, send->options.common.city, REDIS_MS, &waiting->outcomes,
                                                   error);
    if (result >= 0 && (result = outcomes_epoch(waiting->outcomes, waiting->epoch, error)) >= 0)
        result = outcomes_lane_lengths(waiting->outcomes, waiting->lengths, error);
    waiting->count = 0;
    memset(waiting->ends, 0, sizeof waiting->ends);
    memset(waiting->lane_events, 0, sizeof waiting->lane_events);
    return result < 0 ? error_wrap(error, "--wait") : 0;
}

int send_wait_open(struct send *send, struct error *error)
{
    send->waiting = calloc(1, sizeof *send->waiting);
    if (!send->waiting || !(send->waiting->shown = calloc(PROBLEMS_SHOWN_MOST, sizeof *send->waiting->shown)))
        return error_set(error, ERROR_MEMORY, "out of memory");
    send->waiting->most = (size_t)(send->options.check_memory / EVENT_BYTES);
    return begin(send, error);
}

void send_wait_close(struct send *send)
{
    if (!send->waiting)
        return;
    outcomes_close(send->waiting->outcomes);
    free(send->waiting->items);
    free(send->waiting->table);
    free(send->waiting->shown);
    free(send->waiting);
    send->waiting = NULL;
}

static int make_room(struct waiting *waiting, struct error *error)
{
    if (waiting->count < waiting->capacity)
        return 0;
    size_t capacity = waiting->capacity ? waiting->capacity * 2 : FIRST_EVENTS;
    struct waited *items = realloc(waiting->items, capacity * sizeof *items);
    if (!items)
        return error_set(error, ERROR_MEMORY, "out of memory for %zu events that are waited for", capacity);
    waiting->items = items;
    waiting->capacity = capacity;
    return 0;
}

int send_wait_add(struct send *send, const struct event *event, void *place, struct error *error)
{
    struct waiting *waiting = send->waiting;
    int result = 0;
    if (!waiting || event->type == EVENT_PAGE_VISIT)
        return 0;
    if (waiting->count >= waiting->most && ((result = send_wait_settle(send, error)) < 0 || (result = begin(send, error)) < 0))
        return result;
    if ((result = make_room(waiting, error)) < 0)
        return result;
    if (waiting->salt_type != event->type || !slice_equal(event->agency, slice_of(waiting->salt_agency))) {
        waiting->salt = identity_salt_of(event->type, event->agency);
        waiting->salt_type = event->type;
        snprintf(waiting->salt_agency, sizeof waiting->salt_agency, "%.*s", SLICE_ARG(event->agency));
    }
    waiting->items[waiting->count++] = (struct waited){
        .identity = identity_of(event->event_id, &waiting->salt), .meaning = event_meaning_digest(event), .place = place};
    waiting->lane_events[lane_of_agency(event->agency)]++;
    return 0;
}

void send_wait_delivered(struct send *send, const void *place, const struct sender_verdict *verdict)
{
    if (!send->waiting || verdict->partition < 0 || verdict->partition >= PARTITIONS_MOST)
        return;
    int64_t *end = &send->waiting->ends[place_type(place)][verdict->partition];
    if (verdict->offset >= *end)
        *end = verdict->offset + 1;
}

/* --- until the consumer has passed them --- */

static size_t points_of(const struct waiting *waiting, struct log_point *points)
{
    size_t count = 0;
    for (int type = 0; type < EVENT_TYPES; type++)
        for (int32_t partition = 0; partition < PARTITIONS_MOST; partition++)
            if (waiting->ends[type][partition] > 0)
                points[count++] = (struct log_point){(enum event_type)type, partition, waiting->ends[type][partition]};
    return count;
}

static int look(struct send *send, const struct log_point *points, size_t count, size_t *ret_behind, struct error *error)
{
    struct waiting *waiting = send->waiting;
    int result = waiting->outcomes ? 0
                                   : outcomes_open(&send->options.common.redis, send->options.common.city, REDIS_MS, &waiting->outcomes,
                                                   error);
    if (result >= 0)
        result = outcomes_behind(waiting->outcomes, points, count, ret_behind, error);
    if (result < 0)
        waiting->outcomes = outcomes_close(waiting->outcomes);
    return result;
}

/* ERROR_TIMEOUT when it took too long, *ret_behind partitions being behind; Redis may go and come again meanwhile. */
static int wait_until_folded(struct send *send, size_t *ret_behind, struct error *error)
{
    struct log_point *points = calloc((size_t)EVENT_TYPES * PARTITIONS_MOST, sizeof *points);
    if (!points)
        return error_set(error, ERROR_MEMORY, "out of memory");
    size_t count = points_of(send->waiting, points), behind = count;
    int64_t deadline = clock_monotonic_ms() + send->options.wait_timeout_ms;
    int result = 0;
    while (count > 0) {
        result = look(send, points, count, &behind, error);
        if (result >= 0 && behind == 0)
            break;
        if (*send->stop) {
            result = error_set(error, ERROR_INTERRUPTED, "interrupted");
            break;
        }
        if (clock_monotonic_ms() >= deadline) {
            if (result >= 0)
                result = error_set(error, ERROR_TIMEOUT, "the consumer has not folded all of them within %" PRId64 " ms",
                                   send->options.wait_timeout_ms);
            break;
        }
        report_progress(&send->report, "waiting", "for the consumer", (int64_t)(count - behind), (int64_t)count, send->lines);
        sender_poll(send->sender, TURN_MS);
    }
    free(points);
    *ret_behind = count > 0 ? behind : 0;
    return result;
}

/* --- what stands in the lanes --- */

static size_t slot_of(const struct waiting *waiting, const struct identity *identity)
{
    uint64_t hash;
    memcpy(&hash, identity->bytes, sizeof hash);
    size_t slot = (size_t)hash & (waiting->table_size - 1);
    while (waiting->table[slot] && memcmp(&waiting->items[waiting->table[slot] - 1].identity, identity, sizeof *identity) != 0)
        slot = (slot + 1) & (waiting->table_size - 1);
    return slot;
}

/* The first event of the identity; NULL when none is waited for. */
static struct waited *first_of(struct waiting *waiting, const struct identity *identity)
{
    uint32_t number = waiting->table[slot_of(waiting, identity)];
    return number ? &waiting->items[number - 1] : NULL;
}

static int make_table(struct waiting *waiting, struct error *error)
{
    size_t size = 2 * FIRST_EVENTS;
    while (size < 2 * waiting->count)
        size *= 2;
    free(waiting->table);
    waiting->table = calloc(size, sizeof *waiting->table);
    waiting->table_size = size;
    if (!waiting->table)
        return error_set(error, ERROR_MEMORY, "out of memory for %zu events that are waited for", waiting->count);
    for (size_t i = 0; i < waiting->count; i++) {
        size_t slot = slot_of(waiting, &waiting->items[i].identity);
        if (!waiting->table[slot])
            waiting->table[slot] = (uint32_t)i + 1;
    }
    return 0;
}

struct reading {
    struct waiting *waiting;
    uint32_t lane;
    bool before;
};

static int look_at_lane(void *context, const uint8_t *records, size_t count, int64_t index, struct error *error)
{
    (void)index, (void)error;
    struct reading *reading = context;
    for (size_t i = 0; i < count; i++) {
        struct identity identity;
        memcpy(&identity, records + i * SEEN_RECORD_SIZE, sizeof identity);
        struct waited *first = first_of(reading->waiting, &identity);
        if (!first)
            continue;
        uint64_t stored;
        memcpy(&stored, records + i * SEEN_RECORD_SIZE + sizeof identity, sizeof stored);
        first->stored = le64toh(stored);
        first->found = true;
        first->before = reading->before;
        reading->waiting->lane_found[reading->lane]++;
    }
    return 0;
}

/* The end of each lane first, where what was sent just now stands; the rest only where something was not found there. A
 * state that was begun anew meanwhile tells only what counts, not since when. */
static int read_lanes(struct waiting *waiting, struct error *error)
{
    char epoch[OUTCOMES_EPOCH_SIZE], after[OUTCOMES_EPOCH_SIZE];
    int64_t lengths[SEEN_LANES];
    int result = outcomes_epoch(waiting->outcomes, epoch, error);
    if (result < 0 || (result = outcomes_lane_lengths(waiting->outcomes, lengths, error)) < 0)
        return result;
    memset(waiting->lane_found, 0, sizeof waiting->lane_found);
    for (uint32_t lane = 0; lane < SEEN_LANES && result >= 0; lane++) {
        if (waiting->lane_events[lane] == 0)
            continue;
        int64_t known = strcmp(epoch, waiting->epoch) == 0 && waiting->lengths[lane] <= lengths[lane] ? waiting->lengths[lane] : 0;
        struct reading reading = {waiting, lane, false};
        result = outcomes_lane_read(waiting->outcomes, lane, known, lengths[lane], look_at_lane, &reading, error);
        reading.before = true;
        if (result >= 0 && waiting->lane_found[lane] < waiting->lane_events[lane])
            result = outcomes_lane_read(waiting->outcomes, lane, 0, known, look_at_lane, &reading, error);
    }
    if (result >= 0)
        result = outcomes_epoch(waiting->outcomes, after, error);
    if (result >= 0 && strcmp(epoch, after) != 0)
        return error_set(error, ERROR_REDIS, "the city's state in redis was replaced meanwhile");
    return result;
}

/* Of several with one identity the first that means what is stored is the one that counts. */
static void judge(struct waiting *waiting, uint64_t counts[STANDINGS])
{
    for (size_t i = 0; i < waiting->count; i++) {
        struct waited *item = &waiting->items[i], *first = first_of(waiting, &item->identity);
        if (!first->found) {
            item->standing = STANDING_NOWHERE;
        } else if (item->meaning != first->stored) {
            item->standing = STANDING_CONFLICT;
        } else {
            item->standing = first->before ? STANDING_BEFORE : STANDING_COUNTED;
            first->before = true;
        }
        counts[item->standing]++;
    }
}

/* --- why --- */

static bool note_reason(void *context, const struct refusal *refusal)
{
    struct waiting *waiting = context;
    struct event_id id;
    if (!event_id_parse(refusal->event_id, &id))
        return true;
    bool merger = slice_equal(refusal->type, slice_of(event_type_name(EVENT_UNIT_MERGER)));
    struct identity_salt salt = identity_salt_of(merger ? EVENT_UNIT_MERGER : EVENT_HEADCOUNT_CHANGE, refusal->agency);
    struct identity identity = identity_of(id, &salt);
    bool conflict = slice_equal(refusal->reason, slice_of("conflict"));
    for (size_t i = 0; i < waiting->shown_count; i++) {
        struct shown *shown = &waiting->shown[i];
        const struct waited *item = &waiting->items[shown->number];
        if (!*shown->why && (item->standing == STANDING_CONFLICT) == conflict && memcmp(&item->identity, &identity, sizeof identity) == 0)
            snprintf(shown->why, sizeof shown->why, "%.*s: %.*s", SLICE_ARG(refusal->reason), SLICE_ARG(refusal->detail));
    }
    return true;
}

static int tell_refused(struct send *send, uint64_t refused, struct error *error)
{
    struct waiting *waiting = send->waiting;
    int result = 0;
    waiting->shown_count = 0;
    for (size_t i = 0; i < waiting->count && waiting->shown_count < PROBLEMS_SHOWN_MOST; i++)
        if (waiting->items[i].standing == STANDING_CONFLICT || waiting->items[i].standing == STANDING_NOWHERE)
            waiting->shown[waiting->shown_count++] = (struct shown){.number = i};
    for (uint32_t lane = 0; lane < SEEN_LANES && result >= 0; lane++)
        if (waiting->lane_events[lane] > 0)
            result = outcomes_refused(waiting->outcomes, lane, NULL, OUTCOMES_REFUSED_MOST, note_reason, waiting, error);
    report_clear(&send->report);
    for (size_t i = 0; i < waiting->shown_count; i++) {
        const struct waited *item = &waiting->items[waiting->shown[i].number];
        const char *otherwise = item->standing == STANDING_CONFLICT ? "conflict"
                                                                    : "dead_letter (`citytotals-consumer dead-letters list` has its reason)";
        report_note(&send->report, LOG_LEVEL_ERROR, "%s: line %" PRIu64 ": refused by the consumer: %s",
                    send->names[place_input(item->place)], place_line(item->place),
                    *waiting->shown[i].why ? waiting->shown[i].why : otherwise);
    }
    if (refused > waiting->shown_count)
        report_note(&send->report, LOG_LEVEL_ERROR, "and %" PRIu64 " more events refused by the consumer", refused - waiting->shown_count);
    return result;
}

int send_wait_settle(struct send *send, struct error *error)
{
    struct error late = {0};
    struct waiting *waiting = send->waiting;
    uint64_t counts[STANDINGS] = {0};
    size_t behind = 0;
    int result = sender_flush(send->sender, send->options.ack_timeout_ms, send->stop, error), waited = 0;
    if (result < 0)
        return result;
    waited = wait_until_folded(send, &behind, &late);
    if (waited < 0 && waited != -ERROR_TIMEOUT) {
        *error = late;
        return waited;
    }
    if ((result = make_table(waiting, error)) < 0 || (result = read_lanes(waiting, error)) < 0)
        return result;
    judge(waiting, counts);
    send->counted += counts[STANDING_COUNTED];
    send->counted_before += counts[STANDING_BEFORE];
    send->conflicts += counts[STANDING_CONFLICT];
    *(behind ? &send->not_folded : &send->dead_letters) += counts[STANDING_NOWHERE];
    if (behind) { /* what stands nowhere may still come */
        *error = late;
        return waited;
    }
    uint64_t refused = counts[STANDING_CONFLICT] + counts[STANDING_NOWHERE];
    return refused ? tell_refused(send, refused, error) : 0;
}
