/* What the library's files share. */
#ifndef CITYTOTALS_LIBRARY_LIBRARY_H
#define CITYTOTALS_LIBRARY_LIBRARY_H

#include <stdatomic.h>

#include "base/settings.h"
#include "library/citytotals.h"
#include "producer/field.h"
#include "producer/problem.h"
#include "producer/text.h"
#include "schemas/registry.h"

/* error.c. Each puts an error into *ret_error (may be NULL) and returns its code. */
int fail(struct citytotals_error **ret_error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int fail_event(struct citytotals_error **ret_error, const struct problems *problems);
/* An error of the layers below; `code` 0: by its own code. */
int fail_below(struct citytotals_error **ret_error, int code, const struct error *error);
static inline void no_error(struct citytotals_error **ret_error)
{
    if (ret_error)
        *ret_error = NULL;
}

/* options.c */
struct library_options {
    struct common_options common; /* first: of the common settings only brokers, properties and city */
    const char *source, *client_id;
    int64_t queue_events, queue_bytes, linger_ms, ack_timeout_ms;
    struct registry_options registry;
    int registration;
    bool check_only;
};
extern const struct command library_command;

struct citytotals_options {
    atomic_size_t owners; /* whoever made it, and its clients */
    atomic_bool in_use;   /* by a client: nothing is changed any more */
    struct settings *settings;
    struct library_options values;
    citytotals_delivery_fn on_delivery;
    void *delivery_context;
    citytotals_log_fn on_log;
    void *log_context;
};
/* One owner more, when it is complete: CITYTOTALS_OPTION. */
int options_take(struct citytotals_options *options, struct citytotals_error **ret_error);

/* event.c */
struct citytotals_event {
    struct fields fields;
    struct unit_storage units;
    size_t used; /* of `texts` */
    char texts[LINE_MOST];
};

#endif
