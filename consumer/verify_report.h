/* What `verify --report` reads and prints. */
#ifndef CITYTOTALS_CONSUMER_VERIFY_REPORT_H
#define CITYTOTALS_CONSUMER_VERIFY_REPORT_H

#include "consumer/proof.h"

/* The seal in a file of any of the report's formats ("-": standard input), which must be of `city`. ERROR_IO, ERROR_CONFIG. */
int verify_report_read(const char *path, const char *city, struct report_seal *ret_seal, struct error *error);
/* What came out of it: the digest, and the sums that the figures of a true report are made of. */
int verify_report_print(const struct proof *proof, const struct report_seal *seal, bool json, struct buffer *out, struct error *error);

#endif
