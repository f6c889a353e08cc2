/* One table of settings makes the parser (flags, environment, file), --help and docs/configuration.md.
 *
 * Precedence: flag, environment, file, default. The environment name is CITYTOTALS_ and the name in upper case with
 * `_` for `-`; the file has lines `name = value` and `#` comments. A setting marked secret may also be given as
 * `<name>-file` / `CITYTOTALS_<NAME>_FILE`, a file whose first line is the value. A bad value stops the program with
 * its name, the value (never a secret's), where it came from and what is allowed; `log-format` is read first, so that it holds for
 * that sentence too. */
#ifndef CITYTOTALS_BASE_SETTINGS_H
#define CITYTOTALS_BASE_SETTINGS_H

#include "base/error.h"
#include "base/redis_place.h"
#include "base/slice.h"

enum setting_kind {
    SETTING_TEXT,     /* const char * (NULL when unset) */
    SETTING_FLAG,     /* bool; on the command line takes no value, elsewhere true|false */
    SETTING_NUMBER,   /* int64_t within [least, most] */
    SETTING_SIZE,     /* int64_t bytes; suffixes KiB, MiB, GiB */
    SETTING_DURATION, /* int64_t milliseconds; suffixes ms, s, min, h; a bare number is refused */
    SETTING_CHOICE,   /* int: index into `choices` */
    SETTING_DATE,     /* int32_t days since 1970-01-01, INT32_MIN when unset */
    SETTING_ADDRESS,  /* const char * "host:port", port 0 allowed; NULL when unset */
    SETTING_LIST,     /* struct setting_list; repeatable */
};

struct setting_list {
    const char **items; /* owned by the parsed settings */
    size_t count;       /* at most SETTING_LIST_MOST */
};
#define SETTING_LIST_MOST 256

struct setting {
    const char *name;          /* "schema-registry" */
    char letter;               /* 'b' or 0 */
    enum setting_kind kind;
    size_t offset;             /* of the field in the program's options struct */
    const char *placeholder;   /* "URL", for --help */
    const char *default_text;  /* parsed like a value; NULL = unset/false/0 */
    int64_t least, most;       /* NUMBER, SIZE, DURATION; both 0 = any */
    const char *const *choices; /* CHOICE: NULL-terminated */
    bool secret;
    bool required;
    const char *help;          /* one sentence; also the documentation */
};

struct command {
    const char *program;  /* "citytotals-consumer" */
    const char *name;     /* "run"; NULL of a library */
    const char *summary;  /* one sentence */
    const char *operands; /* "[FILE…]" or NULL when it takes none */
    const struct setting *const *tables; /* NULL-terminated list of tables, each ended by a setting without a name */
    size_t options_size;  /* of the options struct */
    const char *notes;    /* text after the options in --help (exit codes), or NULL */
};

struct settings; /* owns every text that the options point to */

/* Parse `argv` (argv[0] is the program, argv[1] the command's name) into `options`, a zeroed struct of
 * command->options_size. `*ret_operands` points into argv. Returns 0; -ERROR_USAGE or -ERROR_CONFIG.
 * *ret_done is set when --help or --version was printed to standard output and the program should exit 0. */
int settings_parse(const struct command *command, int argc, char **argv, void *options, struct settings **ret_settings,
                   char ***ret_operands, int *ret_operand_count, bool *ret_done, struct error *error);
struct settings *settings_free(struct settings *settings); /* NULL */

/* The same without a command line and an environment, step by step: the defaults, a setting by name, a file of them, and at
 * the end what must be there. */
int settings_begin(const struct command *command, void *options, struct settings **ret_settings, struct error *error);
int settings_set(struct settings *settings, const struct command *command, const char *name, const char *value, void *options,
                 struct error *error);
int settings_read(struct settings *settings, const struct command *command, const char *path, void *options, struct error *error);
int settings_check(const struct command *command, const void *options, struct error *error);

#define CITY_SIZE_MOST 32
bool city_is_valid(struct slice city); /* [a-z0-9-]{1,32} */

/* The flags every command has. Embed `struct common_options common` as the first member of the options struct. */
struct common_options {
    const char *brokers;            /* -b/--brokers host:port,… ; NULL when unset */
    struct setting_list properties; /* -X key=value, any librdkafka property */
    const char *config;             /* -F/--config FILE */
    const char *city;               /* city_is_valid, by settings_parse */
    struct redis_place redis;       /* its URL is a secret */
    int log_level;                  /* enum log_level */
    int log_format;                 /* enum log_format */
};
extern const struct setting common_settings[];
/* `--management ADDR:PORT`, for long-running commands. */
struct management_option {
    const char *management;
};

/* The program's main: picks the command by argv[1], handles --help, --version, no and unknown command.
 * Returns the exit status. `run` gets the rest; what it returns is the exit status. */
struct program_command {
    const struct command *command;
    int (*run)(int argc, char **argv);
};
int program_main(const char *program, const char *summary, const struct program_command *commands, int argc, char **argv);

/* Write the Markdown reference of these commands to `file` (docs/configuration.md is made by this). */
#include <stdio.h>
void settings_document(FILE *file, const struct command *const *commands, size_t count);
/* Write the manual page of `program`, of these commands those that are its own; and one option as such a page has it. */
void settings_man(FILE *file, const char *program, const char *summary, const struct command *const *commands, size_t count);
void settings_man_option(FILE *file, const struct setting *setting, bool as_flag);

#define CITYTOTALS_VERSION "0.1.0"

#endif
