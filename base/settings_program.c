/* A program's main, and the settings reference as Markdown. */
#include <ctype.h>
#include <stdio.h>

#include "base/settings.h"

static void usage(FILE *file, const char *program, const char *summary, const struct program_command *commands)
{
    fprintf(file, "Usage: %s COMMAND [OPTION…]\n\n%s\n\nCommands:\n", program, summary);
    for (; commands->command; commands++)
        fprintf(file, "  %-12s %s\n", commands->command->name, commands->command->summary);
    fprintf(file, "\n%s COMMAND --help tells more.\n", program);
}

int program_main(const char *program, const char *summary, const struct program_command *commands, int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr, program, summary, commands);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(stdout, program, summary, commands);
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            printf("%s %s\n", program, CITYTOTALS_VERSION);
            return 0;
        }
    }
    for (const struct program_command *known = commands; known->command; known++)
        if (strcmp(argv[1], known->command->name) == 0)
            return known->run(argc, argv);
    fprintf(stderr, "%s: unknown command \"%s\"\n\n", program, argv[1]);
    usage(stderr, program, summary, commands);
    return 2;
}

static void table(FILE *file, const struct setting *settings)
{
    fprintf(file, "| option | environment | default | meaning |\n|---|---|---|---|\n");
    for (; settings->name; settings++) {
        fprintf(file, "| `");
        if (settings->letter)
            fprintf(file, "-%c, ", settings->letter);
        fprintf(file, "--%s%s%s` | `CITYTOTALS_", settings->name, settings->kind == SETTING_FLAG ? "" : " ",
                settings->kind == SETTING_FLAG ? "" : settings->placeholder);
        for (const char *at = settings->name; *at; at++)
            fputc(*at == '-' ? '_' : toupper((unsigned char)*at), file);
        fprintf(file, "` | %s%s%s | %s", settings->default_text ? "`" : "", settings->default_text ? settings->default_text : "",
                settings->default_text ? "`" : "", settings->help);
        if (settings->kind == SETTING_CHOICE) {
            fprintf(file, " One of");
            for (int i = 0; settings->choices[i]; i++)
                fprintf(file, "%s `%s`", i ? "," : ":", settings->choices[i]);
            fputc('.', file);
        }
        if (settings->secret)
            fprintf(file, " A secret: also `--%s-file FILE`.", settings->name);
        fprintf(file, " |\n");
    }
    fputc('\n', file);
}

void settings_document(FILE *file, const struct command *const *commands, size_t count)
{
    fprintf(file, "# Configuration\n\nGenerated from the settings tables by `./dev docs`.\n\nA flag wins over the "
                  "environment, the environment over the `--config` file (lines `name = value`, `#` comments), the file over "
                  "the default. Durations take `ms`, `s`, `min`, `h`; sizes `KiB`, `MiB`, `GiB`.\n\n## Every command\n\n");
    table(file, common_settings);
    for (size_t i = 0; i < count; i++) {
        fprintf(file, "## `%s %s%s%s`\n\n%s\n\n", commands[i]->program, commands[i]->name, commands[i]->operands ? " " : "",
                commands[i]->operands ? commands[i]->operands : "", commands[i]->summary);
        for (size_t t = 0; commands[i]->tables[t]; t++)
            if (commands[i]->tables[t] != common_settings)
                table(file, commands[i]->tables[t]);
        if (commands[i]->notes)
            fprintf(file, "%s\n\n", commands[i]->notes);
    }
}
