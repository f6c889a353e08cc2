/* `citytotals-producer schemas`: the city's four subjects at the schema registry, for whoever sets a city up. */
#include "producer/schemas.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/program.h"
#include "producer/settings.h"

static int register_one(struct registry *registry, const struct schemas_options *options, enum record_type type,
                        struct error *error)
{
    char subject[REGISTRY_SUBJECT_SIZE];
    int64_t id = -1, before = -1;
    registry_subject(subject, options->common.city, type);
    int result = registry_lookup(registry, subject, schema_text(type), &before, error);
    /* Some registries know a subject's level only once it has a version, others want it before the first. */
    if (result >= 0 && options->level != SCHEMA_LEVEL_KEEP && before >= 0)
        result = registry_set_level(registry, subject, schema_levels[options->level], error);
    if (result >= 0)
        result = registry_settle(registry, options->common.city, type, true, &id, error);
    if (result >= 0 && options->level != SCHEMA_LEVEL_KEEP && before < 0)
        result = registry_set_level(registry, subject, schema_levels[options->level], error);
    if (result >= 0)
        printf("%s: id %" PRId64 ", %s\n", subject, id, before >= 0 ? "registered before" : "registered now");
    return result;
}

static int check_one(struct registry *registry, const struct schemas_options *options, enum record_type type,
                     struct error *error)
{
    char subject[REGISTRY_SUBJECT_SIZE], level[64];
    const char *why = "", *text = "";
    bool compatible = false;
    int64_t id = -1;
    registry_subject(subject, options->common.city, type);
    int result = registry_lookup(registry, subject, schema_text(type), &id, error);
    if (result >= 0)
        result = registry_level(registry, subject, &text, error);
    if (result < 0)
        return result;
    snprintf(level, sizeof level, "%s", text);
    result = registry_check(registry, subject, schema_text(type), &compatible, &why, error);
    if (result < 0)
        return result;
    if (id >= 0)
        printf("%s: id %" PRId64 ", registered; level %s\n", subject, id, level);
    else if (compatible)
        printf("%s: not registered; the registry would take it; level %s\n", subject, level);
    else
        printf("%s: not registered; INCOMPATIBLE with the latest version%s%s; level %s\n", subject, *why ? ": " : "",
               why, level);
    return id >= 0 || compatible
               ? 0
               : error_set(error, ERROR_REFUSED, "our schema is not compatible with the latest of subject %s", subject);
}

static int do_all(const struct schemas_options *options, bool only_check, struct error *error)
{
    struct registry *registry = NULL;
    int result = registry_new(&options->registry, NULL, NULL, &registry, error), worst = 0;
    for (int type = 0; result >= 0 && type < RECORD_TYPES; type++) {
        struct error one = {0};
        result = only_check ? check_one(registry, options, (enum record_type)type, &one)
                            : register_one(registry, options, (enum record_type)type, &one);
        if (result < 0) {
            *error = one;
            worst = result;
        }
        if (result == -ERROR_REFUSED) /* the next may be taken: all are told */
            result = 0;
    }
    registry_free(registry);
    return result < 0 ? result : worst;
}

static int do_words(const struct schemas_options *options, char **words, int count, struct error *error)
{
    bool only_check = count == 1 && strcmp(words[0], "check") == 0;
    if (count != 1 || (!only_check && strcmp(words[0], "register") != 0))
        return error_set(error, ERROR_USAGE, "say what to do: `schemas register` or `schemas check`");
    if (!options->registry.url)
        return error_set(error, ERROR_USAGE, "--schema-registry is missing: the URL of the schema registry");
    int result = do_all(options, only_check, error);
    return result >= 0 && fflush(stdout) != 0 ? error_set(error, ERROR_IO, "write to standard output: %m") : result;
}

int producer_schemas(int argc, char **argv)
{
    struct schemas_options options = {0};
    struct program_run frame;
    int result = program_begin(&frame, &producer_command_schemas, argc, argv, &options);
    if (result > 0)
        result = do_words(&options, frame.operands, frame.operand_count, &frame.error);
    return program_end(&frame, result);
}
