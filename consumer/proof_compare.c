/* The proof's comparison: what each key must hold against what it held, field by field. */
#include <stdlib.h>

#include "base/clock.h"
#include "consumer/proof_internal.h"

enum { OUT_OF_WINDOW_AHEAD_MS = 5 * 60 * 1000, TEXTS_MOST = 1 << 30 };

struct expected {
    struct state_field *fields;
    size_t count, capacity;
    char **texts; /* owned numbers and names */
    size_t text_count, text_capacity;
    bool out_of_memory;
};

static const char *keep(struct expected *expected, const char *text)
{
    if (expected->text_count == expected->text_capacity) {
        size_t capacity = expected->text_capacity ? expected->text_capacity * 2 : 256;
        char **texts = realloc(expected->texts, capacity * sizeof *texts);
        if (!texts) {
            expected->out_of_memory = true;
            return "";
        }
        expected->texts = texts;
        expected->text_capacity = capacity;
    }
    char *copy = strdup(text);
    expected->out_of_memory = expected->out_of_memory || !copy;
    expected->texts[expected->text_count++] = copy;
    return copy ? copy : "";
}

static void expect_text(struct expected *expected, const char *field, const char *value)
{
    if (expected->count == expected->capacity) {
        size_t capacity = expected->capacity ? expected->capacity * 2 : 256;
        struct state_field *fields = realloc(expected->fields, capacity * sizeof *fields);
        if (!fields) {
            expected->out_of_memory = true;
            return;
        }
        expected->fields = fields;
        expected->capacity = capacity;
    }
    expected->fields[expected->count++] =
        (struct state_field){slice_of(keep(expected, field)), slice_of(keep(expected, value))};
}

static void expect(struct expected *expected, const char *field, int64_t number)
{
    char text[24];
    number_slice(text, number);
    expect_text(expected, field, text);
}

static void free_expected(struct expected *expected)
{
    for (size_t i = 0; i < expected->text_count; i++)
        free(expected->texts[i]);
    free(expected->texts);
    free(expected->fields);
    *expected = (struct expected){0};
}

static int by_field(const void *a, const void *b)
{
    const struct state_field *left = a, *right = b;
    size_t size = left->field.size < right->field.size ? left->field.size : right->field.size;
    int order = memcmp(left->field.data, right->field.data, size);
    return order ? order : (left->field.size > right->field.size) - (left->field.size < right->field.size);
}

/* Zero and absent are the same, and so are empty text and absent. */
static bool is_nothing(struct slice value)
{
    return !value.data || value.size == 0 || slice_equal(value, slice_of("0"));
}

typedef bool (*skip_fn)(const struct proof *proof, struct slice field);

static int compare_hash(struct proof *proof, const char *name, struct expected *expected, skip_fn skip, struct error *error)
{
    struct report *report = proof->options.report;
    const struct state_hash *found = proof_state_hash(proof->options.state, name);
    size_t count = found ? found->count : 0;
    struct state_field *fields = malloc((count + 1) * sizeof *fields);
    if (expected->out_of_memory || !fields) {
        free(fields);
        return error_set(error, ERROR_MEMORY, "out of memory while comparing %s", name);
    }
    if (found && found->fault.data)
        report_difference(report, name, slice_of(""), slice_of("a hash"), found->fault);
    if (count)
        memcpy(fields, found->fields, count * sizeof *fields);
    qsort(fields, count, sizeof *fields, by_field);
    if (expected->count)
        qsort(expected->fields, expected->count, sizeof *expected->fields, by_field);
    for (size_t i = 0, j = 0; i < expected->count || j < count;) {
        int order = i == expected->count ? 1 : j == count ? -1 : by_field(&expected->fields[i], &fields[j]);
        struct slice field = order <= 0 ? expected->fields[i].field : fields[j].field;
        struct slice wanted = order <= 0 ? expected->fields[i++].value : (struct slice){0};
        struct slice held = order >= 0 ? fields[j++].value : (struct slice){0};
        if (slice_equal(wanted, held) || (is_nothing(wanted) && is_nothing(held)) || (skip && skip(proof, field)))
            continue;
        report_difference(report, name, field, wanted, held);
    }
    free(fields);
    return 0;
}

static int64_t amount_of(const struct proof *proof, enum cell_hash hash, const char *field)
{
    size_t count;
    const struct cell *cells = cells_all(proof->cells, &count);
    for (size_t i = 0; i < count; i++)
        if (cells[i].hash == hash && strcmp(cells[i].field, field) == 0)
            return cells[i].amount;
    return 0;
}

static bool is_not_sampled(const struct proof *proof, struct slice field)
{
    for (size_t i = 0; i < proof->options.agency_count; i++)
        if (slice_equal(field, slice_of(proof->options.agencies[i])))
            return false;
    return proof->options.agency_count > 0;
}

static int compare_cells(struct proof *proof, enum cell_hash hash, skip_fn skip, struct error *error)
{
    struct expected expected = {0};
    size_t count;
    const struct cell *cells = cells_all(proof->cells, &count);
    for (size_t i = 0; i < count; i++)
        if (cells[i].hash == hash)
            expect(&expected, cells[i].field, cells[i].amount);
    int result = compare_hash(proof, cell_hash_suffix(hash), &expected, skip, error);
    free_expected(&expected);
    return result;
}

/* reduction × 100 / baseline with 4 decimals, half away from zero. */
static void percent(int64_t reduction, int64_t baseline, char text[64])
{
    text[0] = '\0';
    if (baseline <= 0)
        return;
    __extension__ typedef __int128 wide;
    wide amount = (wide)(reduction < 0 ? -reduction : reduction) * 1000000;
    wide scaled = amount / baseline;
    if ((amount - scaled * baseline) * 2 >= baseline)
        scaled++;
    snprintf(text, 64, "%s%" PRId64 ".%04d", reduction < 0 && scaled > 0 ? "-" : "", (int64_t)(scaled / 10000),
             (int)(scaled % 10000));
}

static void expect_units(const struct proof *proof, struct expected *totals)
{
    static const char *const measures[][2] = {{"change", "units_change"}, {"merged", "units_merged"}, {"mergers", "mergers"}};
    char from[64], to[64];
    for (int category = 0; category < CATEGORIES; category++) {
        const char *name = unit_category_name((enum unit_category)category);
        for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
            snprintf(from, sizeof from, "%s:%s", measures[i][0], name);
            snprintf(to, sizeof to, "%s:%s", measures[i][1], name);
            expect(totals, to, amount_of(proof, CELLS_UNITS, from));
        }
        snprintf(from, sizeof from, "baselines:%s", name);
        if (amount_of(proof, CELLS_UNITS, from) <= 0)
            continue;
        snprintf(from, sizeof from, "baseline:%s", name);
        snprintf(to, sizeof to, "units_baseline:%s", name);
        expect(totals, to, amount_of(proof, CELLS_UNITS, from));
    }
}

/* Where something of it can't be recomputed, `totals` is compared without these. */
static bool is_of_letters(const struct proof *proof, struct slice field)
{
    (void)proof;
    return slice_equal(field, slice_of("version")) || slice_equal(field, slice_of("dead_letters"));
}
static bool is_version(const struct proof *proof, struct slice field)
{
    (void)proof;
    return slice_equal(field, slice_of("version"));
}

static int compare_totals(struct proof *proof, int64_t visits, bool letters, struct error *error)
{
    struct expected totals = {0};
    size_t count;
    const struct cell *cells = cells_all(proof->cells, &count);
    int64_t pilots = 0;
    for (size_t i = 0; i < count; i++) {
        if (cells[i].hash == CELLS_TOTALS)
            expect(&totals, cells[i].field, cells[i].amount);
        pilots += cells[i].hash == CELLS_PILOTS && cells[i].amount > 0;
    }
    int64_t baseline = amount_of(proof, CELLS_TOTALS, "headcount_baseline");
    int64_t reduction = baseline - amount_of(proof, CELLS_TOTALS, "headcount_current");
    char text[64];
    expect(&totals, "headcount_reduction", reduction);
    percent(reduction, baseline, text);
    expect_text(&totals, "reduction_percent", text);
    expect(&totals, "pilots", pilots);
    expect(&totals, "visits", visits);
    expect_units(proof, &totals);
    if (proof->newest_ms != INT64_MIN)
        expect_text(&totals, "updated_at", timestamp_format(proof->newest_ms, text));
    int result = compare_hash(proof, "totals", &totals, letters ? is_version : is_of_letters, error);
    free_expected(&totals);
    int64_t version = 0;
    struct slice held = proof_state_value(proof->options.state, "totals", "version");
    if (held.data && (!proof_integer(held, &version) || version < 0))
        report_difference(proof->options.report, "totals", slice_of("version"), slice_of("a count"), held);
    return result;
}

/* Can this day's visits be recomputed? */
static bool day_is_provable(const struct proof *proof, const struct day_visits *day, int64_t number)
{
    if ((day && day->uncertain > 0) || number < proof->carried_before)
        return false;
    for (size_t i = 0; i < proof->partitions.count; i++) {
        const struct proof_part *part = &proof->parts[i];
        if (proof->partitions.items[i].type != EVENT_PAGE_VISIT || part->whole)
            continue;
        int64_t since = part->first_ms != INT64_MIN ? part->first_ms : part->has_last ? part->stored_last.newest_ms : INT64_MAX;
        if (since == INT64_MAX || number <= visits_city_day(since + OUT_OF_WINDOW_AHEAD_MS))
            return false;
    }
    return true;
}

static const struct day_visits *find_day(const struct proof *proof, int64_t number)
{
    size_t count;
    const struct day_visits *days = visits_days(proof->visits, &count);
    for (size_t i = 0; i < count; i++)
        if (days[i].day == number)
            return &days[i];
    return NULL;
}

static bool is_unprovable_day(const struct proof *proof, struct slice field)
{
    int32_t number;
    return date_parse(field, &number) && !day_is_provable(proof, find_day(proof, number), number);
}

/* The visits by day; *ret_visits is what `totals` must then say: what can't be proved is taken as it is. */
static int compare_days(struct proof *proof, int64_t *ret_visits, struct error *error)
{
    struct report *report = proof->options.report;
    struct expected expected = {0};
    size_t count;
    const struct day_visits *days = visits_days(proof->visits, &count);
    char text[DATE_TEXT_SIZE];
    int64_t visits = 0;
    for (size_t i = 0; i < count; i++) {
        expect(&expected, date_format(days[i].day, text), days[i].visits);
        if (day_is_provable(proof, &days[i], days[i].day))
            visits += days[i].visits;
        else if (days[i].uncertain > 0)
            report_unproved(report, "the visits of %s: %" PRId64 " page visits came with a Kafka time before others, when the "
                            "day may have been final", text, days[i].uncertain);
    }
    const struct state_hash *found = proof_state_hash(proof->options.state, "visits:by-day");
    int64_t carried = 0;
    int32_t last_carried = INT32_MIN;
    for (size_t i = 0; found && i < found->count; i++) {
        int32_t number;
        int64_t held;
        if (!date_parse(found->fields[i].field, &number) || day_is_provable(proof, find_day(proof, number), number) ||
            !proof_integer(found->fields[i].value, &held))
            continue;
        visits += held;
        if (find_day(proof, number) && find_day(proof, number)->uncertain > 0)
            continue;
        carried++;
        last_carried = number > last_carried ? number : last_carried;
    }
    if (carried > 0)
        report_unproved(report, "the visits of %" PRId64 " days, to %s: Kafka no longer has all of their page visits", carried,
                        date_format(last_carried, text));
    int result = compare_hash(proof, "visits:by-day", &expected, is_unprovable_day, error);
    free_expected(&expected);
    *ret_visits = visits;
    return result;
}

static struct slice hex(char text[40], const uint8_t bytes[16])
{
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return (struct slice){text, 32};
}

static int compare_visitors(struct proof *proof, const struct day_visits *day, const char *name, struct error *error)
{
    struct report *report = proof->options.report;
    const struct state_hash *found = proof_state_hash(proof->options.state, name);
    char field[40], wanted[24];
    size_t met = 0;
    bool *seen = calloc(day && day->size ? day->size : 1, sizeof *seen);
    if (!seen)
        return error_set(error, ERROR_MEMORY, "out of memory while comparing %s", name);
    if (found && found->fault.data)
        report_difference(report, name, slice_of(""), slice_of("a sorted set"), found->fault);
    for (size_t i = 0; found && i < found->count; i++) {
        struct slice member = found->fields[i].field, score = found->fields[i].value;
        const struct visitor *visitor =
            day && member.size == 16 ? day_visits_find(day, (const uint8_t *)member.data) : NULL;
        if (!visitor) {
            report_difference(report, name, member.size == 16 ? hex(field, (const uint8_t *)member.data) : member,
                              (struct slice){0}, score);
            continue;
        }
        seen[visitor - day->visitors] = true;
        met++;
        if (!slice_equal(number_slice(wanted, visitor->latest_ms), score))
            report_difference(report, name, hex(field, visitor->bytes), number_slice(wanted, visitor->latest_ms), score);
    }
    for (size_t i = 0; day && met < day->count && i < day->size; i++)
        if (day->visitors[i].latest_ms != INT64_MIN && !seen[i])
            report_difference(report, name, hex(field, day->visitors[i].bytes),
                              number_slice(wanted, day->visitors[i].latest_ms), (struct slice){0});
    free(seen);
    return 0;
}

/* The sets of visitors: of the days that are open, member by member; of the others, that there is none. */
static int compare_sets(struct proof *proof, struct error *error)
{
    const struct proof_state *state = proof->options.state;
    size_t count;
    const struct day_visits *days = visits_days(proof->visits, &count);
    char name[64], text[DATE_TEXT_SIZE];
    int result = 0;
    for (size_t i = 0; i < count && result >= 0; i++) {
        if (days[i].day <= proof->visitors_closed || !day_is_provable(proof, &days[i], days[i].day))
            continue;
        snprintf(name, sizeof name, "visitors:%s", date_format(days[i].day, text));
        result = compare_visitors(proof, &days[i], name, error);
    }
    for (size_t i = 0; i < state->count && result >= 0; i++) {
        struct slice key = state->hashes[i].name;
        int32_t number;
        if (key.size <= 9 || memcmp(key.data, "visitors:", 9) != 0 ||
            !date_parse((struct slice){key.data + 9, key.size - 9}, &number))
            continue;
        snprintf(name, sizeof name, "%.*s", SLICE_ARG(key));
        if (number <= proof->visitors_closed)
            report_difference(proof->options.report, name, slice_of(""), (struct slice){0},
                              slice_of("a set, though the day is final"));
        else if (!find_day(proof, number) && day_is_provable(proof, NULL, number))
            result = compare_visitors(proof, NULL, name, error);
    }
    return result;
}

static void compare_partition(struct proof *proof, const struct partition *partition, const struct proof_part *part)
{
    struct report *report = proof->options.report;
    struct slice field = slice_of(partition->field);
    struct slice offset = proof_state_value(proof->options.state, "offsets", partition->field);
    struct slice last = proof_state_value(proof->options.state, "last", partition->field);
    char text[LAST_RECORD_TEXT_SIZE], sentence[96];
    if (offset.data && !part->has_offset)
        report_difference(report, "offsets", field, slice_of("an offset"), offset);
    if (part->stored_offset < part->base_offset) {
        snprintf(sentence, sizeof sentence, "%" PRId64 " or more, where the snapshot stands", part->base_offset);
        report_difference(report, "offsets", field, slice_of(sentence), offset);
        return;
    }
    if (part->has_offset && part->stored_offset > part->high) {
        snprintf(sentence, sizeof sentence, "at most %" PRId64 ", the end of the log", part->high);
        report_difference(report, "offsets", field, slice_of(sentence), offset);
    }
    if (last.data && !part->has_last) {
        report_difference(report, "last", field, slice_of("offset, timestamp, checksum, newest timestamp"), last);
        return;
    }
    const struct last_record *log = &part->log_last;
    struct last_record stored = part->has_last ? part->stored_last : LAST_RECORD_NONE;
    if (part->has_last && stored.offset >= part->stored_offset) {
        snprintf(sentence, sizeof sentence, "%" PRId64 " or more, past the last record folded", stored.offset + 1);
        report_difference(report, "offsets", field, slice_of(sentence), offset);
        return;
    }
    if (log->offset < 0) { /* nothing was read: there was nothing, or the log has lost it, or a gap ends there */
        if (part->whole && part->gap_count == 0 && stored.offset >= 0)
            report_difference(report, "last", field, (struct slice){0}, last);
        return;
    }
    bool newest = part->whole ? stored.newest_ms == log->newest_ms : stored.newest_ms >= log->newest_ms;
    if (stored.offset == log->offset && part->last_equal && newest)
        return;
    if (stored.offset >= 0 && stored.offset < log->offset && part->last_met && part->last_equal) {
        snprintf(sentence, sizeof sentence, "at most %" PRId64 ", the record after the last one folded", log->offset);
        report_difference(report, "offsets", field, slice_of(sentence), offset);
        return;
    }
    if (stored.offset < 0 && part->gap_count > 0 && part->gaps[part->gap_count - 1].to == part->stored_offset)
        return; /* a gap was accepted, and nothing was folded since */
    report_difference(report, "last", field, slice_of(last_record_format(log, text)), last);
}

static void compare_partitions(struct proof *proof)
{
    static const char *const names[] = {"offsets", "last"};
    for (size_t i = 0; i < proof->partitions.count; i++)
        compare_partition(proof, &proof->partitions.items[i], &proof->parts[i]);
    for (int which = 0; which < 2; which++) {
        const struct state_hash *hash = proof_state_hash(proof->options.state, names[which]);
        if (hash && hash->fault.data)
            report_difference(proof->options.report, names[which], slice_of(""), slice_of("a hash"), hash->fault);
        for (size_t i = 0; hash && i < hash->count; i++) {
            bool known = false;
            for (size_t j = 0; j < proof->partitions.count && !known; j++)
                known = slice_equal(hash->fields[i].field, slice_of(proof->partitions.items[j].field));
            if (!known)
                report_difference(proof->options.report, names[which], hash->fields[i].field, (struct slice){0},
                                  hash->fields[i].value);
        }
    }
}

static void compare_lanes(struct proof *proof)
{
    const struct proof_state *state = proof->options.state;
    for (uint32_t lane = 0; lane < SEEN_LANES; lane++) {
        char name[16], text[32];
        snprintf(name, sizeof name, "seen:%" PRIu32, lane);
        if (state->lane_fault[lane].data)
            report_difference(proof->options.report, name, slice_of(""), slice_of("a string"), state->lane_fault[lane]);
        else if (state->lane_bytes[lane] % SEEN_RECORD_SIZE != 0) {
            snprintf(text, sizeof text, "%" PRId64 " bytes", state->lane_bytes[lane]);
            report_difference(proof->options.report, name, slice_of("length"), slice_of("a multiple of 24 bytes"), slice_of(text));
        }
    }
}

/* Kafka no longer has all page visits, so some dead letters can't be told any more; but there were at least these. */
static void compare_letters_at_least(struct proof *proof)
{
    report_unproved(proof->options.report, "the number of dead letters: Kafka no longer has all page visits");
    size_t count;
    const struct cell *cells = cells_all(proof->cells, &count);
    for (size_t i = 0; i < count; i++) {
        bool total = cells[i].hash == CELLS_TOTALS && strcmp(cells[i].field, "dead_letters") == 0;
        if (!total && cells[i].hash != CELLS_DEAD_LETTERS)
            continue;
        const char *name = cell_hash_suffix(cells[i].hash);
        struct slice held = proof_state_value(proof->options.state, name, cells[i].field);
        char text[48];
        int64_t number = 0;
        snprintf(text, sizeof text, "at least %" PRId64, cells[i].amount);
        if ((held.data && !proof_integer(held, &number)) || number < cells[i].amount)
            report_difference(proof->options.report, name, slice_of(cells[i].field), slice_of(text), held);
    }
}

int proof_compare(struct proof *proof, bool whole, bool visits_whole, struct error *error)
{
    static const enum cell_hash hashes[] = {CELLS_HEADCOUNT_BASELINE, CELLS_HEADCOUNT_CURRENT, CELLS_HEADCOUNT_BY_DAY,
                                            CELLS_UNITS, CELLS_UNITS_BY_DAY, CELLS_PILOTS, CELLS_PILOTS_BY_DAY};
    bool sampled = proof->options.agency_count > 0, letters = whole && visits_whole;
    size_t count = sampled ? 2 : sizeof hashes / sizeof *hashes;
    int64_t visits = 0;
    int result = 0;
    compare_lanes(proof);
    for (size_t i = 0; whole && i < count && result >= 0; i++)
        result = compare_cells(proof, hashes[i], sampled ? is_not_sampled : NULL, error);
    if (sampled || result < 0)
        return result;
    compare_partitions(proof);
    if ((result = compare_days(proof, &visits, error)) < 0 || (result = compare_sets(proof, error)) < 0)
        return result;
    if (letters)
        result = compare_cells(proof, CELLS_DEAD_LETTERS, NULL, error);
    else if (whole)
        compare_letters_at_least(proof);
    if (whole && result >= 0)
        result = compare_totals(proof, visits, letters, error);
    return result;
}
