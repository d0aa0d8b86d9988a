/*
 * wait_cost.c - what waiting for a frame costs: CPU of the waiting thread against latency.
 *
 *     wait_cost [--json] [--seconds S]      S for each cell of the table, 2 by default
 *
 * A writer of ours in another process publishes frames of 512 bytes at a steady rate, or at random
 * intervals. The reader waits for each by daoShmWaitForNextSegment, by doing nothing but looking
 * at the next slot's count, and by daoShmWaitForSemaphore. Latency: from the frame's atime, which
 * the writer takes just before it publishes, to the moment when the wait has returned and the frame
 * has been given out. CPU: user and system time of the waiting thread over the time that passed.
 */
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/bench/common.h"

#define ELEMENTS   128u
#define DEPTH      1024u
#define SEMAPHORE  7
#define SETTLE_NS  300000000ll
#define FRAMES_MAX 2000000u

struct source {
    const char *name;
    int64_t period_ns;
    bool is_irregular; /* exponential intervals with this mean, at most six times as long */
};

static const struct source sources[] = {
    {"100 Hz", 10000000, false},
    {"1 kHz", 1000000, false},
    {"5 kHz", 200000, false},
    {"20 kHz", 50000, false},
    {"~200 Hz, irregular", 5000000, true},
};

#define SOURCES (sizeof sources / sizeof sources[0])

struct cell {
    double p50_us, p99_us, max_us, cpu_percent;
};

static double *latency_us;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "wait_cost: %s\n", what);
    exit(1);
}

/* ---- the source ---- */

static int64_t next_interval_ns(const struct source *source)
{
    double exponential;

    if (!source->is_irregular)
        return source->period_ns;
    exponential = -log((double)(random() + 1) / ((double)RAND_MAX + 1.0));
    return (int64_t)((double)source->period_ns * (exponential < 6.0 ? exponential : 6.0));
}

static _Noreturn void write_for_ever(const char *path, const struct source *source)
{
    float frame[ELEMENTS] = {0};
    int64_t due_ns = bench_clock_ns(CLOCK_MONOTONIC);
    IMAGE image;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1ul);
    bench_pin(false);
    if (daoShmShm2Img(path, &image) != DAO_SUCCESS)
        _exit(1);
    do {
        struct timespec due;

        due_ns += next_interval_ns(source);
        due = (struct timespec){.tv_sec = due_ns / NS_PER_S, .tv_nsec = due_ns % NS_PER_S};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    } while (daoShmImage2Shm(frame, ELEMENTS, &image) == DAO_SUCCESS);
    _exit(1);
}

/* ---- ways to wait ---- */

static void wait_library(IMAGE *image)
{
    if (daoShmWaitForNextSegment(image) != DAO_SUCCESS)
        fail("daoShmWaitForNextSegment failed");
}

static void wait_spin(IMAGE *image)
{
    const IMAGE_METADATA *next = &image->md[(image->fifo_last_read + 1) % DEPTH];

    while (__atomic_load_n(&next->cnt0, __ATOMIC_ACQUIRE) <= image->fifo_last_read_cnt0)
        ;
}

static void wait_semaphore(IMAGE *image)
{
    if (daoShmWaitForSemaphore(image, SEMAPHORE) != DAO_SUCCESS)
        fail("daoShmWaitForSemaphore failed");
}

static const struct {
    const char *name;
    void (*wait)(IMAGE *image);
} waits[] = {
    {"WaitForNextSegment", wait_library},
    {"spinning", wait_spin},
    {"WaitForSemaphore", wait_semaphore},
};

#define WAITS (sizeof waits / sizeof waits[0])

/* ---- one cell of the table ---- */

static int64_t thread_cpu_ns(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * NS_PER_S +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

/* Take what is there; the latency of the first frame, which is the one that was waited for.
 * Negative: nothing was there. */
static double take_frames(IMAGE *image)
{
    double first_us = -1.0;
    uint32_t slot;
    void *pixels;
    int_fast8_t status;

    while ((status = daoShmGetNextSegment(image, &pixels, &slot, NULL)) == DAO_SUCCESS ||
           status == DAO_OVERWRITE) {
        int64_t now_ns = bench_clock_ns(CLOCK_REALTIME);

        if (first_us < 0.0)
            first_us = (double)(now_ns - image->md[slot].atime.tsfixed.secondlong) / 1e3;
    }
    if (status != DAO_NOTREADY)
        fail("daoShmGetNextSegment failed");
    return first_us;
}

/* Wait and take for a while; the number of latencies noted. */
static size_t follow(IMAGE *image, void (*wait)(IMAGE *image), int64_t span_ns)
{
    int64_t begin_ns = bench_clock_ns(CLOCK_MONOTONIC);
    size_t count = 0;

    while (count < FRAMES_MAX && bench_clock_ns(CLOCK_MONOTONIC) - begin_ns < span_ns) {
        wait(image);
        latency_us[count] = take_frames(image);
        count += latency_us[count] >= 0.0;
    }
    return count;
}

static struct cell measure(const struct source *source, void (*wait)(IMAGE *image), int64_t span_ns)
{
    static struct bench_segment s;
    int64_t cpu_ns, wall_ns;
    struct cell cell;
    size_t count;
    pid_t writer;

    bench_segment_create(&s, ELEMENTS, DEPTH);
    writer = fork();
    if (writer < 0)
        fail("fork failed");
    if (writer == 0)
        write_for_ever(s.path, source);
    follow(&s.image, wait, span_ns < SETTLE_NS ? span_ns : SETTLE_NS);
    wall_ns = bench_clock_ns(CLOCK_MONOTONIC);
    cpu_ns = thread_cpu_ns();
    count = follow(&s.image, wait, span_ns);
    cpu_ns = thread_cpu_ns() - cpu_ns;
    wall_ns = bench_clock_ns(CLOCK_MONOTONIC) - wall_ns;
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    bench_segment_remove();
    cell.p50_us = bench_quantile(latency_us, count, 0.5);
    cell.p99_us = bench_quantile(latency_us, count, 0.99);
    cell.max_us = bench_quantile(latency_us, count, 1.0);
    cell.cpu_percent = 100.0 * (double)cpu_ns / (double)wall_ns;
    return cell;
}

/* ---- the table ---- */

static void print_heading(void)
{
    printf("latency in us, and CPU of the waiting thread in %% of a core\n%-20s", "");
    for (size_t w = 0; w < WAITS; w++)
        printf("%-32s", waits[w].name);
    printf("\n%-20s", "source");
    for (size_t w = 0; w < WAITS; w++)
        printf("%6s%8s%8s%7s   ", "p50", "p99", "max", "CPU");
    puts("");
}

static void print_json(const struct source *source, const char *wait, const struct cell *cell)
{
    static bool is_begun;

    printf("%s{\"source\": \"%s\", \"wait\": \"%s\", \"p50_us\": %.2f, \"p99_us\": %.2f, "
           "\"max_us\": %.1f, \"cpu_percent\": %.2f}",
           is_begun ? ",\n " : "[", source->name, wait, cell->p50_us, cell->p99_us, cell->max_us,
           cell->cpu_percent);
    is_begun = true;
}

int main(int argc, char **argv)
{
    static const struct option table[] = {{"json", 0, NULL, 'j'}, {"seconds", 1, NULL, 's'}, {0}};
    double seconds = 2.0;
    bool is_json = false;
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (c == 'j')
            is_json = true;
        else
            seconds = c == 's' ? strtod(optarg, NULL) : 0.0;
    }
    if (seconds <= 0.0 || seconds > 3600.0 || optind != argc) {
        fprintf(stderr, "usage: wait_cost [--json] [--seconds S]\n");
        return 2;
    }
    latency_us = malloc(FRAMES_MAX * sizeof *latency_us);
    if (!latency_us)
        fail("out of memory");
    bench_pin(true);
    if (!is_json)
        print_heading();
    for (size_t i = 0; i < SOURCES; i++) {
        if (!is_json)
            printf("%-20s", sources[i].name);
        for (size_t w = 0; w < WAITS; w++) {
            struct cell cell = measure(&sources[i], waits[w].wait, (int64_t)(seconds * 1e9));

            if (is_json)
                print_json(&sources[i], waits[w].name, &cell);
            else
                printf("%6.1f%8.1f%8.0f%7.1f   ", cell.p50_us, cell.p99_us, cell.max_us,
                       cell.cpu_percent);
            fflush(stdout);
        }
        if (!is_json)
            puts("");
    }
    if (is_json)
        puts("]");
    free(latency_us);
    return 0;
}
