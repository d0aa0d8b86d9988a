/* replay.c - the verb `replay`: options, then the job. The work is done in replay/. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "base/place.h"
#include "cli/cli.h"
#include "replay/replay.h"

#define RATE_HZ_MAX 1e9
#define STREAMS_MAX 1024u

struct replay_options {
    const char *to, *prefix, *streams;
    const char *from, *until, *gaps, *atime;
    double rate_hz, speed, cpu;
    uint64_t depth, passes, frame_axis, buffer_bytes, priority;
    int64_t pause_ns_max;
    bool asap, step, hold, remove, json, quiet;
};

static const struct replay_options defaults = {
    .gaps = "keep",
    .atime = "now",
    .passes = 1,
    .cpu = -1,
    .pause_ns_max = 60000000000ll,
};

#define AT(member) offsetof(struct replay_options, member)

static const struct option_spec specs[] = {
    {"to", 0, OPTION_STRING, AT(to), "SHM", "the segment to play into (default: where it was)", 0,
     0},
    {"prefix", 0, OPTION_STRING, AT(prefix), "DIR|NAME",
     "for several streams: the folder of their segments, or what their names begin with", 0, 0},
    {"stream", 0, OPTION_STRING, AT(streams), "NAME[,NAME]", "only these streams", 0, 0},
    {"rate", 'r', OPTION_NUMBER, AT(rate_hz), "HZ",
     "evenly, each stream at this rate, instead of at the recorded intervals", 1e-6, RATE_HZ_MAX},
    {"speed", 0, OPTION_NUMBER, AT(speed), "X", "recorded intervals divided by X", 1e-6, 1e9},
    {"asap", 0, OPTION_FLAG, AT(asap), NULL, "as fast as possible", 0, 0},
    {"step", 0, OPTION_FLAG, AT(step), NULL,
     "frame by frame, told by index from 0: space or right arrow plays the next one, q ends", 0, 0},
    {"from", 0, OPTION_STRING, AT(from), "WHEN",
     "the first frame: UTC as 2026-11-24T02:01:08.5 or 02:01:08, +10s, cnt0:N, or an index from 0",
     0, 0},
    {"until", 0, OPTION_STRING, AT(until), "WHEN", "the first frame not wanted, in the same words",
     0, 0},
    {"loop", 0, OPTION_COUNT, AT(passes), "N",
     "play N times, counts going on; 0: until stopped (1)", 0, 0},
    {"gaps", 0, OPTION_STRING, AT(gaps), "keep|close",
     "lost frames leave time and counts out, or neither (keep)", 0, 0},
    {"atime", 0, OPTION_STRING, AT(atime), "now|recorded",
     "frames are stamped with the time they are published, or were (now)", 0, 0},
    {"max-pause", 0, OPTION_DURATION, AT(pause_ns_max), "T",
     "a longer pause of all streams is played as this (1min)", 0, 9e18},
    {"depth", 0, OPTION_COUNT, AT(depth), "N", "slots of the FIFO (as recorded)", 1, UINT32_MAX},
    {"frame-axis", 0, OPTION_COUNT, AT(frame_axis), "N",
     "FITS axis that counts frames, in cubes of others (the last)", 1, 999},
    {"buffer", 0, OPTION_BYTES, AT(buffer_bytes), "S",
     "memory for frames read ahead (256MiB, at most 1/8 of RAM; two frames at least)", 65536, 7e13},
    {"hold", 0, OPTION_FLAG, AT(hold), NULL,
     "create the segments, and begin at SIGUSR1 or a key: readers can attach", 0, 0},
    {"remove", 0, OPTION_FLAG, AT(remove), NULL,
     "remove the segments and their semaphores at the end (else they stay)", 0, 0},
    {"cpu", 0, OPTION_NUMBER, AT(cpu), "N", "run the publishing thread on this CPU", 0, 1023},
    {"priority", 0, OPTION_COUNT, AT(priority), "N", "its SCHED_FIFO priority", 1, 99},
    {"json", 0, OPTION_FLAG, AT(json), NULL, "summary as one line of JSON on stdout", 0, 0},
    {"quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "print errors and warnings only", 0, 0},
    {NULL, 0, 0, 0, NULL, NULL, 0, 0},
};

static const struct verb_usage usage = {
    .verb = "replay",
    .arguments = "FILE|DIR...",
    .summary =
        "Play recordings, or FITS files of others, into segments: the recorded frames, counts\n"
        "and keywords at the recorded intervals, all streams of a session on one clock. The\n"
        "segments stay at the end, since readers may be attached, unless --remove is given.",
    .specs = specs,
};

/* ---- from options to a job ---- */

/* One of two words. 0 or 1 for the first or the second; -EINVAL after a message. */
static int choose(const char *option, const char *value, const char *first, const char *second)
{
    if (strcmp(value, first) == 0)
        return 0;
    if (strcmp(value, second) == 0)
        return 1;
    log_error("replay: --%s '%s': there are %s and %s", option, value, first, second);
    return -EINVAL;
}

/* At most one of the ways to set the pace. */
static int choose_pace(struct replay_config *config, const struct replay_options *o)
{
    if ((o->rate_hz > 0) + (o->speed > 0) + o->asap + o->step > 1) {
        log_error("replay: --rate, --speed, --asap and --step exclude each other");
        return -EINVAL;
    }
    config->pace = o->asap ? PLAYER_ASAP : o->step ? PLAYER_STEP : PLAYER_TIMED;
    config->rate_hz = o->rate_hz;
    config->speed = o->speed > 0 ? o->speed : 1.0;
    return 0;
}

static int check_rest(const struct replay_options *o)
{
    if (o->to && o->prefix) {
        log_error("replay: --to and --prefix exclude each other");
        return -EINVAL;
    }
    if ((o->to && !*o->to) || (o->prefix && !*o->prefix)) {
        log_error("replay: --%s is empty", o->to ? "to" : "prefix");
        return -EINVAL;
    }
    if (o->cpu >= 0 && !place_is_cpu(o->cpu)) {
        log_error("replay: --cpu %g: not one of this machine's CPUs; see `nproc`", o->cpu);
        return -EINVAL;
    }
    return 0;
}

static int make_config(struct replay_config *config, const struct replay_options *o)
{
    int gaps = choose("gaps", o->gaps, "keep", "close");
    int atime = gaps < 0 ? gaps : choose("atime", o->atime, "now", "recorded");

    if (atime < 0 || check_rest(o) < 0)
        return -EINVAL;
    config->to = o->to;
    config->prefix = o->prefix;
    config->from = o->from;
    config->until = o->until;
    config->depth = (uint32_t)o->depth;
    config->frame_axis = (unsigned)o->frame_axis;
    config->passes = o->passes;
    config->close_gaps = gaps == 1;
    config->recorded_atime = atime == 1;
    config->pause_ns_max = o->pause_ns_max;
    config->buffer_bytes = o->buffer_bytes;
    config->cpu = (int)o->cpu;
    config->priority = (int)o->priority;
    config->hold = o->hold;
    config->remove = o->remove;
    config->json = o->json;
    config->quiet = o->quiet;
    return choose_pace(config, o);
}

/* ---- the verb ---- */

int cli_replay(int argc, char **argv)
{
    static const char *streams[STREAMS_MAX + 1];
    struct replay_options o = defaults;
    struct replay_config config = {0};
    int first = options_parse(&usage, argc, argv, &o), status;
    char *names;

    if (first < 0)
        return cli_status_of_parse(first);
    if (first == argc) {
        log_error("replay: which recording? Give a session, a folder of a stream, or files");
        return EXIT_WRONG_USAGE;
    }
    if (make_config(&config, &o) < 0)
        return EXIT_WRONG_USAGE;
    names = o.streams ? strdup(o.streams) : NULL;
    if (names && options_split_names(names, streams, STREAMS_MAX) < 0) {
        log_error("replay: --stream %s: give names separated by commas, such as wfs,dm, at most %d",
                  o.streams, STREAMS_MAX);
        free(names);
        return EXIT_WRONG_USAGE;
    }
    if (o.quiet)
        log_set_level(LOG_WARNING);
    config.streams = names ? streams : NULL;
    config.paths = argv + first;
    config.path_count = (size_t)(argc - first);
    status = replay_run(&config);
    free(names);
    return status;
}
