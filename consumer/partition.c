/* Decides what happens when a partition's stored position meets its log: start, accept a gap, or halt with a sentence. */
#include "consumer/partition.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

char *last_record_format(const struct last_record *last, char text[LAST_RECORD_TEXT_SIZE])
{
    snprintf(text, LAST_RECORD_TEXT_SIZE, "%" PRId64 " %" PRId64 " %" PRIu32 " %" PRId64, last->offset,
             last->timestamp_ms, last->crc, last->newest_ms);
    return text;
}

bool last_record_parse(struct slice text, struct last_record *ret_last)
{
    char copy[LAST_RECORD_TEXT_SIZE];
    if (!text.data || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    struct last_record last;
    int used = 0;
    if (sscanf(copy, "%" SCNd64 " %" SCNd64 " %" SCNu32 " %" SCNd64 "%n", &last.offset, &last.timestamp_ms, &last.crc,
               &last.newest_ms, &used) != 4 ||
        (size_t)used != text.size)
        return false;
    *ret_last = last;
    return true;
}

uint32_t record_crc(struct slice value)
{
    return value.data ? (uint32_t)crc32_z(0, (const Bytef *)value.data, value.size) : 0;
}

void partition_init(struct partition *partition, const char *city, enum event_type type, int32_t id)
{
    *partition = (struct partition){.type = type, .id = id, .end = -1, .schema_id = -1, .last = LAST_RECORD_NONE};
    snprintf(partition->field, sizeof partition->field, "%s.%s/%" PRId32, city, event_topic_suffix(type), id);
}

static void leave_out(struct partition *partition, enum partition_state state, const char *format, va_list list)
{
    vsnprintf(partition->reason, sizeof partition->reason, format, list);
    partition->state = state;
    partition->schema_id = -1;
    partition->told = false;
}

void partition_halt(struct partition *partition, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    leave_out(partition, PARTITION_HALTED, format, list);
    va_end(list);
}

void partition_wait(struct partition *partition, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    leave_out(partition, PARTITION_WAITING, format, list);
    va_end(list);
}

void partition_wait_for_schema(struct partition *partition, uint32_t schema_id, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    leave_out(partition, PARTITION_WAITING, format, list);
    va_end(list);
    partition->schema_id = schema_id;
}

void partition_skip_to(struct partition *partition, int64_t to)
{
    partition->position = partition->read_position = to;
    partition->last.offset = -1;
    partition->state = PARTITION_ACTIVE;
}

enum partition_plan partition_meet_log(struct partition *partition, int64_t low, int64_t high, bool accept_log_start,
                                       int64_t *ret_start)
{
    int64_t position = partition->position;
    if (position > high) {
        partition_halt(partition,
                    "stored offset %" PRId64 " is beyond the end of the log, %" PRId64
                    ": the topic was truncated or recreated; bring the old log back, or delete this city's keys in Redis "
                    "to count the new log from its start",
                    position, high);
        return PARTITION_HALT;
    }
    if (position < low) {
        if (partition->type == EVENT_PAGE_VISIT || accept_log_start)
            return PARTITION_SKIP;
        partition_halt(partition,
                    "the log starts at offset %" PRId64 ", after the stored offset %" PRId64
                    ": events in between were deleted before they were counted; bring them back, or accept the gap with "
                    "--accept-log-start (it is recorded)",
                    low, position);
        return PARTITION_HALT;
    }
    bool comparable = partition->last.offset >= low && partition->last.offset < position;
    partition->state = comparable ? PARTITION_VERIFYING : PARTITION_ACTIVE;
    partition->read_position = position;
    *ret_start = comparable ? partition->last.offset : position;
    return PARTITION_START;
}

bool partition_take(struct partition *partition, int64_t offset, int64_t timestamp_ms, struct slice value)
{
    if (partition->state == PARTITION_VERIFYING) {
        if (offset < partition->last.offset)
            return false;
        uint32_t crc = record_crc(value);
        if (offset > partition->last.offset) {
            partition_halt(partition,
                 "the record at offset %" PRId64 " that was folded last is gone (the next is at %" PRId64
                 "): the log is not the one that was folded; bring the old log back, or delete this city's keys in Redis "
                 "to count this log from its start",
                 partition->last.offset, offset);
            return false;
        }
        if (timestamp_ms != partition->last.timestamp_ms || crc != partition->last.crc) {
            partition_halt(partition,
                 "the record at offset %" PRId64 " differs from the one that was folded there (timestamp %" PRId64
                 " and checksum %" PRIu32 ", remembered %" PRId64 " and %" PRIu32
                 "): the topic was truncated or recreated; bring the old log back, or delete this city's keys in Redis to "
                 "count this log from its start",
                 offset, timestamp_ms, crc, partition->last.timestamp_ms, partition->last.crc);
            return false;
        }
        partition->state = PARTITION_ACTIVE;
        return false;
    }
    if (partition->state != PARTITION_ACTIVE || offset < partition->read_position)
        return false;
    partition->read_position = offset + 1;
    return true;
}

bool partition_take_end(struct partition *partition, int64_t offset)
{
    if (partition->state == PARTITION_VERIFYING) { /* it should have been the first thing to come */
        partition_halt(partition,
             "the record at offset %" PRId64 " that was folded last is gone (the log ends at %" PRId64
             "): the log is not the one that was folded; bring the old log back, or delete this city's keys in Redis to "
             "count this log from its start",
             partition->last.offset, offset);
        return false;
    }
    if (partition->state != PARTITION_ACTIVE || offset <= partition->read_position)
        return false;
    partition->read_position = offset;
    return true;
}
