/*
 * command.h - a shell command of the user's, started and looked after without waiting for it. One
 * thread a command.
 */
#ifndef DAOREC_BASE_COMMAND_H
#define DAOREC_BASE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Zeroed, none runs. */
struct command {
    pid_t pid;        /* also its process group; 0: none runs */
    int64_t since_ns; /* monotonic */
};

/*
 * `sh -c line` in a process group of its own, with no input, its output on our standard error, no
 * other descriptor of ours, every signal as by default and none blocked, and of no real-time
 * priority. `facts`: "NAME=value", count of them, beside our environment; variables of ours with
 * `prefix` in their names are left out. Blocks until it has started. 0, -EAGAIN, -ENOMEM, -ENOENT..
 */
int command_start(struct command *command, const char *line, const char *prefix, char *const *facts,
                  size_t count);

/* Has it ended since? Then none runs, and *ret_status is as waitpid() gives it. */
bool command_has_ended(struct command *command, int *ret_status);

/* End it, and what it has started, at once. Waits for that. */
void command_kill(struct command *command);

/* "exit status 3", "killed by signal 9 (Killed)". Returns text. */
char *command_format_status(char *text, size_t bytes, int status);

#endif
