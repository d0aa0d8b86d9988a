/*
 * source.c - the source of the comparisons: fills segments at a steady rate, or as fast as it goes.
 *
 *     source --size WxH --type uint16|float32 --depth N --rate HZ|0 --frames N [options] SHM...
 *
 *     --stamp         publish without writing pixels, as a camera does that fills the slots itself
 *     --cpu N         run on this processor
 *     --intervals     measure the intervals between publications
 *
 * Creates the segments, says "ready", begins at a line on stdin, publishes that many frames into
 * each segment, and prints one line of JSON. The segments are removed at the end of stdin: also
 * where the one who started it is gone, and on SIGTERM.
 *
 * Up to 10 kHz each frame has a deadline of its own; above, those that are due are published
 * together every 0.1 ms. A frame that is late does not delay those after it: the mean rate is kept,
 * but no more than a quarter of the FIFO is published at once.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>

#include "tests/bench/common.h"

#define SEGMENTS_MAX 256
#define IMAGES       8u     /* different frames, one after the other */
#define PAUSE_MAX_NS 100000 /* deadlines are no closer, unless the FIFO asks for it */

struct options {
    uint32_t size[2];
    uint8_t atype;
    size_t element_bytes;
    uint32_t depth;
    double rate_hz;
    uint64_t frames;
    bool is_stamped, has_intervals;
    int cpu;
};

static IMAGE images[SEGMENTS_MAX];
static char **paths;
static int path_count, made;
static unsigned char *pixels; /* of IMAGES frames */
static double *intervals_ns;
static int64_t late_ns_max;
static volatile sig_atomic_t is_stopped;

static void on_signal(int signo)
{
    (void)signo;
    is_stopped = 1;
}

static void remove_segments(void)
{
    while (made > 0)
        bench_path_remove(paths[--made]);
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "source: %s\n", what);
    exit(1);
}

/* Numbers that no compressing disk makes smaller. */
static void fill_noise(unsigned char *to, size_t bytes)
{
    uint64_t x = 88172645463325252u;

    for (size_t i = 0; i < bytes; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        to[i] = (unsigned char)x;
    }
}

static void make_segments(const struct options *o)
{
    size_t frame_bytes = (size_t)o->size[0] * o->size[1] * o->element_bytes;

    atexit(remove_segments);
    for (int i = 0; i < path_count; i++) {
        uint32_t size[2] = {o->size[0], o->size[1]};

        if (daoShmImageCreate_FIFO(&images[i], paths[i], 2, size, o->atype, 1, 0, o->depth) !=
            DAO_SUCCESS)
            exit(1);
        made++;
        fill_noise(images[i].array.V, frame_bytes * o->depth);
    }
    pixels = malloc(IMAGES * frame_bytes);
    intervals_ns = o->has_intervals ? malloc(o->frames * sizeof *intervals_ns) : NULL;
    if (!pixels || (o->has_intervals && !intervals_ns))
        fail("out of memory");
    fill_noise(pixels, IMAGES * frame_bytes);
}

static void publish(const struct options *o, uint64_t index)
{
    uint32_t elements = o->size[0] * o->size[1];
    unsigned char *frame = pixels + (index % IMAGES) * elements * o->element_bytes;

    for (int i = 0; i < path_count; i++)
        if ((o->is_stamped ? daoShmImagePart2ShmFinalize(&images[i])
                           : daoShmImage2Shm(frame, elements, &images[i])) != DAO_SUCCESS)
            exit(1);
}

static void sleep_until(int64_t due_ns)
{
    struct timespec due = {due_ns / NS_PER_S, due_ns % NS_PER_S};

    while (!is_stopped && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
        ;
}

/* Returns how many were published. */
static uint64_t publish_paced(const struct options *o, int64_t begin_ns)
{
    double period_ns = 1e9 / o->rate_hz;
    double eighth_ns = period_ns * o->depth / 8;
    int64_t pause_ns = eighth_ns < PAUSE_MAX_NS ? (int64_t)eighth_ns : PAUSE_MAX_NS;
    int64_t before_ns = 0;
    uint64_t i = 0;

    while (i < o->frames && !is_stopped) {
        int64_t now_ns = bench_clock_ns(CLOCK_MONOTONIC);
        uint64_t due = (uint64_t)((double)(now_ns - begin_ns) / period_ns) + 1;
        uint64_t most = i + 1 + o->depth / 4;
        int64_t late_ns = now_ns - begin_ns - (int64_t)((double)i * period_ns), next_ns;

        late_ns_max = late_ns > late_ns_max ? late_ns : late_ns_max;
        for (; i < due && i < most && i < o->frames; i++) {
            publish(o, i);
            if (intervals_ns) {
                int64_t done_ns = bench_clock_ns(CLOCK_MONOTONIC);

                intervals_ns[i] = (double)(done_ns - before_ns);
                before_ns = done_ns;
            }
        }
        now_ns = bench_clock_ns(CLOCK_MONOTONIC);
        next_ns = begin_ns + (int64_t)((double)i * period_ns) + 1;
        sleep_until(next_ns > now_ns + pause_ns ? next_ns : now_ns + pause_ns);
    }
    return i;
}

static uint64_t publish_unthrottled(const struct options *o)
{
    uint64_t i = 0;

    for (; i < o->frames && !is_stopped; i++)
        publish(o, i);
    return i;
}

static void run(const struct options *o)
{
    int64_t cpu_ns = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t begin_ns = bench_clock_ns(CLOCK_REALTIME);
    int64_t mono_ns = bench_clock_ns(CLOCK_MONOTONIC), span_ns;
    uint64_t frames = o->rate_hz > 0.0 ? publish_paced(o, mono_ns) : publish_unthrottled(o);

    span_ns = bench_clock_ns(CLOCK_MONOTONIC) - mono_ns;
    cpu_ns = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
    printf("{\"frames\": %llu, \"begin_ns\": %lld, \"seconds\": %.6f, \"late_ms\": %.3f, "
           "\"cpu_s\": %.6f",
           (unsigned long long)frames, (long long)begin_ns, (double)span_ns * 1e-9,
           (double)late_ns_max * 1e-6, (double)cpu_ns * 1e-9);
    if (intervals_ns && frames > 1) { /* the first is from no frame at all */
        printf(", \"interval_us\": {\"p50\": %.3f",
               bench_quantile(intervals_ns + 1, frames - 1, 0.5) * 1e-3);
        printf(", \"p99.9\": %.3f, \"max\": %.3f}",
               bench_quantile(intervals_ns + 1, frames - 1, 0.999) * 1e-3,
               bench_quantile(intervals_ns + 1, frames - 1, 1.0) * 1e-3);
    }
    puts("}");
    fflush(stdout);
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: source --size WxH --type uint16|float32 --depth N --rate HZ|0 "
                    "--frames N [--stamp] [--cpu N] [--intervals] SHM...\n");
    exit(2);
}

static void parse_type(struct options *o, const char *name)
{
    o->atype = strcmp(name, "uint16") == 0 ? _DATATYPE_UINT16 : _DATATYPE_FLOAT;
    o->element_bytes = o->atype == _DATATYPE_UINT16 ? 2 : 4;
    if (o->atype == _DATATYPE_FLOAT && strcmp(name, "float32") != 0)
        usage();
}

static void parse_options(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"size", 1, NULL, 's'}, {"type", 1, NULL, 't'},      {"depth", 1, NULL, 'd'},
        {"rate", 1, NULL, 'r'}, {"frames", 1, NULL, 'n'},    {"stamp", 0, NULL, 'x'},
        {"cpu", 1, NULL, 'c'},  {"intervals", 0, NULL, 'i'}, {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (c) {
        case 's':
            if (sscanf(optarg, "%ux%u", &o->size[0], &o->size[1]) != 2)
                usage();
            break;
        case 't':
            parse_type(o, optarg);
            break;
        case 'd':
            o->depth = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'r':
            o->rate_hz = strtod(optarg, NULL);
            break;
        case 'n':
            o->frames = strtoull(optarg, NULL, 10);
            break;
        case 'x':
            o->is_stamped = true;
            break;
        case 'c':
            o->cpu = atoi(optarg);
            break;
        case 'i':
            o->has_intervals = true;
            break;
        default:
            usage();
        }
    }
    paths = argv + optind;
    path_count = argc - optind;
    if (path_count < 1 || path_count > SEGMENTS_MAX || o->size[0] == 0 || o->size[1] == 0 ||
        o->element_bytes == 0 || o->depth == 0 || o->rate_hz < 0.0)
        usage();
}

static void keep_on_cpu(int cpu)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        fail("--cpu: this processor is not to be had");
}

int main(int argc, char **argv)
{
    struct sigaction stop = {.sa_handler = on_signal};
    struct options o = {.cpu = -1};
    char line[64];

    parse_options(&o, argc, argv);
    sigaction(SIGTERM, &stop, NULL);
    signal(SIGINT, SIG_IGN);  /* the one who started it ends it */
    signal(SIGPIPE, SIG_IGN); /* and may be gone when there is something to tell */
    prctl(PR_SET_TIMERSLACK, 1ul);
    if (o.cpu >= 0)
        keep_on_cpu(o.cpu);
    make_segments(&o);
    puts("ready");
    fflush(stdout);
    if (!is_stopped && fgets(line, sizeof line, stdin))
        run(&o);
    while (!is_stopped && fgets(line, sizeof line, stdin))
        ;
    return 0;
}
