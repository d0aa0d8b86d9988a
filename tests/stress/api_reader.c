/*
 * api_reader.c - a program that follows a segment with the functions of dao.h alone, and is judged.
 *
 *     api_reader PATH WAY --until CNT [--wait plain|until|poll] [--stall-every N --stall-us US]
 *                [--read-only] [--whole]
 *
 * WAY: next-check  daoShmGetNextSegment, copy, daoShmCheckSegmentOverwrite
 *      copy        daoShmCopyNextSegment
 *      newest      daoShmGetNewestSegment, copy, daoShmCheckSegmentOverwrite
 *
 * Waits until the segment is there, opens it, prints "attached", follows it until the frame with
 * the count CNT, which must be the writer's last one, and prints the figures of judge.h in one
 * line. A reader that stalls so often that it is lapped is a slow one.
 *
 * Exit status 1, with a word on stderr: a frame repeated or out of order, a false overwrite, frames
 * left out without a word, and with `copy` a wrong number of lost frames or, at depth 2 and more,
 * a torn frame passed as good. Torn frames passed by the other ways are a figure: slot head + 1
 * cannot be proven, and at depth 1 nothing can. With --whole they must not be either: a writer that
 * raises write before it touches the pixels, and stamps before it lowers it, is always noticed.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "tests/support/judge.h"

#define APPEAR_US 10000000u
#define LOOK_US   1000u
#define POLL_US   20u
#define UNTIL_NS  20000000l

struct named_function;

struct options {
    const char *path;
    const struct named_function *way, *wait;
    uint64_t until, stall_every, stall_us;
    bool read_only, whole;
};

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: api_reader PATH next-check|copy|newest --until CNT\n"
                    "    [--wait plain|until|poll] [--stall-every N --stall-us US] [--read-only]\n"
                    "    [--whole]\n");
    exit(2);
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "api_reader: %s\n", what);
    exit(1);
}

/* ---- waits: return when a frame may be there ---- */

static void wait_plain(IMAGE *image, struct judge *j)
{
    (void)j;
    if (daoShmWaitForNextSegment(image) != DAO_SUCCESS)
        fail("daoShmWaitForNextSegment failed");
}

static void wait_until(IMAGE *image, struct judge *j)
{
    struct timespec deadline;
    int_fast8_t status;

    (void)j;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_nsec += UNTIL_NS;
    deadline.tv_sec += deadline.tv_nsec / 1000000000;
    deadline.tv_nsec %= 1000000000;
    status = daoShmWaitForNextSegmentUntil(image, &deadline);
    if (status != DAO_SUCCESS && status != DAO_TIMEOUT)
        fail("daoShmWaitForNextSegmentUntil failed");
}

static void wait_poll(IMAGE *image, struct judge *j)
{
    (void)image;
    (void)j;
    judge_sleep_us(POLL_US);
}

/* ---- ways: take what is there, as often as it goes without waiting ---- */

/* The copy of the frame at the tail, and whether it is said to be good. */
static void copy_and_check(IMAGE *image, struct judge *j, const void *pixels, uint64_t cnt0)
{
    int_fast8_t status;

    memcpy(j->copy, pixels, j->frame_bytes);
    status = daoShmCheckSegmentOverwrite(image);
    if (status != DAO_SUCCESS && status != DAO_OVERWRITE)
        fail("daoShmCheckSegmentOverwrite failed");
    judge_copy(j, cnt0, status == DAO_OVERWRITE);
}

static bool take_next_check(IMAGE *image, struct judge *j)
{
    void *pixels = NULL;
    uint64_t cnt0 = 0;
    int_fast8_t status = daoShmGetNextSegment(image, &pixels, NULL, &cnt0);

    if (status == DAO_NOTREADY)
        return false;
    if (status != DAO_SUCCESS && status != DAO_OVERWRITE)
        fail("daoShmGetNextSegment failed");
    judge_frame(j, cnt0, status == DAO_OVERWRITE);
    copy_and_check(image, j, pixels, cnt0);
    return true;
}

static bool take_copy(IMAGE *image, struct judge *j)
{
    uint64_t expected = j->last + 1;
    DAO_FRAME frame;
    int_fast8_t status = daoShmCopyNextSegment(image, j->copy, j->frame_bytes, &frame);
    bool is_torn;

    if (status == DAO_NOTREADY)
        return false;
    if (status != DAO_SUCCESS && status != DAO_OVERWRITE)
        fail("daoShmCopyNextSegment failed");
    if (frame.lost != frame.cnt0 - expected ||
        (status == DAO_OVERWRITE) != (frame.flags & DAO_FRAME_LAPPED))
        fail("daoShmCopyNextSegment: the number of lost frames is wrong");
    is_torn = frame.flags & DAO_FRAME_TORN;
    if (frame.flags & (DAO_FRAME_JUMPED | DAO_FRAME_RESTART))
        fail("daoShmCopyNextSegment: a jump or a restart that there was not");
    if (!is_torn && (frame.flags & DAO_FRAME_PARTIAL))
        fail("daoShmCopyNextSegment: packets missing in a frame that came whole");
    judge_frame(j, frame.cnt0, status == DAO_OVERWRITE);
    if (is_torn && j->depth > 1)
        fail("daoShmCopyNextSegment: a torn frame given out where there is a proof");
    j->torn_told += is_torn;
    if (!is_torn)
        judge_copy(j, frame.cnt0, false);
    return true;
}

/* The newest frame, where it is another one than the last. */
static bool take_newest(IMAGE *image, struct judge *j)
{
    void *pixels = NULL;
    uint64_t cnt0 = 0;

    if (daoShmGetNewestSegment(image, &pixels, NULL, &cnt0) != DAO_SUCCESS)
        fail("daoShmGetNewestSegment failed");
    if (cnt0 == j->last)
        return false;
    judge_newest_frame(j, cnt0);
    copy_and_check(image, j, pixels, cnt0);
    return true;
}

static const struct named_function {
    const char *name;
    bool (*take)(IMAGE *image, struct judge *j);
    void (*wait)(IMAGE *image, struct judge *j);
} functions[] = {
    {"next-check", take_next_check, NULL}, {"copy", take_copy, NULL},
    {"newest", take_newest, NULL},         {"plain", NULL, wait_plain},
    {"until", NULL, wait_until},           {"poll", NULL, wait_poll},
};

/* ---- options ---- */

static const struct named_function *find_function(const char *name, bool is_way)
{
    for (unsigned i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (strcmp(functions[i].name, name) == 0 && (functions[i].take != NULL) == is_way)
            return &functions[i];
    usage();
}

static void parse_options(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"until", 1, NULL, 'u'},
        {"wait", 1, NULL, 'w'},
        {"stall-every", 1, NULL, 'e'},
        {"stall-us", 1, NULL, 's'},
        {"read-only", 0, NULL, 'r'},
        {"whole", 0, NULL, 'W'},
        {0},
    };
    int c;

    o->wait = find_function("plain", false);
    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        uint64_t number = optarg ? strtoull(optarg, NULL, 0) : 0;

        switch (c) {
        case 'u':
            o->until = number;
            break;
        case 'w':
            o->wait = find_function(optarg, false);
            break;
        case 'e':
            o->stall_every = number;
            break;
        case 's':
            o->stall_us = number;
            break;
        case 'r':
            o->read_only = true;
            break;
        case 'W':
            o->whole = true;
            break;
        default:
            usage();
        }
    }
    if (optind != argc - 2 || o->until == 0)
        usage();
    o->path = argv[optind];
    o->way = find_function(argv[optind + 1], true);
}

/* ---- following ---- */

/* The writers under test fill in creation_time last. */
static bool is_created(const char *path)
{
    double creation_time = 0.0;
    int fd = open(path, O_RDONLY);
    ssize_t n;

    if (fd < 0)
        return false;
    n = pread(fd, &creation_time, sizeof creation_time, offsetof(IMAGE_METADATA, creation_time));
    close(fd);
    return n == sizeof creation_time && creation_time > 0.0;
}

static void open_segment(const struct options *o, IMAGE *image)
{
    int_fast8_t (*open_image)(const char *name, IMAGE *image) =
        o->read_only ? daoShmShm2ImgReadOnly : daoShmShm2Img;

    for (uint64_t us = 0; us < APPEAR_US && !is_created(o->path); us += LOOK_US)
        judge_sleep_us(LOOK_US);
    if (open_image(o->path, image) != DAO_SUCCESS)
        fail("the segment cannot be opened");
}

static void follow(const struct options *o, IMAGE *image, struct judge *j)
{
    while (j->last < o->until) {
        if (!o->way->take(image, j))
            o->wait->wait(image, j);
        else if (o->stall_every && j->taken % o->stall_every == 0)
            judge_sleep_us(o->stall_us);
    }
}

static bool is_as_promised(const struct options *o, const struct judge *j)
{
    bool is_proven = o->whole || (o->way->take == take_copy && j->depth > 1);

    return j->repeated == 0 && j->silent == 0 && j->false_lapped == 0 && j->false_refused == 0 &&
           (!is_proven || j->torn_passed == 0) && j->last == o->until &&
           j->taken + j->lost == o->until - j->first;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct judge j;
    IMAGE image;
    bool is_good;

    parse_options(&o, argc, argv);
    prctl(PR_SET_TIMERSLACK, 1000ul);
    open_segment(&o, &image);
    judge_init(&j, image.md, image.fifo_last_read_cnt0, o.way->take == take_copy);
    puts("attached");
    fflush(stdout);
    follow(&o, &image, &j);
    judge_print(&j, o.way->name);
    is_good = is_as_promised(&o, &j);
    if (!is_good)
        fprintf(stderr, "api_reader: not as promised\n");
    judge_fini(&j);
    return daoShmCloseShm(&image) != DAO_SUCCESS || !is_good;
}
