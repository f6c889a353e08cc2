/* Sends events by libcitytotals: one that is put together here, then each line of standard input, which is an event as JSON.
 *
 *   send_changes OPTIONS-FILE <events.ndjson
 *
 * The file has lines such as `brokers = kafka.example:9092` and `source = hong-bang`; libcitytotals(3) has the list.
 * Ends with 0 when Kafka has acknowledged all, 3 when the library refused a line, 1 when something else failed. */
#include <citytotals.h>
#include <stdio.h>
#include <string.h>

enum { LINE_SIZE = 16 * 1024 + 2, QUEUE_MS = 10000, CLOSE_MS = 60000 };

/* Comes from a thread of the library, for one event after the other. */
static void on_delivery(void *context, const struct citytotals_delivery *delivery)
{
    long *acknowledged = context;
    if (delivery->code == CITYTOTALS_OK) {
        ++*acknowledged;
        printf("%s is in %s, partition %d, offset %lld\n", delivery->event_id, delivery->topic, (int)delivery->partition,
               (long long)delivery->offset);
    } else {
        fprintf(stderr, "line %ld: %s\n", (long)(intptr_t)delivery->event_context, delivery->text);
    }
}

/* Tell of an error, of a refused event fault by fault, and free it. */
static void tell(long line, struct citytotals_error *error)
{
    size_t faults = citytotals_error_fault_count(error);
    for (size_t i = 0; i < faults; i++)
        fprintf(stderr, "line %ld: %s\n", line, citytotals_error_fault_text(error, i));
    if (faults == 0)
        fprintf(stderr, "%s\n", citytotals_error_text(error));
    citytotals_error_free(error);
}

/* An event field by field: no text is put into JSON by hand. */
static int submit_own(struct citytotals_client *client, struct citytotals_error **ret_error)
{
    int result = CITYTOTALS_MEMORY;
    struct citytotals_event *event = citytotals_event_new();
    if (event && (result = citytotals_event_set(event, "type", "headcount-change", ret_error)) == CITYTOTALS_OK &&
        (result = citytotals_event_set(event, "id", "HB-2020-0017", ret_error)) == CITYTOTALS_OK &&
        (result = citytotals_event_set(event, "agency", "hong-bang", ret_error)) == CITYTOTALS_OK &&
        (result = citytotals_event_set(event, "sector", "administrative", ret_error)) == CITYTOTALS_OK &&
        (result = citytotals_event_set(event, "reason", "retired", ret_error)) == CITYTOTALS_OK &&
        (result = citytotals_event_set_number(event, "delta", -3, ret_error)) == CITYTOTALS_OK &&
        (result = citytotals_event_set(event, "effective_date", "2020-10-30", ret_error)) == CITYTOTALS_OK)
        result = citytotals_submit(client, event, NULL, QUEUE_MS, NULL, ret_error);
    citytotals_event_free(event);
    return result;
}

/* Returns the exit status so far. */
static int submit_lines(struct citytotals_client *client)
{
    char line[LINE_SIZE];
    int status = 0;
    for (long number = 1; fgets(line, sizeof line, stdin); number++) {
        struct citytotals_error *error = NULL;
        int result = citytotals_submit_json(client, line, strcspn(line, "\r\n"), (void *)(intptr_t)number, QUEUE_MS, NULL, &error);
        if (result == CITYTOTALS_OK)
            continue;
        tell(number, error);
        if (result != CITYTOTALS_EVENT)
            return 1;
        status = 3;
    }
    return status;
}

int main(int argc, char **argv)
{
    struct citytotals_error *error = NULL;
    struct citytotals_client *client = NULL;
    long acknowledged = 0; /* written by the library's thread, read after the close */
    int status = 0;
    if (argc != 2) {
        fprintf(stderr, "Usage: %s OPTIONS-FILE <events.ndjson\n", argv[0]);
        return 2;
    }
    struct citytotals_options *options = citytotals_options_new();
    if (!options || citytotals_options_read(options, argv[1], &error) < 0 ||
        citytotals_options_on_delivery(options, on_delivery, &acknowledged, &error) < 0 || citytotals_open(options, &client, &error) < 0 ||
        citytotals_wait_ready(client, QUEUE_MS, &error) < 0 || submit_own(client, &error) < 0) {
        tell(0, error);
        status = 1;
    }
    if (status == 0)
        status = submit_lines(client);
    if (citytotals_close(client, CLOSE_MS, &error) < 0) {
        tell(0, error);
        status = 1;
    }
    citytotals_options_free(options);
    printf("%ld events acknowledged\n", acknowledged);
    return status;
}
