/* One table of settings: flags, environment and file become the fields of an options struct. */
#include "base/settings.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

enum { VALUE_MOST = 4096 };

struct settings {
    char **texts; /* owned copies of values */
    size_t text_count;
    const char ***lists;
    size_t list_count;
};

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
    {.name = "redis", .kind = SETTING_TEXT, .offset = AT(redis), .placeholder = "URL",
     .default_text = "redis://127.0.0.1:6379", .secret = true,
     .help = "redis://[user:pass@]host:port[/db], rediss:// for TLS, redis+cluster:// for a cluster."},
    {.name = "log-level", .kind = SETTING_CHOICE, .offset = AT(log_level), .placeholder = "LEVEL", .default_text = "info",
     .choices = log_levels, .help = "Least important log lines to write."},
    {.name = "log-format", .kind = SETTING_CHOICE, .offset = AT(log_format), .placeholder = "FORMAT", .default_text = "text",
     .choices = log_formats, .help = "Form of the log lines on standard error."},
    {0},
};
#undef AT

static const struct setting *setting_at(const struct command *command, size_t index)
{
    for (size_t t = 0; command->tables[t]; t++)
        for (const struct setting *setting = command->tables[t]; setting->name; setting++)
            if (index-- == 0)
                return setting;
    return NULL;
}

/* The setting of a name; *ret_from_file when it is the `-file` form of a secret. */
static const struct setting *setting_named(const struct command *command, struct slice name, bool *ret_from_file)
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

static int set_from(struct settings *settings, const struct setting *setting, bool from_file, void *options,
                    const char *value, const char *origin, bool split, struct error *error)
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

static int parse_file(const struct command *command, const char *path, struct settings *settings, void *options,
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
            result = error_set(error, ERROR_CONFIG, "%s: unknown setting \"%s\"; %s %s --help lists the known ones", origin,
                               name, command->program, command->name);
        else
            result = set_from(settings, setting, from_file, options, value, origin, false, error);
    }
    fclose(file);
    return result;
}

static void environment_name(const struct setting *setting, bool from_file, char *name, size_t size)
{
    snprintf(name, size, "CITYTOTALS_%s%s", setting->name, from_file ? "_FILE" : "");
    for (char *at = name; *at; at++)
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
}

/* Lists start over at each level, so that a flag replaces what the file says. */
static void clear_list(const struct setting *setting, void *options)
{
    if (setting->kind == SETTING_LIST)
        ((struct setting_list *)(void *)((char *)options + setting->offset))->count = 0;
}

static int parse_environment(const struct command *command, struct settings *settings, void *options, struct error *error)
{
    const struct setting *setting;
    for (size_t i = 0; (setting = setting_at(command, i)); i++) {
        for (int from_file = setting->secret; from_file >= 0; from_file--) {
            char name[128];
            environment_name(setting, from_file, name, sizeof name);
            const char *value = getenv(name);
            if (!value || !*value)
                continue;
            clear_list(setting, options);
            int result = set_from(settings, setting, from_file, options, value, name, true, error);
            if (result < 0)
                return result;
        }
    }
    return 0;
}

/* One pass over the arguments. `only` limits it to one setting (the config file's name is needed first). */
static int parse_arguments(const struct command *command, int argc, char **argv, const char *only, struct settings *settings,
                           void *options, char **operands, int *operand_count, bool *ret_help, struct error *error)
{
    bool plain = false;
    *operand_count = 0;
    if (!only) {
        const struct setting *setting;
        for (size_t i = 0; (setting = setting_at(command, i)); i++) {
            /* only lists that a flag names start over */
            for (int a = 2; setting->kind == SETTING_LIST && a < argc; a++)
                if ((argv[a][0] == '-' && argv[a][1] == setting->letter && setting->letter) ||
                    (strncmp(argv[a], "--", 2) == 0 && strncmp(argv[a] + 2, setting->name, strlen(setting->name)) == 0))
                    clear_list(setting, options);
        }
    }
    for (int i = 2; i < argc; i++) {
        const char *argument = argv[i], *value = NULL;
        if (plain || argument[0] != '-' || argument[1] == '\0') {
            operands[(*operand_count)++] = argv[i];
            continue;
        }
        if (strcmp(argument, "--") == 0) {
            plain = true;
            continue;
        }
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            *ret_help = true;
            continue;
        }
        const struct setting *setting = NULL;
        bool from_file = false;
        if (argument[1] == '-') {
            const char *equals = strchr(argument, '=');
            size_t size = equals ? (size_t)(equals - argument) - 2 : strlen(argument) - 2;
            setting = setting_named(command, (struct slice){argument + 2, size}, &from_file);
            value = equals ? equals + 1 : NULL;
        } else {
            for (size_t s = 0; (setting = setting_at(command, s)) && setting->letter != argument[1]; s++)
                ;
            value = argument[2] ? argument + 2 : NULL;
        }
        if (!setting)
            return error_set(error, ERROR_USAGE, "unknown option %.*s; %s %s --help lists the known ones",
                             (int)strcspn(argument, "="), argument, command->program, command->name);
        if (setting->kind == SETTING_FLAG) {
            value = value ? value : "true";
        } else if (!value) {
            if (++i >= argc)
                return error_set(error, ERROR_USAGE, "option %s needs a value (%s)", argument, setting->placeholder);
            value = argv[i];
        }
        if (only && strcmp(setting->name, only) != 0)
            continue;
        char origin[160];
        snprintf(origin, sizeof origin, "option --%s%s", setting->name, from_file ? "-file" : "");
        int result = set_from(settings, setting, from_file, options, value, origin, false, error);
        if (result < 0)
            return result;
    }
    return 0;
}

static void print_help(const struct command *command)
{
    printf("Usage: %s %s [OPTION…]%s%s\n\n%s\n\nOptions:\n", command->program, command->name, command->operands ? " " : "",
           command->operands ? command->operands : "", command->summary);
    const struct setting *setting;
    for (size_t i = 0; (setting = setting_at(command, i)); i++) {
        char left[128];
        snprintf(left, sizeof left, "%s%c%s--%s%s%s", "  ", setting->letter ? '-' : ' ',
                 setting->letter ? (char[]){setting->letter, ',', ' ', 0} : "   ", setting->name,
                 setting->kind == SETTING_FLAG ? "" : " ", setting->kind == SETTING_FLAG ? "" : setting->placeholder);
        printf("%s\n        %s", left, setting->help);
        if (setting->kind == SETTING_CHOICE) {
            printf(" One of");
            for (int c = 0; setting->choices[c]; c++)
                printf("%s %s", c ? "," : ":", setting->choices[c]);
            printf(".");
        }
        if (setting->default_text)
            printf(" Default: %s.", setting->default_text);
        printf("\n");
    }
    printf("      --help\n        Print this.\n      --version\n        Print the version.\n\n"
           "Every option may also be given as CITYTOTALS_<OPTION> in the environment or as a line `option = value` in\n"
           "the --config file; an option wins over the environment, and that over the file. Of a secret, --<OPTION>-file\n"
           "and CITYTOTALS_<OPTION>_FILE name a file that holds it.\n");
    if (command->notes)
        printf("\n%s\n", command->notes);
}

static bool city_ok(const char *city)
{
    size_t size = strlen(city);
    return size >= 1 && size <= 32 && strspn(city, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

/* Only texts, addresses and days can be required. */
static bool is_unset(const struct setting *setting, const void *field)
{
    return setting->kind == SETTING_DATE ? *(const int32_t *)field == INT32_MIN : !*(const char *const *)field;
}

static int parse_all(const struct command *command, int argc, char **argv, struct settings *settings, void *options,
                     char **operands, int *operand_count, bool *ret_help, struct error *error)
{
    const struct setting *setting;
    int result;
    for (size_t i = 0; (setting = setting_at(command, i)); i++) {
        if (setting->kind == SETTING_DATE)
            *(int32_t *)(void *)((char *)options + setting->offset) = INT32_MIN;
        if (setting->default_text &&
            (result = set_value(settings, setting, options, setting->default_text, "default", false, error)) < 0)
            return result;
    }
    struct common_options *common = options;
    if ((result = parse_arguments(command, argc, argv, "config", settings, options, operands, operand_count, ret_help,
                                  error)) < 0)
        return result;
    if (*ret_help)
        return 0;
    const char *file = common->config ? common->config : getenv("CITYTOTALS_CONFIG");
    if (file && *file && (result = parse_file(command, file, settings, options, error)) < 0)
        return result;
    if ((result = parse_environment(command, settings, options, error)) < 0 ||
        (result = parse_arguments(command, argc, argv, NULL, settings, options, operands, operand_count, ret_help, error)) < 0)
        return result;
    if (*operand_count > 0 && !command->operands)
        return error_set(error, ERROR_USAGE, "unexpected argument \"%s\"; %s %s takes none", operands[0], command->program,
                         command->name);
    if (common->city && !city_ok(common->city))
        return error_set(error, ERROR_USAGE, "city is \"%s\"; allowed: 1 to 32 of a-z, 0-9 and -", common->city);
    for (size_t i = 0; (setting = setting_at(command, i)); i++)
        if (setting->required && is_unset(setting, (char *)options + setting->offset))
            return error_set(error, ERROR_USAGE, "--%s %s is required", setting->name, setting->placeholder);
    return 0;
}

int settings_parse(const struct command *command, int argc, char **argv, void *options, struct settings **ret_settings,
                   char ***ret_operands, int *ret_operand_count, bool *ret_done, struct error *error)
{
    struct settings *settings = calloc(1, sizeof *settings);
    char **operands = calloc((size_t)argc + 1, sizeof *operands);
    bool help = false;
    int count = 0, result;
    *ret_done = false;
    if (!settings || !operands)
        result = error_set(error, ERROR_MEMORY, "out of memory");
    else
        result = parse_all(command, argc, argv, settings, options, operands, &count, &help, error);
    if (result < 0) {
        free(operands);
        settings_free(settings);
        return result;
    }
    if (help)
        print_help(command);
    /* Freed with the settings, as the other texts are. */
    const char ***lists = realloc(settings->lists, (settings->list_count + 1) * sizeof *lists);
    if (lists) {
        settings->lists = lists;
        settings->lists[settings->list_count++] = (const char **)(void *)operands;
    }
    *ret_done = help;
    *ret_settings = settings;
    *ret_operands = operands;
    *ret_operand_count = count;
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
