/* Writes the rejects file. */
#include "producer/rejects.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"

struct rejects {
    const char *path;
    FILE *file;
    bool begun;
    enum input_format format;
    struct buffer header; /* of the first CSV file */
};

int rejects_open(const char *path, struct rejects **ret_rejects, struct error *error)
{
    struct rejects *rejects = calloc(1, sizeof *rejects);
    if (!rejects)
        return error_set(error, ERROR_MEMORY, "out of memory");
    rejects->path = path;
    rejects->header = BUFFER_BOUNDED(LINE_MOST + 2);
    rejects->file = fopen(path, "we");
    if (!rejects->file) {
        int result = error_set(error, ERROR_IO, "rejects file %s: it can't be opened: %s", path, strerror(errno));
        free(rejects);
        return result;
    }
    *ret_rejects = rejects;
    return 0;
}

static int failed(const struct rejects *rejects, struct error *error)
{
    return error_set(error, ERROR_IO, "rejects file %s: it can't be written: %s", rejects->path, strerror(errno));
}

int rejects_flush(struct rejects *rejects, struct error *error)
{
    return fflush(rejects->file) != 0 || ferror(rejects->file) ? failed(rejects, error) : 0;
}

int rejects_close(struct rejects *rejects, struct error *error)
{
    if (!rejects)
        return 0;
    int result = fclose(rejects->file) != 0 ? failed(rejects, error) : 0;
    buffer_free(&rejects->header);
    free(rejects);
    return result;
}

static void put_clean(FILE *file, const char *text)
{
    for (; *text; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7F ? '?' : *text, file);
}

/* The first refused line decides the form; of CSV the header comes first. */
static int begin(struct rejects *rejects, const struct input *input, struct error *error)
{
    struct slice header = input_header_line(input);
    while (header.size && (header.data[header.size - 1] == '\n' || header.data[header.size - 1] == '\r'))
        header.size--;
    if (rejects->begun) {
        if (rejects->format == input_format(input) && slice_equal(header, (struct slice){rejects->header.data, rejects->header.size}))
            return 0;
        return error_set(error, ERROR_REFUSED,
                         "its refused lines can't be written to %s, which has lines of a file of another form (NDJSON, or CSV with "
                         "another header); send it by itself",
                         rejects->path);
    }
    rejects->begun = true;
    rejects->format = input_format(input);
    buffer_slice_append(&rejects->header, header);
    if (buffer_failed(&rejects->header))
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (input_had_mark(input)) /* Excel needs it to see UTF-8 */
        fputs("\xEF\xBB\xBF", rejects->file);
    header = input_header_line(input);
    if (header.size)
        fwrite(header.data, 1, header.size, rejects->file);
    return 0;
}

int rejects_add(struct rejects *rejects, const struct input *input, const struct record *record,
                const struct problems *problems, struct error *error)
{
    int result = begin(rejects, input, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < problems_kept(problems); i++) {
        const struct problem *problem = &problems->items[i];
        fputs(REFUSED_PREFIX, rejects->file);
        put_clean(rejects->file, input_name(input));
        fprintf(rejects->file, ": line %" PRIu64 ": ", record->line);
        if (problem->column)
            fprintf(rejects->file, "column %" PRIu32 ": ", problem->column);
        put_clean(rejects->file, problem->text);
        fprintf(rejects->file, "%s\n", record->too_long ? "; the line itself is too long to be kept here" : "");
    }
    if (!record->too_long) {
        fwrite(record->text.data, 1, record->text.size, rejects->file);
        if (record->end.size)
            fwrite(record->end.data, 1, record->end.size, rejects->file);
        else
            fputc('\n', rejects->file);
    }
    return ferror(rejects->file) ? failed(rejects, error) : 0;
}
