/* record.c - the verb `record`: options, then a session. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "base/place.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/watched.h"
#include "record/session.h"

struct record_options {
    const char *output;
    uint64_t frames, roll_frames, roll_bytes, buffer_bytes, priority;
    int64_t duration_ns, roll_time_ns, wait_ns, latency_ns;
    struct option_amount keep_free;
    uint64_t keep_files, keep_bytes;
    int64_t keep_time_ns;
    const char *on[HOOK_KINDS];
    struct option_amount low_disk;
    const char *metrics, *metrics_file;
    double cpu;
    const char *io;
    bool backlog, no_direct, json, quiet, verbose;
};

#define OFF(member) offsetof(struct record_options, member)

static const struct option_spec specs[] = {
    {"output", 'o', OPTION_STRING, OFF(output), "DIR", "where sessions go (default ./telemetry)", 0,
     0},
    {"frames", 'n', OPTION_COUNT, OFF(frames), "N", "end each stream after N frames", 1, 9e15},
    {"duration", 'd', OPTION_DURATION, OFF(duration_ns), "T", "end each stream after T", 1e6, 9e18},
    {"roll-frames", 0, OPTION_COUNT, OFF(roll_frames), "N", "next file after N frames", 1, 1e12},
    {"roll-size", 0, OPTION_BYTES, OFF(roll_bytes), "S", "next file at this size (default 1GiB)",
     65536, 7e13},
    {"roll-time", 0, OPTION_DURATION, OFF(roll_time_ns), "T", "next file after T (default 10min)",
     1e6, 9e18},
    {"backlog", 0, OPTION_FLAG, OFF(backlog), NULL, "also the intact frames already in the FIFO", 0,
     0},
    {"wait", 0, OPTION_DURATION_OR_FLAG, OFF(wait_ns), "T", "wait for the segments to appear", 0,
     0},
    {"latency", 0, OPTION_DURATION, OFF(latency_ns), "T",
     "take frames T after they were published at the latest (default 100ms)", 1e4, 1e9},
    {"buffer", 0, OPTION_BYTES, OFF(buffer_bytes), "S",
     "staging memory (default 512MiB, at most 1/8 of RAM; two frames at least)", 1048576, 7e13},
    {"keep-free", 0, OPTION_AMOUNT, OFF(keep_free), "S|P%",
     "end before less than this is free on the disk (default 2%); 0: wait for room instead", 0, 0},
    {"keep-files", 0, OPTION_COUNT, OFF(keep_files), "N",
     "of each stream, remove the oldest finished files: keep N", 1, 1e9},
    {"keep-size", 0, OPTION_BYTES, OFF(keep_bytes), "S",
     "the same: of these streams below DIR keep S together", 1048576, 9e15},
    {"keep-time", 0, OPTION_DURATION, OFF(keep_time_ns), "T",
     "the same: keep what was finished in the last T", 1e9, 9e18},
    {"on-file-closed", 0, OPTION_STRING, OFF(on[HOOK_FILE_CLOSED]), "CMD",
     "run this for each finished file, with its facts in the environment", 0, 0},
    {"on-loss", 0, OPTION_STRING, OFF(on[HOOK_LOSS]), "CMD", "the same when frames were lost", 0,
     0},
    {"on-low-disk", 0, OPTION_STRING, OFF(on[HOOK_LOW_DISK]), "CMD",
     "the same when less than --low-disk is free", 0, 0},
    {"low-disk", 0, OPTION_AMOUNT, OFF(low_disk), "S|P%", "what a low disk is (default 10%)", 0, 0},
    {"metrics", 0, OPTION_STRING, OFF(metrics), "[ADDR:]PORT",
     "metrics for Prometheus and a status page over HTTP (ADDR: 127.0.0.1)", 0, 0},
    {"metrics-file", 0, OPTION_STRING, OFF(metrics_file), "FILE",
     "metrics for node_exporter's textfile collector, every 10 s", 0, 0},
    {"cpu", 0, OPTION_NUMBER, OFF(cpu), "N", "run the draining threads on this CPU", 0, 1023},
    {"priority", 0, OPTION_COUNT, OFF(priority), "N", "their SCHED_FIFO priority", 1, 99},
    {"io", 0, OPTION_STRING, OFF(io), "KIND", "auto, uring or pwrite (default auto)", 0, 0},
    {"no-direct", 0, OPTION_FLAG, OFF(no_direct), NULL,
     "through the page cache instead of O_DIRECT", 0, 0},
    {"json", 0, OPTION_FLAG, OFF(json), NULL, "summary as one line of JSON on stdout", 0, 0},
    {"quiet", 'q', OPTION_FLAG, OFF(quiet), NULL, "errors and the summary only", 0, 0},
    {"verbose", 'v', OPTION_FLAG, OFF(verbose), NULL, "say more", 0, 0},
    {0},
};

static const struct verb_usage usage = {
    .verb = "record",
    .arguments = "SHM...",
    .summary = "Record FIFO segments into rolling FITS files until stopped (Ctrl-C).",
    .specs = specs,
};

static int engine_kind(const char *name, enum io_engine_kind *ret)
{
    static const char *const names[] = {"auto", "uring", "pwrite", NULL};
    static const enum io_engine_kind kinds[] = {IO_ENGINE_AUTO, IO_ENGINE_URING, IO_ENGINE_PWRITE};

    for (int i = 0; names[i]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = kinds[i];
            return 0;
        }
    }
    fprintf(stderr, "daorec record: --io '%s': there are auto, uring and pwrite\n", name);
    return -EINVAL;
}

static int check_cpu(double cpu)
{
    if (cpu >= 0 && !place_is_cpu(cpu)) {
        fprintf(stderr, "daorec record: --cpu %g: not one of this machine's CPUs; see `nproc`\n",
                cpu);
        return -EINVAL;
    }
    return 0;
}

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

/* An empty command is one that a script has lost. */
static int check_hooks(const char *const *commands)
{
    for (int i = 0; i < HOOK_KINDS; i++) {
        if (!commands[i] || commands[i][strspn(commands[i], " \t\n")] != '\0')
            continue;
        fprintf(stderr, "daorec record: --on-%s '%s': no command; give one, or leave it out\n",
                hook_kind_names[i], commands[i]);
        return -EINVAL;
    }
    return 0;
}

/* A limit in bytes wants files that are small against it. */
static int fit_files(struct session_config *config)
{
    uint64_t fair = retention_file_bytes(&config->retention, config->path_count);
    uint64_t *bytes = &config->stream.rolling.bytes;
    char limit[32], size[32], least[32];

    if (*bytes == 0)
        *bytes = fair < ROLLING_BYTES_DEFAULT ? fair : ROLLING_BYTES_DEFAULT;
    if (*bytes / 4 * 3 <= fair) /* three files: see retention_file_bytes() */
        return 0;
    fprintf(stderr,
            "daorec record: --keep-size %s: of files of --roll-size %s each stream needs three; "
            "give %s or more, or smaller files\n",
            units_format_bytes(limit, sizeof limit, config->retention.bytes),
            units_format_bytes(size, sizeof size, *bytes),
            units_format_bytes(least, sizeof least, 3 * *bytes * config->path_count));
    return -EINVAL;
}

int cli_record(int argc, char **argv)
{
    struct record_options options = {
        .output = "./telemetry",
        .roll_time_ns = ROLLING_TIME_NS_DEFAULT,
        .keep_free = {.percent = 2.0},
        .low_disk = {.percent = 10.0},
        .cpu = -1,
        .io = "auto",
    };
    struct watched_options watching;
    struct session_config config;
    struct watched watched;
    int first = options_parse(&usage, argc, argv, &options), status;

    if (first < 0)
        return first == -ECANCELED ? 0 : 2;
    if (first == argc) {
        fprintf(stderr, "daorec record: which segment? Give at least one, such as "
                        "/tmp/wfs.im.shm\n");
        return 2;
    }
    config = (struct session_config){
        .paths = argv + first,
        .path_count = (unsigned)(argc - first),
        .root = options.output,
        .stream =
            {
                .rolling = {options.roll_frames, options.roll_bytes, options.roll_time_ns},
                .frames_wanted = options.frames,
                .duration_ns = options.duration_ns,
                .backlog = options.backlog,
                .latency_ns = options.latency_ns,
                .cpu = (int)options.cpu,
                .priority = (int)options.priority,
                .want_direct = !options.no_direct,
            },
        .room = {.keep_bytes = options.keep_free.bytes, .keep_percent = options.keep_free.percent},
        .retention = {options.keep_files, options.keep_bytes, options.keep_time_ns},
        .hooks = {{options.on[0], options.on[1], options.on[2]},
                  options.low_disk.bytes,
                  options.low_disk.percent,
                  0},
        .wait_ns = options.wait_ns,
        .buffer_bytes = options.buffer_bytes,
        .json = options.json,
        .quiet = options.quiet,
    };
    watching = (struct watched_options){options.metrics, options.metrics_file, options.quiet};
    if (engine_kind(options.io, &config.engine) < 0 || check_cpu(options.cpu) < 0 ||
        check_wait(argv + first, argc - first, options.wait_ns) < 0 ||
        check_hooks(options.on) < 0 || fit_files(&config) < 0 ||
        watched_check(&watching) != EXIT_DONE)
        return 2;
    if (options.quiet)
        log_set_level(LOG_WARNING);
    if (options.verbose)
        log_set_level(LOG_DEBUG);
    status = watched_start(&watched, &watching);
    if (status != EXIT_DONE)
        return status;
    config.board = &watched.board;
    status = session_run(&config);
    watched_stop(&watched);
    return status;
}
