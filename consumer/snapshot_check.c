/* Judges a snapshot as a whole, before anything of it is used. */
#include "consumer/snapshot_check.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/settings.h"
#include "schemas/codec.h"
#include "schemas/identity.h"

static const char *const hashes[] = {
    "totals", "headcount:baseline", "headcount:current", "headcount:by-day", "units", "units:by-day", "pilots", "pilots:by-day",
    "visits:by-day", "dead-letters", "offsets", "last", "gaps", "meta", "schemas", "replayed",
};

struct check {
    struct snapshot_head head;
    int64_t lane_bytes, totals_events, totals_version;
};

void snapshot_head_text(const struct snapshot_head *head, struct slice layout, struct buffer *out)
{
    buffer_printf(out, "city %s\nlayout %.*s\ncluster %s\nepoch %s\nversion %" PRId64 "\nevents %" PRId64 "\nsaved_at %s\n", head->city,
                  SLICE_ARG(layout), head->cluster, head->epoch, head->version, head->events, head->saved_at);
    if (head->updated_at[0])
        buffer_printf(out, "updated_at %s\n", head->updated_at);
    for (int type = 0; type < EVENT_TYPES; type++)
        buffer_printf(out, "schema:%s %016" PRIx64 "\n", event_topic_suffix((enum event_type)type),
                      schema_fingerprint((enum record_type)type));
    buffer_printf(out, "program %s\n", CITYTOTALS_VERSION);
}

static bool take_number(struct slice text, int64_t *ret_number)
{
    int64_t number = 0;
    if (!text.data || text.size == 0 || text.size > 18)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *ret_number = number;
    return true;
}

/* Printable ASCII only: it is shown. */
static bool take_word(struct slice head, const char *name, char *to, size_t size)
{
    struct slice value = snapshot_head_value(head, name);
    if (!value.data || value.size >= size)
        return false;
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] < ' ' || value.data[i] > '~')
            return false;
    memcpy(to, value.data, value.size);
    to[value.size] = '\0';
    return true;
}

static int check_schemas(struct slice text, struct error *error)
{
    for (int type = 0; type < EVENT_TYPES; type++) {
        char name[64], wanted[24], found[24] = "";
        snprintf(name, sizeof name, "schema:%s", event_topic_suffix((enum event_type)type));
        snprintf(wanted, sizeof wanted, "%016" PRIx64, schema_fingerprint((enum record_type)type));
        if (!take_word(text, name, found, sizeof found) || strcmp(wanted, found) != 0)
            return error_set(error, ERROR_REFUSED,
                             "the snapshot was saved under another schema of %s (fingerprint %s, here %s): load it with the "
                             "version that saved it, then go on with this one",
                             event_topic_suffix((enum event_type)type), found[0] ? found : "missing", wanted);
    }
    return 0;
}

static int check_head(struct check *check, struct slice text, struct error *error)
{
    struct snapshot_head *head = &check->head;
    char layout[SNAPSHOT_TEXT_SIZE] = "";
    if (!take_word(text, "layout", layout, sizeof layout) || strcmp(layout, REDIS_LAYOUT) != 0)
        return error_set(error, ERROR_REFUSED, "the snapshot holds a state of layout \"%s\"; this program reads layout " REDIS_LAYOUT,
                         layout);
    if (!take_word(text, "city", head->city, sizeof head->city) || !city_is_valid(slice_of(head->city)) ||
        !take_word(text, "cluster", head->cluster, sizeof head->cluster) || !take_word(text, "epoch", head->epoch, sizeof head->epoch) ||
        !take_word(text, "saved_at", head->saved_at, sizeof head->saved_at) ||
        !take_number(snapshot_head_value(text, "version"), &head->version) ||
        !take_number(snapshot_head_value(text, "events"), &head->events))
        return error_set(error, ERROR_REFUSED, "the snapshot's head does not say whose state it holds");
    take_word(text, "updated_at", head->updated_at, sizeof head->updated_at);
    return check_schemas(text, error);
}

static int strange(const struct snapshot_block *block, struct error *error)
{
    return error_set(error, ERROR_REFUSED, "the snapshot holds a key \"%.*s\" that no state has", SLICE_ARG(block->name));
}

static bool is_stream(struct slice name)
{
    char text[32];
    for (unsigned lane = 0; lane < SEEN_LANES; lane++) {
        snprintf(text, sizeof text, "refused:%u", lane);
        if (slice_equal(name, slice_of(text)))
            return true;
    }
    return slice_equal(name, slice_of("changes"));
}

static int check_hash(struct check *check, const struct snapshot_block *block, struct error *error)
{
    bool known = false;
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        known = known || slice_equal(block->name, slice_of(hashes[i]));
    if (!known)
        return strange(block, error);
    struct slice rest = block->bytes, field, value;
    bool sound = true;
    while (slice_equal(block->name, slice_of("totals")) && snapshot_pair(&rest, &field, &value)) {
        if (slice_equal(field, slice_of("events")))
            sound = sound && take_number(value, &check->totals_events);
        else if (slice_equal(field, slice_of("version")))
            sound = sound && take_number(value, &check->totals_version);
    }
    return sound ? 0 : error_set(error, ERROR_REFUSED, "the snapshot's totals hold a version or a number of events that is none");
}

static int check_block(struct check *check, const struct snapshot_block *block, struct error *error)
{
    int32_t day;
    switch (block->kind) {
    case SNAPSHOT_HEAD:
        return check_head(check, block->bytes, error);
    case SNAPSHOT_HASH:
        return check_hash(check, block, error);
    case SNAPSHOT_LANE:
        check->lane_bytes += (int64_t)block->bytes.size;
        return 0;
    case SNAPSHOT_VISITORS:
        check->head.visitors += (int64_t)(block->bytes.size / SNAPSHOT_VISITOR_SIZE);
        return date_parse(block->name, &day) ? 0 : error_set(error, ERROR_REFUSED, "the snapshot holds visitors of a day that is none");
    case SNAPSHOT_ENTRY:
        check->head.entries++;
        return is_stream(block->name) ? 0 : strange(block, error);
    case SNAPSHOT_STRING:
        return slice_equal(block->name, slice_of("repeats")) ? 0 : strange(block, error);
    case SNAPSHOT_END:
        break;
    }
    if (check->totals_events != check->head.events || check->totals_version != check->head.version ||
        check->lane_bytes != check->head.events * SEEN_RECORD_SIZE)
        return error_set(error, ERROR_REFUSED,
                         "the snapshot's parts do not belong together: its head tells of %" PRId64 " events, its totals of %" PRId64
                         ", and its lanes hold %" PRId64 " bytes of %d an event",
                         check->head.events, check->totals_events, check->lane_bytes, SEEN_RECORD_SIZE);
    return 0;
}

int snapshot_check(struct snapshot_reader *reader, struct snapshot_head *ret_head, struct error *error)
{
    struct check check = {0};
    struct snapshot_block block = {.kind = SNAPSHOT_HEAD};
    int result = snapshot_rewind(reader, error);
    while (result >= 0) {
        if ((result = snapshot_next(reader, &block, error)) < 0 || (result = check_block(&check, &block, error)) < 0)
            return result;
        if (block.kind == SNAPSHOT_END)
            break;
    }
    if (result >= 0)
        *ret_head = check.head;
    return result;
}
