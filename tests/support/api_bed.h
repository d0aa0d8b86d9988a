/*
 * api_bed.h - what the tests of dao.h's functions share: messages caught in a file, and a segment
 * of 4 x 2 uint16 with frames that can be checked.
 *
 * A test program includes this once, gives its cases to api_add() and ends in testbed_run().
 */
#ifndef TESTS_API_BED_H
#define TESTS_API_BED_H

#include "tests/support/testbed.h"

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
