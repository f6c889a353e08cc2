/* Two bits a record, and a list of reasons. */
#include "producer/marks.h"

#include <stdint.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 4096, FIRST_REASONS = 64 };

void marks_reset(struct marks *marks, uint64_t base)
{
    if (marks->pairs)
        memset(marks->pairs, 0, marks->capacity);
    marks->base = base;
    marks->reason_count = 0;
    marks->unsorted = false;
}

void marks_free(struct marks *marks)
{
    free(marks->pairs);
    free(marks->reasons);
    *marks = (struct marks){0};
}

int marks_set(struct marks *marks, uint64_t ordinal, enum mark mark, struct error *error)
{
    uint64_t place = ordinal - marks->base;
    if (place / 4 >= marks->capacity) {
        size_t capacity = marks->capacity ? marks->capacity : FIRST_CAPACITY;
        while (place / 4 >= capacity)
            capacity *= 2;
        uint8_t *pairs = realloc(marks->pairs, capacity);
        if (!pairs)
            return error_set(error, ERROR_MEMORY, "out of memory");
        memset(pairs + marks->capacity, 0, capacity - marks->capacity);
        marks->pairs = pairs;
        marks->capacity = capacity;
    }
    unsigned shift = place % 4 * 2;
    marks->pairs[place / 4] = (uint8_t)((marks->pairs[place / 4] & ~(3u << shift)) | (unsigned)mark << shift);
    return 0;
}

enum mark marks_get(const struct marks *marks, uint64_t ordinal)
{
    uint64_t place = ordinal - marks->base;
    return place / 4 < marks->capacity ? (enum mark)(marks->pairs[place / 4] >> place % 4 * 2 & 3) : MARK_SEND;
}

int marks_add_reason(struct marks *marks, struct reason reason, struct error *error)
{
    if (marks->reason_count == REASONS_MOST)
        return error_set(error, ERROR_LIMIT, "it has over a million conflicts; that is no file of events");
    if (marks->reason_count == marks->reason_capacity) {
        size_t capacity = marks->reason_capacity ? marks->reason_capacity * 2 : FIRST_REASONS;
        struct reason *reasons = realloc(marks->reasons, capacity * sizeof *reasons);
        if (!reasons)
            return error_set(error, ERROR_MEMORY, "out of memory");
        marks->reasons = reasons;
        marks->reason_capacity = capacity;
    }
    if (marks->reason_count && marks->reasons[marks->reason_count - 1].ordinal > reason.ordinal)
        marks->unsorted = true; /* an earlier record, refused late */
    marks->reasons[marks->reason_count++] = reason;
    return 0;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = ((const struct reason *)left)->ordinal, b = ((const struct reason *)right)->ordinal;
    return a < b ? -1 : a > b;
}

const struct reason *marks_reason(struct marks *marks, uint64_t ordinal)
{
    if (marks->reason_count == 0)
        return NULL;
    if (marks->unsorted)
        qsort(marks->reasons, marks->reason_count, sizeof *marks->reasons, compare);
    marks->unsorted = false;
    const struct reason key = {.ordinal = ordinal};
    return bsearch(&key, marks->reasons, marks->reason_count, sizeof *marks->reasons, compare);
}

void reason_say(const struct reason *reason, const char *place, struct problems *ret_problems)
{
    ret_problems->count = 0;
    switch (reason->kind) {
    case REASON_CONFLICT:
        problem_add(ret_problems, "id", 0,
                    "id is that of %s %" PRIu64 ", which says something else; allowed: one meaning for an id (a repeat may only "
                    "differ in occurred_at; a mistake is put right by a reversal)",
                    place, reason->other_line);
        break;
    case REASON_DOUBLE_REVERSAL:
    case REASON_REVERSED_LATER:
        problem_add(ret_problems, "reverses_event_id", 0,
                    "it reverses %s %" PRIu64 ", which is a reversal itself; allowed: reversals of events only (send the event "
                    "again with a new id)",
                    place, reason->other_line);
        break;
    }
}
