/* The library's errors: a code, a sentence, and an event's faults. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "library/library.h"

#define CODE_TABLE(X)                       \
    X(CITYTOTALS_OK, "ok", 0)               \
    X(CITYTOTALS_MISUSE, "misuse", 0)       \
    X(CITYTOTALS_OPTION, "option", 0)       \
    X(CITYTOTALS_EVENT, "event", 0)         \
    X(CITYTOTALS_TIMEOUT, "timeout", 1)     \
    X(CITYTOTALS_KAFKA, "kafka", 1)         \
    X(CITYTOTALS_REGISTRY, "registry", 1)   \
    X(CITYTOTALS_REFUSED, "refused", 0)     \
    X(CITYTOTALS_MEMORY, "memory", 1)

static const struct {
    const char *name;
    int is_temporary;
} codes[] = {
#define X(code, name, is_temporary) [-(code)] = {name, is_temporary},
    CODE_TABLE(X)
#undef X
};

struct citytotals_error {
    int code;
    char text[ERROR_TEXT_SIZE];
    size_t fault_count;
    struct problem faults[];
};

/* What is given when there is no memory for an error. */
static struct citytotals_error no_memory = {.code = CITYTOTALS_MEMORY, .text = "out of memory"};

static struct citytotals_error *make(int code, size_t fault_count)
{
    struct citytotals_error *error = malloc(sizeof *error + fault_count * sizeof *error->faults);
    if (!error)
        return NULL;
    error->code = code;
    error->text[0] = '\0';
    error->fault_count = fault_count;
    return error;
}

int fail(struct citytotals_error **ret_error, int code, const char *format, ...)
{
    struct error cut = {0};
    char text[ERROR_TEXT_SIZE];
    if (!ret_error)
        return code;
    *ret_error = make(code, 0);
    if (!*ret_error) {
        *ret_error = &no_memory;
        return code;
    }
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    error_set(&cut, ERROR_IO, "%s", text); /* it ends with a whole character */
    memcpy((*ret_error)->text, cut.text, sizeof cut.text);
    return code;
}

int fail_event(struct citytotals_error **ret_error, const struct problems *problems)
{
    if (!ret_error)
        return CITYTOTALS_EVENT;
    size_t kept = problems_kept(problems);
    struct citytotals_error *error = make(CITYTOTALS_EVENT, kept);
    *ret_error = error ? error : &no_memory;
    if (!error)
        return CITYTOTALS_EVENT;
    memcpy(error->faults, problems->items, kept * sizeof *error->faults);
    const struct problem *first = &problems->items[0];
    if (first->column)
        snprintf(error->text, sizeof error->text, "the event is refused: column %u: %s", (unsigned)first->column, first->text);
    else if (problems->count > 1)
        snprintf(error->text, sizeof error->text, "the event is refused: %s; and %zu more", first->text, problems->count - 1);
    else
        snprintf(error->text, sizeof error->text, "the event is refused: %s", first->text);
    return CITYTOTALS_EVENT;
}

static int code_below(enum error_code code)
{
    switch (code) {
    case ERROR_USAGE:
    case ERROR_CONFIG:
        return CITYTOTALS_OPTION;
    case ERROR_INPUT:
        return CITYTOTALS_EVENT;
    case ERROR_MEMORY:
        return CITYTOTALS_MEMORY;
    case ERROR_REGISTRY:
        return CITYTOTALS_REGISTRY;
    case ERROR_REFUSED:
        return CITYTOTALS_REFUSED;
    case ERROR_TIMEOUT:
        return CITYTOTALS_TIMEOUT;
    default:
        return CITYTOTALS_KAFKA;
    }
}

int fail_below(struct citytotals_error **ret_error, int code, const struct error *error)
{
    return fail(ret_error, code ? code : code_below(error->code), "%s", error->text);
}

static bool is_code(int code)
{
    return code <= 0 && code > -(int)(sizeof codes / sizeof *codes);
}

const char *citytotals_code_name(int code)
{
    return is_code(code) ? codes[-code].name : "unknown";
}

const char *citytotals_version(void)
{
    return CITYTOTALS_VERSION;
}

int citytotals_error_code(const struct citytotals_error *error)
{
    return error ? error->code : CITYTOTALS_OK;
}

int citytotals_error_is_temporary(const struct citytotals_error *error)
{
    return error && codes[-error->code].is_temporary;
}

const char *citytotals_error_text(const struct citytotals_error *error)
{
    return error ? error->text : "";
}

size_t citytotals_error_fault_count(const struct citytotals_error *error)
{
    return error ? error->fault_count : 0;
}

const char *citytotals_error_fault_field(const struct citytotals_error *error, size_t index)
{
    return error && index < error->fault_count ? error->faults[index].field : "";
}

uint32_t citytotals_error_fault_column(const struct citytotals_error *error, size_t index)
{
    return error && index < error->fault_count ? error->faults[index].column : 0;
}

const char *citytotals_error_fault_text(const struct citytotals_error *error, size_t index)
{
    return error && index < error->fault_count ? error->faults[index].text : "";
}

void citytotals_error_free(struct citytotals_error *error)
{
    if (error != &no_memory)
        free(error);
}
