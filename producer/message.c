/* Makes messages of events: Avro's encoding, the framing, and the key that says the partition. */
#include "producer/message.h"

#include <stdlib.h>

#include "schemas/codec.h"

struct message_maker {
    const int64_t *schema_ids;
    struct encoder *encoder;
};

int message_maker_new(const int64_t *schema_ids, struct message_maker **ret_maker, struct error *error)
{
    struct message_maker *maker = calloc(1, sizeof *maker);
    if (!maker)
        return error_set(error, ERROR_MEMORY, "out of memory");
    maker->schema_ids = schema_ids;
    int result = encoder_new(&maker->encoder, error);
    if (result < 0) {
        free(maker);
        return result;
    }
    *ret_maker = maker;
    return 0;
}

struct message_maker *message_maker_free(struct message_maker *maker)
{
    if (!maker)
        return NULL;
    encoder_free(maker->encoder);
    free(maker);
    return NULL;
}

int message_make(struct message_maker *maker, const struct event *event, struct buffer *out, struct message *ret_message,
                 struct error *error)
{
    size_t value_at = out->size;
    int result = encoder_event(maker->encoder, event, maker->schema_ids[event->type], out, error);
    if (result < 0)
        return result;
    size_t key_at = out->size;
    buffer_slice_append(out, event->type == EVENT_PAGE_VISIT ? (struct slice){(const char *)event->visit.visitor, sizeof event->visit.visitor}
                                                             : event->agency);
    if (buffer_failed(out))
        return error_set(error, ERROR_MEMORY, "out of memory");
    *ret_message = (struct message){event->type, {out->data + key_at, out->size - key_at}, {out->data + value_at, key_at - value_at}};
    return 0;
}
