/* The seal of an inspection report: what it says, as a digest, and up to where in the log it was counted. The query program writes it
 * into each report, and whoever reads the log can make the digest anew. Pure. */
#ifndef CITYTOTALS_SCHEMAS_REPORT_SEAL_H
#define CITYTOTALS_SCHEMAS_REPORT_SEAL_H

#include "base/buffer.h"
#include "base/error.h"

#define REPORT_DIGEST_SIZE 65
#define SEAL_CITY_SIZE 40
#define SEAL_PARTITIONS_MOST 1024 /* of one topic */
enum { SEAL_TOPICS = 2 };         /* in the order of enum event_type: headcount-changes, unit-mergers */

/* A counter of the state: a field of the hash `hash`. */
struct seal_cell {
    const char *hash; /* "headcount:by-day" */
    struct slice field, value;
};
/* The digest is the SHA-256, in hex, of the UTF-8 text "citytotals-report 1 <city> <date>\n" and a line "<hash> <field> <number>\n" for
 * each field of headcount:by-day, units:by-day and pilots:by-day whose date is not after the report's and whose number is not 0, all of
 * these lines sorted bytewise. `cells` may hold others, and is sorted. ERROR_MEMORY. */
int report_digest(const char *city, int32_t date, struct seal_cell *cells, size_t count, char digest[REPORT_DIGEST_SIZE],
                  struct error *error);

struct report_seal {
    char city[SEAL_CITY_SIZE];
    int32_t date;
    char digest[REPORT_DIGEST_SIZE];
    size_t counts[SEAL_TOPICS]; /* of partitions named */
    int64_t positions[SEAL_TOPICS][SEAL_PARTITIONS_MOST]; /* the next offset of each */
};
/* One line: "citytotals-report 1 <city> <date> <digest> headcount-changes:12,0,5 unit-mergers:3,0,0" */
void report_seal_write(const struct report_seal *seal, struct buffer *out);
/* The first seal in the text of a report, whatever its format, also where it was broken into lines. ERROR_CONFIG without one. */
int report_seal_find(struct slice text, struct report_seal *ret_seal, struct error *error);

#endif
