/* What the files of the settings share. */
#ifndef CITYTOTALS_BASE_SETTINGS_INTERNAL_H
#define CITYTOTALS_BASE_SETTINGS_INTERNAL_H

#include "base/settings.h"

struct settings {
    char **texts; /* owned copies of values */
    size_t text_count;
    const char ***lists;
    size_t list_count;
};

/* The command's settings, one after the other; NULL past the last. */
const struct setting *setting_at(const struct command *command, size_t index);
/* The setting of a name; *ret_from_file when it is the `-file` form of a secret. NULL: there is none. */
const struct setting *setting_named(const struct command *command, struct slice name, bool *ret_from_file);
/* `from_file`: the value names a file that holds it. `split`: a list's items are separated by semicolons. */
int setting_set(struct settings *settings, const struct setting *setting, bool from_file, void *options, const char *value,
                const char *origin, bool split, struct error *error);

#endif
