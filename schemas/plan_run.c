/* Runs a decoding plan: one bounded walk over the bytes that checks and decodes. No allocation, no recursion. */
#include "schemas/codec_internal.h"

/* Up to 10 bytes, padding allowed; false when cut off or beyond 64 bits. */
static inline bool varint(const uint8_t **at, const uint8_t *end, int64_t *ret_value)
{
    const uint8_t *p = *at;
    if (p < end && *p < 0x80) {
        *ret_value = (int64_t)(*p >> 1) ^ -(int64_t)(*p & 1);
        *at = p + 1;
        return true;
    }
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (p == end)
            return false;
        uint8_t byte = *p++;
        if (shift == 63 && (byte & 0x7E))
            return false;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *ret_value = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
            *at = p;
            return true;
        }
    }
    return false;
}

struct list {
    int64_t items;             /* left in this block */
    const uint8_t *block_end;  /* where the block's size says that it ends; NULL = not said */
    uint8_t number;            /* LIST_MERGED, LIST_RESULTING or 0 */
};

/* Reads a block's head. 1 items follow, 0 the list ends, -1 wrong. Items without bytes are taken as one. */
static int block(const uint8_t **at, const uint8_t *end, struct list *list, bool items_are_empty)
{
    int64_t items, size;
    if (!varint(at, end, &items))
        return -1;
    list->block_end = NULL;
    if (items == 0)
        return 0;
    if (items < 0) {
        if (items == INT64_MIN || !varint(at, end, &size) || size < 0 || size > end - *at)
            return -1;
        items = -items;
        list->block_end = *at + size;
    }
    if (items_are_empty)
        items = 1;
    else if (items > end - *at) /* each takes at least a byte */
        return -1;
    list->items = items;
    return 1;
}

/* How much of an event such a record fills. */
static size_t event_size(enum record_type reader)
{
    static const size_t sizes[] = {
        [EVENT_HEADCOUNT_CHANGE] = offsetof(struct event, headcount.delta) + sizeof(int32_t),
        [EVENT_UNIT_MERGER] = sizeof(struct event),
        [EVENT_PAGE_VISIT] = sizeof(struct event),
    };
    return sizes[reader];
}

enum dead_letter_reason decode_plan_run(const struct decode_plan *plan, const uint8_t *data, size_t size,
                                        struct event *ret_event, struct unit_storage *storage,
                                        struct decode_failure *ret_failure)
{
    const uint8_t *at = data, *end = data + size;
    const struct step *step = plan->steps;
    struct list lists[LISTS_OPEN_MOST];
    const struct step *returns[CALLS_DEEP_MOST];
    int deep = 0, calls = 0;
    enum dead_letter_reason reason = LETTER_BAD_ENCODING;
    struct unit spare;
    char *place = (char *)ret_event; /* what the steps write into: the event, or a unit of a list */
    const char *what;
    int64_t value;
    static const void *const usual[] = {
        [OP_SKIP_VARINT] = &&again,
        [OP_SKIP_INT] = &&again,
        [OP_LONG] = &&at_long,
        [OP_INT_AS_LONG] = &&again,
        [OP_INT] = &&at_int,
        [OP_ENUM] = &&at_enum,
        [OP_SKIP_BYTES] = &&again,
        [OP_TEXT] = &&at_text,
        [OP_SKIP_FIXED] = &&again,
        [OP_FIXED] = &&at_fixed,
        [OP_BOOLEAN] = &&again,
        [OP_SET] = &&at_set,
        [OP_UNION] = &&at_union,
        [OP_JUMP] = &&at_jump,
        [OP_FAIL] = &&again,
        [OP_LIST] = &&again,
        [OP_NEXT] = &&again,
        [OP_CALL] = &&again,
        [OP_RETURN] = &&again,
        [OP_END] = &&again};

    memset(ret_event, 0, event_size(plan->reader)); /* of a size not known here, or the compiler clears it by a slow instruction */
    ret_event->type = (enum event_type)plan->reader;
#define WRONG(text)  \
    do {             \
        what = text; \
        goto wrong;  \
    } while (0)
/* The bytes are sound, but this part of the writer's schema does not resolve to ours. */
#define NOT_OURS(text)                  \
    do {                                \
        reason = LETTER_UNKNOWN_SCHEMA; \
        WRONG(text);                    \
    } while (0)
#define NUMBER                          \
    if (!varint(&at, end, &value))      \
    WRONG("a number is cut off or too long")
/* The usual steps go on by a jump of their own, so that the processor foretells each from the one before. */
#define NEXT goto *usual[(++step)->op]
    for (;; step++) {
    again:
        switch ((enum op)step->op) {
        case OP_SKIP_VARINT:
            NUMBER;
            if (step->limit && (value < 0 || value >= (int64_t)step->limit))
                WRONG("enum index out of range");
            break;
        case OP_SKIP_INT:
            NUMBER;
            if (value < INT32_MIN || value > INT32_MAX)
                WRONG("int out of range");
            break;
        case OP_LONG:
        at_long:
            NUMBER;
            memcpy(place + step->at, &value, sizeof value);
            NEXT;
        case OP_INT_AS_LONG:
            NUMBER;
            if (value < INT32_MIN || value > INT32_MAX)
                WRONG("int out of range");
            memcpy(place + step->at, &value, sizeof value);
            break;
        case OP_INT:
        at_int: {
            NUMBER;
            if (value < INT32_MIN || value > INT32_MAX)
                WRONG("int out of range");
            int32_t small = (int32_t)value;
            memcpy(place + step->at, &small, sizeof small);
            NEXT;
        }
        case OP_ENUM:
        at_enum: {
            NUMBER;
            if (value < 0 || value >= (int64_t)step->limit)
                WRONG("enum index out of range");
            int32_t ours = plan->numbers[step->target + (size_t)value];
            if (ours < 0)
                NOT_OURS("an enum symbol that is not ours");
            memcpy(place + step->at, &ours, sizeof ours);
            NEXT;
        }
        case OP_SKIP_BYTES:
            NUMBER;
            if (value < 0 || value > end - at)
                WRONG("a length beyond the end");
            at += value;
            break;
        case OP_TEXT:
        at_text: {
            NUMBER;
            if (value < 0 || value > end - at)
                WRONG("a length beyond the end");
            struct slice text = {(const char *)at, (size_t)value};
            memcpy(place + step->at, &text, sizeof text);
            at += value;
            NEXT;
        }
        case OP_SKIP_FIXED:
            if ((int64_t)step->limit > end - at)
                WRONG("cut off");
            at += step->limit;
            break;
        case OP_FIXED:
        at_fixed:
            if ((int64_t)step->limit > end - at)
                WRONG("cut off");
            memcpy(place + step->at, at, 16);
            at += step->limit;
            NEXT;
        case OP_BOOLEAN:
            if (at == end || *at > 1)
                WRONG("a boolean that is neither 0 nor 1");
            at++;
            break;
        case OP_SET:
        at_set:
            *(bool *)(void *)(place + step->at) = true;
            NEXT;
        case OP_UNION:
        at_union:
            NUMBER;
            if (value < 0 || value >= (int64_t)step->limit)
                WRONG("union index out of range");
            step = &plan->steps[plan->numbers[step->target + (size_t)value]] - 1;
            NEXT;
        case OP_JUMP:
        at_jump:
            step = &plan->steps[step->target] - 1;
            NEXT;
        case OP_FAIL:
            NOT_OURS("a union branch that our schema has no place for");
        case OP_LIST: {
            if (deep == LISTS_OPEN_MOST)
                WRONG("lists in lists nested too deeply");
            struct list *list = &lists[deep];
            list->number = (uint8_t)step->at;
            if (list->number == LIST_MERGED)
                ret_event->merger.merged_units = storage->merged;
            if (list->number == LIST_RESULTING)
                ret_event->merger.resulting_units = storage->resulting;
            int more = block(&at, end, list, step->limit);
            if (more < 0)
                WRONG("a list's block is wrong");
            if (more == 0) {
                step = &plan->steps[step->target] - 1;
                break;
            }
            deep++;
            if (list->number)
                place = memset(list->number == LIST_MERGED ? &storage->merged[0] : &storage->resulting[0], 0, sizeof spare);
            break;
        }
        case OP_NEXT: {
            struct list *list = &lists[deep - 1];
            uint32_t *count = list->number == LIST_MERGED      ? &ret_event->merger.merged_count
                              : list->number == LIST_RESULTING ? &ret_event->merger.resulting_count
                                                               : NULL;
            if (count)
                ++*count;
            if (--list->items == 0) {
                if (list->block_end && at != list->block_end)
                    WRONG("a list's block is not as long as it says");
                int more = block(&at, end, list, step->limit);
                if (more < 0)
                    WRONG("a list's block is wrong");
                if (more == 0) {
                    deep--;
                    if (count)
                        place = (char *)ret_event;
                    break;
                }
            }
            if (count) {
                struct unit *units = list->number == LIST_MERGED ? storage->merged : storage->resulting;
                place = memset(*count < UNIT_LIST_MOST ? &units[*count] : &spare, 0, sizeof spare);
            }
            step = &plan->steps[step->target] - 1;
            break;
        }
        case OP_CALL:
            if (calls == CALLS_DEEP_MOST)
                WRONG("records in records nested too deeply");
            returns[calls++] = step;
            step = &plan->steps[step->target] - 1;
            break;
        case OP_RETURN:
            step = returns[--calls];
            break;
        case OP_END:
            if (at == end)
                return LETTER_NONE;
            if (ret_failure)
                *ret_failure = (struct decode_failure){(size_t)(at - data), "", "bytes after the record", false};
            return LETTER_TRAILING_BYTES;
        }
    }
wrong:
    if (ret_failure)
        *ret_failure = (struct decode_failure){(size_t)(at - data), step->field ? step->field : "", what, false};
    return reason;
#undef WRONG
#undef NOT_OURS
#undef NUMBER
#undef NEXT
}
