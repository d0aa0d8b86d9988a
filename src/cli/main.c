/*
 * main.c - daorec: picks the verb and hands over to it. What a verb does is in its own file.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/output.h"
#include "base/version.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/top.h"
#include "serve/http.h"

static int cli_help(int argc, char **argv);

static const struct verb verbs[] = {
    {"record", cli_record, "record segments into rolling FITS files"},
    {"check", cli_check, "say what is wrong with a configuration file, or what it would record"},
    {"ctl", cli_ctl, "ask a running recorder: status, start, stop, roll, mark, reload"},
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
static const struct verb_table table = {verbs, sizeof(verbs) / sizeof(verbs[0])};

static int cli_help(int argc, char **argv)
{
    return help_run(&table, argc, argv);
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

/* Output that did not arrive is a failure, unless its reader simply had enough (| head). */
static int finish_output(int status)
{
    return output_flush("", true) || status != EXIT_DONE ? status : EXIT_FAILED;
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
    int status;

    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a recording goes on when the reader of its output is gone */
    signal(SIGXFSZ, SIG_IGN); /* beyond ulimit -f a write fails instead */
    if (argc < 2) {
        help_print_usage(stderr, &table);
        return EXIT_WRONG_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help_print_usage(stdout, &table);
        return finish_output(EXIT_DONE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        print_version();
        return finish_output(EXIT_DONE);
    }
    verb = help_find_verb(&table, argv[1]);
    if (!verb && argv[1][0] == '-') {
        log_error("unknown option '%s' before the verb; see daorec --help", argv[1]);
        return EXIT_WRONG_USAGE;
    }
    if (!verb)
        return help_report_unknown_verb(&table, argv[1]);
    status = finish_output(verb->run(argc - 1, argv + 1));
    log_stop_thread(); /* that of `record`, which may log until here */
    return status;
}
