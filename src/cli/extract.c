/*
 * extract.c - daorec extract: frames of recordings, or of other FITS files, into a file of their
 * own. One output a stream. All of them are written before the first gets its name, so that a
 * failure and Ctrl-C leave nothing behind.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
#include "cli/cli.h"
#include "lib/clock.h"
#include "extract/extract.h"
#include "series/range.h"

#define STREAMS_MOST 64u
#define TICK_NS      200000000ll
#define BAR_WIDTH    30

struct extract_options {
    const char *out, *from, *until, *streams, *region, *format;
    uint64_t gap, context, every, frame_axis;
    bool force, quiet;
};

#define OPTION(member) offsetof(struct extract_options, member)

static const struct option_spec specs[] = {
    {"output", 'o', OPTION_STRING, OPTION(out), "OUT",
     "file to make; of several streams OUT_stream", 0, 0},
    {"from", 0, OPTION_STRING, OPTION(from), "WHEN",
     "first frame: UTC 2026-11-24T02:01:08.5 or 02:01:08, +10s, cnt0:N, or index N (from 0)", 0, 0},
    {"until", 0, OPTION_STRING, OPTION(until), "WHEN",
     "first frame that is not wanted any more, in the same forms", 0, 0},
    {"around-gap", 0, OPTION_COUNT, OPTION(gap), "N",
     "frames before and after the stream's Nth gap", 1, 9e18},
    {"context", 0, OPTION_COUNT, OPTION(context), "N", "how many on either side (100)", 1, 1e12},
    {"stream", 0, OPTION_STRING, OPTION(streams), "NAME[,NAME]", "only these streams", 0, 0},
    {"every", 0, OPTION_COUNT, OPTION(every), "N", "only every Nth frame", 1, 9e18},
    {"region", 0, OPTION_STRING, OPTION(region), "Y0:Y1,X0:X1",
     "a part of each frame: a range for each axis, in numpy's order as --size has it", 0, 0},
    {"format", 0, OPTION_STRING, OPTION(format), "fits|npy|hdus",
     "a cube with its table FRAMES; .npy and .frames.npy; one HDU a frame (default: by OUT)", 0, 0},
    {"frame-axis", 0, OPTION_COUNT, OPTION(frame_axis), "N",
     "of a cube that is no recording: which axis counts frames, as in NAXISn (the last)", 1, 9},
    {"force", 0, OPTION_FLAG, OPTION(force), NULL, "replace OUT where it is there", 0, 0},
    {"quiet", 'q', OPTION_FLAG, OPTION(quiet), NULL, "print errors and warnings only", 0, 0},
    {NULL, 0, 0, 0, NULL, NULL, 0, 0},
};

static const struct verb_usage usage = {
    .verb = "extract",
    .arguments = "FILE|DIR... -o OUT",
    .summary = "Take frames out of recordings, or out of other FITS files, into a file of their "
               "own.\nExit status 3: done, but some frames do not fit their checksums.",
    .specs = specs,
};

/* One run of the verb. */
struct run {
    const struct extract_options *options;
    enum extract_format format;
    struct extract_region region;
    struct range range;
    struct series_set set;
    int64_t begin_ns, end_ns; /* of all streams */
    struct extract_order *orders;
    struct extract_job **jobs;
    struct extract_result *results;
    char (*paths)[4096];
    size_t count;   /* of orders */
    char **sources; /* the arguments */
    size_t source_count;
    /* progress */
    const char *stream;
    uint64_t frames;
    int64_t start_ns, last_tick_ns;
    bool on_terminal;
};

static volatile sig_atomic_t is_stopped;

static void on_signal(int number)
{
    (void)number;
    is_stopped = 1;
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;

        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}

/* ---- options ---- */

/* The suffix of a name, with its dot: the end of the same string; its very end: there is none. */
static const char *suffix_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');

    return dot && dot != (slash ? slash + 1 : path) ? dot : path + strlen(path);
}

static int set_format(struct run *run)
{
    static const struct {
        const char *name, *suffix;
        enum extract_format format;
    } formats[] = {
        {"fits", ".fits", EXTRACT_FITS}, {"npy", ".npy", EXTRACT_NPY}, {"hdus", NULL, EXTRACT_HDUS},
        {NULL, ".fit", EXTRACT_FITS},    {NULL, ".fts", EXTRACT_FITS},
    };
    const char *name = run->options->format, *suffix = suffix_of(run->options->out);

    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        const char *is = name ? formats[i].name : formats[i].suffix;

        if (is && strcmp(is, name ? name : suffix) == 0) {
            run->format = formats[i].format;
            return 0;
        }
    }
    if (name)
        log_error("extract: --format %s: give fits, npy or hdus", name);
    else
        log_error("extract: %s: its name does not tell the format; end it in .fits or .npy, or "
                  "give --format",
                  run->options->out);
    return -EINVAL;
}

static bool are_names(const char *list)
{
    const char *names[STREAMS_MOST + 1];
    char *copy = strdup(list);
    bool are = copy && options_split_names(copy, names, STREAMS_MOST) > 0;

    free(copy);
    return are;
}

static int check_options(const struct extract_options *options, int paths)
{
    if (paths == 0)
        log_error("extract: give a recording, a folder with recordings or another FITS file");
    else if (!options->out)
        log_error("extract: give the file to make with -o");
    else if (options->gap && (options->from || options->until))
        log_error("extract: --around-gap or --from and --until, not both");
    else if (options->streams && !are_names(options->streams))
        log_error("extract: --stream '%s': give up to %u names separated by commas, such as wfs,dm",
                  options->streams, STREAMS_MOST);
    else if (options->context != 0 && !options->gap)
        log_error("extract: --context goes with --around-gap");
    else
        return 0;
    return -EINVAL;
}

/* ---- what is taken ---- */

static int open_set(struct run *run, char **paths, int count, struct dao_text *text)
{
    const char *names[STREAMS_MOST + 1] = {NULL};
    char *copy = NULL;
    struct series_options options = {.frame_axis = (unsigned)run->options->frame_axis};
    int r;

    if (run->options->streams) {
        copy = strdup(run->options->streams);
        if (!copy)
            return -ENOMEM;
        options_split_names(copy, names, STREAMS_MOST); /* checked before */
        options.streams = names;
    }
    r = series_set_open(&run->set, paths, (size_t)count, &options, text);
    free(copy);
    if (r == 0)
        series_set_span(&run->set, &run->begin_ns, &run->end_ns);
    return r;
}

/* The frames of one stream. *ret_until == *ret_from: none, perhaps with a text that says why. */
static int find_frames(struct run *run, const struct series *series, uint64_t *ret_from,
                       uint64_t *ret_until, struct dao_text *text)
{
    uint64_t context = run->options->context ? run->options->context : 100, at = 0;
    struct series_reader *reader = NULL;
    int r = series_reader_open(&reader, series, 0, text);

    if (r < 0)
        return r;
    if (run->options->gap) {
        r = series_reader_find_gap(reader, run->options->gap, &at, text);
        *ret_from = at > context ? at - context : 0;
        *ret_until = series->frames - at > context ? at + context : series->frames;
        if (r == 0 && at == series->frames) {
            snprintf(text->s, sizeof text->s, "%s has no gap %" PRIu64, series->stream,
                     run->options->gap);
            *ret_from = *ret_until;
        }
    } else {
        r = range_find(&run->range, series, reader, run->begin_ns, ret_from, ret_until, text);
    }
    series_reader_close(reader);
    return r;
}

static void describe(char *ret, size_t ret_bytes, const struct run *run)
{
    char begin[40], end[40];

    if (run->begin_ns <= 0) {
        ret[0] = '\0';
        return;
    }
    units_format_utc(begin, sizeof begin, run->begin_ns, 3);
    units_format_utc(end, sizeof end, run->end_ns, 3);
    snprintf(ret, ret_bytes, ", %s to %s", begin, end);
}

/* ---- names of outputs ---- */

static bool is_only_one_of_its_name(const struct run *run, const struct series *series)
{
    for (size_t i = 0; i < run->set.count; i++)
        if (&run->set.series[i] != series && strcmp(run->set.series[i].stream, series->stream) == 0)
            return false;
    return true;
}

/* "night.fits" of stream wfs is "night_wfs.fits"; of two sessions with a wfs the time goes before
 * it. */
static int name_output(struct run *run, size_t at, const struct series *series)
{
    const char *out = run->options->out, *suffix = suffix_of(out);
    char clean[128], when[64] = "";
    int n;

    snprintf(clean, sizeof clean, "%.100s", series->stream);
    for (char *c = clean; *c; c++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.", *c))
            *c = '_';
    if (!is_only_one_of_its_name(run, series)) {
        struct series_set alone = {(struct series *)(uintptr_t)series, 1};
        int64_t begin_ns, end_ns;

        series_set_span(&alone, &begin_ns, &end_ns);
        units_format_utc(when + 1, sizeof when - 1, begin_ns, 0);
        when[0] = '_';
        for (char *c = when; *c; c++)
            *c = *c == 'T' ? '_' : *c == ':' ? '-' : *c;
    }
    if (run->set.count == 1)
        n = snprintf(run->paths[at], sizeof run->paths[at], "%s", out);
    else
        n = snprintf(run->paths[at], sizeof run->paths[at], "%.*s%s_%s%s", (int)(suffix - out), out,
                     when, clean, suffix);
    if (n >= (int)sizeof run->paths[at])
        return -ENAMETOOLONG;
    for (size_t i = 0; i < at; i++)
        if (strcmp(run->paths[i], run->paths[at]) == 0)
            return -EEXIST;
    return 0;
}

/* ---- progress ---- */

static int on_progress(void *ctx, uint64_t frames, uint64_t bytes)
{
    struct run *run = ctx;
    int64_t now_ns;
    double part, span_s;
    char line[200], bar[BAR_WIDTH + 1], size[32];
    int filled;

    if (is_stopped)
        return 1;
    if (!run->on_terminal || (now_ns = dao_clock_mono_ns()) - run->last_tick_ns < TICK_NS)
        return 0;
    run->last_tick_ns = now_ns;
    part = (double)frames / (double)run->frames;
    span_s = (double)(now_ns - run->start_ns) / 1e9;
    filled = (int)(part * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    snprintf(line, sizeof line, "extract: %.40s [%s] %3.0f %%, %s, %.0f MB/s", run->stream, bar,
             100.0 * part, units_format_bytes(size, sizeof size, bytes),
             (double)bytes / 1e6 / span_s);
    log_live(line);
    return 0;
}

/* ---- running ---- */

static int add_order(struct run *run, const struct series *series, uint64_t from, uint64_t until,
                     struct dao_text *text)
{
    size_t at = run->count;
    int r = name_output(run, at, series);

    if (r < 0) {
        snprintf(text->s, sizeof text->s, "%.250s: %s", run->paths[at],
                 r == -EEXIST ? "two streams would have this file; take one with --stream, "
                                "or give their files one by one"
                              : strerror(-r));
        return r;
    }
    if (extract_is_input(run->paths[at], run->sources, run->source_count)) {
        snprintf(text->s, sizeof text->s,
                 "%.250s is read from, or belongs to what is; choose another name "
                 "with -o",
                 run->paths[at]);
        return -EEXIST;
    }
    run->orders[at] = (struct extract_order){
        .series = series,
        .from = from,
        .until = until,
        .every = run->options->every ? run->options->every : 1,
        .region = run->region,
        .format = run->format,
        .path = run->paths[at],
        .force = run->options->force,
        .progress = on_progress,
        .ctx = run,
    };
    run->count++;
    return 0;
}

static int find_orders(struct run *run, struct dao_text *text)
{
    struct dao_text why = {""};
    char span[100];

    for (size_t i = 0; i < run->set.count; i++) {
        const struct series *series = &run->set.series[i];
        uint64_t from = 0, until = 0;
        int r;

        text->s[0] = '\0';
        r = find_frames(run, series, &from, &until, text);
        if (r == 0 && from < until) {
            r = add_order(run, series, from, until, text);
            if (r < 0)
                return r;
            continue;
        }
        if (r < 0)
            return r;
        if (text->s[0] == '\0')
            snprintf(text->s, sizeof text->s, "%s has no frames there", series->stream);
        if (run->set.count > 1)
            log_warning("extract: %s; left out", text->s);
        why = *text;
    }
    if (run->count > 0)
        return 0;
    describe(span, sizeof span, run);
    if (run->set.count == 1)
        snprintf(text->s, sizeof text->s, "%.200s (of %" PRIu64 " frames%s)", why.s,
                 run->set.series[0].frames, span);
    else
        snprintf(text->s, sizeof text->s, "no stream has frames there%s", span);
    return -ENOENT;
}

static void print_result(const struct run *run, size_t i)
{
    const struct extract_result *result = &run->results[i];
    char second[4096], begin[40], end[40], size[32];

    extract_second_path(&run->orders[i], second);
    printf("%s%s%s: %" PRIu64 " frame%s of %s, CNT0 %" PRId64 " to %" PRId64, run->paths[i],
           second[0] ? " and " : "", second, result->frames, result->frames == 1 ? "" : "s",
           run->orders[i].series->stream, result->cnt0_begin, result->cnt0_end);
    if (result->begin_ns > 0)
        printf(", %s to %s", units_format_utc(begin, sizeof begin, result->begin_ns, 6),
               units_format_utc(end, sizeof end, result->end_ns, 6));
    printf(", %s\n", units_format_bytes(size, sizeof size, result->bytes));
}

static int write_all(struct run *run, struct dao_text *text)
{
    int r = 0;

    catch_signals(); /* until here there is nothing to clean up */
    for (size_t i = 0; i < run->count && r == 0; i++) {
        const struct extract_order *order = &run->orders[i];

        run->stream = order->series->stream;
        run->frames = (order->until - order->from - 1) / order->every + 1;
        run->start_ns = run->last_tick_ns = dao_clock_mono_ns();
        r = extract_write(&run->jobs[i], order, &run->results[i], text);
        if (run->on_terminal)
            log_live(NULL);
    }
    if (r == 0 && is_stopped)
        r = -ECANCELED;
    return r;
}

static int run_orders(struct run *run, struct dao_text *text)
{
    bool is_damaged = false;
    int r = write_all(run, text);

    for (size_t i = 0; i < run->count && r == 0; i++)
        r = extract_commit(run->jobs[i], text);
    for (size_t i = 0; i < run->count; i++)
        extract_close(run->jobs[i], r < 0);
    if (r < 0)
        return r;
    for (size_t i = 0; i < run->count; i++) {
        const struct extract_result *result = &run->results[i];

        if (!run->options->quiet)
            print_result(run, i);
        is_damaged = is_damaged || result->damaged > 0;
        if (result->damaged > 0)
            log_warning("extract: %" PRIu64 " frame%s of %s %s damaged, and flagged TORN and "
                        "RECOVERED: %s",
                        result->damaged, result->damaged == 1 ? "" : "s",
                        run->orders[i].series->stream, result->damaged == 1 ? "is" : "are",
                        result->damage.s);
    }
    return is_damaged ? EXIT_FRAMES_LOST : EXIT_DONE;
}

static int run_verb(struct run *run, char **paths, int count)
{
    struct dao_text text = {""};
    int r;

    if (set_format(run) < 0)
        return EXIT_WRONG_USAGE;
    if (extract_region_parse(&run->region, run->options->region) < 0) {
        log_error("extract: --region %s: give a range for each axis, such as 10:20,30:40",
                  run->options->region);
        return EXIT_WRONG_USAGE;
    }
    run->sources = paths;
    run->source_count = (size_t)count;
    r = open_set(run, paths, count, &text);
    if (r == 0 && range_resolve(&run->range, run->options->from, run->options->until, run->begin_ns,
                                run->end_ns, &text) < 0) {
        log_error("extract: %s", text.s);
        return EXIT_WRONG_USAGE;
    }
    if (r == 0) {
        run->orders = calloc(run->set.count, sizeof *run->orders);
        run->jobs = calloc(run->set.count, sizeof *run->jobs);
        run->results = calloc(run->set.count, sizeof *run->results);
        run->paths = calloc(run->set.count, sizeof *run->paths);
        r = run->orders && run->jobs && run->results && run->paths ? 0 : -ENOMEM;
    }
    if (r == 0)
        r = find_orders(run, &text);
    if (r == 0)
        r = run_orders(run, &text);
    if (r == -ECANCELED)
        log_error("extract: stopped; nothing was made");
    else if (r < 0)
        log_error("extract: %s", text.s[0] ? text.s : strerror(-r));
    return r < 0 ? EXIT_FAILED : r;
}

int cli_extract(int argc, char **argv)
{
    struct extract_options options = {0};
    struct run run = {.options = &options};
    int first = options_parse(&usage, argc, argv, &options), status;

    if (first < 0)
        return cli_status_of_parse(first);
    if (check_options(&options, argc - first) < 0)
        return EXIT_WRONG_USAGE;
    if (options.quiet)
        log_set_level(LOG_WARNING);
    run.on_terminal = isatty(STDERR_FILENO) && !options.quiet;
    status = run_verb(&run, argv + first, argc - first);
    series_set_close(&run.set);
    free(run.orders);
    free(run.jobs);
    free(run.results);
    free(run.paths);
    return status;
}
