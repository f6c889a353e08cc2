/* An event that outlives the bytes it was decoded from. Pure. */
#include "schemas/event_copy.h"

#include <stdlib.h>

static struct slice put(struct slice text, char **at)
{
    if (!text.data)
        return text;
    char *place = *at;
    memcpy(place, text.data, text.size);
    *at += text.size;
    return (struct slice){place, text.size};
}

static const struct unit *put_units(const struct unit *units, uint32_t count, struct unit *into, char **at)
{
    for (uint32_t i = 0; i < count; i++)
        into[i] = (struct unit){put(units[i].id, at), put(units[i].name, at)};
    return into;
}

static size_t size_of(const struct unit *units, uint32_t count)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += units[i].id.size + units[i].name.size;
    return size;
}

struct event *event_copy(const struct event *event)
{
    uint32_t merged = 0, resulting = 0;
    size_t size = event->source.size + event->agency.size + event->decision.size;
    if (event->type == EVENT_UNIT_MERGER) {
        merged = event->merger.merged_count < UNIT_LIST_MOST ? event->merger.merged_count : UNIT_LIST_MOST;
        resulting = event->merger.resulting_count < UNIT_LIST_MOST ? event->merger.resulting_count : UNIT_LIST_MOST;
        size += event->merger.pilot_model.size + event->merger.district.size + size_of(event->merger.merged_units, merged) +
                size_of(event->merger.resulting_units, resulting);
    }
    struct event *copy = malloc(sizeof *copy + (merged + resulting) * sizeof(struct unit) + size + 1);
    if (!copy)
        return NULL;
    struct unit *units = (struct unit *)(copy + 1);
    char *at = (char *)(units + merged + resulting);
    *copy = *event;
    copy->source = put(event->source, &at);
    copy->agency = put(event->agency, &at);
    copy->decision = put(event->decision, &at);
    if (event->type == EVENT_UNIT_MERGER) {
        copy->merger.pilot_model = put(event->merger.pilot_model, &at);
        copy->merger.district = put(event->merger.district, &at);
        copy->merger.merged_units = put_units(event->merger.merged_units, merged, units, &at);
        copy->merger.resulting_units = put_units(event->merger.resulting_units, resulting, units + merged, &at);
    }
    return copy;
}
