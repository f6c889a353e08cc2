/* What every command does before and after its own work. */
#include "base/program.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

volatile sig_atomic_t program_stop;
volatile int program_stop_socket = -1, program_stop_pipe = -1;

static void on_stop(int number)
{
    int saved = errno;
    program_stop = number;
    if (program_stop_socket >= 0)
        shutdown(program_stop_socket, SHUT_RDWR);
    if (program_stop_pipe >= 0) {
        ssize_t ignored = write(program_stop_pipe, "", 1); /* full: a wake-up is waiting already */
        (void)ignored;
    }
    errno = saved;
}

int program_begin(struct program_run *run, const struct command *command, int argc, char **argv, void *options)
{
    bool done = false;
    *run = (struct program_run){0};
    int result = settings_parse(command, argc, argv, options, &run->settings, &run->operands, &run->operand_count, &done, &run->error);
    const struct common_options *common = options;
    log_configure((enum log_level)common->log_level, (enum log_format)common->log_format);
    if (result < 0 || done)
        return result < 0 ? result : 0;
    signal(SIGPIPE, SIG_IGN);
    return 1;
}

void program_catch_stop(bool once)
{
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = once ? (int)SA_RESETHAND : 0};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

void program_close(struct program_run *run)
{
    run->settings = settings_free(run->settings);
}

int program_end(struct program_run *run, int result)
{
    if (result < 0)
        log_error("%s", run->error.text);
    program_close(run);
    return result < 0 ? error_exit_status(run->error.code) : 0;
}
