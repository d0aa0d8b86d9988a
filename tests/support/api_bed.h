/*
 * api_bed.h - what the tests of dao.h's functions share: messages caught in a file, and a segment
 * of 4 x 2 uint16 with frames that can be checked.
 *
 * A test program includes this once, gives its cases to api_add() and ends in testbed_run().
 */
#ifndef TESTS_API_BED_H
#define TESTS_API_BED_H

#include "tests/support/testbed.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>

/* ---- messages go to a file, so that tests can read them ---- */

UNUSED_HELPER static const char *messages(void)
{
    static char text[8192];
    int fd = open(testbed_path("stderr"), O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);

    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static int real_stderr;

UNUSED_HELPER static void redirect_messages(void)
{
    int fd = open(testbed_path("stderr"), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0644);

    real_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

/* Before the test's process ends: what a sanitizer says then is for us to see. */
UNUSED_HELPER static void restore_messages(void)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
}

UNUSED_HELPER static void forget_messages(void)
{
    ck_assert_int_eq(truncate(testbed_path("stderr"), 0), 0);
}

UNUSED_HELPER static void expect_message(const char *word)
{
    ck_assert_msg(strstr(messages(), word) != NULL, "no \"%s\" in: %s", word, messages());
}

/* ---- a 4 x 2 uint16 segment and its frames ---- */

UNUSED_HELPER static IMAGE create(const char *name, uint32_t depth)
{
    uint32_t size[] = {4, 2};
    IMAGE image;

    memset(&image, 0xa5, sizeof image); /* output only */
    ck_assert_int_eq(
        daoShmImageCreate_FIFO(&image, testbed_path(name), 2, size, _DATATYPE_UINT16, 1, 0, depth),
        DAO_SUCCESS);
    return image;
}

UNUSED_HELPER static IMAGE open_image(const char *name)
{
    IMAGE image;

    memset(&image, 0xa5, sizeof image);
    ck_assert_int_eq(daoShmShm2Img(testbed_path(name), &image), DAO_SUCCESS);
    return image;
}

UNUSED_HELPER static void write_frames(IMAGE *image, uint64_t first, uint64_t last)
{
    uint16_t frame[8];

    for (uint64_t cnt0 = first; cnt0 <= last; cnt0++) {
        ramp_fill(frame, _DATATYPE_UINT16, cnt0, 8);
        ck_assert_int_eq(daoShmImage2Shm(frame, 8, image), DAO_SUCCESS);
    }
}

UNUSED_HELPER static void expect_next(IMAGE *image, int_fast8_t status, uint32_t slot,
                                      uint64_t cnt0)
{
    uint16_t expected[8];
    void *pixels = NULL;
    uint32_t idx = 99;
    uint64_t count = 99;

    ck_assert_int_eq(daoShmGetNextSegment(image, &pixels, &idx, &count), status);
    ck_assert_uint_eq(idx, slot);
    ck_assert_uint_eq(count, cnt0);
    ramp_fill(expected, _DATATYPE_UINT16, cnt0, 8);
    ck_assert_mem_eq(pixels, expected, sizeof expected);
    ck_assert_ptr_eq(pixels, image->array.UI16 + 8 * slot);
}

/* NOTREADY and errors leave outputs and tail alone. */
UNUSED_HELPER static void expect_no_next(IMAGE *image, int_fast8_t status)
{
    uint32_t tail = image->fifo_last_read, idx = 77;
    uint64_t tail_cnt0 = image->fifo_last_read_cnt0, cnt0 = 88;
    void *pixels = &idx;

    ck_assert_int_eq(daoShmGetNextSegment(image, &pixels, &idx, &cnt0), status);
    ck_assert_ptr_eq(pixels, &idx);
    ck_assert_uint_eq(idx, 77);
    ck_assert_uint_eq(cnt0, 88);
    ck_assert_uint_eq(image->fifo_last_read, tail);
    ck_assert_uint_eq(image->fifo_last_read_cnt0, tail_cnt0);
}

/* The newest frame, without moving the image's tail. */
UNUSED_HELPER static void expect_newest(const IMAGE *image, uint32_t slot, uint64_t cnt0)
{
    IMAGE look = *image; /* a tail of its own */
    void *pixels = NULL;
    uint32_t idx = 99;
    uint64_t count = 99;

    ck_assert_int_eq(daoShmGetNewestSegment(&look, &pixels, &idx, &count), DAO_SUCCESS);
    ck_assert_uint_eq(idx, slot);
    ck_assert_uint_eq(count, cnt0);
    ck_assert_uint_eq(daoShmGetCounter(&look), cnt0);
    ck_assert_ptr_eq(pixels, image->array.UI16 + 8 * slot);
}

/* ---- what must not change ---- */

/* All of a segment, as it was. */
struct memory {
    const IMAGE *image;
    void *bytes;
};

UNUSED_HELPER static struct memory remember(const IMAGE *image)
{
    struct memory memory = {image, malloc(image->memsize)};

    ck_assert_ptr_nonnull(memory.bytes);
    memcpy(memory.bytes, image->md, image->memsize);
    return memory;
}

/* Not one byte of it is different; forgets it. */
UNUSED_HELPER static void expect_unchanged(struct memory memory)
{
    ck_assert_int_eq(memcmp(memory.image->md, memory.bytes, memory.image->memsize), 0);
    free(memory.bytes);
}

UNUSED_HELPER static int semaphore_value(const IMAGE *image, int index)
{
    int value = -1;

    ck_assert_int_eq(sem_getvalue(index < 0 ? image->semlog : image->semptr[index], &value), 0);
    return value;
}

UNUSED_HELPER static void expect_semaphores(const IMAGE *image, int value)
{
    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++)
        ck_assert_int_eq(semaphore_value(image, i), value);
}

UNUSED_HELPER static void take_posts(const IMAGE *image)
{
    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++)
        while (sem_trywait(image->semptr[i]) == 0)
            ;
}

/* ---- every function that writes ---- */

UNUSED_HELPER static int_fast8_t call_image2shm(IMAGE *image)
{
    uint16_t frame[8] = {21, 22, 23, 24, 25, 26, 27, 28};

    return daoShmImage2Shm(frame, 8, image);
}

UNUSED_HELPER static int_fast8_t call_quiet(IMAGE *image)
{
    uint16_t frame[8] = {31, 32, 33, 34, 35, 36, 37, 38};

    return daoShmImage2ShmQuiet(frame, 8, image);
}

UNUSED_HELPER static int_fast8_t call_stamped(IMAGE *image)
{
    const DAO_FRAME stamp = {.cnt0 = 1000, .atime_ns = 5};
    uint16_t frame[8] = {41, 42, 43, 44, 45, 46, 47, 48};

    return daoShmImage2ShmStamped(frame, 8, image, &stamp);
}

UNUSED_HELPER static int_fast8_t call_part(IMAGE *image)
{
    char part[4] = {51, 52, 53, 54};

    return daoShmImagePart2Shm(part, 2, image, 2, 1, 4, 77);
}

UNUSED_HELPER static int_fast8_t call_combine(IMAGE *image)
{
    IMAGE *cubes[] = {image};

    return daoShmCombineShm2Shm(cubes, image, 1, 8);
}

static const struct {
    const char *name;
    int_fast8_t (*call)(IMAGE *image);
} api_writers[] = {
    {"daoShmImage2Shm", call_image2shm},
    {"daoShmImage2ShmQuiet", call_quiet},
    {"daoShmImage2ShmStamped", call_stamped},
    {"daoShmImagePart2Shm", call_part},
    {"daoShmImagePart2ShmFinalize", daoShmImagePart2ShmFinalize},
    {"daoShmTimestampShm", daoShmTimestampShm},
    {"daoShmCombineShm2Shm", call_combine},
};
#define API_WRITERS (int)(sizeof api_writers / sizeof api_writers[0])

/* A writing function must say no, in its own name, and why. */
UNUSED_HELPER static void expect_refused(IMAGE *image, int writer, const char *word)
{
    forget_messages();
    ck_assert_int_eq(api_writers[writer].call(image), DAO_ERROR);
    expect_message(api_writers[writer].name);
    expect_message(word);
}

/* ---- signals ---- */

static volatile sig_atomic_t signals_handled;

UNUSED_HELPER static void count_signal(int signo)
{
    (void)signo;
    signals_handled++;
}

/* A handled signal every 50 ms: on a busy machine the first can come before the wait. */
UNUSED_HELPER static void disturb(int flags)
{
    struct itimerval timer = {{.tv_usec = 50000}, {.tv_usec = 50000}};
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = flags};

    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
    errno = 0;
}

/* ---- the suite ---- */

/* A case whose tests find what is printed in messages(). */
UNUSED_HELPER static TCase *api_add(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_add_checked_fixture(tcase, redirect_messages, restore_messages);
    tcase_set_timeout(tcase, 30);
    suite_add_tcase(suite, tcase);
    return tcase;
}

#endif
