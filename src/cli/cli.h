/*
 * cli.h - the verbs: one function each, in a file of its name. A verb gets argv with its own name
 * in argv[0], prints results on stdout and messages through base/log.h, and returns the program's
 * exit status. Called once, from the main thread.
 */
#ifndef DAOREC_CLI_CLI_H
#define DAOREC_CLI_CLI_H

#include <errno.h>

#include "base/exit_status.h"

struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary; /* one line for the list of verbs */
};

/* The exit status where options_parse() returned a negative value. */
static inline int cli_status_of_parse(int parse_result)
{
    return parse_result == -ECANCELED ? EXIT_DONE : EXIT_WRONG_USAGE;
}

int cli_record(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_drops(int argc, char **argv);
int cli_sim(int argc, char **argv);
int cli_info(int argc, char **argv);
int cli_verify(int argc, char **argv);
int cli_repair(int argc, char **argv);
int cli_extract(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_keep(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_ctl(int argc, char **argv);

#endif
