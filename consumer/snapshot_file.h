/* The snapshot file: one city's state at one moment. Every number in it is little-endian and of a fixed width, so that it
 * can be read on any machine; every block carries a CRC-32 and the end the SHA-256 of all that came before. docs/backup.md
 * tells the format byte by byte. */
#ifndef CITYTOTALS_CONSUMER_SNAPSHOT_FILE_H
#define CITYTOTALS_CONSUMER_SNAPSHOT_FILE_H

#include "base/buffer.h"
#include "base/error.h"

#define SNAPSHOT_FORMAT     1
#define SNAPSHOT_BLOCK_MOST (8 * 1024 * 1024) /* bytes of a block's content */
#define SNAPSHOT_CONTENT    (4 * 1024 * 1024) /* a writer begins another block from here on */

enum snapshot_kind {
    SNAPSHOT_HEAD,     /* lines "name value": whose state, of when */
    SNAPSHOT_HASH,     /* `name` is the key without "{<city>}:"; pairs of field and value */
    SNAPSHOT_LANE,     /* `lane`; `bytes` are some of its records, in order */
    SNAPSHOT_VISITORS, /* `name` is the day; `bytes` are records of 16 bytes and a time (SNAPSHOT_VISITOR_SIZE) */
    SNAPSHOT_ENTRY,    /* of the stream `name`: its `id`; pairs of field and value */
    SNAPSHOT_STRING,   /* `name` is the key without "{<city>}:"; `bytes` is its value */
    SNAPSHOT_END,
};
#define SNAPSHOT_VISITOR_SIZE 24

/* --- writing --- */
struct snapshot_writer;
/* Writes to PATH.part, which takes the name PATH once it is finished. ERROR_IO; ERROR_REFUSED while another one writes it. */
int snapshot_create(const char *path, struct snapshot_writer **ret_writer, struct error *error);
/* Throw away what was written, to begin again. */
int snapshot_restart(struct snapshot_writer *writer, struct error *error);
/* A block; its content is laid out as snapshot_block_* below does. */
int snapshot_put(struct snapshot_writer *writer, enum snapshot_kind kind, struct slice content, struct error *error);
/* The end, on disk; still PATH.part, so that it can be read back. */
int snapshot_end(struct snapshot_writer *writer, struct error *error);
int snapshot_take_name(struct snapshot_writer *writer, struct error *error);
const char *snapshot_part_path(const struct snapshot_writer *writer);
int64_t snapshot_size(const struct snapshot_writer *writer); /* bytes written */
struct snapshot_writer *snapshot_writer_free(struct snapshot_writer *writer); /* NULL; removes an unfinished PATH.part */

/* How contents are laid out. */
void snapshot_block_name(struct buffer *content, struct slice name); /* all but HEAD, LANE and END begin so; ENTRY goes on with its id */
void snapshot_block_pair(struct buffer *content, struct slice field, struct slice value);
void snapshot_block_lane(struct buffer *content, uint32_t lane);
void snapshot_block_visitor(struct buffer *content, const uint8_t visitor[16], int64_t latest_ms);

/* --- reading --- */
struct snapshot_block {
    enum snapshot_kind kind;
    struct slice name;  /* HASH, VISITORS, ENTRY, STRING */
    struct slice id;    /* ENTRY */
    uint32_t lane;      /* LANE */
    struct slice bytes; /* HEAD: its text; HASH, ENTRY: pairs for snapshot_pair; LANE, VISITORS: whole records */
};
struct snapshot_reader;
/* ERROR_IO; ERROR_REFUSED for a file that is no snapshot or of another format. */
int snapshot_open(const char *path, struct snapshot_reader **ret_reader, struct error *error);
struct snapshot_reader *snapshot_reader_free(struct snapshot_reader *reader); /* NULL */
/* The next block, checked; valid until the next call. After SNAPSHOT_END, which is given only when everything was as it
 * was written, nothing more may be asked for. ERROR_REFUSED with the place of the damage. */
int snapshot_next(struct snapshot_reader *reader, struct snapshot_block *ret_block, struct error *error);
/* From the first block on again. */
int snapshot_rewind(struct snapshot_reader *reader, struct error *error);
int64_t snapshot_read_bytes(const struct snapshot_reader *reader);
int64_t snapshot_file_bytes(const struct snapshot_reader *reader);
/* After SNAPSHOT_END: the SHA-256 of everything before it. */
const uint8_t *snapshot_digest(const struct snapshot_reader *reader);

/* Takes the next pair off `rest`; false at its end. */
bool snapshot_pair(struct slice *rest, struct slice *ret_field, struct slice *ret_value);
int64_t snapshot_visitor_time(const uint8_t record[SNAPSHOT_VISITOR_SIZE]);
/* The value of a line of the head; data NULL when there is none. */
struct slice snapshot_head_value(struct slice head, const char *name);

#endif
