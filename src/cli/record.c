/*
 * record.c - the verb `record`: a configuration file, options on top of it, then a session.
 *
 * Options are parsed twice: first to find the file and what is wrong with them, then into what the
 * file says.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/await.h"
#include "base/log.h"
#include "base/options.h"
#include "base/output.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/record.h"
#include "cli/steering.h"
#include "cli/watched.h"
#include "record/supervisor.h"

struct record_options {
    struct config config;
    const char *file, *cpus, *writer_cpus, *io;
    bool no_direct, print_config, json, quiet, verbose;
    bool idle;
};

#define OFF(member) offsetof(struct record_options, member)

static const struct option_spec specs[] = {
    {"config", 'c', OPTION_STRING, OFF(file), "FILE",
     "record as this file says (daorec check FILE); options here override it", 0, 0},
    {"print-config", 0, OPTION_FLAG, OFF(print_config), NULL,
     "print a commented file with all keys, set as it would be recorded, and do nothing", 0, 0},
    {"output", 'o', OPTION_STRING, OFF(config.root_storage), "DIR",
     "where sessions go (default ./telemetry)", 0, 0},
    {"frames", 'n', OPTION_COUNT, OFF(config.samples), "N",
     "end each stream after N frames; of several, one that is not there yet is waited for", 1,
     9e15},
    {"duration", 'd', OPTION_DURATION, OFF(config.duration_ns), "T", "end each stream after T", 1e6,
     9e18},
    {"roll-frames", 0, OPTION_COUNT, OFF(config.rollover.frames), "N",
     "next file after N frames; 0: no limit", 1, 1e12},
    {"roll-size", 0, OPTION_BYTES, OFF(config.rollover.bytes), "S",
     "next file at this size; 0, the default: 1GiB, or less for --keep-size", 65536, 7e13},
    {"roll-time", 0, OPTION_DURATION, OFF(config.rollover.time_ns), "T",
     "next file after T (default 10min); 0: no limit", 1e6, 9e18},
    {"roll-together", 0, OPTION_FLAG, OFF(config.roll_together), NULL,
     "all streams' files end at multiples of --roll-time, UTC", 0, 0},
    {"backlog", 0, OPTION_FLAG, OFF(config.backlog), NULL,
     "also the intact frames already in the FIFO", 0, 0},
    {"wait", 0, OPTION_DURATION_OR_FLAG, OFF(config.wait_ns), "T",
     "wait for a segment to appear (several: for the first; others are picked up later)", 0, 0},
    {"all", 0, OPTION_FLAG, OFF(config.all), NULL, "record nothing before all segments are there",
     0, 0},
    {"latency", 0, OPTION_DURATION, OFF(config.latency_ns), "T",
     "take frames T after they were published at the latest (default 100ms)", 1e4, 1e9},
    {"buffer", 0, OPTION_BYTES, OFF(config.buffer_bytes), "S",
     "staging memory (default 512MiB, at most 1/8 of RAM; two frames at least)", 1048576, 7e13},
    {"keep-free", 0, OPTION_AMOUNT, OFF(config.keep_free), "S|P%",
     "end before less than this is free on the disk (default 2%); 0: wait for room instead", 0, 0},
    {"keep-files", 0, OPTION_COUNT, OFF(config.keep_files), "N",
     "of each stream, remove the oldest finished files: keep N, or what fits", 1, 1e9},
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
    {"control", 0, OPTION_STRING_OR_FLAG, OFF(config.control), "PATH",
     "be asked by `daorec ctl` (default $XDG_RUNTIME_DIR/daorec/control, /run/... for root)", 0, 0},
    {"idle", 0, OPTION_FLAG, OFF(idle), NULL, "with --control: wait for `daorec ctl start`", 0, 0},
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
    .takes_zero = config_takes_zero,
};

/* Is it there, and what? Else by its name: no segment is called so. */
static bool is_socket(const char *path)
{
    size_t length = strlen(path);
    struct stat st;

    if (stat(path, &st) == 0)
        return S_ISSOCK(st.st_mode);
    return length > 5 && strcmp(path + length - 5, ".sock") == 0;
}

static bool is_time(const char *path)
{
    int64_t ns;

    return !strchr(path, '/') && units_parse_duration(path, &ns) == 0 && access(path, F_OK) != 0;
}

/* Values of --wait and --control are optional and need the =: "--wait 2s" leaves 2s among the
 * segments. */
static int check_values(char *const *paths, int count, const struct config *config)
{
    bool may_be_time = config->wait_ns == INT64_MAX;
    bool may_be_socket = strcmp(config->control, CONFIG_CONTROL_DEFAULT) == 0;

    for (int i = 0; i < count; i++) {
        const char *path = paths[i], *what = NULL;

        if (may_be_time && is_time(path))
            what = "a time to wait is given as --wait";
        else if (may_be_socket && is_socket(path))
            what = "the path of a socket is given as --control";
        if (!what)
            continue;
        fprintf(stderr, "daorec record: %s would be a segment; %s=%s\n", path, what, path);
        return -EINVAL;
    }
    return 0;
}

/* NULL: there is none. */
static const char *text_of(const char *value)
{
    return *value ? value : NULL;
}

static void take_hooks(struct hooks_config *ret, const struct config *config)
{
    *ret = (struct hooks_config){
        .commands = {[HOOK_FILE_CLOSED] = text_of(config->hook_file_closed),
                     [HOOK_LOSS] = text_of(config->hook_loss),
                     [HOOK_LOW_DISK] = text_of(config->hook_low_disk)},
        .low_bytes = config->low_disk.bytes,
        .low_percent = config->low_disk.percent,
    };
}

/* What a file may have, too, or may not, either; NULL: a path, which is tried when the socket is
 * made. */
static const char *word_of_control(const char *control)
{
    if (!*control)
        return CONFIG_CONTROL_DEFAULT;
    if (*control == '~' || strlen(control) > CONFIG_CONTROL_MAX)
        return control;
    return strchr(control, '/') ? NULL : control;
}

/* What is no plain value of its type, and texts that a file could not have either: a command of
 * blanks is one that a script has lost, and a shell leaves the ~ of --output=~/x as it is. */
static int take_words(struct record_options *options, struct config_mistakes *mistakes)
{
    struct config *config = &options->config;
    const struct {
        const char *option, *text;
    } words[] = {
        {"output", config->root_storage},
        {"on-file-closed", config->hook_file_closed},
        {"on-loss", config->hook_loss},
        {"on-low-disk", config->hook_low_disk},
        {"metrics-file", config->metrics_textfile},
        {"control", word_of_control(config->control)},
        {"cpu", options->cpus},
        {"cpu-writer", options->writer_cpus},
        {"io", options->io},
    };
    int r = 0;

    if (options->no_direct)
        config->direct = false;
    if (options->idle)
        config->eager_start = false;
    for (size_t i = 0; i < sizeof words / sizeof words[0] && r == 0; i++)
        if (words[i].text && options_is_given(&usage, words[i].option))
            r = config_set_option(config, words[i].option, words[i].text, mistakes);
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
        r = config_set_segments(&options->config, "daorec record", argv + first,
                                (size_t)(argc - first), mistakes);
    return r;
}

/* ---- what is recorded ---- */

/* One configuration, as it was given or read again; the first one stays until the end, the others
 * until nobody uses them. */
struct planned {
    struct record_options options;
    struct record_plan plan;
    struct planned *next;
};

struct recording {
    int argc, first;
    char **argv;
    struct planned *planned; /* the latest one first */
};

/* 0; -EINVAL with a text; -ENOMEM. */
static int plan_session(struct planned *planned, char *why)
{
    struct record_options *options = &planned->options;
    struct session_config *session = &planned->plan.session;
    int r = record_plan_make(&planned->plan, &options->config, why);

    if (r == 0)
        r = record_plan_check_cpus(&options->config, why);
    if (r < 0)
        return r;
    session->json = options->json;
    session->quiet = options->quiet;
    session->descriptors = (*options->config.control ? CONTROL_CLIENTS_MAX : 0) +
                           (*options->config.metrics_listen ? HTTP_CONNECTIONS_MAX : 0);
    take_hooks(&session->hooks, &options->config);
    return 0;
}

static void free_planned(struct planned *planned)
{
    record_plan_free(&planned->plan);
    config_free(&planned->options.config);
    free(planned);
}

/* The file and the options on top of it, as at the start. */
static int plan_again(struct planned *planned, const struct recording *recording, char *why)
{
    struct config_mistakes mistakes = {0};
    int r = config_init(&planned->options.config);

    if (r == 0 && options_parse(&usage, recording->argc, recording->argv, &planned->options) < 0)
        r = -EINVAL;
    if (r == 0)
        r = make_config(&planned->options, recording->argc, recording->argv, recording->first,
                        &mistakes);
    config_mistakes_print(&mistakes);
    if (mistakes.count > 0)
        snprintf(why, RECORD_WHY_BYTES, "%s%s", mistakes.lines[0].text,
                 mistakes.count > 1 ? " (and more: see `daorec check`)" : "");
    config_mistakes_free(&mistakes);
    return r == 0 ? plan_session(planned, why) : r;
}

/* What the program began with. */
static const struct planned *first_planned(const struct recording *recording)
{
    const struct planned *planned = recording->planned;

    while (planned->next)
        planned = planned->next;
    return planned;
}

static const struct session_config *reload(void *ctx, char *text)
{
    struct recording *recording = ctx;
    struct planned *planned;
    char why[RECORD_WHY_BYTES] = "";
    int r;

    if (strcmp(recording->planned->options.file, "-") == 0) { /* a terminal would be waited for */
        snprintf(text, ORDER_WHY_BYTES,
                 "nothing is changed: standard input is read only once; begin it with a file");
        return NULL;
    }
    planned = calloc(1, sizeof *planned);
    r = planned ? plan_again(planned, recording, why) : -ENOMEM;
    if (r < 0) {
        if (planned)
            free_planned(planned);
        snprintf(text, ORDER_WHY_BYTES, "nothing is changed: %s",
                 r == -ENOMEM ? strerror(ENOMEM) : why);
        return NULL;
    }
    if (config_list_is_same(&planned->plan.session.settings,
                            &recording->planned->plan.session.settings)) {
        free_planned(planned);
        return &recording->planned->plan.session;
    }
    config_list_began(&planned->plan.session.settings,
                      &first_planned(recording)->plan.session.settings);
    planned->next = recording->planned;
    recording->planned = planned;
    return &planned->plan.session;
}

/* The first one is never among those that are released. */
static void release(void *ctx, const struct session_config *config)
{
    struct recording *recording = ctx;

    for (struct planned **at = &recording->planned; *at; at = &(*at)->next) {
        struct planned *planned = *at;

        if (&planned->plan.session != config)
            continue;
        *at = planned->next;
        free_planned(planned);
        return;
    }
}

/* Asked over a control socket, if that is wanted. */
static int run_steered(const struct session_config *session, struct recording *recording)
{
    const struct record_options *options = &recording->planned->options;
    const char *control = options->config.control;
    struct supervisor_setup setup = {.idle = !options->config.eager_start,
                                     .reload = options->file ? reload : NULL,
                                     .release = release,
                                     .ctx = recording};
    struct steering steering = {0};
    struct dao_text text = {""};
    int status;

    if (!*control)
        return supervisor_run(session, &setup);
    if (strcmp(control, CONFIG_CONTROL_DEFAULT) == 0)
        control = NULL;
    if (steering_open(&steering, control, &text) < 0) {
        log_error("%s", text.s);
        return EXIT_FAILED;
    }
    if (!options->quiet)
        log_info("control: %s", control_path(steering.control));
    setup.orders = &steering.orders;
    status = supervisor_run(session, &setup);
    steering_close(&steering);
    return status;
}

/* What is planned, with those who watch it. */
static int run_watched(struct session_config *session, const struct watched_options *watching,
                       struct recording *recording)
{
    struct watched watched;
    int status, r;

    await_block_signals(true, NULL); /* from here on there is something to be removed */
    r = log_start_thread();          /* and somebody who must not wait for a reader */
    if (r == 0)
        r = output_guard();
    if (r < 0) {
        log_error("cannot begin: %s%s", strerror(-r),
                  r == -EAGAIN ? "; allow more threads with ulimit -u, LimitNPROC or TasksMax"
                               : "");
        return EXIT_FAILED;
    }
    status = watched_start(&watched, watching);
    if (status != EXIT_DONE)
        return status;
    session->board = &watched.board;
    status = run_steered(session, recording);
    watched_stop(&watched);
    return status;
}

static int check_idle(const struct record_options *options)
{
    char name[600];

    if (options->config.eager_start || *options->config.control)
        return 0;
    fprintf(stderr, "%s: it waits for `daorec ctl start`: give control or --control, too\n",
            config_name_of(&options->config, "idle", name, sizeof name));
    return -EINVAL;
}

static int run(struct recording *recording)
{
    struct record_options *options = &recording->planned->options;
    const struct watched_options watching = {
        .metrics = text_of(options->config.metrics_listen),
        .metrics_file = text_of(options->config.metrics_textfile),
        .quiet = options->quiet,
    };
    int r = check_idle(options), status = EXIT_WRONG_USAGE;
    char why[RECORD_WHY_BYTES] = "";

    if (options->quiet)
        log_set_level(LOG_WARNING);
    if (options->verbose)
        log_set_level(LOG_DEBUG);
    if (r == 0)
        r = plan_session(recording->planned, why);
    if (why[0])
        fprintf(stderr, "%s\n", why);
    if (r == -ENOMEM)
        log_error("record: %s", strerror(ENOMEM));
    if (r == 0 && watched_check(&watching) == EXIT_DONE)
        status = run_watched(&recording->planned->plan.session, &watching, recording);
    return r == -ENOMEM ? EXIT_FAILED : status;
}

/* Options, file and segments into recording->planned; then it is done, or only printed. */
static int begin(struct recording *recording, int argc, char **argv)
{
    struct record_options *options = &recording->planned->options;
    struct config_mistakes mistakes = {0};
    int first, r = config_init(&options->config);

    given = 0;
    first = r < 0 ? r : options_parse(&usage, argc, argv, options);
    if (first < 0)
        return first == -ENOMEM ? EXIT_FAILED : cli_status_of_parse(first);
    if (first == argc && !options->file && !options->print_config) {
        fprintf(stderr, "daorec record: which segment? Give at least one, such as "
                        "/tmp/wfs.im.shm, or a file with -c\n");
        r = -EINVAL;
    }
    if (r == 0)
        r = make_config(options, argc, argv, first, &mistakes);
    if (r == 0)
        r = check_values(argv + first, argc - first, &options->config);
    config_mistakes_print(&mistakes);
    config_mistakes_free(&mistakes);
    recording->argc = argc;
    recording->argv = argv;
    recording->first = first;
    if (r == -ENOMEM) {
        log_error("record: %s", strerror(ENOMEM));
        return EXIT_FAILED;
    }
    if (r < 0)
        return EXIT_WRONG_USAGE;
    if (!options->print_config)
        return run(recording);
    if (config_print(&options->config, stdout) == 0)
        return EXIT_DONE;
    log_error("record: %s", strerror(ENOMEM));
    return EXIT_FAILED;
}

int cli_record(int argc, char **argv)
{
    struct recording recording = {.planned = calloc(1, sizeof(struct planned))};
    struct planned *next;
    int status;

    if (!recording.planned) {
        log_error("record: %s", strerror(ENOMEM));
        return EXIT_FAILED;
    }
    status = begin(&recording, argc, argv);
    for (; recording.planned; recording.planned = next) {
        next = recording.planned->next;
        free_planned(recording.planned);
    }
    return status;
}
