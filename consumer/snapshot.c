/* Saves, loads and shows snapshots. A load writes beside the live keys and then puts everything in its place by one call: a
 * reader, or whoever comes after a crash, finds nothing of it or all. */
#include "consumer/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/program.h"
#include "consumer/snapshot_save.h"
#include "consumer/source.h"
#include "consumer/store_load.h"
#include "consumer/store_rebuild.h"

enum { PROGRESS_EVERY_MS = 500, DIGEST_SIZE = 32 };

struct load {
    const struct snapshot_options *options;
    const char *path;
    struct snapshot_reader *reader;
    struct snapshot_head head;
    struct rebuild_store *lock; /* a rebuild and a load exclude each other: they write to the same keys */
    struct load_store *store;
    struct source *source;
    bool begun;
    int64_t shown_ms;
};

static int stopped(void)
{
    return program_stop != 0;
}

/* Only a snapshot of this Kafka cluster may be loaded, or one that somebody answers for. */
static int check_cluster(struct load *load, bool *ret_accepted, char **ret_cluster, struct error *error)
{
    const struct snapshot_options *options = load->options;
    int result = source_open(&options->common, options->common.city, &load->source, error);
    if (result < 0 || (result = source_wait(load->source, options->connect_timeout_ms, &program_stop, NULL, error)) < 0 ||
        (result = source_cluster_id(load->source, options->connect_timeout_ms, ret_cluster, error)) < 0)
        return result;
    *ret_accepted = false;
    if (strcmp(*ret_cluster, load->head.cluster) == 0)
        return 0;
    *ret_accepted = options->accept_cluster && strcmp(options->accept_cluster, *ret_cluster) == 0;
    return *ret_accepted ? 0
                         : error_set(error, ERROR_REFUSED,
                                     "%s is of Kafka cluster %s, and this is cluster %s: give the right --brokers, or "
                                     "--accept-cluster %s if the topics were moved there with their offsets (it is recorded)",
                                     load->path, load->head.cluster, *ret_cluster, *ret_cluster);
}

static void show_progress(struct load *load)
{
    int64_t now_ms = clock_monotonic_ms(), size = snapshot_file_bytes(load->reader);
    if (!isatty(STDERR_FILENO) || now_ms - load->shown_ms < PROGRESS_EVERY_MS || size == 0)
        return;
    load->shown_ms = now_ms;
    fprintf(stderr, "\r\033[Ksnapshot load %s: %d %%", load->head.city, (int)(snapshot_read_bytes(load->reader) * 100 / size));
    fflush(stderr);
}

/* The second reading of the file must find what the first one did. */
static int stage(struct load *load, const uint8_t digest[DIGEST_SIZE], struct error *error)
{
    struct snapshot_block block = {.kind = SNAPSHOT_HEAD};
    int result = load_store_begin(load->store, error);
    load->begun = result >= 0;
    if (result >= 0)
        result = snapshot_rewind(load->reader, error);
    while (result >= 0 && (result = snapshot_next(load->reader, &block, error)) >= 0 && block.kind != SNAPSHOT_END) {
        result = load_store_block(load->store, &block, error);
        if (result >= 0)
            result = rebuild_store_keep(load->lock, error);
        if (result >= 0 && program_stop)
            result = error_set(error, ERROR_INTERRUPTED, "stopped; nothing was loaded");
        show_progress(load);
    }
    if (result >= 0 && memcmp(digest, snapshot_digest(load->reader), DIGEST_SIZE) != 0)
        result = error_set(error, ERROR_REFUSED, "%s was changed while it was read; nothing was loaded", load->path);
    return result;
}

/* What a rebuild or a load that was stopped has left is dropped. */
static int make_room(struct load *load, const char *cluster, struct error *error)
{
    struct rebuild_state state;
    int result = rebuild_store_lock(load->lock, stopped, error);
    if (result >= 0)
        result = rebuild_store_look(load->lock, cluster, &state, error);
    if (result >= 0 && state.left)
        log_info("what an earlier rebuild or load left is dropped");
    return result < 0 ? result : rebuild_store_drop(load->lock, error);
}

static int load_file(struct load *load, struct error *error)
{
    const struct snapshot_options *options = load->options;
    uint8_t digest[DIGEST_SIZE];
    char *cluster = NULL;
    bool accepted = false;
    int64_t version = 0;
    int result = snapshot_open(load->path, &load->reader, error);
    if (result < 0 || (result = snapshot_check(load->reader, &load->head, error)) < 0)
        return result;
    memcpy(digest, snapshot_digest(load->reader), sizeof digest);
    if (strcmp(load->head.city, options->common.city) != 0)
        return error_set(error, ERROR_REFUSED, "%s is of the city %s, and this is %s: give --city %s, or another file", load->path,
                         load->head.city, options->common.city, load->head.city);
    result = check_cluster(load, &accepted, &cluster, error);
    if (result >= 0)
        result = rebuild_store_open(&options->common.redis, options->common.city, &load->lock, error);
    if (result >= 0)
        result = load_store_open(&options->common.redis, options->common.city, &load->store, error);
    if (result >= 0)
        result = make_room(load, cluster, error);
    if (result >= 0)
        result = stage(load, digest, error);
    if (result >= 0 && accepted)
        result = load_store_accept_cluster(load->store, cluster, load->head.cluster, error);
    if (load->shown_ms > 0)
        fprintf(stderr, "\r\033[K");
    if (result >= 0)
        result = load_store_place(load->store, options->replace, &version, error);
    if (result >= 0)
        log_info("%s is in place: version %" PRId64 ", %" PRId64 " events, as of %s; consumers go on from its offsets", load->path,
                 load->head.version, load->head.events, load->head.saved_at);
    else if (load->begun)
        rebuild_store_drop(load->lock, NULL);
    free(cluster);
    return result;
}

static int load(const struct snapshot_options *options, const char *path, struct error *error)
{
    struct load load = {.options = options, .path = path};
    int result = load_file(&load, error);
    rebuild_store_close(load.lock);
    load_store_close(load.store);
    source_close(load.source);
    snapshot_reader_free(load.reader);
    return result;
}

static int save(const struct snapshot_options *options, const char *path, struct error *error)
{
    struct snapshot_head head;
    int64_t size;
    int result = snapshot_save(options, path, &program_stop, &head, &size, error);
    if (result >= 0)
        log_info("%s at version %" PRId64 " is in %s: %" PRId64 " events, %" PRId64 " bytes", head.city, head.version, path,
                 head.events, size);
    return result;
}

/* Reads the whole file, so that a copy can be checked where it is kept. */
static int show(const char *path, struct error *error)
{
    struct snapshot_reader *reader = NULL;
    struct snapshot_head head;
    struct snapshot_block block;
    struct slice rest, field, value;
    int result = snapshot_open(path, &reader, error);
    if (result >= 0)
        result = snapshot_check(reader, &head, error);
    if (result >= 0)
        printf("city %s\ncluster %s\nversion %" PRId64 "\nevents %" PRId64 "\nvisitors %" PRId64 "\nentries %" PRId64
               "\nsaved_at %s\nupdated_at %s\n",
               head.city, head.cluster, head.version, head.events, head.visitors, head.entries, head.saved_at, head.updated_at);
    if (result >= 0)
        result = snapshot_rewind(reader, error);
    while (result >= 0 && (result = snapshot_next(reader, &block, error)) >= 0 && block.kind != SNAPSHOT_END)
        if (block.kind == SNAPSHOT_HASH && slice_equal(block.name, slice_of("offsets")))
            for (rest = block.bytes; snapshot_pair(&rest, &field, &value);)
                printf("offset %.*s %.*s\n", SLICE_ARG(field), SLICE_ARG(value));
    if (result >= 0 && fflush(stdout) != 0)
        result = error_set(error, ERROR_IO, "write to standard output");
    snapshot_reader_free(reader);
    return result;
}

static int do_words(const struct snapshot_options *options, char **operands, int count, struct error *error)
{
    bool saves = count == 2 && strcmp(operands[0], "save") == 0, loads = count == 2 && strcmp(operands[0], "load") == 0;
    bool shows = count == 2 && strcmp(operands[0], "show") == 0;
    if (!saves && !loads && !shows)
        return error_set(error, ERROR_USAGE, "snapshot %s%s; allowed: save FILE, load FILE, show FILE", count ? operands[0] : "alone",
                         count > 2 ? " with more than one file" : "");
    if ((options->replace || options->accept_cluster) && !loads)
        return error_set(error, ERROR_USAGE, "snapshot %s: --replace and --accept-cluster belong to load", operands[0]);
    return saves ? save(options, operands[1], error) : loads ? load(options, operands[1], error) : show(operands[1], error);
}

int consumer_snapshot(int argc, char **argv)
{
    struct snapshot_options options = {0};
    struct program_run frame;
    int result = program_begin(&frame, &consumer_command_snapshot, argc, argv, &options);
    if (result > 0) {
        program_catch_stop(false);
        result = do_words(&options, frame.operands, frame.operand_count, &frame.error);
    }
    return program_end(&frame, result);
}
