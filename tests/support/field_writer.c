/*
 * field_writer.c - a source that writes as the programs at telescopes do: head first, count last.
 *
 *     field_writer PATH --size WxH[xD] --type T --depth N --rate HZ -n FRAMES [options]
 *
 * Per frame: write = 1, memcpy, write = 0, fifo_last_written, clock, atime, cnt0; plain stores, in
 * the binary in this order by compiler barriers, and no barrier for the processor. It truncates
 * an existing file in place, creation_time last. It shares nothing with the library but dao.h, so
 * that it can be evidence against it. No semaphores: they tell a reader nothing. With --linger-ns
 * it takes its time after clearing write and again after publishing the head, as a writer does that
 * is interrupted there: moments in which a slot looks like what it is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/dao.h"
#include "tests/support/ramp.h"

#define IN_THIS_ORDER() __asm__ volatile("" ::: "memory")
#define NS_PER_S        1000000000ll

struct options {
    const char *path;
    uint32_t size[3];
    uint8_t naxis, atype;
    uint32_t depth;
    double rate_hz;  /* 0: as fast as it goes */
    uint64_t frames; /* 0: until a signal */
    bool has_start;
    uint64_t start;              /* count of the first frame */
    uint64_t jump_at, jump_by;   /* before frame number jump_at (from 1) skip jump_by counts */
    uint64_t pause_at, pause_ms; /* before frame number pause_at (from 1) */
    bool hold;                   /* keep an existing segment */
    bool await;                  /* no frame before SIGUSR1: a reader has attached by then */
    int64_t linger_ns;           /* between the stores that publish */
};

struct segment {
    IMAGE_METADATA *md;
    unsigned char *pixels;
    uint64_t nelement, frame_bytes;
};

static volatile sig_atomic_t is_stopped;

static void on_signal(int signo)
{
    (void)signo;
    is_stopped = 1;
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "field_writer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static _Noreturn void usage(void)
{
    fprintf(stderr,
            "usage: field_writer PATH --size WxH --type T --depth N --rate HZ|0 -n FRAMES\n"
            "    [--start CNT] [--jump-at N --jump-by M] [--pause-at N --pause-ms MS] [--hold]\n"
            "    [--await] [--linger-ns NS]\n"
            "-n 0: until SIGTERM. --hold keeps an existing segment. --await: starts at SIGUSR1.\n");
    exit(2);
}

/* ---- options ---- */

static void parse_size(struct options *o, const char *text)
{
    int n = sscanf(text, "%" SCNu32 "x%" SCNu32 "x%" SCNu32, &o->size[0], &o->size[1], &o->size[2]);

    if (n < 1)
        usage();
    o->naxis = (uint8_t)n;
}

static void parse_options(struct options *o, int argc, char **argv)
{
    enum {
        SIZE = 256,
        TYPE,
        DEPTH,
        RATE,
        START,
        JUMP_AT,
        JUMP_BY,
        PAUSE_AT,
        PAUSE_MS,
        HOLD,
        AWAIT,
        LINGER
    };
    static const struct option table[] = {
        {"size", 1, NULL, SIZE},         {"type", 1, NULL, TYPE},
        {"depth", 1, NULL, DEPTH},       {"rate", 1, NULL, RATE},
        {"start", 1, NULL, START},       {"jump-at", 1, NULL, JUMP_AT},
        {"jump-by", 1, NULL, JUMP_BY},   {"pause-at", 1, NULL, PAUSE_AT},
        {"pause-ms", 1, NULL, PAUSE_MS}, {"hold", 0, NULL, HOLD},
        {"frames", 1, NULL, 'n'},        {"await", 0, NULL, AWAIT},
        {"linger-ns", 1, NULL, LINGER},  {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "n:", table, NULL)) != -1) {
        uint64_t number = optarg ? strtoull(optarg, NULL, 0) : 0;

        switch (c) {
        case SIZE:
            parse_size(o, optarg);
            break;
        case TYPE:
            o->atype = ramp_find(optarg);
            break;
        case DEPTH:
            o->depth = (uint32_t)number;
            break;
        case RATE:
            o->rate_hz = strtod(optarg, NULL);
            break;
        case START:
            o->start = number;
            o->has_start = true;
            break;
        case JUMP_AT:
            o->jump_at = number;
            break;
        case JUMP_BY:
            o->jump_by = number;
            break;
        case PAUSE_AT:
            o->pause_at = number;
            break;
        case PAUSE_MS:
            o->pause_ms = number;
            break;
        case HOLD:
            o->hold = true;
            break;
        case AWAIT:
            o->await = true;
            break;
        case LINGER:
            o->linger_ns = (int64_t)number;
            break;
        case 'n':
            o->frames = number;
            break;
        default:
            usage();
        }
    }
    if (optind != argc - 1 || o->naxis == 0 || o->atype == 0 || o->depth == 0 || o->rate_hz < 0)
        usage();
    o->path = argv[optind];
}

/* ---- the segment ---- */

/* Truncated where it stands, as the field does. Never O_CREAT on what exists: a sticky directory
 * would refuse another user's file. */
static int open_file(const struct options *o)
{
    int fd = open(o->path, o->hold ? O_RDWR : O_RDWR | O_TRUNC);

    if (fd < 0 && errno == ENOENT)
        fd = open(o->path, O_RDWR | O_CREAT | O_EXCL, 0666);
    if (fd < 0)
        fail(o->path);
    fchmod(fd, 0666); /* for readers of another user; refused where it is not ours */
    return fd;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fill_header(const struct options *o, struct segment *s)
{
    for (uint32_t i = 0; i < o->depth; i++) {
        IMAGE_METADATA *md = &s->md[i];

        strncpy(md->name, o->path, sizeof md->name - 1);
        md->naxis = o->naxis;
        memcpy(md->size, o->size, sizeof md->size);
        md->nelement = s->nelement;
        md->atype = o->atype;
        md->shared = 1;
    }
    s->md[0].sem = IMAGE_NB_SEMAPHORE;
    s->md[0].fifo_size = o->depth;
    s->md[0].fifo_last_written = o->depth - 1;
    IN_THIS_ORDER();
    for (uint32_t i = o->depth; i-- > 0;)
        s->md[i].creation_time = now_s();
}

static void open_segment(const struct options *o, struct segment *s)
{
    int fd = open_file(o);
    uint64_t bytes;
    struct stat st;
    void *map;

    s->nelement = 1;
    for (unsigned i = 0; i < o->naxis; i++)
        s->nelement *= o->size[i];
    s->frame_bytes = s->nelement * ramp_types[o->atype].bytes;
    bytes = o->depth * (sizeof(IMAGE_METADATA) + s->frame_bytes);
    if (fstat(fd, &st) < 0)
        fail(o->path);
    if (o->hold && st.st_size != 0 && (uint64_t)st.st_size != bytes) {
        errno = EINVAL;
        fail("--hold: the segment has another size");
    }
    if (st.st_size == 0 && ftruncate(fd, (off_t)bytes) < 0)
        fail(o->path);
    map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        fail("mmap");
    close(fd);
    s->md = map;
    s->pixels = (unsigned char *)map + o->depth * sizeof(IMAGE_METADATA);
    if (st.st_size == 0)
        fill_header(o, s);
}

/* ---- frames ---- */

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void linger(int64_t ns)
{
    int64_t until_ns;

    if (ns == 0)
        return;
    until_ns = now_ns(CLOCK_MONOTONIC) + ns;
    while (now_ns(CLOCK_MONOTONIC) < until_ns)
        ;
}

static void write_frame(const struct options *o, struct segment *s, const void *frame,
                        uint64_t cnt0)
{
    uint32_t slot = (s->md[0].fifo_last_written + 1) % o->depth;
    IMAGE_METADATA *md = &s->md[slot];

    md->write = 1;
    IN_THIS_ORDER();
    memcpy(s->pixels + slot * s->frame_bytes, frame, s->frame_bytes);
    IN_THIS_ORDER();
    md->write = 0;
    IN_THIS_ORDER();
    linger(o->linger_ns);
    s->md[0].fifo_last_written = slot;
    IN_THIS_ORDER();
    linger(o->linger_ns);
    md->atime.tsfixed.secondlong = now_ns(CLOCK_REALTIME);
    IN_THIS_ORDER();
    md->cnt0 = cnt0;
    IN_THIS_ORDER();
}

static void sleep_until(const struct timespec *when)
{
    while (!is_stopped && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, when, NULL) == EINTR)
        ;
}

static void add_ns(struct timespec *t, int64_t ns)
{
    int64_t sum = t->tv_nsec + ns;

    t->tv_sec += sum / NS_PER_S;
    t->tv_nsec = sum % NS_PER_S;
}

static void write_frames(const struct options *o, struct segment *s)
{
    void *frame = malloc(s->frame_bytes);
    uint64_t cnt0 = o->has_start ? o->start - 1 : s->md[s->md[0].fifo_last_written].cnt0;
    uint64_t first = 0, n;
    struct timespec due;

    if (!frame)
        fail("malloc");
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (n = 0; (o->frames == 0 || n < o->frames) && !is_stopped; n++) {
        if (n + 1 == o->pause_at) {
            add_ns(&due, (int64_t)o->pause_ms * 1000000);
            sleep_until(&due);
        }
        cnt0 += 1 + (n + 1 == o->jump_at ? o->jump_by : 0);
        ramp_fill(frame, o->atype, cnt0, s->nelement);
        if (o->rate_hz > 0.0) {
            add_ns(&due, (int64_t)(1e9 / o->rate_hz));
            sleep_until(&due);
        }
        write_frame(o, s, frame, cnt0);
        first = n == 0 ? cnt0 : first;
    }
    printf("written %" PRIu64 " first %" PRIu64 " last %" PRIu64 "\n", n, first, n ? cnt0 : 0);
    free(frame);
}

int main(int argc, char **argv)
{
    struct options options = {.depth = 1};
    struct sigaction stop = {.sa_handler = on_signal};
    struct segment segment;
    sigset_t start;
    int signo;

    parse_options(&options, argc, argv);
    sigemptyset(&start);
    sigaddset(&start, SIGUSR1);
    sigprocmask(SIG_BLOCK, &start, NULL); /* before the segment is there to be attached to */
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    prctl(PR_SET_TIMERSLACK, 1000ul);
    open_segment(&options, &segment);
    if (options.await)
        sigwait(&start, &signo);
    write_frames(&options, &segment);
    return 0;
}
