/*
 * dao_writer.c - a source that writes with the functions of dao.h: the ramp of ramp.h, in each of
 * the ways that the library has.
 *
 *     dao_writer PATH --size WxH[xD] --type T --depth N --rate HZ|0 -n FRAMES [options]
 *
 *     -n 0            until SIGTERM or SIGINT
 *     --how HOW       whole: daoShmImage2Shm (the default)
 *                     quiet: rubbish by daoShmImage2ShmQuiet before every whole frame
 *                     finalize: daoShmImage2ShmQuiet, daoShmImagePart2ShmFinalize
 *                     parts: four of daoShmImagePart2Shm, daoShmImagePart2ShmFinalize
 *                     mixed: all of these in turn
 *     --hold          go on with the segment that is there, where it left off
 *     --await         the first frame at SIGUSR1: a reader has attached by then
 *     --remove        remove the segment and its semaphores at the end
 *
 * Prints "written N first CNT last CNT". Exit status 1: a call failed.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

#include "lib/dao.h"
#include "tests/support/ramp.h"

#define NS_PER_S 1000000000ll
#define PARTS    4u

struct options {
    const char *path;
    uint32_t size[3];
    uint8_t naxis, atype;
    uint32_t depth;
    double rate_hz;  /* 0: as fast as it goes */
    uint64_t frames; /* 0: until a signal */
    unsigned how;
    bool hold, await, remove;
};

static volatile sig_atomic_t is_stopped;

static void on_signal(int signo)
{
    (void)signo;
    is_stopped = 1;
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: dao_writer PATH --size WxH --type T --depth N --rate HZ|0 -n FRAMES\n"
                    "    [--how whole|quiet|finalize|parts|mixed] [--hold] [--await] [--remove]\n");
    exit(2);
}

/* ---- ways of writing one frame: `frame` is its ramp, `rubbish` something else ---- */

static int_fast8_t write_whole(IMAGE *image, char *frame, char *rubbish)
{
    (void)rubbish;
    return daoShmImage2Shm(frame, (uint32_t)image->md[0].nelement, image);
}

static int_fast8_t write_quiet(IMAGE *image, char *frame, char *rubbish)
{
    uint32_t elements = (uint32_t)image->md[0].nelement;

    if (daoShmImage2ShmQuiet(rubbish, elements, image) != DAO_SUCCESS)
        return DAO_ERROR;
    return daoShmImage2Shm(frame, elements, image);
}

static int_fast8_t write_finalize(IMAGE *image, char *frame, char *rubbish)
{
    (void)rubbish;
    if (daoShmImage2ShmQuiet(frame, (uint32_t)image->md[0].nelement, image) != DAO_SUCCESS)
        return DAO_ERROR;
    return daoShmImagePart2ShmFinalize(image);
}

static int_fast8_t write_parts(IMAGE *image, char *frame, char *rubbish)
{
    uint32_t elements = (uint32_t)image->md[0].nelement, first = 0;
    uint64_t number = daoShmGetCounter(image) + 1;

    (void)rubbish;
    for (uint16_t i = 0; i < PARTS; i++) {
        uint32_t end = (uint32_t)((uint64_t)elements * (i + 1u) / PARTS);

        if (daoShmImagePart2Shm(frame + (size_t)first * ramp_types[image->md[0].atype].bytes,
                                end - first, image, first, i, PARTS, number) != DAO_SUCCESS)
            return DAO_ERROR;
        first = end;
    }
    return daoShmImagePart2ShmFinalize(image);
}

static const struct {
    const char *name;
    int_fast8_t (*write)(IMAGE *image, char *frame, char *rubbish);
} ways[] = {
    {"whole", write_whole}, {"quiet", write_quiet}, {"finalize", write_finalize},
    {"parts", write_parts}, {"mixed", NULL},
};

#define WAYS  (unsigned)(sizeof ways / sizeof ways[0])
#define MIXED (WAYS - 1)

/* ---- options ---- */

static unsigned find_way(const char *name)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (strcmp(ways[i].name, name) == 0)
            return i;
    usage();
}

static void parse_size(struct options *o, const char *text)
{
    int n = sscanf(text, "%" SCNu32 "x%" SCNu32 "x%" SCNu32, &o->size[0], &o->size[1], &o->size[2]);

    if (n < 1)
        usage();
    o->naxis = (uint8_t)n;
}

static void parse_options(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"size", 1, NULL, 's'},   {"type", 1, NULL, 't'},
        {"depth", 1, NULL, 'd'},  {"rate", 1, NULL, 'r'},
        {"frames", 1, NULL, 'n'}, {"how", 1, NULL, 'w'},
        {"hold", 0, NULL, 'h'},   {"await", 0, NULL, 'a'},
        {"remove", 0, NULL, 'x'}, {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "n:", table, NULL)) != -1) {
        switch (c) {
        case 's':
            parse_size(o, optarg);
            break;
        case 't':
            o->atype = ramp_find(optarg);
            break;
        case 'd':
            o->depth = (uint32_t)strtoul(optarg, NULL, 0);
            break;
        case 'r':
            o->rate_hz = strtod(optarg, NULL);
            break;
        case 'n':
            o->frames = strtoull(optarg, NULL, 0);
            break;
        case 'w':
            o->how = find_way(optarg);
            break;
        case 'h':
            o->hold = true;
            break;
        case 'a':
            o->await = true;
            break;
        case 'x':
            o->remove = true;
            break;
        default:
            usage();
        }
    }
    if (optind != argc - 1 || o->rate_hz < 0)
        usage();
    if (!o->hold && (o->naxis == 0 || o->atype == 0 || o->depth == 0))
        usage();
    o->path = argv[optind];
}

/* ---- frames ---- */

static void sleep_until_due(struct timespec *due, double rate_hz)
{
    int64_t ns = due->tv_nsec + (int64_t)(1e9 / rate_hz);

    due->tv_sec += ns / NS_PER_S;
    due->tv_nsec = ns % NS_PER_S;
    while (!is_stopped && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, due, NULL) != 0)
        ;
}

/* False: a call failed. */
static bool write_frames(const struct options *o, IMAGE *image, char *frame, char *rubbish)
{
    uint8_t atype = image->md[0].atype;
    uint64_t before = daoShmGetCounter(image), nelement = image->md[0].nelement, n;
    int_fast8_t status = DAO_SUCCESS;
    struct timespec due;

    ramp_fill(rubbish, atype, before + 4711, nelement);
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (n = 0; (o->frames == 0 || n < o->frames) && !is_stopped; n++) {
        unsigned how = o->how == MIXED ? (unsigned)(n % MIXED) : o->how;

        ramp_fill(frame, atype, before + n + 1, nelement);
        if (o->rate_hz > 0.0)
            sleep_until_due(&due, o->rate_hz);
        status = ways[how].write(image, frame, rubbish);
        if (status != DAO_SUCCESS)
            break;
    }
    if (status == DAO_SUCCESS && daoShmGetCounter(image) != before + n)
        status = DAO_ERROR;
    printf("written %" PRIu64 " first %" PRIu64 " last %" PRIu64 "\n", n, n ? before + 1 : 0,
           n ? before + n : 0);
    return status == DAO_SUCCESS;
}

/* A segment that others still have open lives on for them. */
static void remove_segment(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    int length = (int)strcspn(base, ".");
    char name[300];

    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++) {
        snprintf(name, sizeof name, "/%.*s_sem%02d", length, base, i);
        sem_unlink(name);
    }
    snprintf(name, sizeof name, "/%.*s_semlog", length, base);
    sem_unlink(name);
    unlink(path);
}

static bool open_segment(struct options *o, IMAGE *image)
{
    if (o->hold)
        return daoShmShm2Img(o->path, image) == DAO_SUCCESS;
    return daoShmImageCreate_FIFO(image, o->path, o->naxis, o->size, o->atype, 1, 0, o->depth) ==
           DAO_SUCCESS;
}

int main(int argc, char **argv)
{
    struct options o = {.depth = 1};
    struct sigaction stop = {.sa_handler = on_signal};
    char *frame, *rubbish;
    IMAGE image;
    sigset_t start;
    size_t bytes;
    bool is_good;
    int signo;

    parse_options(&o, argc, argv);
    sigemptyset(&start);
    sigaddset(&start, SIGUSR1);
    sigprocmask(SIG_BLOCK, &start, NULL); /* before the segment is there to be attached to */
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    prctl(PR_SET_TIMERSLACK, 1000ul);
    if (!open_segment(&o, &image))
        return 1;
    bytes = image.md[0].nelement * ramp_types[image.md[0].atype].bytes;
    frame = malloc(bytes);
    rubbish = malloc(bytes);
    if (!frame || !rubbish)
        return 1;
    if (o.await)
        sigwait(&start, &signo);
    is_good = write_frames(&o, &image, frame, rubbish);
    free(frame);
    free(rubbish);
    daoShmCloseShm(&image);
    if (o.remove)
        remove_segment(o.path);
    return !is_good;
}
