/*
 * record.c - the verb `record`: a configuration file, options on top of it, then a session.
 *
 * Options are parsed twice: first to find the file and what is wrong with them, then into what the
 * file says.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/record.h"
#include "cli/watched.h"

struct record_options {
    struct config config;
    const char *file, *cpus, *writer_cpus, *io;
    bool no_direct, print_config, json, quiet, verbose;
};

#define OFF(member) offsetof(struct record_options, member)

static const struct option_spec specs[] = {
    {"config", 'c', OPTION_STRING, OFF(file), "FILE",
     "record as this file says (daorec check FILE); options here override it", 0, 0},
    {"print-config", 0, OPTION_FLAG, OFF(print_config), NULL,
     "print a commented file with all keys, set as it would be recorded, and do nothing", 0, 0},
    {"output", 'o', OPTION_STRING, OFF(config.root_storage), "DIR",
     "where sessions go (default ./telemetry)", 0, 0},
    {"frames", 'n', OPTION_COUNT, OFF(config.samples), "N", "end each stream after N frames", 1,
     9e15},
    {"duration", 'd', OPTION_DURATION, OFF(config.duration_ns), "T", "end each stream after T", 1e6,
     9e18},
    {"roll-frames", 0, OPTION_COUNT, OFF(config.rollover.frames), "N", "next file after N frames",
     1, 1e12},
    {"roll-size", 0, OPTION_BYTES, OFF(config.rollover.bytes), "S",
     "next file at this size (default 1GiB)", 65536, 7e13},
    {"roll-time", 0, OPTION_DURATION, OFF(config.rollover.time_ns), "T",
     "next file after T (default 10min)", 1e6, 9e18},
    {"backlog", 0, OPTION_FLAG, OFF(config.backlog), NULL,
     "also the intact frames already in the FIFO", 0, 0},
    {"wait", 0, OPTION_DURATION_OR_FLAG, OFF(config.wait_ns), "T",
     "wait for the segments to appear", 0, 0},
    {"latency", 0, OPTION_DURATION, OFF(config.latency_ns), "T",
     "take frames T after they were published at the latest (default 100ms)", 1e4, 1e9},
    {"buffer", 0, OPTION_BYTES, OFF(config.buffer_bytes), "S",
     "staging memory (default 512MiB, at most 1/8 of RAM; two frames at least)", 1048576, 7e13},
    {"keep-free", 0, OPTION_AMOUNT, OFF(config.keep_free), "S|P%",
     "end before less than this is free on the disk (default 2%); 0: wait for room instead", 0, 0},
    {"keep-files", 0, OPTION_COUNT, OFF(config.keep_files), "N",
     "of each stream, remove the oldest finished files: keep N", 1, 1e9},
    {"keep-size", 0, OPTION_BYTES, OFF(config.keep_bytes), "S",
     "the same: of these streams below DIR keep S together", 1048576, 9e15},
    {"keep-time", 0, OPTION_DURATION, OFF(config.keep_time_ns), "T",
     "the same: keep what was finished in the last T", 1e9, 9e18},
    {"on-file-closed", 0, OPTION_STRING, OFF(config.hook_file_closed), "CMD",
     "run this for each finished file, with its facts in the environment", 0, 0},
    {"on-loss", 0, OPTION_STRING, OFF(config.hook_loss), "CMD", "the same when frames were lost", 0,
     0},
    {"on-low-disk", 0, OPTION_STRING, OFF(config.hook_low_disk), "CMD",
     "the same when less than --low-disk is free", 0, 0},
    {"low-disk", 0, OPTION_AMOUNT, OFF(config.low_disk), "S|P%", "what a low disk is (default 10%)",
     0, 0},
    {"metrics", 0, OPTION_STRING, OFF(config.metrics_listen), "[ADDR:]PORT",
     "metrics for Prometheus and a status page over HTTP (ADDR: 127.0.0.1)", 0, 0},
    {"metrics-file", 0, OPTION_STRING, OFF(config.metrics_textfile), "FILE",
     "metrics for node_exporter's textfile collector, every 10 s", 0, 0},
    {"cpu", 0, OPTION_STRING, OFF(cpus), "SET",
     "run the draining threads on these CPUs, such as 2 or 0-3,8", 0, 0},
    {"cpu-writer", 0, OPTION_STRING, OFF(writer_cpus), "SET",
     "run those that write, prepare and close files on these", 0, 0},
    {"lock-memory", 0, OPTION_FLAG, OFF(config.lock_memory), NULL, "stay out of swap", 0, 0},
    {"priority", 0, OPTION_COUNT, OFF(config.priority), "N",
     "SCHED_FIFO priority of the draining threads", 1, 99},
    {"io", 0, OPTION_STRING, OFF(io), "auto|uring|pwrite", "how to write (default auto)", 0, 0},
    {"no-direct", 0, OPTION_FLAG, OFF(no_direct), NULL,
     "through the page cache instead of O_DIRECT", 0, 0},
    {"json", 0, OPTION_FLAG, OFF(json), NULL, "summary as one line of JSON on stdout", 0, 0},
    {"quiet", 'q', OPTION_FLAG, OFF(quiet), NULL, "errors and the summary only", 0, 0},
    {"verbose", 'v', OPTION_FLAG, OFF(verbose), NULL, "say more", 0, 0},
    {0},
};

static uint64_t given; /* a bit an option */

static const struct verb_usage usage = {
    .verb = "record",
    .arguments = "SHM... | -c FILE [SHM]...",
    .summary = "Record FIFO segments into rolling FITS files until stopped (Ctrl-C).\n"
               "Segments beside -c FILE are recorded instead of those in it.",
    .specs = specs,
    .given = &given,
};

/* "--wait 2s" leaves 2s among the segments: its value is optional and needs the =. */
static int check_wait(char *const *paths, int count, int64_t wait_ns)
{
    int64_t ns;

    for (int i = 0; i < count && wait_ns == INT64_MAX; i++) {
        if (strchr(paths[i], '/') || units_parse_duration(paths[i], &ns) < 0 ||
            access(paths[i], F_OK) == 0)
            continue;
        fprintf(stderr,
                "daorec record: %s would be a segment; a time to wait is given as --wait=%s\n",
                paths[i], paths[i]);
        return -EINVAL;
    }
    return 0;
}

static bool is_given(const char *option)
{
    for (size_t i = 0; specs[i].name; i++)
        if (strcmp(specs[i].name, option) == 0)
            return given & 1ull << i;
    return false;
}

/* NULL: there is none, neither as an option nor in the file. */
static const char *text_of(const char *option, const char *value)
{
    return *value || is_given(option) ? value : NULL;
}

/* An empty command is one that a script has lost. */
static int take_hooks(struct hooks_config *ret, const struct config *config)
{
    *ret = (struct hooks_config){
        .commands = {[HOOK_FILE_CLOSED] = text_of("on-file-closed", config->hook_file_closed),
                     [HOOK_LOSS] = text_of("on-loss", config->hook_loss),
                     [HOOK_LOW_DISK] = text_of("on-low-disk", config->hook_low_disk)},
        .low_bytes = config->low_disk.bytes,
        .low_percent = config->low_disk.percent,
    };
    for (int i = 0; i < HOOK_KINDS; i++) {
        const char *command = ret->commands[i];

        if (!command || command[strspn(command, " \t\n")] != '\0')
            continue;
        fprintf(stderr, "daorec record: --on-%s '%s': no command; give one, or leave it out\n",
                hook_kind_names[i], command);
        return -EINVAL;
    }
    return 0;
}

/* What is no plain value of its type. */
static int take_words(struct record_options *options, struct config_mistakes *mistakes)
{
    struct config *config = &options->config;
    int r = 0;

    if (options->no_direct)
        config->direct = false;
    if (options->cpus)
        r = config_set_option(config, "cpu", options->cpus, mistakes);
    if (r == 0 && options->writer_cpus)
        r = config_set_option(config, "cpu-writer", options->writer_cpus, mistakes);
    if (r == 0 && options->io)
        r = config_set_option(config, "io", options->io, mistakes);
    return r;
}

/* File, options and segments; the options are known to be right. */
static int make_config(struct record_options *options, int argc, char **argv, int first,
                       struct config_mistakes *mistakes)
{
    const char *file = options->file;
    int r = 0;

    if (file) {
        config_free(&options->config);
        r = config_load(&options->config, file, first == argc && !options->print_config, mistakes);
        if (r == 0)
            options_parse(&usage, argc, argv, options);
    }
    if (r == 0)
        r = take_words(options, mistakes);
    for (size_t i = 0; specs[i].name && r == 0; i++)
        if (given & 1ull << i)
            config_override(&options->config, specs[i].name);
    if (r == 0 && first < argc)
        r = config_set_segments(&options->config, argv + first, (size_t)(argc - first), mistakes);
    return r;
}

/* What is planned, with those who watch it. */
static int run_watched(struct session_config *session, const struct watched_options *watching)
{
    struct watched watched;
    int status = watched_start(&watched, watching);

    if (status != EXIT_DONE)
        return status;
    session->board = &watched.board;
    status = session_run(session);
    watched_stop(&watched);
    return status;
}

static int run(const struct record_options *options)
{
    const struct config *config = &options->config;
    struct watched_options watching = {
        .metrics = text_of("metrics", config->metrics_listen),
        .metrics_file = text_of("metrics-file", config->metrics_textfile),
        .quiet = options->quiet,
    };
    struct record_plan plan;
    int r = record_plan_make(&plan, config), status = EXIT_WRONG_USAGE;

    if (options->quiet)
        log_set_level(LOG_WARNING);
    if (options->verbose)
        log_set_level(LOG_DEBUG);
    plan.session.json = options->json;
    plan.session.quiet = options->quiet;
    if (r == -ENOMEM)
        log_error("record: %s", strerror(ENOMEM));
    if (r == 0)
        r = take_hooks(&plan.session.hooks, config);
    if (r == 0 && watched_check(&watching) == EXIT_DONE)
        status = run_watched(&plan.session, &watching);
    record_plan_free(&plan);
    return r == -ENOMEM ? EXIT_FAILED : status;
}

int cli_record(int argc, char **argv)
{
    struct record_options options = {.file = NULL};
    struct config_mistakes mistakes = {0};
    int first, r = config_init(&options.config), status = EXIT_WRONG_USAGE;

    given = 0;
    first = r < 0 ? r : options_parse(&usage, argc, argv, &options);
    if (first < 0) {
        config_free(&options.config);
        return first == -ENOMEM ? EXIT_FAILED : cli_status_of_parse(first);
    }
    if (first == argc && !options.file && !options.print_config) {
        fprintf(stderr, "daorec record: which segment? Give at least one, such as "
                        "/tmp/wfs.im.shm, or a file with -c\n");
        r = -EINVAL;
    }
    if (r == 0)
        r = make_config(&options, argc, argv, first, &mistakes);
    if (r == 0)
        r = check_wait(argv + first, argc - first, options.config.wait_ns);
    config_mistakes_print(&mistakes);
    config_mistakes_free(&mistakes);
    if (r == -ENOMEM) {
        log_error("record: %s", strerror(ENOMEM));
        status = EXIT_FAILED;
    } else if (r == 0 && options.print_config) {
        config_print(&options.config, stdout);
        status = EXIT_DONE;
    } else if (r == 0) {
        status = run(&options);
    }
    config_free(&options.config);
    return status;
}
