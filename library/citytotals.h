/* libcitytotals: checks events and sends them to a city's topics in Kafka. libcitytotals(3) tells of it at length.
 *
 * - Every call may come from any thread, but for those that free what they are given: after them nothing of it is used.
 *   Options, events and errors are each used by one thread at a time.
 * - Nothing is kept in the process but in what these calls return; nothing is printed, no signal is touched, nothing ends the
 *   process. After fork() only the parent goes on using what it has.
 * - A call that can fail returns CITYTOTALS_OK (0) or a negative code. Its last argument may be NULL; else it is given NULL,
 *   or on failure an error that you free. Other outputs are untouched on failure.
 * - Text is UTF-8 and ends with a zero, but where a size is given beside it. What is given is copied. */
#ifndef CITYTOTALS_H
#define CITYTOTALS_H

#include <stddef.h>
#include <stdint.h>

#define CITYTOTALS_VERSION_MAJOR 0
#define CITYTOTALS_VERSION_MINOR 1
#define CITYTOTALS_VERSION_PATCH 0

#define CITYTOTALS_EVENT_ID_SIZE 37 /* a UUID's 36 characters and a zero */
#define CITYTOTALS_WAIT_MOST 3600000 /* ms: the longest that a call can be told to wait */

#if defined(__GNUC__)
#define CITYTOTALS_API __attribute__((visibility("default")))
#else
#define CITYTOTALS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum citytotals_code {
    CITYTOTALS_OK = 0,
    CITYTOTALS_MISUSE = -1,   /* the call is not as this page wants it: a NULL, or it comes from a delivery callback */
    CITYTOTALS_OPTION = -2,   /* an option's name or value, or a file of them */
    CITYTOTALS_EVENT = -3,    /* the event is refused; the error has every fault with its field */
    CITYTOTALS_TIMEOUT = -4,  /* not within the time given; a submitted event was not queued. Later it may be */
    CITYTOTALS_KAFKA = -5,    /* Kafka is away, lacks a topic, or did not acknowledge; later it may */
    CITYTOTALS_REGISTRY = -6, /* the schema registry could not be asked; later it may */
    CITYTOTALS_REFUSED = -7,  /* Kafka or the registry refuses for good; somebody has to change something first */
    CITYTOTALS_MEMORY = -8    /* out of memory */
};
/* "timeout"; "unknown" for a number that is none of them. Static. */
CITYTOTALS_API const char *citytotals_code_name(int code);

/* "0.1.0": the library that runs, which may be newer than this page. Static. */
CITYTOTALS_API const char *citytotals_version(void);

/* --- errors --- */

struct citytotals_error;
CITYTOTALS_API int citytotals_error_code(const struct citytotals_error *error); /* CITYTOTALS_OK for NULL */
/* 1: the same call may succeed later though nobody changes anything. */
CITYTOTALS_API int citytotals_error_is_temporary(const struct citytotals_error *error);
/* One sentence: what was done, what was found, what is allowed. "" for NULL. Lives as long as the error, as the texts below. */
CITYTOTALS_API const char *citytotals_error_text(const struct citytotals_error *error);
/* The faults of a refused event; 0 for other errors. Of many the first 32. `index` counts from 0. */
CITYTOTALS_API size_t citytotals_error_fault_count(const struct citytotals_error *error);
/* As in JSON, "merged_units[3].name"; "" for the event's form, and past the last. */
CITYTOTALS_API const char *citytotals_error_fault_field(const struct citytotals_error *error, size_t index);
/* The character, from 1, where reading JSON stopped; 0 where a field tells the place. */
CITYTOTALS_API uint32_t citytotals_error_fault_column(const struct citytotals_error *error, size_t index);
CITYTOTALS_API const char *citytotals_error_fault_text(const struct citytotals_error *error, size_t index);
CITYTOTALS_API void citytotals_error_free(struct citytotals_error *error); /* NULL: nothing */

/* --- options --- */

struct citytotals_options;
/* With the defaults; NULL: out of memory. */
CITYTOTALS_API struct citytotals_options *citytotals_options_new(void);
/* Clients that were opened with it go on. NULL: nothing. */
CITYTOTALS_API void citytotals_options_free(struct citytotals_options *options);
/* An option by its name, "brokers"; libcitytotals(3) has the list. "property" (KEY=VALUE, any of librdkafka's) adds one at each
 * call. CITYTOTALS_OPTION: no such name, or a value that is not allowed. CITYTOTALS_MISUSE once a client was opened with it. */
CITYTOTALS_API int citytotals_options_set(struct citytotals_options *options, const char *name, const char *value,
                                          struct citytotals_error **ret_error);
/* Options from a file of lines `name = value`; # begins a comment. */
CITYTOTALS_API int citytotals_options_read(struct citytotals_options *options, const char *path, struct citytotals_error **ret_error);

/* What became of one submitted event. More members may come at its end. The texts live until the callback returns. */
struct citytotals_delivery {
    int code;            /* CITYTOTALS_OK: Kafka has acknowledged it, on all replicas that are in sync */
    const char *text;    /* why not; "" when acknowledged */
    void *event_context; /* as given to citytotals_submit */
    const char *event_id;
    const char *topic;
    int32_t partition; /* -1 when not acknowledged */
    int64_t offset;    /* -1 when not acknowledged */
};
/* Called once for each event that was submitted, one call at a time, on a thread of the library, the last ones perhaps within
 * citytotals_close. It should be quick. It may submit with a time of 0; it may not flush or close. */
typedef void (*citytotals_delivery_fn)(void *context, const struct citytotals_delivery *delivery);
CITYTOTALS_API int citytotals_options_on_delivery(struct citytotals_options *options, citytotals_delivery_fn on_delivery, void *context,
                                                  struct citytotals_error **ret_error);
/* What Kafka's client has to say, on any thread. `level` as in syslog: 3 error, 4 warning, 6 information. Without it nothing is
 * said. */
typedef void (*citytotals_log_fn)(void *context, int level, const char *text);
CITYTOTALS_API int citytotals_options_on_log(struct citytotals_options *options, citytotals_log_fn on_log, void *context,
                                             struct citytotals_error **ret_error);

/* --- events, field by field --- */

struct citytotals_event;
/* Without a field; NULL: out of memory. */
CITYTOTALS_API struct citytotals_event *citytotals_event_new(void);
CITYTOTALS_API void citytotals_event_free(struct citytotals_event *event); /* NULL: nothing */
/* Without a field again, to be used for another event. */
CITYTOTALS_API void citytotals_event_clear(struct citytotals_event *event);
/* Set a field by the name that it has in JSON: "type", "id", "agency", …; NULL takes it away. A number may be given as its digits.
 * CITYTOTALS_EVENT: there is no such field, or it can't hold that; whether it is allowed is found when the event is checked. */
CITYTOTALS_API int citytotals_event_set(struct citytotals_event *event, const char *field, const char *text,
                                        struct citytotals_error **ret_error);
CITYTOTALS_API int citytotals_event_set_number(struct citytotals_event *event, const char *field, int64_t number,
                                               struct citytotals_error **ret_error);
/* One more unit in the list "merged_units" or "resulting_units". */
CITYTOTALS_API int citytotals_event_add_unit(struct citytotals_event *event, const char *field, const char *id, const char *name,
                                             struct citytotals_error **ret_error);

/* --- the client --- */

struct citytotals_client;
/* With a schema registry it is asked now, up to three times its time-out; Kafka is not waited for. The options can't be changed any
 * more; other clients may be opened with them. */
CITYTOTALS_API int citytotals_open(struct citytotals_options *options, struct citytotals_client **ret_client,
                                   struct citytotals_error **ret_error);
/* Wait until Kafka answers and has the city's topics. Not needed before submitting. CITYTOTALS_KAFKA: why not. */
CITYTOTALS_API int citytotals_wait_ready(struct citytotals_client *client, int timeout_ms, struct citytotals_error **ret_error);

/* Would it be taken? Asks nobody. ret_event_id may be NULL; else room for CITYTOTALS_EVENT_ID_SIZE characters. */
CITYTOTALS_API int citytotals_check(struct citytotals_client *client, const struct citytotals_event *event, char *ret_event_id,
                                    struct citytotals_error **ret_error);
CITYTOTALS_API int citytotals_check_json(struct citytotals_client *client, const char *json, size_t size, char *ret_event_id,
                                         struct citytotals_error **ret_error);

/* Check an event and queue a copy of it; its verdict comes to the delivery callback. Waits at most timeout_ms (0: not at all)
 * while the queue is full. The same event sent again counts once: whatever failed may be repeated.
 * CITYTOTALS_EVENT, CITYTOTALS_TIMEOUT, CITYTOTALS_REFUSED (this client can't go on), CITYTOTALS_MEMORY. */
CITYTOTALS_API int citytotals_submit(struct citytotals_client *client, const struct citytotals_event *event, void *event_context,
                                     int timeout_ms, char *ret_event_id, struct citytotals_error **ret_error);
/* The same for an event as JSON, one object of at most 16 KiB. */
CITYTOTALS_API int citytotals_submit_json(struct citytotals_client *client, const char *json, size_t size, void *event_context,
                                          int timeout_ms, char *ret_event_id, struct citytotals_error **ret_error);
/* Submitted events whose callback has not returned. */
CITYTOTALS_API size_t citytotals_pending(struct citytotals_client *client);
/* Send what waits for company, and wait for all verdicts. CITYTOTALS_TIMEOUT: some are due still. CITYTOTALS_KAFKA: all are there,
 * but of the events submitted since the last flush that returned this or CITYTOTALS_OK some were not acknowledged. */
CITYTOTALS_API int citytotals_flush(struct citytotals_client *client, int timeout_ms, struct citytotals_error **ret_error);
/* Flush, give up what has no verdict by then (the callback says so of each), and free the client, whatever it returns but
 * CITYTOTALS_MISUSE: what citytotals_flush would, CITYTOTALS_TIMEOUT when something was given up. No other call may be under way.
 * Ends within timeout_ms and a few seconds. NULL: nothing. */
CITYTOTALS_API int citytotals_close(struct citytotals_client *client, int timeout_ms, struct citytotals_error **ret_error);

#ifdef __cplusplus
}
#endif

#endif
