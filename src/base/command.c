/* command.c - see command.h. */
#include "base/command.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"

/* Our environment without the names that begin so, and the facts; NULL without memory. The strings
 * are borrowed. */
static char **make_environment(const char *prefix, char *const *facts, size_t count)
{
    size_t all = 0, used = 0;
    char **variables;

    while (environ && environ[all])
        all++;
    variables = malloc((all + count + 1) * sizeof *variables);
    if (!variables)
        return NULL;
    for (size_t i = 0; i < all; i++)
        if (strncmp(environ[i], prefix, strlen(prefix)) != 0)
            variables[used++] = environ[i];
    for (size_t i = 0; i < count; i++)
        variables[used++] = facts[i];
    variables[used] = NULL;
    return variables;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    const struct sched_param ordinary = {0};
    sigset_t none, all;
    int r;

    sigemptyset(&none);
    sigfillset(&all);
    r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                 POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSCHEDULER);
    if (r == 0)
        r = posix_spawnattr_setpgroup(attributes, 0);
    if (r == 0)
        r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attributes, &all);
    if (r == 0)
        r = posix_spawnattr_setschedpolicy(attributes, SCHED_OTHER);
    return r ? r : posix_spawnattr_setschedparam(attributes, &ordinary);
}

static int set_descriptors(posix_spawn_file_actions_t *actions)
{
    int r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, STDERR_FILENO, STDOUT_FILENO);
    return r ? r : posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
}

int command_start(struct command *command, const char *line, const char *prefix, char *const *facts,
                  size_t count)
{
    char *arguments[] = {(char[]){"sh"}, (char[]){"-c"}, strdup(line), NULL};
    char **environment = make_environment(prefix, facts, count);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid = 0;
    int r = arguments[2] && environment ? 0 : ENOMEM;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    if (r == 0)
        r = set_descriptors(&actions);
    if (r == 0)
        r = set_attributes(&attributes);
    if (r == 0)
        r = posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    free(arguments[2]);
    free(environment);
    if (r == 0)
        *command = (struct command){.pid = pid, .since_ns = dao_clock_mono_ns()};
    return -r;
}

bool command_has_ended(struct command *command, int *ret_status)
{
    pid_t pid = waitpid(command->pid, ret_status, WNOHANG);

    if (pid < 0 && errno == ECHILD) /* whoever started us has SIGCHLD ignored */
        *ret_status = 0;
    else if (pid != command->pid)
        return false;
    command->pid = 0;
    return true;
}

void command_kill(struct command *command)
{
    int status;

    if (command->pid == 0)
        return;
    kill(-command->pid, SIGKILL);
    while (waitpid(command->pid, &status, 0) < 0 && errno == EINTR)
        ;
    command->pid = 0;
}

char *command_format_status(char *text, size_t bytes, int status)
{
    if (WIFSIGNALED(status))
        snprintf(text, bytes, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, bytes, "exit status %d", WEXITSTATUS(status));
    return text;
}
