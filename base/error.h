/* Errors as values: a code, a class the caller can act on, and one wrapped sentence.
 *
 * A function that can fail takes a `struct error *` last and returns 0 or the negative code; its other outputs are
 * untouched on failure. The sentence says what was being done, where, what was found and what is allowed, outermost
 * first: `open agencies.csv: line 14: unknown sector "phong"; allowed: administrative, public_service, commune`.
 * Only main.c files print errors or exit. Passing NULL for the error is allowed. */
#ifndef CITYTOTALS_BASE_ERROR_H
#define CITYTOTALS_BASE_ERROR_H

enum error_class {
    ERROR_CLASS_RETRY, /* may succeed later without a change: wait and try again */
    ERROR_CLASS_SKIP,  /* this item is refused, the next may be fine */
    ERROR_CLASS_FATAL, /* will not succeed until somebody changes something */
};

/* code, class, exit status, name */
#define ERROR_TABLE(X)                                    \
    X(ERROR_USAGE, ERROR_CLASS_FATAL, 2, "usage")         \
    X(ERROR_CONFIG, ERROR_CLASS_FATAL, 2, "configuration") \
    X(ERROR_INPUT, ERROR_CLASS_SKIP, 3, "refused input")  \
    X(ERROR_IO, ERROR_CLASS_FATAL, 1, "input/output")     \
    X(ERROR_MEMORY, ERROR_CLASS_FATAL, 1, "out of memory") \
    X(ERROR_LIMIT, ERROR_CLASS_FATAL, 1, "limit reached") \
    X(ERROR_KAFKA, ERROR_CLASS_RETRY, 1, "kafka")         \
    X(ERROR_REDIS, ERROR_CLASS_RETRY, 1, "redis")         \
    X(ERROR_REGISTRY, ERROR_CLASS_RETRY, 1, "schema registry") \
    X(ERROR_REFUSED, ERROR_CLASS_FATAL, 1, "refused")     \
    X(ERROR_HALTED, ERROR_CLASS_FATAL, 1, "halted")       \
    X(ERROR_TIMEOUT, ERROR_CLASS_RETRY, 1, "time-out")    \
    X(ERROR_INTERRUPTED, ERROR_CLASS_FATAL, 1, "interrupted")

enum error_code {
    ERROR_NONE = 0,
#define X(code, class, exit_status, name) code,
    ERROR_TABLE(X)
#undef X
};

#define ERROR_TEXT_SIZE 1024

struct error {
    enum error_code code;
    enum error_class class;
    char text[ERROR_TEXT_SIZE]; /* always terminated; a longer sentence is cut at a character's start */
};

/* Set `error` (may be NULL) to a new sentence with the code's own class. Returns -code. */
int error_set(struct error *error, enum error_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same with a class of the caller's. */
int error_set_class(struct error *error, enum error_code code, enum error_class class, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Put "<format>: " before the sentence; code and class stay. Returns -error->code (-ERROR_IO for NULL). */
int error_wrap(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The process's exit status for a code: 0, 1, 2 or 3. */
int error_exit_status(enum error_code code);

/* The code's name in the table, for logs. */
const char *error_code_name(enum error_code code);

#endif
