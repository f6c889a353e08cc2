/* Settings from the command line and the environment, over those of the file. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/settings_internal.h"

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

/* `only` limits it to one setting, NULL takes all. */
static int parse_environment(const struct command *command, const char *only, struct settings *settings, void *options,
                             struct error *error)
{
    const struct setting *setting;
    for (size_t i = 0; (setting = setting_at(command, i)); i++) {
        for (int from_file = setting->secret; from_file >= 0 && (!only || strcmp(setting->name, only) == 0); from_file--) {
            char name[128];
            environment_name(setting, from_file, name, sizeof name);
            const char *value = getenv(name);
            if (!value || !*value)
                continue;
            clear_list(setting, options);
            int result = setting_set(settings, setting, from_file, options, value, name, true, error);
            if (result < 0)
                return result;
        }
    }
    return 0;
}

/* One pass over the arguments. `only` limits it to one setting; what else is wrong is left for the pass that takes all. */
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
        if (!setting && only)
            continue;
        if (!setting)
            return error_set(error, ERROR_USAGE, "unknown option %.*s; %s %s --help lists the known ones",
                             (int)strcspn(argument, "="), argument, command->program, command->name);
        if (setting->kind == SETTING_FLAG) {
            value = value ? value : "true";
        } else if (!value) {
            if (++i >= argc && only)
                break;
            if (i >= argc)
                return error_set(error, ERROR_USAGE, "option %s needs a value (%s)", argument, setting->placeholder);
            value = argv[i];
        }
        if (only && strcmp(setting->name, only) != 0)
            continue;
        char origin[160];
        snprintf(origin, sizeof origin, "option --%s%s", setting->name, from_file ? "-file" : "");
        int result = setting_set(settings, setting, from_file, options, value, origin, false, error);
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

static int parse_all(const struct command *command, int argc, char **argv, struct settings *settings, void *options,
                     char **operands, int *operand_count, bool *ret_help, struct error *error)
{
    struct common_options *common = options;
    int result = parse_arguments(command, argc, argv, "config", settings, options, operands, operand_count, ret_help, error);
    if (result < 0)
        return result;
    if (*ret_help)
        return 0;
    /* How an error is told is asked before there can be one. */
    if ((result = parse_environment(command, "log-format", settings, options, error)) < 0 ||
        (result = parse_arguments(command, argc, argv, "log-format", settings, options, operands, operand_count, ret_help, error)) < 0)
        return result;
    const char *file = common->config ? common->config : getenv("CITYTOTALS_CONFIG");
    if (file && *file && (result = settings_read(settings, command, file, options, error)) < 0)
        return result;
    if ((result = parse_environment(command, NULL, settings, options, error)) < 0 ||
        (result = parse_arguments(command, argc, argv, NULL, settings, options, operands, operand_count, ret_help, error)) < 0)
        return result;
    if (*operand_count > 0 && !command->operands)
        return error_set(error, ERROR_USAGE, "unexpected argument \"%s\"; %s %s takes none", operands[0], command->program,
                         command->name);
    return settings_check(command, options, error);
}

int settings_parse(const struct command *command, int argc, char **argv, void *options, struct settings **ret_settings,
                   char ***ret_operands, int *ret_operand_count, bool *ret_done, struct error *error)
{
    struct settings *settings = NULL;
    char **operands = calloc((size_t)argc + 1, sizeof *operands);
    bool help = false;
    int count = 0;
    *ret_done = false;
    int result = operands ? settings_begin(command, options, &settings, error) : error_set(error, ERROR_MEMORY, "out of memory");
    if (result >= 0)
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
