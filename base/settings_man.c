/* The settings tables as manual pages. */
#include <stdio.h>

#include "base/settings.h"

/* A sentence or more; each of its lines is a line of the page. */
static void text(FILE *file, const char *at)
{
    for (bool begin = true; *at; begin = *at++ == '\n') {
        if (begin && at[0] == '\n') {
            fprintf(file, ".PP\n");
            continue;
        }
        if (begin && (*at == '.' || *at == '\''))
            fprintf(file, "\\&");
        if (*at == '\\')
            fprintf(file, "\\e");
        else if (*at == '-')
            fprintf(file, "\\-");
        else
            fputc(*at, file);
    }
}

void settings_man_option(FILE *file, const struct setting *setting, bool as_flag)
{
    fprintf(file, ".TP\n\\fB");
    if (as_flag && setting->letter)
        fprintf(file, "\\-%c\\fR, \\fB", setting->letter);
    text(file, as_flag ? "--" : "");
    text(file, setting->name);
    fprintf(file, "\\fR");
    if (setting->kind != SETTING_FLAG) {
        fprintf(file, " \\fI");
        text(file, setting->placeholder);
        fprintf(file, "\\fR");
    }
    fputc('\n', file);
    text(file, setting->help);
    if (setting->kind == SETTING_CHOICE) {
        fprintf(file, " One of");
        for (int i = 0; setting->choices[i]; i++) {
            fprintf(file, "%s ", i ? "," : ":");
            text(file, setting->choices[i]);
        }
        fputc('.', file);
    }
    if (setting->default_text) {
        fprintf(file, " Default: ");
        text(file, setting->default_text);
        fputc('.', file);
    }
    if (setting->secret) {
        fprintf(file, " A secret: also ");
        text(file, as_flag ? "--" : "");
        text(file, setting->name);
        fprintf(file, "\\-file, the name of a file that holds it.");
    }
    fputc('\n', file);
}

static void command_section(FILE *file, const struct command *command)
{
    fprintf(file, ".SS ");
    text(file, command->name);
    if (command->operands)
        fprintf(file, " %s", command->operands);
    fputc('\n', file);
    text(file, command->summary);
    fputc('\n', file);
    for (size_t t = 0; command->tables[t]; t++)
        for (const struct setting *setting = command->tables[t]; command->tables[t] != common_settings && setting->name; setting++)
            settings_man_option(file, setting, true);
    if (command->notes) {
        fprintf(file, ".PP\n");
        text(file, command->notes);
        fputc('\n', file);
    }
}

void settings_man(FILE *file, const char *program, const char *summary, const struct command *const *commands, size_t count)
{
    fprintf(file, ".\\\" Generated from the settings tables by ./dev docs.\n.TH ");
    text(file, program);
    fprintf(file, " 1 \"\" \"citytotals " CITYTOTALS_VERSION "\" \"User Commands\"\n.nh\n.ad l\n.SH NAME\n");
    text(file, program);
    fprintf(file, " \\- ");
    text(file, summary);
    fprintf(file, "\n.SH SYNOPSIS\n.nf\n");
    for (size_t i = 0; i < count; i++)
        if (strcmp(commands[i]->program, program) == 0) {
            fprintf(file, "\\fB");
            text(file, program);
            fputc(' ', file);
            text(file, commands[i]->name);
            fprintf(file, "\\fR [\\fIOPTION\\fR…]%s%s\n", commands[i]->operands ? " " : "", commands[i]->operands ? commands[i]->operands : "");
        }
    fprintf(file, ".fi\n.SH COMMANDS\n");
    for (size_t i = 0; i < count; i++)
        if (strcmp(commands[i]->program, program) == 0)
            command_section(file, commands[i]);
    fprintf(file, ".SH OPTIONS OF EVERY COMMAND\n");
    for (const struct setting *setting = common_settings; setting->name; setting++)
        settings_man_option(file, setting, true);
    fprintf(file, ".TP\n\\fB\\-\\-help\\fR\nPrint the command's options.\n.TP\n\\fB\\-\\-version\\fR\nPrint the version.\n"
                  ".PP\nDurations take ms, s, min, h; sizes KiB, MiB, GiB.\n"
                  ".SH ENVIRONMENT\nEvery option may also be given as CITYTOTALS_\\fIOPTION\\fR, in upper case and with _ for \\-, or as a "
                  "line\n.IR \"option \" = \" value\"\nof the \\-\\-config file; an option wins over the environment, and that over the file.\n"
                  ".SH EXIT STATUS\n0 done, 1 failed at run time, 2 wrong usage or configuration, 3 some input was refused, 4 a number "
                  "differs from the log.\n.SH SEE ALSO\n"
                  ".BR citytotals\\-producer (1),\n.BR citytotals\\-consumer (1),\n.BR citytotals\\-query (1),\n.BR libcitytotals (3)\n");
}
