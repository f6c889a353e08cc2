/* Reads a snapshot file block by block, and trusts nothing in it before its checksum. */
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zlib.h>

#include "consumer/snapshot_internal.h"
#include "schemas/identity.h"
#include "schemas/layout.h"

enum { NAME_MOST = 32, ID_MOST = 64 };

struct snapshot_reader {
    char *path;
    FILE *file;
    EVP_MD_CTX *sha;
    uint8_t *content; /* SNAPSHOT_BLOCK_MOST */
    int64_t at, size;
    uint64_t blocks;
    uint8_t digest[DIGEST_SIZE];
};

static int damaged(const struct snapshot_reader *reader, int64_t at, const char *what, struct error *error)
{
    return error_set(error, ERROR_REFUSED, "%s: block %" PRIu64 " at byte %" PRId64 " %s: the file is damaged", reader->path,
                     reader->blocks + 1, at, what);
}

static int take_bytes(struct snapshot_reader *reader, void *to, size_t size, struct error *error)
{
    size_t read = fread(to, 1, size, reader->file);
    if (read != size && ferror(reader->file))
        return error_set(error, ERROR_IO, "read %s: %s", reader->path, strerror(errno));
    if (read != size)
        return error_set(error, ERROR_REFUSED, "%s ends at byte %" PRId64 ", before its end block: it was cut short", reader->path,
                         reader->at + (int64_t)read);
    reader->at += (int64_t)size;
    return 0;
}

int snapshot_rewind(struct snapshot_reader *reader, struct error *error)
{
    uint8_t head[FILE_HEAD_SIZE];
    if (fseeko(reader->file, 0, SEEK_SET) != 0)
        return error_set(error, ERROR_IO, "read %s: %s", reader->path, strerror(errno));
    reader->at = 0;
    reader->blocks = 0;
    size_t read = fread(head, 1, sizeof head, reader->file);
    if (read < sizeof head || memcmp(head, SNAPSHOT_MAGIC, MAGIC_SIZE) != 0)
        return error_set(error, ERROR_REFUSED, "%s is no snapshot of citytotals", reader->path);
    reader->at = (int64_t)read;
    if (get32(head + MAGIC_SIZE) != SNAPSHOT_FORMAT)
        return error_set(error, ERROR_REFUSED, "%s: a snapshot of format %" PRIu32 "; this program reads format %d", reader->path,
                         get32(head + MAGIC_SIZE), SNAPSHOT_FORMAT);
    EVP_DigestInit_ex(reader->sha, EVP_sha256(), NULL);
    EVP_DigestUpdate(reader->sha, head, sizeof head);
    return 0;
}

int snapshot_open(const char *path, struct snapshot_reader **ret_reader, struct error *error)
{
    struct snapshot_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return error_set(error, ERROR_MEMORY, "out of memory");
    reader->path = strdup(path);
    reader->content = malloc(SNAPSHOT_BLOCK_MOST);
    reader->sha = EVP_MD_CTX_new();
    struct stat status;
    int result = 0;
    if (!reader->path || !reader->content || !reader->sha)
        result = error_set(error, ERROR_MEMORY, "out of memory");
    else if (!(reader->file = fopen(path, "rbe")) || fstat(fileno(reader->file), &status) != 0)
        result = error_set(error, ERROR_IO, "read %s: %s", path, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        result = error_set(error, ERROR_IO, "read %s: not a file", path);
    if (result >= 0) {
        reader->size = status.st_size;
        result = snapshot_rewind(reader, error);
    }
    if (result < 0) {
        snapshot_reader_free(reader);
        return result;
    }
    *ret_reader = reader;
    return 0;
}

struct snapshot_reader *snapshot_reader_free(struct snapshot_reader *reader)
{
    if (!reader)
        return NULL;
    if (reader->file)
        fclose(reader->file);
    EVP_MD_CTX_free(reader->sha);
    free(reader->content);
    free(reader->path);
    free(reader);
    return NULL;
}

static bool take_text(struct slice *rest, struct slice *ret_text)
{
    if (rest->size < 4)
        return false;
    uint32_t size = get32((const uint8_t *)rest->data);
    if (size > rest->size - 4)
        return false;
    *ret_text = (struct slice){rest->data + 4, size};
    *rest = (struct slice){rest->data + 4 + size, rest->size - 4 - size};
    return true;
}

bool snapshot_pair(struct slice *rest, struct slice *ret_field, struct slice *ret_value)
{
    return take_text(rest, ret_field) && take_text(rest, ret_value);
}

static bool take_pairs(struct slice rest)
{
    struct slice field, value;
    while (rest.size > 0)
        if (!snapshot_pair(&rest, &field, &value))
            return false;
    return true;
}

static bool take_name(struct snapshot_block *block)
{
    return take_text(&block->bytes, &block->name) && block->name.size > 0 && block->name.size <= NAME_MOST;
}

/* Does the content have the shape that its kind must have? */
static bool take_content(struct slice content, struct snapshot_block *block)
{
    block->bytes = content;
    switch (block->kind) {
    case SNAPSHOT_HEAD:
        return true;
    case SNAPSHOT_HASH:
        return take_name(block) && take_pairs(block->bytes);
    case SNAPSHOT_ENTRY:
        return take_name(block) && take_text(&block->bytes, &block->id) && block->id.size <= ID_MOST && take_pairs(block->bytes);
    case SNAPSHOT_STRING:
        return take_name(block);
    case SNAPSHOT_LANE:
        if (content.size < 4)
            return false;
        block->lane = get32((const uint8_t *)content.data);
        block->bytes = (struct slice){content.data + 4, content.size - 4};
        return block->lane < SEEN_LANES && block->bytes.size % SEEN_RECORD_SIZE == 0;
    case SNAPSHOT_VISITORS:
        return take_name(block) && block->bytes.size % SNAPSHOT_VISITOR_SIZE == 0;
    case SNAPSHOT_END:
        return content.size == END_SIZE;
    }
    return false;
}

static int take_end(struct snapshot_reader *reader, int64_t begun, struct slice content, struct error *error)
{
    const uint8_t *end = (const uint8_t *)content.data;
    EVP_DigestFinal_ex(reader->sha, reader->digest, NULL);
    if (get64(end) != reader->blocks)
        return damaged(reader, begun, "tells of another number of blocks", error);
    if (memcmp(end + 8, reader->digest, DIGEST_SIZE) != 0)
        return damaged(reader, begun, "has another SHA-256 than what comes before it", error);
    if (fgetc(reader->file) != EOF)
        return error_set(error, ERROR_REFUSED, "%s goes on after its end block, at byte %" PRId64 ": the file is damaged",
                         reader->path, reader->at);
    return 0;
}

int snapshot_next(struct snapshot_reader *reader, struct snapshot_block *ret_block, struct error *error)
{
    uint8_t head[BLOCK_HEAD_SIZE], tail[BLOCK_TAIL_SIZE];
    struct snapshot_block block = {0};
    int64_t begun = reader->at;
    int result = take_bytes(reader, head, sizeof head, error);
    if (result < 0)
        return result;
    unsigned kind = 0;
    while (kind < SNAPSHOT_KINDS && memcmp(head, snapshot_tags[kind], 4) != 0)
        kind++;
    uint32_t size = get32(head + 4);
    if (kind == SNAPSHOT_KINDS || size > SNAPSHOT_BLOCK_MOST)
        return damaged(reader, begun, kind == SNAPSHOT_KINDS ? "is of no known kind" : "is larger than any may be", error);
    if ((result = take_bytes(reader, reader->content, size, error)) < 0 || (result = take_bytes(reader, tail, sizeof tail, error)) < 0)
        return result;
    if ((uint32_t)crc32_z(crc32_z(0, head, sizeof head), reader->content, size) != get32(tail))
        return damaged(reader, begun, "does not have the checksum that it says", error);
    block.kind = (enum snapshot_kind)kind;
    struct slice content = {(const char *)reader->content, size};
    if (!take_content(content, &block) || (reader->blocks == 0) != (block.kind == SNAPSHOT_HEAD))
        return damaged(reader, begun, "does not hold what its kind must", error);
    if (block.kind == SNAPSHOT_END) {
        result = take_end(reader, begun, content, error);
    } else {
        EVP_DigestUpdate(reader->sha, head, sizeof head);
        EVP_DigestUpdate(reader->sha, reader->content, size);
        EVP_DigestUpdate(reader->sha, tail, sizeof tail);
    }
    if (result < 0)
        return result;
    reader->blocks++;
    *ret_block = block;
    return 0;
}

int64_t snapshot_read_bytes(const struct snapshot_reader *reader)
{
    return reader->at;
}

int64_t snapshot_file_bytes(const struct snapshot_reader *reader)
{
    return reader->size;
}

const uint8_t *snapshot_digest(const struct snapshot_reader *reader)
{
    return reader->digest;
}

int64_t snapshot_visitor_time(const uint8_t record[SNAPSHOT_VISITOR_SIZE])
{
    return (int64_t)get64(record + 16);
}

struct slice snapshot_head_value(struct slice head, const char *name)
{
    size_t size = strlen(name);
    while (head.size > 0) {
        const char *end = memchr(head.data, '\n', head.size);
        size_t line = end ? (size_t)(end - head.data) : head.size;
        if (line > size && memcmp(head.data, name, size) == 0 && head.data[size] == ' ')
            return (struct slice){head.data + size + 1, line - size - 1};
        line += end != NULL;
        head = (struct slice){head.data + line, head.size - line};
    }
    return (struct slice){0};
}
