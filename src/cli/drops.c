/* drops.c - the verb `drops`: options, then one of two jobs in measure/. Content decides whether an
 * argument is a segment or a recording; its name only what is said where it is neither. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
#include "cli/cli.h"
#include "lib/segment.h"
#include "measure/live.h"
#include "measure/recorded.h"
#include "recording/find.h"
#include "recording/summary.h"

#define STREAMS_MOST 1000u
#define GAPS_TEXT    10u
#define GAPS_JSON    1000u
#define GAPS_MOST    10000000.0
#define NOT_GIVEN    UINT64_MAX

struct drops_options {
    int64_t duration_ns, every_ns, wait_ns, tolerance_ns;
    uint64_t gaps, frame_axis;
    const char *streams, *align;
    bool latency, histogram, json, quiet;
};

#define AT(member) offsetof(struct drops_options, member)

static const struct option_spec specs[] = {
    {"duration", 'd', OPTION_DURATION, AT(duration_ns), "T",
     "segments: end after T (else at Ctrl-C)", 1e6, 9e18},
    {"wait", 0, OPTION_DURATION_OR_FLAG, AT(wait_ns), "T", "segments: wait for them to appear", 0,
     0},
    {"latency", 0, OPTION_FLAG, AT(latency), NULL,
     "segments: wait for each frame, and measure how late it is had; takes more of a core", 0, 0},
    {"every", 0, OPTION_DURATION, AT(every_ns), "T",
     "segments: a line of numbers each T, with --json one of JSON", 1e7, 9e18},
    {"gaps", 0, OPTION_COUNT, AT(gaps), "N", "list at most N gaps a stream (10; in JSON 1000)", 0,
     GAPS_MOST},
    {"histogram", 0, OPTION_FLAG, AT(histogram), NULL, "print the histograms, too", 0, 0},
    {"align", 0, OPTION_STRING, AT(align), "A,B",
     "recordings: which frames of stream A have no partner in B?", 0, 0},
    {"tolerance", 0, OPTION_DURATION, AT(tolerance_ns), "T",
     "how far partners may be apart (half of B's median interval)", 1, 9e18},
    {"stream", 0, OPTION_STRING, AT(streams), "NAME,...", "recordings: these streams only", 0, 0},
    {"frame-axis", 0, OPTION_COUNT, AT(frame_axis), "N",
     "recordings of others: FITS axis that counts frames (the last)", 1, 999},
    {"json", 0, OPTION_FLAG, AT(json), NULL, "the result as one line of JSON on stdout", 0, 0},
    {"quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "warnings, errors and the result only", 0, 0},
    {NULL, 0, 0, 0, NULL, NULL, 0, 0},
};

static const struct verb_usage usage = {
    .verb = "drops",
    .arguments = "SHM...|FILE|DIR...",
    .summary = "Measure losses, intervals and latencies: of living segments, read as a recorder\n"
               "reads them but for the pixels, without writing anything; or of recordings, from\n"
               "their headers and rows. Exit status 3: frames were lost.\n"
               "In the JSON of segments rate_hz is the mean since the beginning, rate_now_hz that\n"
               "since the line before (of about the last second where lines come more often), and\n"
               "condition is running, silent (no frame for a second) or gone.",
    .specs = specs,
};

/* ---- what the arguments are ---- */

enum kind { KIND_SEGMENT, KIND_RECORDING, KIND_NOTHING, KIND_UNREADABLE };

static bool has_fits_name(const char *path)
{
    size_t length = strlen(path);

    return find_is_part(path) || (length > 5 && strcmp(path + length - 5, ".fits") == 0);
}

static bool is_segment(const char *path)
{
    struct dao_segment segment = {.fd = -1};
    struct dao_text ignored;
    bool is = dao_segment_open(&segment, path, DAO_ACCESS_READ, &ignored) == 0;

    if (is)
        dao_segment_close(&segment);
    return is;
}

/* What is neither is told to be no FITS file, or no segment, as its name has it. */
static enum kind kind_of(const char *path)
{
    unsigned char head[64];
    struct stat st;
    ssize_t n;
    int fd;

    if (stat(path, &st) != 0)
        return errno == ENOENT ? KIND_NOTHING : KIND_UNREADABLE;
    if (S_ISDIR(st.st_mode))
        return KIND_RECORDING;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return KIND_SEGMENT; /* opening it as one says why it cannot be */
    n = read(fd, head, sizeof head);
    close(fd);
    if (n > 0 && recording_is_fits(head, (size_t)n))
        return KIND_RECORDING;
    return has_fits_name(path) && !is_segment(path) ? KIND_RECORDING : KIND_SEGMENT;
}

/* "--wait 2s" leaves 2s among the segments: its value is optional and needs the =. */
static bool is_stray_time(const char *path, const struct drops_options *options)
{
    int64_t ns;

    return options->wait_ns == INT64_MAX && !strchr(path, '/') &&
           units_parse_duration(path, &ns) == 0;
}

/* All of one kind, or negative after a message. */
static int find_kind(char **paths, int count, const struct drops_options *options, enum kind *ret)
{
    for (int i = 0; i < count; i++) {
        enum kind kind = kind_of(paths[i]);

        if (kind == KIND_UNREADABLE) {
            log_error("drops: %s: %s", paths[i], strerror(errno));
            return -EIO;
        }
        if (kind == KIND_NOTHING && is_stray_time(paths[i], options)) {
            log_error("drops: %s would be a segment; a time to wait is given as --wait=%s",
                      paths[i], paths[i]);
            return -EINVAL;
        }
        if (kind == KIND_NOTHING && options->wait_ns == 0) {
            log_error("drops: %s: %s; a segment that is still to come is waited for with --wait",
                      paths[i], strerror(ENOENT));
            return -ENOENT;
        }
        kind = kind == KIND_NOTHING ? KIND_SEGMENT : kind;
        if (i > 0 && kind != *ret) {
            log_error("drops: %s is a %s, %s a %s: give segments or recordings, not both", paths[0],
                      *ret == KIND_SEGMENT ? "segment" : "recording", paths[i],
                      kind == KIND_SEGMENT ? "segment" : "recording");
            return -EINVAL;
        }
        *ret = kind;
    }
    return 0;
}

/* Options that mean nothing there are no use, and may be a mistake. */
static int check_options(const struct drops_options *o, enum kind kind)
{
    const char *wrong = NULL;

    if (kind == KIND_SEGMENT)
        wrong = o->align          ? "align"
                : o->tolerance_ns ? "tolerance"
                : o->streams      ? "stream"
                : o->frame_axis   ? "frame-axis"
                                  : NULL;
    else
        wrong = o->duration_ns ? "duration"
                : o->wait_ns   ? "wait"
                : o->latency   ? "latency"
                : o->every_ns  ? "every"
                               : NULL;
    if (wrong)
        log_error("drops: --%s is for %s", wrong,
                  kind == KIND_SEGMENT ? "recordings, and this is a segment"
                                       : "segments, and this is a recording");
    else if (o->tolerance_ns && !o->align)
        log_error("drops: --tolerance goes with --align");
    else
        return 0;
    return -EINVAL;
}

/* ---- the two jobs ---- */

static struct report_options report_options(const struct drops_options *o)
{
    return (struct report_options){
        .json = o->json,
        .histogram = o->histogram,
        .gaps = o->gaps != NOT_GIVEN ? o->gaps
                : o->json            ? GAPS_JSON
                                     : GAPS_TEXT,
    };
}

static int watch_segments(char **paths, int count, const struct drops_options *o)
{
    struct live_config config = {
        .paths = paths,
        .path_count = (unsigned)count,
        .watch = {.duration_ns = o->duration_ns, .each_frame = o->latency},
        .report = report_options(o),
        .wait_ns = o->wait_ns,
        .every_ns = o->every_ns,
        .quiet = o->quiet,
    };

    return live_run(&config);
}

static int read_recordings(char **paths, int count, const struct drops_options *o)
{
    const char *names[STREAMS_MOST + 1] = {NULL}, *pair[3] = {NULL};
    char *streams = o->streams ? strdup(o->streams) : NULL;
    char *align = o->align ? strdup(o->align) : NULL;
    struct recorded_config config = {
        .paths = paths,
        .path_count = (size_t)count,
        .frame_axis = (unsigned)o->frame_axis,
        .tolerance_ns = o->tolerance_ns,
        .report = report_options(o),
    };
    int status = EXIT_WRONG_USAGE;

    if (streams && options_split_names(streams, names, STREAMS_MOST) < 1) {
        log_error("drops: --stream %s: give names separated by commas, such as wfs,dm", o->streams);
    } else if (align && options_split_names(align, pair, 2) != 2) {
        log_error("drops: --align %s: give two streams, such as wfs,dm", o->align);
    } else {
        config.streams = streams ? names : NULL;
        config.align_a = pair[0];
        config.align_b = pair[1];
        status = recorded_run(&config);
    }
    free(streams);
    free(align);
    return status;
}

int cli_drops(int argc, char **argv)
{
    struct drops_options options = {.gaps = NOT_GIVEN};
    int first = options_parse(&usage, argc, argv, &options), r;
    enum kind kind = KIND_NOTHING;

    if (first < 0)
        return cli_status_of_parse(first);
    if (first == argc) {
        log_error("drops: give a segment, such as /dev/shm/wfs.im.shm, or a recording");
        return EXIT_WRONG_USAGE;
    }
    if (options.quiet)
        log_set_level(LOG_WARNING);
    r = find_kind(argv + first, argc - first, &options, &kind);
    if (r == 0)
        r = check_options(&options, kind);
    if (r < 0)
        return r == -EINVAL ? EXIT_WRONG_USAGE : EXIT_FAILED;
    return kind == KIND_SEGMENT ? watch_segments(argv + first, argc - first, &options)
                                : read_recordings(argv + first, argc - first, &options);
}
