/* `verify --report`: a report is read for its seal, and what the log says of it is printed. */
#include "consumer/verify_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "consumer/cells.h"

enum { REPORT_FILE_MOST = 64 << 20, READ_SIZE = 65536 };

static int read_whole(const char *path, struct buffer *out, struct error *error)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rbe");
    char bytes[READ_SIZE];
    size_t count;
    if (!file)
        return error_set(error, ERROR_IO, "open the report %s: %s", path, strerror(errno));
    while ((count = fread(bytes, 1, sizeof bytes, file)) > 0)
        buffer_append(out, bytes, count);
    bool failed = ferror(file);
    if (!standard)
        fclose(file);
    if (failed)
        return error_set(error, ERROR_IO, "read the report %s: %s", path, strerror(errno));
    return buffer_failed(out) ? error_set(error, ERROR_CONFIG, "the report %s is over %d bytes", path, REPORT_FILE_MOST) : 0;
}

int verify_report_read(const char *path, const char *city, struct report_seal *ret_seal, struct error *error)
{
    struct buffer text = BUFFER_BOUNDED(REPORT_FILE_MOST);
    int result = read_whole(path, &text, error);
    if (result >= 0 && (result = report_seal_find((struct slice){text.data, text.size}, ret_seal, error)) < 0)
        error_wrap(error, "%s", path);
    buffer_free(&text);
    if (result >= 0 && strcmp(ret_seal->city, city) != 0)
        result = error_set(error, ERROR_CONFIG, "the report %s is of the city %s; allowed: one of %s (--city)", path, ret_seal->city, city);
    return result;
}

/* "headcount" of "headcount:by-day" */
static int hash_width(const char *hash)
{
    return (int)strcspn(hash, ":");
}

int verify_report_print(const struct proof *proof, const struct report_seal *seal, bool json, struct buffer *out, struct error *error)
{
    char day[DATE_TEXT_SIZE];
    bool proved = proof_seal_is_proved(proof);
    struct cells *sums = cells_new();
    size_t count;
    int result = sums ? proof_seal_sums(proof, sums, error) : error_set(error, ERROR_MEMORY, "out of memory");
    const struct cell *cells = result >= 0 ? cells_all(sums, &count) : NULL;
    if (json)
        buffer_printf(out, "\"report\":{\"date\":\"%s\",\"digest\":\"%s\",\"proved\":%s,\"sums\":{", date_format(seal->date, day), seal->digest,
                      proved ? "true" : "false");
    else
        buffer_printf(out, "the report of %s as of %s: its digest is %s\n", seal->city, date_format(seal->date, day),
                      proved ? "what the log says; its figures are made of" : "not proved; up to its positions the log says");
    for (size_t i = 0; cells && i < count; i++) {
        const char *hash = cell_hash_suffix(cells[i].hash);
        if (json)
            buffer_printf(out, "%s\"%.*s:%s\":%" PRId64, i ? "," : "", hash_width(hash), hash, cells[i].field, cells[i].amount);
        else
            buffer_printf(out, "  %.*s %s %" PRId64 "\n", hash_width(hash), hash, cells[i].field, cells[i].amount);
    }
    if (json)
        buffer_text_append(out, "}},");
    cells_free(sums);
    return result;
}
