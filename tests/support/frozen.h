/*
 * frozen.h - what tests of dao.h share that hold a segment still: images, frames of a field writer
 * stopped between two of its stores, what foreign programs do to the file, and the library's
 * output caught in files. Used with testbed.h, by one thread.
 */
#ifndef TESTS_FROZEN_H
#define TESTS_FROZEN_H

#include "tests/support/testbed.h"

#include <errno.h>
#include <time.h>

#define FRAME_ELEMENTS 8u /* 4 x 2 of uint16 */
#define FRAME_BYTES    16u

/* ---- output goes to files, so that tests can read it ---- */

static int frozen_real[3] = {-1, -1, -1};

static void frozen_redirect(int to, const char *name)
{
    int fd = open(testbed_path(name), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0644);

    ck_assert_int_ge(fd, 0);
    fflush(stdout);
    frozen_real[to] = dup(to);
    dup2(fd, to);
    close(fd);
}

/* A fixture's two halves. After the test what a sanitizer says is for us to see again. */
UNUSED_HELPER static void catch_output(void)
{
    frozen_redirect(STDOUT_FILENO, "stdout");
    frozen_redirect(STDERR_FILENO, "stderr");
}

UNUSED_HELPER static void release_output(void)
{
    fflush(stdout);
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        dup2(frozen_real[fd], fd);
        close(frozen_real[fd]);
    }
}

/* What was written to stderr (or stdout) since forget_messages(). */
UNUSED_HELPER static const char *frozen_output(const char *name)
{
    static char text[16384];
    int fd = open(testbed_path(name), O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);

    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

UNUSED_HELPER static const char *messages(void)
{
    return frozen_output("stderr");
}

UNUSED_HELPER static void forget_messages(void)
{
    ck_assert_int_eq(truncate(testbed_path("stderr"), 0), 0);
}

UNUSED_HELPER static void expect_silence(void)
{
    ck_assert_str_eq(messages(), "");
    fflush(stdout);
    ck_assert_str_eq(frozen_output("stdout"), "");
}

/* ---- images ---- */

UNUSED_HELPER static IMAGE create_image(const char *name, uint32_t depth)
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

UNUSED_HELPER static void close_images(IMAGE *a, IMAGE *b)
{
    ck_assert_int_eq(daoShmCloseShm(a), DAO_SUCCESS);
    if (b)
        ck_assert_int_eq(daoShmCloseShm(b), DAO_SUCCESS);
}

/* Frames first .. last as our own writer makes them; counts follow from the segment. */
UNUSED_HELPER static void write_frames(IMAGE *image, uint64_t first, uint64_t last)
{
    uint16_t frame[FRAME_ELEMENTS];

    for (uint64_t cnt0 = first; cnt0 <= last; cnt0++) {
        ramp_fill(frame, _DATATYPE_UINT16, cnt0, FRAME_ELEMENTS);
        ck_assert_int_eq(daoShmImage2Shm(frame, FRAME_ELEMENTS, image), DAO_SUCCESS);
    }
}

/* ---- a field writer, stopped where a test likes ---- */

/* Its stores in their order. Each stage includes those before it. */
enum field_stage {
    FIELD_BEGUN,   /* write = 1 and half of the pixels */
    FIELD_FILLED,  /* all pixels */
    FIELD_CLEARED, /* write = 0, under the old count */
    FIELD_LED,     /* head */
    FIELD_TIMED,   /* atime */
    FIELD_DONE,    /* cnt0 */
};

UNUSED_HELPER static uint32_t field_next_slot(const IMAGE *image, uint32_t depth)
{
    return (image->md[0].fifo_last_written + 1) % depth;
}

/* The stores of one stage. */
UNUSED_HELPER static void field_store(IMAGE *image, uint32_t slot, uint64_t cnt0,
                                      enum field_stage stage)
{
    IMAGE_METADATA *md = &image->md[slot];
    uint16_t frame[FRAME_ELEMENTS], *pixels = image->array.UI16 + slot * FRAME_ELEMENTS;

    ramp_fill(frame, _DATATYPE_UINT16, cnt0, FRAME_ELEMENTS);
    switch (stage) {
    case FIELD_BEGUN:
        md->write = 1;
        memcpy(pixels, frame, FRAME_BYTES / 2);
        break;
    case FIELD_FILLED:
        memcpy(pixels, frame, FRAME_BYTES);
        break;
    case FIELD_CLEARED:
        md->write = 0;
        break;
    case FIELD_LED:
        image->md[0].fifo_last_written = slot;
        break;
    case FIELD_TIMED:
        md->atime.tsfixed.secondlong = testbed_time_ns += TESTBED_INTERVAL_NS;
        break;
    default:
        md->cnt0 = cnt0;
        break;
    }
}

/* The stages from .. to of a frame in this slot. */
UNUSED_HELPER static void field_stages(IMAGE *image, uint32_t slot, uint64_t cnt0,
                                       enum field_stage from, enum field_stage to)
{
    for (unsigned stage = from; stage <= to; stage++)
        field_store(image, slot, cnt0, stage);
}

/* The next frame, as far as `last`. Its slot. */
UNUSED_HELPER static uint32_t field_write(IMAGE *image, uint32_t depth, uint64_t cnt0,
                                          enum field_stage last)
{
    uint32_t slot = field_next_slot(image, depth);

    field_stages(image, slot, cnt0, FIELD_BEGUN, last);
    return slot;
}

UNUSED_HELPER static void field_frames(IMAGE *image, uint32_t depth, uint64_t first, uint64_t last)
{
    for (uint64_t cnt0 = first; cnt0 <= last; cnt0++)
        field_write(image, depth, cnt0, FIELD_DONE);
}

/* ---- a foreign program at the file, by system calls ---- */

struct foreign_shape {
    uint8_t naxis, atype;
    uint32_t size[3], depth;
};

static const struct foreign_shape shape_same = {2, _DATATYPE_UINT16, {4, 2, 0}, 3},
                                  shape_turned UNUSED_HELPER = {2,
                                                                _DATATYPE_UINT16,
                                                                {2, 4, 0},
                                                                3}, /* of the same length */
    shape_larger UNUSED_HELPER = {2, _DATATYPE_FLOAT, {40, 20, 0}, 5};

static uint64_t foreign_elements(const struct foreign_shape *shape)
{
    uint64_t count = 1;

    for (unsigned i = 0; i < shape->naxis; i++)
        count *= shape->size[i];
    return count;
}

static off_t foreign_bytes(const struct foreign_shape *shape)
{
    return (off_t)(shape->depth * (sizeof(IMAGE_METADATA) +
                                   foreign_elements(shape) * ramp_types[shape->atype].bytes));
}

UNUSED_HELPER static void foreign_resize(const char *name, off_t bytes)
{
    ck_assert_int_eq(truncate(testbed_path(name), bytes), 0);
}

static void foreign_store(const char *name, uint64_t offset, const void *from, size_t bytes)
{
    int fd = open(testbed_path(name), O_WRONLY);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)pwrite(fd, from, bytes, (off_t)offset), (int)bytes);
    close(fd);
}

/* Everything but creation_time. */
UNUSED_HELPER static void foreign_fill_header(const char *name, const struct foreign_shape *shape)
{
    IMAGE_METADATA *md = calloc(shape->depth, sizeof *md);

    ck_assert_ptr_nonnull(md);
    for (uint32_t i = 0; i < shape->depth; i++) {
        snprintf(md[i].name, sizeof md[i].name, "foreign");
        md[i].naxis = shape->naxis;
        memcpy(md[i].size, shape->size, sizeof md[i].size);
        md[i].nelement = foreign_elements(shape);
        md[i].atype = shape->atype;
        md[i].shared = 1;
    }
    md[0].sem = IMAGE_NB_SEMAPHORE;
    md[0].fifo_size = shape->depth;
    md[0].fifo_last_written = shape->depth - 1;
    foreign_store(name, 0, md, shape->depth * sizeof *md);
    free(md);
}

UNUSED_HELPER static void foreign_fill_time(const char *name, const struct foreign_shape *shape)
{
    static double now = 2e9;

    now += 1.0;
    for (uint32_t i = shape->depth; i-- > 0;)
        foreign_store(name, i * sizeof(IMAGE_METADATA) + offsetof(IMAGE_METADATA, creation_time),
                      &now, sizeof now);
}

/* Truncated, grown and filled in again, creation_time last. */
UNUSED_HELPER static void foreign_restart(const char *name, const struct foreign_shape *shape)
{
    foreign_resize(name, 0);
    foreign_resize(name, foreign_bytes(shape));
    foreign_fill_header(name, shape);
    foreign_fill_time(name, shape);
}

/* Another file in its place. */
UNUSED_HELPER static void foreign_replace(const char *name, const struct foreign_shape *shape)
{
    int fd = open(testbed_path("beside"), O_CREAT | O_EXCL | O_WRONLY, 0666);

    ck_assert_int_ge(fd, 0);
    close(fd);
    foreign_restart("beside", shape);
    ck_assert_int_eq(rename(testbed_path("beside"), testbed_path(name)), 0);
}

/* ---- what a reader is told ---- */

UNUSED_HELPER static void expect_pixels(const void *pixels, uint64_t cnt0)
{
    uint16_t expected[FRAME_ELEMENTS];

    ramp_fill(expected, _DATATYPE_UINT16, cnt0, FRAME_ELEMENTS);
    ck_assert_mem_eq(pixels, expected, sizeof expected);
}

/* The next frame by daoShmGetNextSegment(). */
UNUSED_HELPER static void expect_next(IMAGE *image, int_fast8_t status, uint32_t slot,
                                      uint64_t cnt0)
{
    void *pixels = NULL;
    uint32_t idx = 99;
    uint64_t count = 99;

    ck_assert_int_eq(daoShmGetNextSegment(image, &pixels, &idx, &count), status);
    ck_assert_uint_eq(count, cnt0);
    ck_assert_uint_eq(idx, slot);
    ck_assert_ptr_eq(pixels, image->array.UI16 + FRAME_ELEMENTS * slot);
    ck_assert_uint_eq(image->fifo_last_read, slot);
    ck_assert_uint_eq(image->fifo_last_read_cnt0, cnt0);
    if (cnt0)
        expect_pixels(pixels, cnt0);
}

/* DAO_NOTREADY and errors leave outputs and tail alone. */
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

/* The newest by three functions; the tail is there afterwards. */
UNUSED_HELPER static void expect_newest(IMAGE *image, uint32_t slot, uint64_t cnt0)
{
    void *pixels = NULL;
    uint32_t idx = 99;
    uint64_t count = 99;

    ck_assert_uint_eq(daoShmGetCounter(image), cnt0);
    ck_assert_int_eq(daoShmGetNewestSegment(image, &pixels, &idx, &count), DAO_SUCCESS);
    ck_assert_uint_eq(count, cnt0);
    ck_assert_uint_eq(idx, slot);
    if (cnt0)
        expect_pixels(pixels, cnt0);
    idx = 99;
    count = 99;
    ck_assert_int_eq(daoShmResetTail(image, &idx, &count), DAO_SUCCESS);
    ck_assert_uint_eq(count, cnt0);
    ck_assert_uint_eq(idx, slot);
}

/* The next frame by daoShmCopyNextSegment(). */
UNUSED_HELPER static DAO_FRAME expect_copy(IMAGE *image, int_fast8_t status, uint64_t cnt0,
                                           uint64_t lost, uint32_t flags)
{
    uint16_t pixels[FRAME_ELEMENTS];
    DAO_FRAME frame;

    memset(&frame, 0xa5, sizeof frame);
    ck_assert_int_eq(daoShmCopyNextSegment(image, pixels, sizeof pixels, &frame), status);
    ck_assert_uint_eq(frame.cnt0, cnt0);
    ck_assert_uint_eq(frame.lost, lost);
    ck_assert_uint_eq(frame.flags, flags);
    ck_assert_uint_eq(image->fifo_last_read, frame.slot);
    ck_assert_uint_eq(image->fifo_last_read_cnt0, cnt0);
    if (!(flags & DAO_FRAME_TORN))
        expect_pixels(pixels, cnt0);
    return frame;
}

UNUSED_HELPER static void expect_no_copy(IMAGE *image, int_fast8_t status)
{
    uint16_t pixels[FRAME_ELEMENTS];
    DAO_FRAME frame, before;

    memset(&before, 0xa5, sizeof before);
    frame = before;
    ck_assert_int_eq(daoShmCopyNextSegment(image, pixels, sizeof pixels, &frame), status);
    ck_assert_mem_eq(&frame, &before, sizeof frame);
}

#endif
