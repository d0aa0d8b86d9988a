/*
 * main.c - daorec: picks the verb and hands over to it. What a verb does is in its own file.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "base/version.h"
#include "cli/cli.h"
#include "cli/top.h"
#include "serve/http.h"

static int cli_help(int argc, char **argv);

static const struct verb verbs[] = {
    {"record", cli_record, "record segments into rolling FITS files"},
    {"check", cli_check, "say what is wrong with a configuration file, or what it would record"},
    {"replay", cli_replay, "play recordings back into segments"},
    {"sim", cli_sim, "publish simulated frames into a segment, for trials"},
    {"drops", cli_drops, "measure losses, intervals and latencies, live or of recordings"},
    {"info", cli_info, "say what a segment or a file is, in a dozen lines"},
    {"verify", cli_verify, "check recordings: structure, checksums, counters, ledger"},
    {"repair", cli_repair, "finish what a crash left; says what it would do, --apply does it"},
    {"extract", cli_extract, "take frames out of recordings into FITS or .npy"},
    {"doctor", cli_doctor, "can this machine record? limits, disk rate, and whether a load fits"},
    {"keep", cli_keep, "mark recordings that are not to be removed to make room"},
    {"top", cli_top, "watch a running recorder on a terminal; roll, mark and stop it"},
    {"help", cli_help, "print this, or the options of a verb"},
};
#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static void print_usage(FILE *out)
{
    fprintf(out, "Usage: daorec VERB [OPTION]... [ARGUMENT]...\n"
                 "Record telemetry of adaptive optics from DAO shared memory.\n\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(out, "\n'daorec help VERB' or 'daorec VERB --help' tells its options; "
                 "'daorec --version' the version.\n"
                 "Exit status: 0 done, 1 failed, 2 wrong usage, 3 done, but frames were lost.\n");
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static int report_unknown_verb(const char *name)
{
    const char *names[VERB_COUNT + 1] = {NULL}, *nearest;

    for (size_t i = 0; i < VERB_COUNT; i++)
        names[i] = verbs[i].name;
    nearest = options_nearest(name, names);
    if (nearest)
        log_error("no verb '%s'; did you mean '%s'?", name, nearest);
    else
        log_error("no verb '%s'; see daorec --help", name);
    return EXIT_WRONG_USAGE;
}

static int cli_help(int argc, char **argv)
{
    const struct verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
    char name[32], option[] = "--help", *help_argv[] = {name, option, NULL};

    if (argc > 1 && strncmp(argv[1], "-", 1) != 0 && !verb)
        return report_unknown_verb(argv[1]);
    if (!verb || verb->run == cli_help) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    snprintf(name, sizeof(name), "%s", verb->name);
    return verb->run(2, help_argv);
}

/* A file opened while standard error is closed would become descriptor 2 and get our messages. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static bool reader_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP));
}

/* Output that did not arrive is a failure, unless its reader simply had enough (| head). */
static int finish_output(int status)
{
    int failed = ferror(stdout);

    errno = 0;
    if ((fflush(stdout) == 0 && !failed) || reader_is_gone())
        return status;
    log_error("standard output: %s", errno ? strerror(errno) : "could not be written");
    return status == EXIT_DONE ? EXIT_FAILED : status;
}

static void print_version(void)
{
    printf("daorec %s\n", DAOREC_VERSION);
    printf("built %s metrics and a status page over HTTP (libmicrohttpd)\n",
           http_is_built() ? "with" : "without");
    printf("built %s the verb top (ncurses)\n", top_is_built() ? "with" : "without");
}

int main(int argc, char **argv)
{
    const struct verb *verb;

    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a recording goes on when the reader of its output is gone */
    signal(SIGXFSZ, SIG_IGN); /* beyond ulimit -f a write fails instead */
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_WRONG_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return finish_output(EXIT_DONE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        print_version();
        return finish_output(EXIT_DONE);
    }
    verb = find_verb(argv[1]);
    if (!verb && argv[1][0] == '-') {
        log_error("unknown option '%s' before the verb; see daorec --help", argv[1]);
        return EXIT_WRONG_USAGE;
    }
    if (!verb)
        return report_unknown_verb(argv[1]);
    return finish_output(verb->run(argc - 1, argv + 1));
}
