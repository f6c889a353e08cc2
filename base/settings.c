/* One table of settings: values, and files of them, become the fields of an options struct. */
#include "base/settings_internal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { VALUE_MOST = 4096 };

static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

#define AT(field) offsetof(struct common_options, field)
const struct setting common_settings[] = {
    {.name = "brokers", .letter = 'b', .kind = SETTING_TEXT, .offset = AT(brokers), .placeholder = "HOST:PORT,…",
     .help = "Kafka brokers to start from."},
    {.name = "property", .letter = 'X', .kind = SETTING_LIST, .offset = AT(properties), .placeholder = "KEY=VALUE",
     .help = "Any librdkafka property; repeatable (in the environment separated by ;)."},
    {.name = "config", .letter = 'F', .kind = SETTING_TEXT, .offset = AT(config), .placeholder = "FILE",
     .help = "File with lines `name = value` and # comments."},
    {.name = "city", .kind = SETTING_TEXT, .offset = AT(city), .placeholder = "NAME", .default_text = "haiphong",
     .help = "The city: prefix of its topics and of its keys in Redis."},
    {.name = "redis", .kind = SETTING_TEXT, .offset = AT(redis.url), .placeholder = "URL",
     .default_text = "redis://127.0.0.1:6379", .secret = true,
     .help = "redis://[user:pass@]host:port[/db], rediss:// for TLS; a cluster: redis+cluster://…host:port[,host:port…], rediss+cluster://."},
    {.name = "redis-ca", .kind = SETTING_TEXT, .offset = AT(redis.ca), .placeholder = "FILE",
     .help = "Authorities that vouch for Redis's certificate, in PEM; else the system's. The files of TLS are read for each connection."},
    {.name = "redis-cert", .kind = SETTING_TEXT, .offset = AT(redis.cert), .placeholder = "FILE",
     .help = "This program's certificate for a Redis that asks for one, in PEM, its chain behind it. With --redis-key."},
    {.name = "redis-key", .kind = SETTING_TEXT, .offset = AT(redis.key), .placeholder = "FILE",
     .help = "Its key, in PEM without a password."},
    {.name = "log-level", .kind = SETTING_CHOICE, .offset = AT(log_level), .placeholder = "LEVEL", .default_text = "info",
     .choices = log_levels, .help = "Least important log lines to write."},
    {.name = "log-format", .kind = SETTING_CHOICE, .offset = AT(log_format), .placeholder = "FORMAT", .default_text = "text",
     .choices = log_formats, .help = "Form of the log lines on standard error."},
    {0},
};
#undef AT

const struct setting *setting_at(const struct command *command, size_t index)
{
    for (size_t t = 0; command->tables[t]; t++)
        for (const struct setting *setting = command->tables[t]; setting->name; setting++)
            if (index-- == 0)
                return setting;
    return NULL;
}

const struct setting *setting_named(const struct command *command, struct slice name, bool *ret_from_file)
{
    const struct setting *setting;
    for (size_t i = 0; (setting = setting_at(command, i)); i++) {
        size_t size = strlen(setting->name);
        *ret_from_file = setting->secret && name.size == size + 5 && memcmp(name.data, setting->name, size) == 0 &&
                         memcmp(name.data + size, "-file", 5) == 0;
        if (*ret_from_file || (name.size == size && memcmp(name.data, setting->name, size) == 0))
            return setting;
    }
    return NULL;
}

static char *keep(struct settings *settings, const char *text, struct error *error)
{
    char **texts = realloc(settings->texts, (settings->text_count + 1) * sizeof *texts);
    char *copy = texts ? strdup(text) : NULL;
    if (texts)
        settings->texts = texts;
    if (!copy) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    return settings->texts[settings->text_count++] = copy;
}

/* A bad value: its name, the value (never a secret's), where it came from and what is allowed. */
static int bad(const struct setting *setting, const char *value, const char *origin, const char *allowed, struct error *error)
{
    return error_set(error, ERROR_USAGE, "%s: %s is \"%s\"; allowed: %s", origin, setting->name,
                     setting->secret ? "(secret)" : value, allowed);
}

static bool scaled(const char *value, const char *const *units, const int64_t *factors, bool bare, int64_t *ret_number)
{
    char *end;
    errno = 0;
    if (!isdigit((unsigned char)value[0]))
        return false;
    int64_t number = strtoll(value, &end, 10);
    if (errno)
        return false;
    if (*end == '\0' && (bare || number == 0)) {
        *ret_number = number;
        return true;
    }
    for (size_t i = 0; units && units[i]; i++) {
        if (strcmp(end, units[i]) == 0) {
            if (number > INT64_MAX / factors[i])
                return false;
            *ret_number = number * factors[i];
            return true;
        }
    }
    return false;
}

static int add_to_list(struct settings *settings, struct setting_list *list, const char *text, const char *origin,
                       const struct setting *setting, struct error *error)
{
    if (list->count == SETTING_LIST_MOST)
        return bad(setting, text, origin, "at most 256 of them", error);
    if (!list->items) {
        const char ***lists = realloc(settings->lists, (settings->list_count + 1) * sizeof *lists);
        if (lists)
            settings->lists = lists;
        list->items = lists ? calloc(SETTING_LIST_MOST, sizeof *list->items) : NULL;
        if (!list->items)
            return error_set(error, ERROR_MEMORY, "out of memory");
        settings->lists[settings->list_count++] = list->items;
    }
    list->items[list->count++] = text;
    return 0;
}

static int set_value(struct settings *settings, const struct setting *setting, void *options, const char *value,
                     const char *origin, bool split, struct error *error)
{
    static const char *const sizes[] = {"KiB", "MiB", "GiB", NULL}, *const times[] = {"ms", "s", "min", "h", NULL};
    static const int64_t size_factors[] = {1 << 10, 1 << 20, 1 << 30}, time_factors[] = {1, 1000, 60000, 3600000};
    void *field = (char *)options + setting->offset;
    char allowed[256];
    int64_t number = 0;
    if (strlen(value) > VALUE_MOST)
        return bad(setting, "(long)", origin, "at most 4096 bytes", error);
    switch (setting->kind) {
    case SETTING_TEXT:
    case SETTING_ADDRESS: {
        if (*value == '\0')
            return bad(setting, value, origin, "not empty", error);
        const char *colon = strrchr(value, ':');
        char *end = NULL;
        if (setting->kind == SETTING_ADDRESS &&
            (!colon || colon == value || !isdigit((unsigned char)colon[1]) || strtol(colon + 1, &end, 10) > 65535 || *end))
            return bad(setting, value, origin, "ADDRESS:PORT, port 0 to 65535", error);
        char *copy = keep(settings, value, error);
        if (!copy)
            return -ERROR_MEMORY;
        *(const char **)field = copy;
        return 0;
    }
    case SETTING_FLAG:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return bad(setting, value, origin, "true, false", error);
        *(bool *)field = value[0] == 't';
        return 0;
    case SETTING_NUMBER:
    case SETTING_SIZE:
    case SETTING_DURATION: {
        const char *what = setting->kind == SETTING_NUMBER ? "a whole number"
                           : setting->kind == SETTING_SIZE ? "bytes, or a number with KiB, MiB or GiB"
                                                           : "a number with ms, s, min or h";
        bool ok = setting->kind == SETTING_DURATION ? scaled(value, times, time_factors, false, &number)
                                                    : scaled(value, setting->kind == SETTING_SIZE ? sizes : NULL,
                                                             size_factors, true, &number);
        bool ranged = setting->least || setting->most;
        if (!ok || (ranged && (number < setting->least || number > setting->most))) {
            if (ranged)
                snprintf(allowed, sizeof allowed, "%s, from %" PRId64 " to %" PRId64 "%s", what, setting->least, setting->most,
                         setting->kind == SETTING_DURATION ? " ms" : "");
            else
                snprintf(allowed, sizeof allowed, "%s", what);
            return bad(setting, value, origin, allowed, error);
        }
        *(int64_t *)field = number;
        return 0;
    }
    case SETTING_CHOICE:
        allowed[0] = '\0';
        for (int i = 0; setting->choices[i]; i++) {
            if (strcmp(value, setting->choices[i]) == 0) {
                *(int *)field = i;
                return 0;
            }
            size_t at = strlen(allowed);
            snprintf(allowed + at, sizeof allowed - at, "%s%s", i ? ", " : "", setting->choices[i]);
        }
        return bad(setting, value, origin, allowed, error);
    case SETTING_DATE:
        if (!date_parse(slice_of(value), (int32_t *)field))
            return bad(setting, value, origin, "a date YYYY-MM-DD", error);
        return 0;
    case SETTING_LIST:
        break;
    }
    struct setting_list *list = field;
    char *copy = keep(settings, value, error);
    if (!copy)
        return -ERROR_MEMORY;
    for (char *part = copy, *next; part; part = next) {
        next = split ? strchr(part, ';') : NULL;
        if (next)
            *next++ = '\0';
        if (*part == '\0')
            continue;
        int result = add_to_list(settings, list, part, origin, setting, error);
        if (result < 0)
            return result;
    }
    return 0;
}

/* The first line of a secret's file. */
static int read_secret(const char *path, char value[VALUE_MOST + 2], struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file || !fgets(value, VALUE_MOST + 2, file)) {
        int result = error_set(error, ERROR_CONFIG, "read the secret file %s: %s", path, file ? "it is empty" : strerror(errno));
        if (file)
            fclose(file);
        return result;
    }
    fclose(file);
    value[strcspn(value, "\r\n")] = '\0';
    return 0;
}

int setting_set(struct settings *settings, const struct setting *setting, bool from_file, void *options, const char *value,
                const char *origin, bool split, struct error *error)
{
    char secret[VALUE_MOST + 2];
    if (from_file) {
        int result = read_secret(value, secret, error);
        if (result < 0)
            return result;
        value = secret;
    }
    return set_value(settings, setting, options, value, origin, split, error);
}

static int unknown(const struct command *command, const char *name, const char *origin, struct error *error)
{
    if (!command->name)
        return error_set(error, ERROR_CONFIG, "%s: unknown setting \"%s\"", origin, name);
    return error_set(error, ERROR_CONFIG, "%s: unknown setting \"%s\"; %s %s --help lists the known ones", origin, name,
                     command->program, command->name);
}

int settings_read(struct settings *settings, const struct command *command, const char *path, void *options,
                  struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, ERROR_CONFIG, "open %s: %s", path, strerror(errno));
    char line[VALUE_MOST + 256], origin[VALUE_MOST];
    int result = 0;
    for (int number = 1; result >= 0 && fgets(line, sizeof line, file); number++) {
        snprintf(origin, sizeof origin, "%s: line %d", path, number);
        if (!strchr(line, '\n') && !feof(file)) {
            result = error_set(error, ERROR_CONFIG, "%s: it is too long, or holds a zero byte; allowed: %zu bytes", origin,
                               sizeof line - 2);
            break;
        }
        char *name = line + strspn(line, " \t");
        char *end = name + strlen(name);
        while (end > name && isspace((unsigned char)end[-1]))
            *--end = '\0';
        if (*name == '\0' || *name == '#')
            continue;
        char *equals = strchr(name, '=');
        if (!equals) {
            result = error_set(error, ERROR_CONFIG, "%s: \"%s\" has no =; allowed: name = value", origin, name);
            break;
        }
        char *value = equals + 1 + strspn(equals + 1, " \t");
        while (equals > name && isspace((unsigned char)equals[-1]))
            equals--;
        bool from_file;
        const struct setting *setting = setting_named(command, (struct slice){name, (size_t)(equals - name)}, &from_file);
        *equals = '\0';
        if (!setting || strcmp(name, "config") == 0)
            result = unknown(command, name, origin, error);
        else
            result = setting_set(settings, setting, from_file, options, value, origin, false, error);
    }
    fclose(file);
    return result;
}

int settings_begin(const struct command *command, void *options, struct settings **ret_settings, struct error *error)
{
    const struct setting *setting;
    int result = 0;
    struct settings *settings = calloc(1, sizeof *settings);
    if (!settings)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; result >= 0 && (setting = setting_at(command, i)); i++) {
        if (setting->kind == SETTING_DATE)
            *(int32_t *)(void *)((char *)options + setting->offset) = INT32_MIN;
        if (setting->default_text)
            result = setting_set(settings, setting, false, options, setting->default_text, "default", false, error);
    }
    if (result < 0) {
        settings_free(settings);
        return result;
    }
    *ret_settings = settings;
    return 0;
}

int settings_set(struct settings *settings, const struct command *command, const char *name, const char *value, void *options,
                 struct error *error)
{
    bool from_file;
    const struct setting *setting = setting_named(command, slice_of(name), &from_file);
    return setting ? setting_set(settings, setting, from_file, options, value, "option", false, error)
                   : unknown(command, name, "option", error);
}

bool city_is_valid(struct slice city)
{
    if (!city.data || city.size < 1 || city.size > CITY_SIZE_MOST)
        return false;
    for (size_t i = 0; i < city.size; i++)
        if (!city.data[i] || !strchr("abcdefghijklmnopqrstuvwxyz0123456789-", city.data[i]))
            return false;
    return true;
}

/* Only texts, addresses and days can be required. */
static bool is_unset(const struct setting *setting, const void *field)
{
    return setting->kind == SETTING_DATE ? *(const int32_t *)field == INT32_MIN : !*(const char *const *)field;
}

int settings_check(const struct command *command, const void *options, struct error *error)
{
    const struct setting *setting;
    const struct common_options *common = options;
    if (common->city && !city_is_valid(slice_of(common->city)))
        return error_set(error, ERROR_USAGE, "city is \"%s\"; allowed: 1 to 32 of a-z, 0-9 and -", common->city);
    for (size_t i = 0; (setting = setting_at(command, i)); i++)
        if (setting->required && is_unset(setting, (const char *)options + setting->offset))
            return error_set(error, ERROR_USAGE, "--%s %s is required", setting->name, setting->placeholder);
    return 0;
}

struct settings *settings_free(struct settings *settings)
{
    if (!settings)
        return NULL;
    for (size_t i = 0; i < settings->text_count; i++)
        free(settings->texts[i]);
    for (size_t i = 0; i < settings->list_count; i++)
        free(settings->lists[i]);
    free(settings->texts);
    free(settings->lists);
    free(settings);
    return NULL;
}
