/*
 * stress_reader.c - follows a segment with the reader core and checks every frame it takes.
 *
 *     stress_reader PATH [--idle-ms MS] [--stall-every N --stall-ms MS] [--sleep-us US]
 *                   [--report-only]
 *
 * Waits for the segment, starts at its oldest frame, and ends, when nothing is left to be taken,
 * after SIGTERM (the writer is done) or when nothing has come for idle-ms (default 60 s).
 * Prints "attached" when it has opened the segment for the first time, and at its end
 * "taken N missing N expected N torn N jumped N restarts N reopened N mismatches N".
 * Exit status 1: a frame taken as whole that is not the ramp of its count, a count that repeats or
 * goes back within a run, or expected != taken + missing. With --report-only wrong pixels do not
 * fail (depth 1 has no proof).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "lib/reader.h"
#include "lib/clock.h"
#include "tests/support/ramp.h"

#define APPEAR_NS 60000000000ll

struct options {
    const char *path;
    int64_t idle_ns, sleep_ns, stall_ns;
    uint64_t stall_every;
    bool report_only;
};

struct tally {
    uint64_t taken, missing, expected, torn, jumped, restarts, reopened, mismatches, disorder;
    uint64_t run_start; /* position at which this run was entered */
};

static volatile sig_atomic_t is_over;

static void on_signal(int signo)
{
    (void)signo;
    is_over = 1;
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: stress_reader PATH [--idle-ms MS] [--sleep-us US] [--stall-every N "
                    "--stall-ms MS] [--report-only]\n");
    exit(2);
}

static void parse_options(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"idle-ms", 1, NULL, 'i'},  {"sleep-us", 1, NULL, 's'},    {"stall-every", 1, NULL, 'e'},
        {"stall-ms", 1, NULL, 'm'}, {"report-only", 0, NULL, 'r'}, {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        int64_t number = optarg ? strtoll(optarg, NULL, 0) : 0;

        switch (c) {
        case 'i':
            o->idle_ns = number * 1000000;
            break;
        case 's':
            o->sleep_ns = number * 1000;
            break;
        case 'e':
            o->stall_every = (uint64_t)number;
            break;
        case 'm':
            o->stall_ns = number * 1000000;
            break;
        case 'r':
            o->report_only = true;
            break;
        default:
            usage();
        }
    }
    if (optind != argc - 1)
        usage();
    o->path = argv[optind];
}

static void sleep_ns(int64_t ns)
{
    struct timespec rest = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    nanosleep(&rest, NULL);
}

/* Open as soon as it is there and complete. */
static bool open_and_attach(const struct options *o, struct dao_segment *seg, struct dao_reader *r,
                            int64_t patience_ns)
{
    int64_t deadline_ns = dao_clock_mono_ns() + patience_ns;
    struct dao_text text = {""};

    do {
        if (dao_segment_open(seg, o->path, DAO_ACCESS_READ, &text) == 0) {
            if (dao_reader_init(r, seg, DAO_LAP_OLDEST, true) == 0)
                return true;
            dao_segment_close(seg);
        }
        sleep_ns(100000);
    } while (dao_clock_mono_ns() < deadline_ns);
    fprintf(stderr, "stress_reader: %s\n", text.s);
    return false;
}

static void check_frame(struct tally *t, const struct dao_segment *seg, const struct dao_take *take,
                        const void *copy, void *expected)
{
    ramp_fill(expected, seg->geo.dtype->atype, take->cnt0, seg->geo.nelement);
    if (take->torn)
        t->torn++;
    else if (memcmp(copy, expected, seg->geo.frame_bytes) != 0)
        t->mismatches++;
}

/* 1: a frame was taken; 0: nothing there; negative: the segment is gone. */
static int take_one(struct tally *t, struct dao_reader *r, void *copy, void *expected)
{
    uint64_t before = r->cnt0;
    struct dao_take take;
    int what = dao_reader_begin(r, &take);

    if (what == DAO_READ_RESTART) {
        t->restarts++;
        t->missing += take.restart_lost;
        t->expected += before + take.restart_lost - t->run_start;
        t->run_start = r->cnt0;
        return 1;
    }
    if (what != DAO_READ_FRAME)
        return what;
    memcpy(copy, take.pixels, r->seg->geo.frame_bytes);
    if (dao_reader_finish(r, &take) != 1)
        return 1; /* refused; begin again */
    t->taken++;
    t->missing += take.missing;
    t->jumped += take.jumped;
    t->disorder += take.cnt0 <= before || take.cnt0 != before + 1 + take.missing;
    check_frame(t, r->seg, &take, copy, expected);
    return 1;
}

/* The run ends here as far as can be known. */
static void end_run(struct tally *t, const struct dao_reader *r)
{
    uint64_t newest = r->newest_seen > r->cnt0 ? r->newest_seen : r->cnt0;

    t->missing += newest - r->cnt0;
    t->expected += newest - t->run_start;
}

static void follow(const struct options *o, struct tally *t, struct dao_segment *seg,
                   struct dao_reader *r)
{
    int64_t last_ns = dao_clock_mono_ns();
    void *copy = malloc(seg->geo.frame_bytes), *expected = malloc(seg->geo.frame_bytes);
    bool was_last = false;
    int what = 1;

    if (!copy || !expected)
        exit(1);
    t->run_start = r->cnt0;
    for (;;) {
        bool was_over = is_over; /* asked before the look: what was written by then is taken */
        uint64_t before = t->taken;

        if (what == 0 && (was_last || dao_clock_mono_ns() - last_ns > o->idle_ns))
            break;
        was_last = was_over;
        what = take_one(t, r, copy, expected);
        if (what < 0 || dao_reader_look(r) < 0) {
            end_run(t, r);
            dao_segment_close(seg);
            if (!open_and_attach(o, seg, r, APPEAR_NS))
                exit(1);
            t->reopened++;
            t->run_start = r->cnt0;
        }
        if (what != 0)
            last_ns = dao_clock_mono_ns();
        else
            sleep_ns(o->sleep_ns);
        if (o->stall_every && t->taken > before && t->taken % o->stall_every == 0)
            sleep_ns(o->stall_ns);
    }
    free(copy);
    free(expected);
}

int main(int argc, char **argv)
{
    struct options o = {.idle_ns = 60000000000ll, .sleep_ns = 20000};
    struct sigaction over = {.sa_handler = on_signal};
    struct tally t = {0};
    struct dao_segment seg;
    struct dao_reader r;
    uint64_t newest;
    uint32_t slot;

    parse_options(&o, argc, argv);
    sigaction(SIGTERM, &over, NULL);
    prctl(PR_SET_TIMERSLACK, 1000ul);
    if (!open_and_attach(&o, &seg, &r, APPEAR_NS))
        return 1;
    printf("attached\n");
    fflush(stdout);
    follow(&o, &t, &seg, &r);
    /* What the segment says at the end, not what the reader believes. */
    dao_segment_newest(&seg, &slot, &newest);
    t.expected += newest - t.run_start;
    printf("taken %" PRIu64 " missing %" PRIu64 " expected %" PRIu64 " torn %" PRIu64
           " jumped %" PRIu64 " restarts %" PRIu64 " reopened %" PRIu64 " mismatches %" PRIu64
           " disorder %" PRIu64 "\n",
           t.taken, t.missing, t.expected, t.torn, t.jumped, t.restarts, t.reopened, t.mismatches,
           t.disorder);
    dao_segment_close(&seg);
    return (t.mismatches && !o.report_only) || t.disorder || t.expected != t.taken + t.missing;
}
