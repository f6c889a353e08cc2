/* The schema ids of the event types, from the registry. */
#include "producer/schema_ids.h"

static bool is_stopped(void *context)
{
    const volatile sig_atomic_t *const *stop = context;
    return **stop != 0;
}

int schema_ids_settle(const struct registry_options *options, const char *city, bool may_register,
                      const volatile sig_atomic_t *stop, int64_t ret_ids[EVENT_TYPES], struct error *error)
{
    struct registry *registry = NULL;
    int64_t ids[EVENT_TYPES];
    if (!options->url) {
        for (int type = 0; type < EVENT_TYPES; type++)
            ret_ids[type] = -1;
        return 0;
    }
    int result = registry_new(options, stop ? is_stopped : NULL, &stop, &registry, error);
    for (int type = 0; result >= 0 && type < EVENT_TYPES; type++)
        result = registry_settle(registry, city, (enum record_type)type, may_register, &ids[type], error);
    registry_free(registry);
    if (result >= 0)
        memcpy(ret_ids, ids, sizeof ids);
    return result;
}
