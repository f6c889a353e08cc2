/* What a proof found: differences, what could not be proved, and remarks; each list bounded, all counted. Pure. */
#ifndef CITYTOTALS_CONSUMER_REPORT_H
#define CITYTOTALS_CONSUMER_REPORT_H

#include "base/buffer.h"

#define REPORT_LISTED_MOST 1000 /* of each list; what is past it is counted only */

struct difference {
    char *key, *field; /* "{haiphong}:totals", "headcount_current" */
    char *expected, *found;
};
struct report_list {
    void *items; /* struct difference, or char * */
    size_t listed;
    int64_t count;
};
struct report {
    char prefix[40];                               /* "{<city>}:" */
    struct report_list differences, unproved, remarks;
    bool out_of_memory;
};

void report_init(struct report *report, const char *city);
void report_free(struct report *report);
/* Bytes that are not printable ASCII are written as \xNN. data NULL is "(absent)". `suffix` is the key without its prefix. */
void report_difference(struct report *report, const char *suffix, struct slice field, struct slice expected,
                       struct slice found);
/* The same about something in Kafka: `name` as it is. */
void report_difference_in_kafka(struct report *report, const char *name, struct slice field, struct slice expected,
                                struct slice found);
void report_unproved(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_remark(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For people, and as one line of JSON: only the lists; the caller writes what is around them. */
void report_text(const struct report *report, struct buffer *out);
void report_json(const struct report *report, struct buffer *out); /* "differences":[…],"unproved":[…],"remarks":[…] and counts */

#endif
