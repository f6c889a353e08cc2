/* Files and streams of events. */
#include "producer/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/buffer.h"

struct input {
    const char *name;
    int fd;
    bool regular, again; /* again: bytes must be those of the first reading */
    enum input_format format;
    int64_t size, read_bytes, first_bytes; /* first_bytes: of the first reading */
    struct reader *reader;
    struct csv_header header;
    struct buffer header_line;
    uint64_t *hashes; /* of the blocks of the first reading */
    size_t block, blocks, capacity;
    bool at_end;
};

enum input_format input_format_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcasecmp(dot, ".csv") == 0 || strcasecmp(dot, ".tsv") == 0) ? FORMAT_CSV : FORMAT_NDJSON;
}

int input_open(const char *name, enum input_format format, struct input **ret_input, struct error *error)
{
    struct stat status;
    bool standard = strcmp(name, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_set(error, ERROR_IO, "%s: it can't be opened: %s", name, strerror(errno));
    struct input *input = S_ISDIR(status.st_mode) ? NULL : calloc(1, sizeof *input);
    if (!input) {
        if (!standard)
            close(fd);
        return S_ISDIR(status.st_mode) ? error_set(error, ERROR_IO, "%s: it is a directory; name the files in it", name)
                                       : error_set(error, ERROR_MEMORY, "out of memory");
    }
    input->name = name;
    input->fd = fd;
    input->format = format;
    input->regular = !standard && S_ISREG(status.st_mode);
    input->size = input->regular ? status.st_size : -1;
    input->header_line = BUFFER_BOUNDED(LINE_MOST + 2);
    *ret_input = input;
    return 0;
}

int input_look(const char *name, struct error *error)
{
    struct stat status;
    struct input *input = NULL;
    if (strcmp(name, "-") == 0)
        return 0;
    if (stat(name, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
        return access(name, R_OK) == 0 ? 0 : error_set(error, ERROR_IO, "%s: it can't be opened: %s", name, strerror(errno));
    int result = input_open(name, FORMAT_NDJSON, &input, error);
    input_close(input);
    return result;
}

struct input *input_close(struct input *input)
{
    if (!input)
        return NULL;
    if (input->fd != STDIN_FILENO)
        close(input->fd);
    reader_free(input->reader);
    buffer_free(&input->header_line);
    free(input->hashes);
    free(input);
    return NULL;
}

const char *input_name(const struct input *input) { return input->name; }
enum input_format input_format(const struct input *input) { return input->format; }
bool input_is_regular(const struct input *input) { return input->regular; }
int64_t input_size(const struct input *input) { return input->size; }
int64_t input_read_bytes(const struct input *input) { return input->read_bytes; }
bool input_had_mark(const struct input *input) { return input->reader && reader_had_mark(input->reader); }
struct slice input_header_line(const struct input *input) { return (struct slice){input->header_line.data, input->header_line.size}; }

bool input_has_grown(const struct input *input)
{
    struct stat status;
    return input->regular && fstat(input->fd, &status) == 0 && status.st_size > input->read_bytes;
}

/* What is there of a stream; of a regular file the whole block, so that blocks are the same at each reading. */
static int64_t read_bytes(struct input *input, char *out, size_t size, struct error *error)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(input->fd, out + done, size - done);
        if (got < 0 && errno == EINTR)
            return error_set(error, ERROR_INTERRUPTED, "interrupted");
        if (got < 0)
            return error_set(error, ERROR_IO, "it can't be read: %s", strerror(errno));
        if (got == 0)
            break;
        done += (size_t)got;
        if (!input->regular)
            break;
    }
    return (int64_t)done;
}

static int check_block(struct input *input, const char *data, size_t size, struct error *error)
{
    uint64_t hash = XXH3_64bits(data, size);
    if (input->again)
        return input->block < input->blocks && input->hashes[input->block] == hash
                   ? 0
                   : error_set(error, ERROR_IO, "it changed while it was being read; what comes after was not sent. Send it again "
                                                "when it is complete: what was sent counts once");
    if (input->blocks == input->capacity) {
        size_t capacity = input->capacity ? input->capacity * 2 : 64;
        uint64_t *hashes = realloc(input->hashes, capacity * sizeof *hashes);
        if (!hashes)
            return error_set(error, ERROR_MEMORY, "out of memory");
        input->hashes = hashes;
        input->capacity = capacity;
    }
    input->hashes[input->blocks++] = hash;
    return 0;
}

static int64_t fill(void *context, char *out, size_t size, struct error *error)
{
    struct input *input = context;
    if (input->at_end || (input->again && input->block == input->blocks))
        return 0;
    if (input->again && (int64_t)size > input->first_bytes - input->read_bytes)
        size = (size_t)(input->first_bytes - input->read_bytes); /* what was added since is not looked at */
    int64_t got = read_bytes(input, out, size, error);
    if (got > 0 && input->regular) {
        input->at_end = (size_t)got < size;
        int result = check_block(input, out, (size_t)got, error);
        if (result < 0)
            return result;
    } else if (got == 0 && input->again) {
        return check_block(input, out, 0, error); /* it became shorter */
    }
    if (got > 0) {
        input->block++;
        input->read_bytes += got;
        if (!input->again)
            input->first_bytes = input->read_bytes;
    }
    return got;
}

static int read_header(struct input *input, bool typed, struct problems *problems, uint64_t *ret_header_line, struct error *error)
{
    struct record record;
    int result = reader_header(input->reader, &record, error);
    if (result <= 0)
        return result;
    *ret_header_line = record.line;
    problems->count = 0;
    if (record.too_long)
        problem_add(problems, "", 0, "the header is over 16 KiB: the line ends may be of another kind (CR alone); save the file with "
                                     "LF or CRLF");
    if (record.too_long || !csv_header_read(record.text, typed, &input->header, problems))
        return error_set(error, ERROR_INPUT, "%s", "");
    buffer_reset(&input->header_line);
    buffer_slice_append(&input->header_line, record.text);
    buffer_slice_append(&input->header_line, record.end);
    reader_set_delimiter(input->reader, input->header.delimiter);
    return buffer_failed(&input->header_line) ? error_set(error, ERROR_MEMORY, "out of memory") : 0;
}

int input_begin(struct input *input, bool typed, struct problems *problems, uint64_t *ret_header_line, struct error *error)
{
    problems->count = 0;
    if (input->reader && lseek(input->fd, 0, SEEK_SET) < 0)
        return error_set(error, ERROR_IO, "it can't be read again: %s", strerror(errno));
    input->again = input->reader != NULL;
    input->reader = reader_free(input->reader);
    input->block = 0;
    input->read_bytes = 0;
    input->at_end = false;
    int result = reader_new(input->format, fill, input, &input->reader, error);
    if (result >= 0 && input->format == FORMAT_CSV)
        result = read_header(input, typed, problems, ret_header_line, error);
    return result < 0 ? result : 0;
}

int input_next(struct input *input, struct record *ret_record, struct error *error)
{
    return reader_next(input->reader, ret_record, error);
}

bool input_parse(const struct input *input, const struct record *record, struct parser *parser,
                 const struct parser_defaults *defaults, struct event *ret_event, struct problems *ret_problems)
{
    if (record->too_long) {
        ret_problems->count = 0;
        problem_add(ret_problems, "", 0, "it is over 16 KiB long%s; allowed: at most %d bytes",
                    input->format == FORMAT_CSV ? " (perhaps a closing \" is missing)" : "", LINE_MOST);
        return false;
    }
    return input->format == FORMAT_CSV
               ? parser_csv(parser, &input->header, record->text, defaults, ret_event, ret_problems)
               : parser_json(parser, record->text, defaults, ret_event, ret_problems);
}
