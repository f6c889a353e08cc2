/* The frame of a command's run: settings, log, signals, and the exit status. */
#ifndef CITYTOTALS_BASE_PROGRAM_H
#define CITYTOTALS_BASE_PROGRAM_H

#include <signal.h>

#include "base/settings.h"

struct program_run {
    struct settings *settings;
    char **operands;
    int operand_count;
    struct error error; /* for whatever the run calls */
};

/* The signal that asks the run to end; 0 before it came. */
extern volatile sig_atomic_t program_stop;
/* A wait that this signal ends too, -1 without: on a socket (redis_options.socket may point here), by shutting it down; on a pipe whose
 * end for writing this is, by a byte. The pipe does not block. */
extern volatile int program_stop_socket, program_stop_pipe;

/* The settings into `options` (zeroed, its common options first), and the log as they want it, also for an error in them; a reader that
 * leaves is no signal any more. 1: go on; 0: --help was printed; negative: run->error. Whatever it returns, program_end or
 * program_close follows. */
int program_begin(struct program_run *run, const struct command *command, int argc, char **argv, void *options);
/* From now on SIGTERM and SIGINT set program_stop, without restarting a call that waits. `once`: a second one ends the process. */
void program_catch_stop(bool once);
/* Logs the error when `result` is negative. Returns the exit status. */
int program_end(struct program_run *run, int result);
/* The same for a run that has told of its error itself. */
void program_close(struct program_run *run);

#endif
