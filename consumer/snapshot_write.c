/* Writes a snapshot file: blocks with checksums, into PATH.part, which is renamed once it is whole and on disk. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "consumer/snapshot_internal.h"

const char *const snapshot_tags[SNAPSHOT_KINDS] = {"HEAD", "HASH", "LANE", "VSTR", "ENTR", "STRG", "END."};

struct snapshot_writer {
    char *path, *part;
    int file;
    EVP_MD_CTX *sha;
    int64_t size;
    uint64_t blocks;
    bool unfinished;
};

static int failed(const struct snapshot_writer *writer, const char *what, struct error *error)
{
    return error_set(error, ERROR_IO, "%s %s: %s", what, writer->part, strerror(errno));
}

static int put_bytes(struct snapshot_writer *writer, const void *data, size_t size, struct error *error)
{
    const char *at = data;
    EVP_DigestUpdate(writer->sha, data, size);
    writer->size += (int64_t)size;
    while (size > 0) {
        ssize_t written = write(writer->file, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return failed(writer, "write", error);
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

int snapshot_restart(struct snapshot_writer *writer, struct error *error)
{
    uint8_t head[FILE_HEAD_SIZE];
    writer->size = 0;
    writer->blocks = 0;
    if (ftruncate(writer->file, 0) != 0 || lseek(writer->file, 0, SEEK_SET) != 0)
        return failed(writer, "begin", error);
    EVP_DigestInit_ex(writer->sha, EVP_sha256(), NULL);
    memcpy(head, SNAPSHOT_MAGIC, MAGIC_SIZE);
    put32(head + MAGIC_SIZE, SNAPSHOT_FORMAT);
    return put_bytes(writer, head, sizeof head, error);
}

int snapshot_create(const char *path, struct snapshot_writer **ret_writer, struct error *error)
{
    struct snapshot_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return error_set(error, ERROR_MEMORY, "out of memory");
    writer->file = -1;
    writer->sha = EVP_MD_CTX_new();
    writer->path = strdup(path);
    writer->part = malloc(strlen(path) + sizeof ".part");
    if (writer->part)
        sprintf(writer->part, "%s.part", path);
    int result = 0;
    if (!writer->path || !writer->part || !writer->sha)
        result = error_set(error, ERROR_MEMORY, "out of memory");
    else if ((writer->file = open(writer->part, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        result = failed(writer, "write", error);
    else if (flock(writer->file, LOCK_EX | LOCK_NB) != 0)
        result = errno == EWOULDBLOCK ? error_set(error, ERROR_REFUSED, "another snapshot is being written to %s", writer->part)
                                      : failed(writer, "lock", error);
    if (result >= 0) {
        writer->unfinished = true;
        result = snapshot_restart(writer, error);
    }
    if (result < 0) {
        snapshot_writer_free(writer);
        return result;
    }
    *ret_writer = writer;
    return 0;
}

struct snapshot_writer *snapshot_writer_free(struct snapshot_writer *writer)
{
    if (!writer)
        return NULL;
    if (writer->unfinished)
        unlink(writer->part);
    if (writer->file >= 0)
        close(writer->file);
    EVP_MD_CTX_free(writer->sha);
    free(writer->path);
    free(writer->part);
    free(writer);
    return NULL;
}

int snapshot_put(struct snapshot_writer *writer, enum snapshot_kind kind, struct slice content, struct error *error)
{
    uint8_t head[BLOCK_HEAD_SIZE], tail[BLOCK_TAIL_SIZE];
    if (content.size > SNAPSHOT_BLOCK_MOST)
        return error_set(error, ERROR_LIMIT, "write %s: a block of %zu bytes; allowed: %d", writer->part, content.size,
                         SNAPSHOT_BLOCK_MOST);
    memcpy(head, snapshot_tags[kind], 4);
    put32(head + 4, (uint32_t)content.size);
    uLong crc = crc32_z(crc32_z(0, head, sizeof head), content.size ? (const Bytef *)content.data : head, content.size);
    put32(tail, (uint32_t)crc);
    int result = put_bytes(writer, head, sizeof head, error);
    if (result >= 0 && content.size > 0)
        result = put_bytes(writer, content.data, content.size, error);
    if (result >= 0)
        result = put_bytes(writer, tail, sizeof tail, error);
    writer->blocks++;
    return result;
}

int snapshot_end(struct snapshot_writer *writer, struct error *error)
{
    uint8_t end[END_SIZE];
    put64(end, writer->blocks);
    EVP_DigestFinal_ex(writer->sha, end + 8, NULL);
    EVP_DigestInit_ex(writer->sha, EVP_sha256(), NULL); /* of the end itself nothing is said */
    int result = snapshot_put(writer, SNAPSHOT_END, (struct slice){(const char *)end, sizeof end}, error);
    if (result >= 0 && fsync(writer->file) != 0)
        result = failed(writer, "sync", error);
    return result;
}

int snapshot_take_name(struct snapshot_writer *writer, struct error *error)
{
    if (rename(writer->part, writer->path) != 0)
        return failed(writer, "rename", error);
    writer->unfinished = false;
    char *copy = strdup(writer->path);
    int directory = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(copy);
    bool synced = directory >= 0 && (fsync(directory) == 0 || errno == EINVAL || errno == EROFS);
    if (directory >= 0)
        close(directory);
    return synced ? 0 : error_set(error, ERROR_IO, "sync the folder of %s: %s", writer->path, strerror(errno));
}

const char *snapshot_part_path(const struct snapshot_writer *writer)
{
    return writer->part;
}

int64_t snapshot_size(const struct snapshot_writer *writer)
{
    return writer->size;
}

static void append32(struct buffer *content, uint32_t number)
{
    uint8_t bytes[4];
    put32(bytes, number);
    buffer_append(content, bytes, sizeof bytes);
}

static void append_text(struct buffer *content, struct slice text)
{
    append32(content, (uint32_t)text.size);
    buffer_slice_append(content, text);
}

void snapshot_block_name(struct buffer *content, struct slice name)
{
    append_text(content, name);
}

void snapshot_block_pair(struct buffer *content, struct slice field, struct slice value)
{
    append_text(content, field);
    append_text(content, value);
}

void snapshot_block_lane(struct buffer *content, uint32_t lane)
{
    append32(content, lane);
}

void snapshot_block_visitor(struct buffer *content, const uint8_t visitor[16], int64_t latest_ms)
{
    uint8_t time[8];
    put64(time, (uint64_t)latest_ms);
    buffer_append(content, visitor, 16);
    buffer_append(content, time, sizeof time);
}
