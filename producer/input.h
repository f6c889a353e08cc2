/* One file or stream of events: opened, read from its beginning as often as needed (a regular file), each record parsed. A
 * later reading gives only bytes that the first gave too: each block is compared by its hash before anything of it is used. */
#ifndef CITYTOTALS_PRODUCER_INPUT_H
#define CITYTOTALS_PRODUCER_INPUT_H

#include "producer/parser.h"
#include "producer/reader.h"

struct input;

/* `name` is a path, or "-" for standard input; kept, not copied. ERROR_IO when it can't be opened or is a directory. */
int input_open(const char *name, enum input_format format, struct input **ret_input, struct error *error);
struct input *input_close(struct input *input);
/* Whether it could be opened. A pipe is only looked at: opening it would take its writer's words. */
int input_look(const char *name, struct error *error);
const char *input_name(const struct input *input);
enum input_format input_format(const struct input *input);
bool input_is_regular(const struct input *input); /* may be begun again */
int64_t input_size(const struct input *input);    /* bytes of a regular file when it was opened, else -1 */
int64_t input_read_bytes(const struct input *input); /* so far, in this reading */
/* Whether a regular file has become longer since its first reading. */
bool input_has_grown(const struct input *input);
/* CSV for names that end in .csv or .tsv, else NDJSON. */
enum input_format input_format_of(const char *name);

/* Go to the beginning; for CSV read the header. ERROR_INPUT for a bad beginning: what is wrong with a header is in
 * `problems` with its line (then error->text is empty), else the sentence is in the error. */
int input_begin(struct input *input, bool typed, struct problems *problems, uint64_t *ret_header_line, struct error *error);
/* As reader_next. ERROR_IO: reading failed, or the file changed since its first reading. -ERROR_INTERRUPTED when a signal
 * ended a wait for more. */
int input_next(struct input *input, struct record *ret_record, struct error *error);
/* The event of a record, as parser_json and parser_csv. */
bool input_parse(const struct input *input, const struct record *record, struct parser *parser,
                 const struct parser_defaults *defaults, struct event *ret_event, struct problems *ret_problems);
/* For a rejects file: the byte order mark and the header as they are in the file (empty for NDJSON). */
bool input_had_mark(const struct input *input);
struct slice input_header_line(const struct input *input); /* with its line end */

#endif
