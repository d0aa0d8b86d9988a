/*
 * foreign_changes.c - a segment that is truncated, regrown, reshaped, replaced, removed and damaged
 * at random while other processes read it through dao.h.
 *
 *     foreign_changes PATH CHANGES [SEED]
 *
 * This process is the foreign program: it uses system calls and dao.h's structures, and writes
 * frames in the field's order. Its children are the readers: one takes pointers and follows them
 * into shared memory, one copies with proof, one waits for counts. Whenever a call returns
 * DAO_ERROR they close and open again. Exit status 1: one of them crashed, never came to the last
 * run, or copied a frame that is not one whole frame; at depth 1, where nothing is a proof, that is
 * a figure.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/dao.h"

#define IN_THIS_ORDER() __asm__ volatile("" ::: "memory")
#define ELEMENTS_MAX    4096u
#define LAST_RUN        0xffffu /* number of the run that all must come to */

static const char *path;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "foreign_changes: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void sleep_us(unsigned us)
{
    struct timespec rest = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    nanosleep(&rest, NULL);
}

/* ---- the foreign program ---- */

struct shape {
    uint32_t width, height, depth;
};

/* The first two have the same length. */
static const struct shape shapes[] = {
    {64, 16, 8}, {16, 64, 8}, {32, 8, 4}, {64, 64, 2}, {64, 64, 1}, {8, 8, 64},
};
#define SHAPES (sizeof shapes / sizeof shapes[0])

static struct {
    IMAGE_METADATA *md; /* NULL: there is no segment to write to */
    uint32_t *pixels;
    size_t bytes;
    struct shape shape;
    uint64_t cnt0;
    uint32_t run;
} segment;

static uint32_t random_state = 1;

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % below;
}

static size_t bytes_of(const struct shape *s)
{
    return s->depth * (sizeof(IMAGE_METADATA) + (size_t)s->width * s->height * sizeof(uint32_t));
}

static void leave_segment(void)
{
    if (segment.md)
        munmap(segment.md, segment.bytes);
    segment.md = NULL;
}

/* Header and all into a file of zeros, creation_time last; a pause here and there. */
static void fill_segment(int fd, const struct shape *s, uint32_t run)
{
    struct timespec now;

    segment.bytes = bytes_of(s);
    segment.shape = *s;
    segment.cnt0 = 0;
    segment.run = run;
    segment.md = mmap(NULL, segment.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (segment.md == MAP_FAILED)
        fail("mmap");
    segment.pixels = (uint32_t *)(void *)(segment.md + s->depth);
    for (uint32_t i = 0; i < s->depth; i++) {
        IMAGE_METADATA *md = &segment.md[i];

        md->naxis = 2;
        md->size[0] = s->width;
        md->size[1] = s->height;
        md->nelement = (uint64_t)s->width * s->height;
        md->atype = _DATATYPE_UINT32;
        md->shared = 1;
    }
    segment.md[0].fifo_size = s->depth;
    segment.md[0].fifo_last_written = s->depth - 1;
    IN_THIS_ORDER();
    sleep_us(draw(300));
    clock_gettime(CLOCK_REALTIME, &now);
    for (uint32_t i = s->depth; i-- > 0;)
        segment.md[i].creation_time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    IN_THIS_ORDER();
}

static void write_frame(void)
{
    uint32_t slot = (segment.md[0].fifo_last_written + 1) % segment.shape.depth;
    uint32_t count = segment.shape.width * segment.shape.height;
    uint32_t *to = segment.pixels + slot * count;
    IMAGE_METADATA *md = &segment.md[slot];

    segment.cnt0++;
    md->write = 1;
    IN_THIS_ORDER();
    for (uint32_t i = 0; i < count; i++)
        to[i] = (segment.run << 16) + (uint32_t)segment.cnt0 + i;
    IN_THIS_ORDER();
    md->write = 0;
    IN_THIS_ORDER();
    segment.md[0].fifo_last_written = slot;
    IN_THIS_ORDER();
    md->cnt2 = segment.run;
    md->atime.tsfixed.secondlong++;
    IN_THIS_ORDER();
    md->cnt0 = segment.cnt0;
    IN_THIS_ORDER();
}

static void write_frames(unsigned count, unsigned pause_us)
{
    for (unsigned i = 0; segment.md && i < count; i++) {
        write_frame();
        if (pause_us)
            sleep_us(draw(pause_us));
    }
}

/* Grow the file from nothing and fill it. */
static void remake(const char *name, int flags, const struct shape *s, uint32_t run)
{
    int fd = open(name, O_RDWR | flags, 0666);

    if (fd < 0)
        fail(name);
    sleep_us(draw(300));
    if (ftruncate(fd, (off_t)bytes_of(s)) < 0)
        fail("ftruncate");
    sleep_us(draw(300));
    fill_segment(fd, s, run);
    close(fd);
}

static void restart_in_place(const struct shape *s, uint32_t run)
{
    leave_segment();
    if (truncate(path, 0) == 0)
        remake(path, 0, s, run);
    else
        remake(path, O_CREAT | O_EXCL, s, run);
}

static void replace(const struct shape *s, uint32_t run)
{
    char name[600];

    snprintf(name, sizeof name, "%s.beside", path);
    leave_segment();
    remake(name, O_CREAT | O_TRUNC, s, run);
    if (rename(name, path) < 0)
        fail("rename");
}

/* Not only its own fields: what is in the way of packet id 512. */
static void damage_and_mend(void)
{
    uint32_t last = segment.md[0].fifo_last_written;

    segment.md[0].fifo_size = draw(2) ? draw(UINT32_MAX) : 0;
    segment.md[0].fifo_last_written = draw(2) ? draw(UINT32_MAX) : 0;
    IN_THIS_ORDER();
    sleep_us(draw(1000));
    segment.md[0].fifo_size = segment.shape.depth;
    segment.md[0].fifo_last_written = last;
}

static void change(uint32_t run)
{
    const struct shape *s = &shapes[draw(SHAPES)];

    switch (draw(8)) {
    case 0:
        restart_in_place(&segment.shape, run);
        break;
    case 1:
        restart_in_place(s, run);
        break;
    case 2: /* the other one of the same length */
        restart_in_place(&shapes[draw(2)], run);
        break;
    case 3: /* short for a while */
        leave_segment();
        if (truncate(path, (off_t)draw((uint32_t)segment.bytes)) == 0)
            sleep_us(draw(3000));
        break;
    case 4:
        replace(s, run);
        break;
    case 5:
        replace(&segment.shape, run);
        break;
    case 6:
        leave_segment();
        unlink(path);
        sleep_us(draw(3000));
        break;
    default:
        if (segment.md)
            damage_and_mend();
        break;
    }
    if (!segment.md) {
        unlink(path);
        remake(path, O_CREAT | O_EXCL, s, run);
    }
}

/* ---- readers ---- */

static volatile sig_atomic_t is_over;

static void on_signal(int signo)
{
    (void)signo;
    is_over = 1;
}

struct tally {
    uint64_t frames, lost, errors, opened, wrong;
    uint64_t wrong_alone; /* at depth 1, where nothing is a proof */
    bool saw_last_run;
};

static struct timespec in_us(int64_t us)
{
    struct timespec now;
    int64_t ns;

    clock_gettime(CLOCK_MONOTONIC, &now);
    ns = now.tv_nsec + us * 1000;
    return (struct timespec){now.tv_sec + ns / 1000000000, ns % 1000000000};
}

static bool is_one_frame(const uint32_t *pixels, uint64_t count, uint64_t cnt0)
{
    for (uint64_t i = 0; i < count; i++)
        if (pixels[i] != pixels[0] + i)
            return false;
    return (uint16_t)pixels[0] == (uint16_t)cnt0;
}

/* Any pixel may change or vanish while it is read: only reading it must be possible. */
static int read_by_pointer(IMAGE *image, uint64_t count, struct tally *t)
{
    struct timespec deadline = in_us(2000);
    volatile const uint32_t *pixels;
    uint32_t sum = 0, run;
    void *ptr;
    int status = t->frames % 16 ? daoShmWaitForNextSegmentUntil(image, &deadline)
                                : daoShmWaitForNextSegment(image);

    if (status == DAO_SUCCESS)
        status = daoShmGetNextSegment(image, &ptr, NULL, NULL);
    if (status != DAO_SUCCESS && status != DAO_OVERWRITE)
        return status;
    pixels = ptr;
    run = pixels[0] >> 16;
    for (uint64_t i = 0; i < count; i++)
        sum += pixels[i];
    (void)sum;
    t->frames++;
    t->saw_last_run |= run == LAST_RUN;
    return daoShmCheckSegmentOverwrite(image);
}

static int read_by_copy(IMAGE *image, uint64_t count, struct tally *t)
{
    static uint32_t pixels[ELEMENTS_MAX];
    struct timespec deadline = in_us(2000);
    DAO_FRAME frame;
    int status = daoShmWaitForNextSegmentUntil(image, &deadline);

    if (status == DAO_SUCCESS)
        status = daoShmCopyNextSegment(image, pixels, sizeof pixels, &frame);
    if (status != DAO_SUCCESS && status != DAO_OVERWRITE)
        return status;
    t->frames++;
    t->lost += frame.lost;
    if (!(frame.flags & DAO_FRAME_TORN) && !is_one_frame(pixels, count, frame.cnt0)) {
        bool is_alone = image->memsize < 2 * (sizeof(IMAGE_METADATA) + count * sizeof pixels[0]);

        t->wrong += !is_alone;
        t->wrong_alone += is_alone;
    }
    t->saw_last_run |= pixels[0] >> 16 == LAST_RUN;
    return status;
}

static int read_by_count(IMAGE *image, uint64_t count, struct tally *t)
{
    struct timespec deadline = in_us(2000);
    uint64_t cnt0 = daoShmGetCounter(image);
    uint32_t *pixels;
    void *ptr;
    int status = t->frames % 16 ? daoShmWaitForTargetCounterUntil(image, cnt0 + 1, &deadline)
                                : daoShmWaitForCounter(image);

    if (status != DAO_SUCCESS && status != DAO_OVERWRITE)
        return status;
    status = daoShmGetNewestSegment(image, &ptr, NULL, NULL);
    if (status == DAO_SUCCESS)
        status = daoShmResetTailOldest(image, NULL, NULL);
    if (status == DAO_SUCCESS)
        status = daoShmGetArbitrarySegment(image, &ptr, (uint_fast32_t)cnt0);
    if (status != DAO_SUCCESS)
        return status;
    pixels = ptr;
    t->frames++;
    t->saw_last_run |= __atomic_load_n(&pixels[count - 1], __ATOMIC_RELAXED) >> 16 == LAST_RUN;
    return status;
}

static const struct {
    const char *name;
    int (*read)(IMAGE *image, uint64_t count, struct tally *t);
} readers[] = {{"pointers", read_by_pointer}, {"copies", read_by_copy}, {"counts", read_by_count}};
#define READERS 3

/* An open image, or false at the end. */
static bool open_again(IMAGE *image, uint64_t *ret_count, struct tally *t)
{
    while (!is_over) {
        if (daoShmShm2Img(path, image) == DAO_SUCCESS) {
            /* Once: it can be another program's number in a moment. */
            uint64_t count = __atomic_load_n(&image->md[0].nelement, __ATOMIC_RELAXED);
            uint64_t depth = __atomic_load_n(&image->md[0].fifo_size, __ATOMIC_RELAXED);

            t->opened++;
            if (count > 0 && count <= ELEMENTS_MAX && depth > 0 &&
                image->memsize == depth * (sizeof(IMAGE_METADATA) + count * sizeof(uint32_t))) {
                *ret_count = count;
                return true;
            }
            daoShmCloseShm(image);
        }
        sleep_us(200);
    }
    return false;
}

static int follow(int which)
{
    struct tally t = {0};
    uint64_t count;
    IMAGE image;

    while (open_again(&image, &count, &t)) {
        while (!is_over && readers[which].read(&image, count, &t) != DAO_ERROR)
            ;
        t.errors++;
        if (daoShmCloseShm(&image) != DAO_SUCCESS)
            return 1;
    }
    printf("%s: frames %" PRIu64 " lost %" PRIu64 " errors %" PRIu64 " opened %" PRIu64
           " wrong %" PRIu64 " (depth 1: %" PRIu64 ") last run %s\n",
           readers[which].name, t.frames, t.lost, t.errors, t.opened, t.wrong, t.wrong_alone,
           t.saw_last_run ? "seen" : "not seen");
    fflush(stdout);
    return t.wrong || !t.saw_last_run;
}

static pid_t start_reader(int which)
{
    struct sigaction over = {.sa_handler = on_signal};
    pid_t child = fork();

    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigaction(SIGTERM, &over, NULL);
    exit(follow(which));
}

static bool end_reader(pid_t child, const char *name)
{
    int status;

    /* Again and again: the signal can come before a wait rather than into it. */
    for (kill(child, SIGTERM); waitpid(child, &status, WNOHANG) == 0; kill(child, SIGTERM))
        sleep_us(10000);
    if (WIFSIGNALED(status))
        printf("%s: killed by signal %d\n", name, WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    pid_t children[READERS];
    uint32_t changes;
    bool ok = true;

    if (argc < 3) {
        fprintf(stderr, "usage: foreign_changes PATH CHANGES [SEED]\n");
        return 2;
    }
    path = argv[1];
    changes = (uint32_t)strtoul(argv[2], NULL, 0);
    random_state = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 0) | 1 : 1;
    remake(path, O_CREAT | O_EXCL, &shapes[0], 1);
    for (int i = 0; i < READERS; i++)
        children[i] = start_reader(i);
    for (uint32_t i = 0; i < changes; i++) {
        write_frames(draw(40), 200);
        change(i % 0xff00 + 2);
        write_frames(draw(200), 0);
    }
    restart_in_place(&shapes[0], LAST_RUN);
    write_frames(120, 10000);
    for (int i = 0; i < READERS; i++)
        ok &= end_reader(children[i], readers[i].name);
    unlink(path);
    return !ok;
}
