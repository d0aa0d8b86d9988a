/* keys.c - the table of all keys. See keys.h. */
#include "config/keys.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define ALL(member)    offsetof(struct config, member)
#define SOURCE(member) offsetof(struct config_source, member)

static const char *const io_names[] = {"auto", "uring", "pwrite", NULL};

#define ROLL_FRAMES_HELP "next file after so many frames; 0: no limit"
#define ROLL_SIZE_HELP                                                                             \
    "next file at this size, tables included; 0: 1GiB, or less where keep.size wants smaller ones"
#define ROLL_TIME_HELP "next file after this time; 0: no limit"

/* A row without a default is one that a source has from all, or that there must be. Ranges are
 * those of the options of `record`. */
const struct config_key config_keys[] = {
    {"root_storage", CONFIG_TOP, CONFIG_PATH, ALL(root_storage), "./telemetry", .alias = "output",
     .option = "output", .help = "where sessions go; made where it is not there"},
    {"sources", CONFIG_TOP, CONFIG_LIST, 0, NULL,
     .help = "what to record: segments (smem://), and files to be copied beside them (file://)"},
    {"uri", CONFIG_SOURCE, CONFIG_URI, SOURCE(uri), NULL, .alias = "path",
     .help = "smem:///tmp/wfs.im.shm or its path alone: a segment; file:///path: a file that is "
             "copied into the session"},
    {"name", CONFIG_SOURCE, CONFIG_NAME, SOURCE(name), NULL,
     .help = "the stream's name; that of the segment up to its first dot where it is not given"},
    {"unit", CONFIG_SOURCE, CONFIG_TEXT, SOURCE(unit), NULL, .help = "BUNIT, unit of the pixels"},
    {"samples", CONFIG_SOURCE, CONFIG_COUNT, SOURCE(samples), NULL, 1, 9e15, true,
     .alias = "frames", .help = "of this source, as for all below"},
    {"file_rollover", CONFIG_SOURCE, CONFIG_ROLL, 0, NULL, .below = CONFIG_SOURCE_ROLLOVER,
     .alias = "roll", .help = "of this source, as for all below"},
    {"frames", CONFIG_SOURCE_ROLLOVER, CONFIG_COUNT, SOURCE(rollover.frames), NULL, 1, 1e12, true,
     .alias = "samples", .help = "of this source, as for all below", .when = SETTING_AT_ONCE},
    {"size", CONFIG_SOURCE_ROLLOVER, CONFIG_BYTES, SOURCE(rollover.bytes), NULL, 65536, 7e13, true,
     .help = "of this source, as for all below", .when = SETTING_AT_ONCE},
    {"time", CONFIG_SOURCE_ROLLOVER, CONFIG_DURATION, SOURCE(rollover.time_ns), NULL, 1e6,
     3153600000e9, true, .help = "of this source, as for all below", .when = SETTING_AT_ONCE},
    {"latency", CONFIG_SOURCE, CONFIG_DURATION, SOURCE(latency_ns), NULL, 1e4, 1e9,
     .help = "of this source, as for all below", .when = SETTING_AT_ONCE},
    {"priority", CONFIG_SOURCE, CONFIG_COUNT, SOURCE(priority), NULL, 1, 99, true,
     .help = "of this source, as for all below"},
    {"overload", CONFIG_SOURCE, CONFIG_OVERLOAD, SOURCE(overload), NULL,
     .help = "of this source, as for all below"},
    {"samples", CONFIG_TOP, CONFIG_COUNT, ALL(samples), "0", 1, 9e15, true, .alias = "frames",
     .option = "frames", .help = "end each stream after so many frames; 0: record until stopped"},
    {"duration", CONFIG_TOP, CONFIG_DURATION, ALL(duration_ns), "0", 1e6, 3153600000e9, true,
     .option = "duration", .help = "end each stream after this time; 0: record until stopped"},
    {"file_rollover", CONFIG_TOP, CONFIG_ROLL, 0, NULL, .below = CONFIG_ROLLOVER, .alias = "roll",
     .help = "when a file ends and the next begins, whichever comes first; one value alone is "
             "frames (5000), a size (1GiB) or a time (10min)"},
    {"frames", CONFIG_ROLLOVER, CONFIG_COUNT, ALL(rollover.frames), "0", 1, 1e12, true,
     .alias = "samples", .option = "roll-frames", .help = ROLL_FRAMES_HELP,
     .when = SETTING_AT_ONCE},
    {"size", CONFIG_ROLLOVER, CONFIG_BYTES, ALL(rollover.bytes), "0", 65536, 7e13, true,
     .option = "roll-size", .help = ROLL_SIZE_HELP, .when = SETTING_AT_ONCE},
    {"time", CONFIG_ROLLOVER, CONFIG_DURATION, ALL(rollover.time_ns), "10min", 1e6, 3153600000e9,
     true, .option = "roll-time", .help = ROLL_TIME_HELP, .when = SETTING_AT_ONCE},
    {"together", CONFIG_ROLLOVER, CONFIG_BOOL, ALL(roll_together), "false",
     .option = "roll-together",
     .help = "files of all streams end at whole multiples of their time, UTC",
     .when = SETTING_AT_ONCE},
    {"buffer_limit", CONFIG_TOP, CONFIG_BYTES, ALL(buffer_bytes), "0", 1048576, 7e13, true,
     .alias = "buffer", .option = "buffer",
     .help = "staging memory of all streams; 0: 512MiB, at most 1/8 of RAM"},
    {"overload", CONFIG_TOP, CONFIG_OVERLOAD, ALL(overload), "drop-newest",
     .help = "when the disk does not keep up: drop-newest, decimate N (record each N-th frame "
             "until it does), or stop"},
    {"latency", CONFIG_TOP, CONFIG_DURATION, ALL(latency_ns), "100ms", 1e4, 1e9,
     .option = "latency", .help = "take frames so long after they were published at the latest",
     .when = SETTING_AT_ONCE},
    {"backlog", CONFIG_TOP, CONFIG_BOOL, ALL(backlog), "false", .option = "backlog",
     .help = "also record the intact frames that are in the FIFO already"},
    {"wait", CONFIG_TOP, CONFIG_WAIT, ALL(wait_ns), "no", .option = "wait",
     .help = "how long to wait for segments to appear"},
    {"all", CONFIG_TOP, CONFIG_BOOL, ALL(all), "false", .option = "all",
     .help = "record nothing before all segments are there"},
    {"eager_start", CONFIG_TOP, CONFIG_BOOL, ALL(eager_start), "true", .option = "idle",
     .help = "begin to record when the program starts; false: when it is told to, by control",
     .when = SETTING_OF_PROGRAM},
    {"daq_affinity", CONFIG_TOP, CONFIG_CPUS, ALL(daq_cpus), "", .alias = "daq_cpus",
     .option = "cpu", .help = "CPUs of the threads that take frames; none: any"},
    {"sink_affinity", CONFIG_TOP, CONFIG_CPUS, ALL(sink_cpus), "", .alias = "sink_cpus",
     .option = "cpu-writer",
     .help = "CPUs of the threads that write, prepare and close files; none: any"},
    {"priority", CONFIG_TOP, CONFIG_COUNT, ALL(priority), "0", 1, 99, true, .option = "priority",
     .help = "SCHED_FIFO priority of the threads that take frames; 0: none"},
    {"lock_memory", CONFIG_TOP, CONFIG_BOOL, ALL(lock_memory), "false", .option = "lock-memory",
     .help = "keep this program out of swap"},
    {"io", CONFIG_TOP, CONFIG_CHOICE, ALL(io), "auto", .choices = io_names, .option = "io",
     .help = "how bytes reach the disk"},
    {"direct", CONFIG_TOP, CONFIG_BOOL, ALL(direct), "true", .option = "no-direct",
     .help = "O_DIRECT; false: through the page cache"},
    {"keep", CONFIG_TOP, CONFIG_MAP, 0, NULL, .below = CONFIG_RETENTION, .alias = "retention",
     .help = "room on the disk, and which old files of these streams are removed"},
    {"free", CONFIG_RETENTION, CONFIG_AMOUNT, ALL(keep_free), "2%", .option = "keep-free",
     .help = "end before less than this is free on the disk; 0: wait for room instead",
     .when = SETTING_AT_ONCE},
    {"files", CONFIG_RETENTION, CONFIG_COUNT, ALL(keep_files), "0", 1, 1e9, true,
     .option = "keep-files",
     .help = "of each stream so many finished files, the oldest are removed; 0: all",
     .when = SETTING_OF_RING},
    {"size", CONFIG_RETENTION, CONFIG_BYTES, ALL(keep_bytes), "0", 1048576, 9e15, true,
     .option = "keep-size", .help = "of all streams together so much; 0: all",
     .when = SETTING_OF_RING},
    {"time", CONFIG_RETENTION, CONFIG_DURATION, ALL(keep_time_ns), "0", 1e9, 3153600000e9, true,
     .option = "keep-time", .help = "what was finished within this time; 0: all",
     .when = SETTING_OF_RING},
    {"keywords", CONFIG_TOP, CONFIG_MAP, 0, NULL, .below = CONFIG_KEYWORDS,
     .help = "cards of every file; an empty one is left out"},
    {"ORIGIN", CONFIG_KEYWORDS, CONFIG_TEXT, ALL(origin), "", .alias = "origin",
     .help = "the institution that made the file"},
    {"TELESCOP", CONFIG_KEYWORDS, CONFIG_TEXT, ALL(telescope), "", .alias = "telescope",
     .help = "the telescope"},
    {"INSTRUME", CONFIG_KEYWORDS, CONFIG_TEXT, ALL(instrument), "", .alias = "instrument",
     .help = "the instrument"},
    {"OBSERVER", CONFIG_KEYWORDS, CONFIG_TEXT, ALL(observer), "", .alias = "observer",
     .help = "who observes"},
    {"OBJECT", CONFIG_KEYWORDS, CONFIG_TEXT, ALL(object), "", .alias = "object",
     .help = "what is observed"},
    {"control", CONFIG_TOP, CONFIG_SOCKET, ALL(control), "false", .option = "control",
     .help = "the Unix socket for daorec ctl", .when = SETTING_OF_PROGRAM},
    {"metrics", CONFIG_TOP, CONFIG_MAP, 0, NULL, .below = CONFIG_METRICS,
     .help = "figures for Prometheus"},
    {"listen", CONFIG_METRICS, CONFIG_ADDRESS, ALL(metrics_listen), "", .option = "metrics",
     .help = "address and port to answer on, with a status page", .when = SETTING_OF_PROGRAM},
    {"textfile", CONFIG_METRICS, CONFIG_PROM, ALL(metrics_textfile), "", .option = "metrics-file",
     .help = "a file to write for node_exporter", .when = SETTING_OF_PROGRAM},
    {"hooks", CONFIG_TOP, CONFIG_MAP, 0, NULL, .below = CONFIG_HOOKS,
     .help = "commands to run when something has happened, facts in their environment"},
    {"file_closed", CONFIG_HOOKS, CONFIG_COMMAND, ALL(hook_file_closed), "",
     .option = "on-file-closed", .help = "a file is finished"},
    {"loss", CONFIG_HOOKS, CONFIG_COMMAND, ALL(hook_loss), "", .option = "on-loss",
     .help = "frames were lost"},
    {"low_disk", CONFIG_HOOKS, CONFIG_COMMAND, ALL(hook_low_disk), "", .option = "on-low-disk",
     .help = "less than low_disk_below is free"},
    {"low_disk_below", CONFIG_HOOKS, CONFIG_AMOUNT, ALL(low_disk), "10%", .option = "low-disk",
     .help = "what a low disk is, such as 10GiB or 10%"},
};
const unsigned config_key_count = sizeof config_keys / sizeof config_keys[0];

static_assert(sizeof config_keys / sizeof config_keys[0] <= CONFIG_KEYS_MAX, "a bit a row");

const struct config_key *config_find_key(enum config_section section, const char *name)
{
    for (unsigned i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (key->section == section &&
            (strcmp(key->name, name) == 0 || (key->alias && strcmp(key->alias, name) == 0)))
            return key;
    }
    return NULL;
}

const struct config_key *config_parent(enum config_section section)
{
    for (unsigned i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if ((key->type == CONFIG_MAP || key->type == CONFIG_ROLL) && key->below == section)
            return key;
        if (key->type == CONFIG_LIST && section == CONFIG_SOURCE)
            return key;
    }
    return NULL;
}

unsigned config_key_index(const struct config_key *key)
{
    return (unsigned)(key - config_keys);
}

const struct config_key *config_key_of_all(const struct config_key *key)
{
    const struct config_key *all = NULL;

    if (key->section == CONFIG_SOURCE)
        all = config_find_key(CONFIG_TOP, key->name);
    else if (key->section == CONFIG_SOURCE_ROLLOVER)
        all = config_find_key(CONFIG_ROLLOVER, key->name);
    return all && all->type == key->type && key->type > CONFIG_LIST ? all : NULL;
}

const char *config_key_path(const struct config_key *key, char *buf, size_t buf_bytes)
{
    const struct config_key *parent = config_parent(key->section);
    char above[96] = "";

    if (parent)
        config_key_path(parent, above, sizeof above);
    snprintf(buf, buf_bytes, "%s%s%s", above, parent ? "." : "", key->name);
    return buf;
}
