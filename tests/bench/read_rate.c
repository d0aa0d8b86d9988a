/*
 * read_rate.c - how many frames of 512 bytes a second a reader can take, against a bare memcpy.
 *
 *     read_rate [--json] [--rounds N]
 *
 * A full FIFO is read from its second-oldest frame to its newest, the tail set back, and again: so
 * the reader alone is measured. In every round, one after the other: a loop that copies the same
 * slots in the same order and does nothing else; daoShmGetNextSegment, copy,
 * daoShmCheckSegmentOverwrite; daoShmCopyNextSegment. Then the same two beside a writer of ours in
 * another process that writes as fast as it can. Medians over the rounds, lowest and highest.
 * --json: one object, of {"unit", "values": one per round} by name.
 */
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/bench/common.h"

#define ELEMENTS   128u
#define BYTES      (ELEMENTS * sizeof(float))
#define ROUNDS_MAX 99u
#define ROUND_NS   100000000ll
#define LIVE_NS    300000000ll
#define LIVE_DEPTH 1024u

enum measure { BARE, NEXT_CHECK, COPY, MEASURES };

static const char *const measure_names[] = {"bare memcpy", "GetNext, memcpy, Check", "CopyNext"};

static bool is_json, is_json_begun;
static unsigned rounds = 9;
static float buffer[ELEMENTS];

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "read_rate: %s\n", what);
    exit(1);
}

/* The copy is used, as far as the compiler can know. */
static void keep_buffer(void)
{
    __asm__ volatile("" : : "r"(buffer) : "memory");
}

/* ---- one frame ---- */

static int_fast8_t next_check(IMAGE *image)
{
    void *pixels;
    uint64_t cnt0;
    int_fast8_t status = daoShmGetNextSegment(image, &pixels, NULL, &cnt0);

    if (status != DAO_SUCCESS && status != DAO_OVERWRITE)
        return status;
    memcpy(buffer, pixels, BYTES);
    keep_buffer();
    return daoShmCheckSegmentOverwrite(image);
}

static int_fast8_t copy_next(IMAGE *image)
{
    DAO_FRAME frame;
    int_fast8_t status = daoShmCopyNextSegment(image, buffer, BYTES, &frame);

    keep_buffer();
    return status;
}

/* ---- a full FIFO: slot i holds count i + 1, slot 0 the oldest ---- */

static void drain_bare(IMAGE *image)
{
    for (uint32_t slot = 1; slot < image->md[0].fifo_size; slot++) {
        memcpy(buffer, image->array.F + (size_t)slot * ELEMENTS, BYTES);
        keep_buffer();
    }
}

static void drain(IMAGE *image, enum measure measure)
{
    uint32_t depth = image->md[0].fifo_size;

    if (measure == BARE) {
        drain_bare(image);
        return;
    }
    image->fifo_last_read = 0;
    image->fifo_last_read_cnt0 = 1;
    for (uint32_t slot = 1; slot < depth; slot++)
        if ((measure == COPY ? copy_next(image) : next_check(image)) != DAO_SUCCESS)
            fail("a frame that is there cannot be read");
    if (image->fifo_last_read_cnt0 != depth || buffer[0] != (float)depth)
        fail("what was read last is not the last frame");
}

/* Million frames a second. */
static double drain_rate(IMAGE *image, enum measure measure)
{
    int64_t begin_ns = bench_clock_ns(CLOCK_MONOTONIC), now_ns;
    uint64_t frames = 0;

    do {
        for (unsigned i = 0; i < 4096 / image->md[0].fifo_size; i++) {
            drain(image, measure);
            frames += image->md[0].fifo_size - 1;
        }
        now_ns = bench_clock_ns(CLOCK_MONOTONIC);
    } while (now_ns - begin_ns < ROUND_NS);
    return (double)frames * 1e3 / (double)(now_ns - begin_ns);
}

/* ---- reporting ---- */

static void report(const char *what, const char *unit, double *values)
{
    if (is_json) {
        printf("%s\"%s\": {\"unit\": \"%s\", \"values\": [", is_json_begun ? ",\n " : "{", what,
               unit);
        for (unsigned i = 0; i < rounds; i++)
            printf("%s%.4f", i ? ", " : "", values[i]);
        printf("]}");
        is_json_begun = true;
        return;
    }
    printf("%-62s %9.3f", what, bench_quantile(values, rounds, 0.5)); /* sorts them */
    printf("  %.3f .. %.3f %s\n", values[0], values[rounds - 1], unit);
    fflush(stdout);
}

static void measure_full(uint32_t depth)
{
    double rate[MEASURES][ROUNDS_MAX], ratio[MEASURES][ROUNDS_MAX];
    static struct bench_segment s;
    float frame[ELEMENTS];
    char what[100];

    bench_segment_create(&s, ELEMENTS, depth);
    for (uint32_t n = 1; n <= depth; n++) {
        for (uint32_t i = 0; i < ELEMENTS; i++)
            frame[i] = (float)(n + i);
        if (daoShmImage2Shm(frame, ELEMENTS, &s.image) != DAO_SUCCESS)
            fail("a frame cannot be written");
    }
    for (unsigned m = 0; m < MEASURES; m++) /* pages, caches, clock rate of the core */
        drain_rate(&s.image, (enum measure)m);
    for (unsigned i = 0; i < rounds; i++)
        for (unsigned m = 0; m < MEASURES; m++) {
            rate[m][i] = drain_rate(&s.image, (enum measure)m);
            ratio[m][i] = rate[m][i] / rate[BARE][i];
        }
    for (unsigned m = 0; m < MEASURES; m++) {
        snprintf(what, sizeof what, "depth %u, 512 bytes: %s", depth, measure_names[m]);
        report(what, "Mframes/s", rate[m]);
    }
    for (unsigned m = 1; m < MEASURES; m++) {
        snprintf(what, sizeof what, "depth %u, 512 bytes: %s / bare", depth, measure_names[m]);
        report(what, "", ratio[m]);
    }
    bench_segment_remove();
}

/* ---- a live writer ---- */

static _Noreturn void write_for_ever(const char *path)
{
    float frame[ELEMENTS] = {0};
    IMAGE image;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_pin(false);
    if (daoShmShm2Img(path, &image) != DAO_SUCCESS)
        _exit(1);
    while (daoShmImage2Shm(frame, ELEMENTS, &image) == DAO_SUCCESS)
        frame[0]++;
    _exit(1);
}

/* Taken by the reader, and written meanwhile, in million frames a second. */
static double live_rate(IMAGE *image, enum measure measure, double *ret_written)
{
    uint64_t first, taken = 0;
    int64_t begin_ns, span_ns = 0;

    daoShmResetTail(image, NULL, &first);
    for (begin_ns = bench_clock_ns(CLOCK_MONOTONIC); span_ns < LIVE_NS;
         span_ns = bench_clock_ns(CLOCK_MONOTONIC) - begin_ns)
        for (unsigned i = 0; i < 100; i++) {
            int_fast8_t status = measure == COPY ? copy_next(image) : next_check(image);

            /* next_check: what the check refuses is not taken. */
            taken += status == DAO_SUCCESS || (status == DAO_OVERWRITE && measure == COPY);
        }
    *ret_written = (double)(daoShmGetCounter(image) - first) * 1e3 / (double)span_ns;
    return (double)taken * 1e3 / (double)span_ns;
}

static void measure_live(void)
{
    double rate[MEASURES][ROUNDS_MAX], written[MEASURES][ROUNDS_MAX];
    static struct bench_segment s;
    char what[100];
    pid_t writer;

    bench_segment_create(&s, ELEMENTS, LIVE_DEPTH);
    writer = fork();
    if (writer < 0)
        fail("fork failed");
    if (writer == 0)
        write_for_ever(s.path);
    while (daoShmGetCounter(&s.image) < LIVE_DEPTH)
        usleep(1000);
    for (unsigned i = 0; i < rounds; i++)
        for (unsigned m = 1; m < MEASURES; m++)
            rate[m][i] = live_rate(&s.image, (enum measure)m, &written[m][i]);
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    for (unsigned m = 1; m < MEASURES; m++) {
        snprintf(what, sizeof what, "live, depth %u: written beside %s", LIVE_DEPTH,
                 measure_names[m]);
        report(what, "Mframes/s", written[m]);
        snprintf(what, sizeof what, "live, depth %u: taken by %s", LIVE_DEPTH, measure_names[m]);
        report(what, "Mframes/s", rate[m]);
    }
    bench_segment_remove();
}

int main(int argc, char **argv)
{
    static const struct option table[] = {{"json", 0, NULL, 'j'}, {"rounds", 1, NULL, 'r'}, {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (c == 'j')
            is_json = true;
        else if (c == 'r')
            rounds = (unsigned)strtoul(optarg, NULL, 0);
        else
            rounds = 0;
    }
    if (rounds < 1 || rounds > ROUNDS_MAX || optind != argc) {
        fprintf(stderr, "usage: read_rate [--json] [--rounds 1..%u]\n", ROUNDS_MAX);
        return 2;
    }
    bench_pin(true);
    measure_full(4096);
    measure_full(64);
    measure_live();
    if (is_json)
        puts("}");
    return 0;
}
