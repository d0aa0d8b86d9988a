/*
 * test_api.c - the functions of dao.h as programs call them: return codes, outputs, messages.
 */
#include "tests/support/testbed.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

/* ---- messages go to a file, so that tests can read them ---- */

static const char *messages(void)
{
    static char text[8192];
    int fd = open(testbed_path("stderr"), O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);

    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static int real_stderr;

static void redirect_messages(void)
{
    int fd = open(testbed_path("stderr"), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0644);

    real_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

/* Before the test's process ends: what a sanitizer says then is for us to see. */
static void restore_messages(void)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
}

static void forget_messages(void)
{
    ck_assert_int_eq(truncate(testbed_path("stderr"), 0), 0);
}

/* ---- a 4 x 2 uint16 segment and its frames ---- */

static IMAGE create(const char *name, uint32_t depth)
{
    uint32_t size[] = {4, 2};
    IMAGE image;

    memset(&image, 0xa5, sizeof image); /* output only */
    ck_assert_int_eq(
        daoShmImageCreate_FIFO(&image, testbed_path(name), 2, size, _DATATYPE_UINT16, 1, 0, depth),
        DAO_SUCCESS);
    return image;
}

static IMAGE open_image(const char *name)
{
    IMAGE image;

    memset(&image, 0xa5, sizeof image);
    ck_assert_int_eq(daoShmShm2Img(testbed_path(name), &image), DAO_SUCCESS);
    return image;
}

static void write_frames(IMAGE *image, uint64_t first, uint64_t last)
{
    uint16_t frame[8];

    for (uint64_t cnt0 = first; cnt0 <= last; cnt0++) {
        ramp_fill(frame, _DATATYPE_UINT16, cnt0, 8);
        ck_assert_int_eq(daoShmImage2Shm(frame, 8, image), DAO_SUCCESS);
    }
}

static void expect_next(IMAGE *image, int_fast8_t status, uint32_t slot, uint64_t cnt0)
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
static void expect_no_next(IMAGE *image, int_fast8_t status)
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

/* ---- create and open ---- */

START_TEST(a_created_image_is_filled_in)
{
    IMAGE image = create("created", 4);

    ck_assert_uint_eq(image.used, 1);
    ck_assert_int_ge(image.shmfd, 0);
    ck_assert_uint_eq(image.memsize, 4 * (4304 + 16));
    ck_assert_uint_eq(image.md[0].fifo_size, 4);
    ck_assert_uint_eq(image.md[0].fifo_last_written, 3);
    ck_assert_ptr_eq(image.array.V, (char *)image.md + 4 * 4304);
    ck_assert_ptr_null(image.kw);
    ck_assert_ptr_nonnull(image.semlog);
    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++)
        ck_assert_ptr_nonnull(image.semptr[i]);
    ck_assert_ptr_nonnull(image.semReadPID);
    ck_assert_ptr_nonnull(image.semWritePID);
    ck_assert_uint_eq(image.fifo_last_read, 3);
    ck_assert_uint_eq(image.fifo_last_read_cnt0, 0);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
    ck_assert_str_eq(messages(), "");
}
END_TEST

START_TEST(the_plain_create_has_depth_1)
{
    uint32_t size[] = {97};
    IMAGE image;

    ck_assert_int_eq(
        daoShmImageCreate(&image, testbed_path("plain"), 1, size, _DATATYPE_FLOAT, 1, 2),
        DAO_SUCCESS);
    ck_assert_uint_eq(image.md[0].fifo_size, 1);
    ck_assert_uint_eq(image.md[0].size[1], 0);
    ck_assert_ptr_eq(image.kw, (char *)image.md + 4304 + 97 * 4);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(every_type_and_number_of_axes_carries_frames)
{
    uint32_t size[] = {5, 3, 2};
    unsigned atype = (unsigned)_i / 3 + 1;
    long naxis = _i % 3 + 1;
    uint64_t nelement = naxis == 1 ? 5 : naxis == 2 ? 15 : 30;
    unsigned char frame[30 * 16];
    IMAGE writer, reader;

    ck_assert_int_eq(daoShmImageCreate_FIFO(&writer, testbed_path("types"), naxis, size,
                                            (uint8_t)atype, 1, 1, 3),
                     DAO_SUCCESS);
    reader = open_image("types");
    for (uint64_t cnt0 = 1; cnt0 <= 7; cnt0++) {
        void *pixels;
        uint64_t count;

        ramp_fill(frame, (uint8_t)atype, cnt0, nelement);
        ck_assert_int_eq(daoShmImage2Shm(frame, (uint32_t)nelement, &writer), DAO_SUCCESS);
        ck_assert_int_eq(daoShmGetNextSegment(&reader, &pixels, NULL, &count), DAO_SUCCESS);
        ck_assert_uint_eq(count, cnt0);
        ck_assert_mem_eq(pixels, frame, nelement * ramp_types[atype].bytes);
    }
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(private_memory_needs_no_file)
{
    uint32_t size[] = {4, 2};
    IMAGE image;

    ck_assert_int_eq(daoShmImageCreate_FIFO(&image, "scratch", 2, size, _DATATYPE_UINT16, 0, 3, 2),
                     DAO_SUCCESS);
    ck_assert_int_eq(image.shmfd, -1);
    ck_assert_ptr_null(image.semlog);
    ck_assert_uint_eq(image.md[0].sem, 0);
    write_frames(&image, 1, 1);
    expect_next(&image, DAO_SUCCESS, 0, 1);
    expect_no_next(&image, DAO_NOTREADY);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
}
END_TEST

static void expect_not_created(const char *name, long naxis, uint32_t *size, uint8_t atype,
                               int nbkw, uint32_t depth, const char *word)
{
    IMAGE image;

    memset(&image, 0xa5, sizeof image);
    forget_messages();
    ck_assert_int_eq(daoShmImageCreate_FIFO(&image, name, naxis, size, atype, 1, nbkw, depth),
                     DAO_ERROR);
    ck_assert_uint_eq(image.used, 0);
    ck_assert_ptr_null(image.md);
    ck_assert_msg(strstr(messages(), word), "no \"%s\" in: %s", word, messages());
    ck_assert_ptr_nonnull(strstr(messages(), "daoShmImageCreate_FIFO"));
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_ERROR);
}

START_TEST(wrong_arguments_of_create_are_named)
{
    uint32_t size[] = {4, 2, 0};
    char name[400];

    snprintf(name, sizeof name, "%s", testbed_path("wrong"));
    expect_not_created(name, 0, size, 3, 0, 1, "naxis");
    expect_not_created(name, 4, size, 3, 0, 1, "naxis");
    expect_not_created(name, (1l << 32) + 2, size, 3, 0, 1, "naxis");
    expect_not_created(name, 3, size, 3, 0, 1, "size[2]");
    expect_not_created(name, 2, NULL, 3, 0, 1, "size is NULL");
    expect_not_created(name, 2, size, 0, 0, 1, "atype");
    expect_not_created(name, 2, size, 13, 0, 1, "atype");
    expect_not_created(name, 2, size, 3, -1, 1, "keywords");
    expect_not_created(name, 2, size, 3, 0, 0, "depth");
    expect_not_created(NULL, 2, size, 3, 0, 1, "name");
    expect_not_created("", 2, size, 3, 0, 1, "name");
    expect_not_created("/nonexistent/x.im.shm", 2, size, 3, 0, 1, "/nonexistent");
    expect_not_created(testbed_dir, 2, size, 3, 0, 1, testbed_dir);
    ck_assert_int_eq(access(name, F_OK), -1);
    ck_assert_int_eq(daoShmImageCreate_FIFO(NULL, name, 2, size, 3, 1, 0, 1), DAO_ERROR);
    ck_assert_int_eq(daoShmImageCreate(NULL, name, 2, size, 3, 1, 0), DAO_ERROR);
}
END_TEST

static void expect_not_opened(const char *name, const char *word)
{
    IMAGE image;

    memset(&image, 0xa5, sizeof image);
    forget_messages();
    ck_assert_int_eq(daoShmShm2Img(name, &image), DAO_ERROR);
    ck_assert_uint_eq(image.used, 0);
    ck_assert_ptr_null(image.md);
    ck_assert_msg(strstr(messages(), word), "no \"%s\" in: %s", word, messages());
}

static void make_file(const char *name, uint64_t bytes)
{
    int fd = open(testbed_path(name), O_CREAT | O_TRUNC | O_WRONLY, 0644);

    for (uint64_t i = 0; i < bytes; i++)
        ck_assert_int_eq((int)write(fd, "S", 1), 1);
    close(fd);
}

START_TEST(what_is_not_a_segment_is_not_opened)
{
    expect_not_opened(testbed_path("missing"), "No such file");
    expect_not_opened(testbed_dir, "directory");
    make_file("empty", 0);
    expect_not_opened(testbed_path("empty"), "empty");
    make_file("short", 100);
    expect_not_opened(testbed_path("short"), "too short");
    make_file("fits", 28800);
    expect_not_opened(testbed_path("fits"), "not a DAO segment");
    expect_not_opened("", "empty");
    expect_not_opened(NULL, "empty");
    ck_assert_int_eq(daoShmShm2Img(testbed_path("fits"), NULL), DAO_ERROR);
}
END_TEST

START_TEST(a_wrong_size_is_not_opened)
{
    IMAGE image = create("size", 2);

    ck_assert_int_eq(ftruncate(image.shmfd, (off_t)image.memsize + 16), 0);
    expect_not_opened(testbed_path("size"), "calls for 8640");
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_segment_from_before_fifo_is_explained)
{
    IMAGE image = create("prefifo", 1);
    unsigned char head[4296 + 16];

    memcpy(head, image.md, sizeof head);
    daoShmCloseShm(&image);
    make_file("prefifo", 0);
    ck_assert_int_eq(truncate(testbed_path("prefifo"), sizeof head), 0);
    {
        int fd = open(testbed_path("prefifo"), O_WRONLY);

        ck_assert_int_eq((int)pwrite(fd, head, sizeof head, 0), (int)sizeof head);
        close(fd);
    }
    expect_not_opened(testbed_path("prefifo"), "delete and recreate it");
}
END_TEST

START_TEST(closing_what_is_not_open_is_an_error)
{
    IMAGE image = create("closed", 1), zeroed;

    memset(&zeroed, 0, sizeof zeroed);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_ERROR);
    ck_assert_int_eq(daoShmCloseShm(&zeroed), DAO_ERROR);
    ck_assert_int_eq(daoShmCloseShm(NULL), DAO_ERROR);
}
END_TEST

START_TEST(every_function_refuses_an_image_that_is_not_open)
{
    IMAGE image;
    uint16_t frame[8] = {0};
    void *pixels;

    memset(&image, 0, sizeof image);
    for (int i = 0; i < 2; i++) {
        IMAGE *p = i ? NULL : &image;

        ck_assert_int_eq(daoShmImage2Shm(frame, 8, p), DAO_ERROR);
        ck_assert_int_eq(daoShmGetNextSegment(p, &pixels, NULL, NULL), DAO_ERROR);
        ck_assert_int_eq(daoShmGetNewestSegment(p, &pixels, NULL, NULL), DAO_ERROR);
        ck_assert_int_eq(daoShmGetArbitrarySegment(p, &pixels, 0), DAO_ERROR);
        ck_assert_int_eq(daoShmWaitForNextSegment(p), DAO_ERROR);
        ck_assert_int_eq(daoShmCheckSegmentOverwrite(p), DAO_ERROR);
        ck_assert_int_eq(daoShmResetTail(p, NULL, NULL), DAO_ERROR);
        ck_assert_uint_eq(daoShmGetCounter(p), 0);
    }
}
END_TEST

START_TEST(null_outputs_are_refused_where_they_are_the_point)
{
    IMAGE image = create("null", 4);
    uint16_t frame[8] = {0};
    void *pixels;

    write_frames(&image, 1, 1);
    ck_assert_int_eq(daoShmGetNextSegment(&image, NULL, NULL, NULL), DAO_ERROR);
    ck_assert_int_eq(daoShmGetNewestSegment(&image, NULL, NULL, NULL), DAO_ERROR);
    ck_assert_int_eq(daoShmGetArbitrarySegment(&image, NULL, 0), DAO_ERROR);
    ck_assert_int_eq(daoShmImage2Shm(NULL, 8, &image), DAO_ERROR);
    ck_assert_int_eq(daoShmGetNextSegment(&image, &pixels, NULL, NULL), DAO_SUCCESS);
    image.fifo_last_read = 4; /* a tail that cannot be */
    ck_assert_int_eq(daoShmGetNextSegment(&image, &pixels, NULL, NULL), DAO_ERROR);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_ERROR);
    ck_assert_int_eq(daoShmResetTail(&image, NULL, NULL), DAO_SUCCESS);
    ck_assert_int_eq(daoShmImage2Shm(frame, 8, &image), DAO_SUCCESS);
    ck_assert_int_eq(daoShmGetNextSegment(&image, &pixels, NULL, NULL), DAO_SUCCESS);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_copy_of_an_image_has_a_tail_of_its_own)
{
    IMAGE image = create("copy", 4), copy = image;

    write_frames(&image, 1, 2);
    expect_next(&image, DAO_SUCCESS, 0, 1);
    expect_next(&copy, DAO_SUCCESS, 0, 1);
    expect_next(&copy, DAO_SUCCESS, 1, 2);
    expect_next(&image, DAO_SUCCESS, 1, 2);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_segment_that_cannot_be_written_is_opened_read_only)
{
    IMAGE image = create("readonly", 2), reader;
    uint16_t frame[8] = {0};

    write_frames(&image, 1, 1);
    ck_assert_int_eq(chmod(testbed_dir, 0755), 0);
    ck_assert_int_eq(chmod(testbed_path("readonly"), 0444), 0);
    if (geteuid() == 0)
        ck_assert_int_eq(setuid(65534), 0);
    reader = open_image("readonly");
    ck_assert_int_eq(daoShmImage2Shm(frame, 8, &reader), DAO_ERROR);
    write_frames(&image, 2, 2);
    expect_next(&reader, DAO_SUCCESS, 1, 2);
    _exit(0); /* not our user any more: no leak check, nothing to be reported */
}
END_TEST

/* ---- writing ---- */

START_TEST(a_short_frame_leaves_the_old_rest)
{
    IMAGE image = create("part", 1);
    uint16_t frame[8] = {1, 2, 3, 4, 5, 6, 7, 8}, part[3] = {11, 12, 13};
    uint16_t expected[8] = {11, 12, 13, 4, 5, 6, 7, 8};

    ck_assert_int_eq(daoShmImage2Shm(frame, 8, &image), DAO_SUCCESS);
    ck_assert_int_eq(daoShmImage2Shm(part, 3, &image), DAO_SUCCESS);
    ck_assert_mem_eq(image.array.V, expected, sizeof expected);
    ck_assert_uint_eq(daoShmGetCounter(&image), 2);
    ck_assert_int_eq(daoShmImage2Shm(frame, 9, &image), DAO_ERROR);
    ck_assert_mem_eq(image.array.V, expected, sizeof expected);
    ck_assert_uint_eq(daoShmGetCounter(&image), 2);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_frame_posts_every_semaphore_once)
{
    IMAGE image = create("sems", 2);
    int value;

    write_frames(&image, 1, 3);
    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++) {
        ck_assert_int_eq(sem_getvalue(image.semptr[i], &value), 0);
        ck_assert_int_eq(value, 1);
    }
    daoShmCloseShm(&image);
    image = create("sems", 2); /* stale posts are drained */
    ck_assert_int_eq(sem_getvalue(image.semptr[5], &value), 0);
    ck_assert_int_eq(value, 0);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_damaged_head_refuses_the_frame)
{
    IMAGE image = create("damaged", 2);
    uint16_t frame[8] = {9};

    image.md[0].fifo_last_written = 2;
    ck_assert_int_eq(daoShmImage2Shm(frame, 8, &image), DAO_ERROR);
    ck_assert_ptr_nonnull(strstr(messages(), "fifo_last_written"));
    ck_assert_uint_eq(image.array.UI16[0], 0);
    daoShmCloseShm(&image);
}
END_TEST

/* ---- reading ---- */

START_TEST(four_written_at_depth_4_are_four_reads_that_succeed)
{
    IMAGE writer = create("four", 4), reader = open_image("four");

    expect_no_next(&reader, DAO_NOTREADY);
    write_frames(&writer, 1, 4);
    for (uint32_t i = 0; i < 4; i++)
        expect_next(&reader, DAO_SUCCESS, i, i + 1);
    expect_no_next(&reader, DAO_NOTREADY);
    ck_assert_str_eq(messages(), "");
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(one_more_than_a_cycle_is_an_overwrite_once)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("cycle", depth), reader = open_image("cycle");

    write_frames(&writer, 1, depth + 1);
    expect_next(&reader, DAO_OVERWRITE, 0, depth + 1);
    expect_no_next(&reader, DAO_NOTREADY);
    write_frames(&writer, depth + 2, depth + 2);
    expect_next(&reader, DAO_SUCCESS, 1 % depth, depth + 2);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_count_that_jumps_is_no_overwrite)
{
    IMAGE writer = create("jump", 4), reader = open_image("jump");

    write_frames(&writer, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    writer.md[0].cnt0 = 500; /* so the next one gets 501 */
    write_frames(&writer, 501, 501);
    writer.md[0].cnt0 = 1;
    expect_next(&reader, DAO_SUCCESS, 1, 501);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(the_newest_of_a_fresh_segment_is_its_last_slot)
{
    IMAGE image = create("newest", 3);
    static const uint16_t zeros[8];
    void *pixels = NULL;
    uint32_t idx = 99;
    uint64_t cnt0 = 99;

    ck_assert_int_eq(daoShmGetNewestSegment(&image, &pixels, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(idx, 2);
    ck_assert_uint_eq(cnt0, 0);
    ck_assert_mem_eq(pixels, zeros, sizeof zeros);
    ck_assert_uint_eq(daoShmGetCounter(&image), 0);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_newest_moves_the_tail)
{
    IMAGE image = create("newest2", 3);
    void *pixels;
    uint32_t idx;
    uint64_t cnt0;

    write_frames(&image, 1, 5);
    ck_assert_int_eq(daoShmGetNewestSegment(&image, &pixels, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(idx, 1);
    ck_assert_uint_eq(cnt0, 5);
    ck_assert_ptr_eq(pixels, image.array.UI16 + 8);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_SUCCESS);
    expect_no_next(&image, DAO_NOTREADY);
    write_frames(&image, 6, 6);
    expect_next(&image, DAO_SUCCESS, 2, 6);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_newest_and_the_counter_see_through_an_unstamped_head)
{
    IMAGE image = create("unstamped", 3), reader;
    void *pixels;
    uint64_t cnt0;

    write_frames(&image, 1, 5);
    image.md[0].fifo_last_written = 2; /* a field writer's head, count still to come */
    ck_assert_uint_eq(daoShmGetCounter(&image), 5);
    ck_assert_int_eq(daoShmGetNewestSegment(&image, &pixels, NULL, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 5);
    ck_assert_int_eq(daoShmResetTail(&image, NULL, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 5);
    reader = open_image("unstamped");
    ck_assert_uint_eq(reader.fifo_last_read_cnt0, 5);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(an_arbitrary_slot_is_taken_modulo_the_depth)
{
    IMAGE image = create("arbitrary", 3);
    void *pixels;

    for (uint_fast32_t i = 0; i < 7; i++) {
        ck_assert_int_eq(daoShmGetArbitrarySegment(&image, &pixels, i), DAO_SUCCESS);
        ck_assert_ptr_eq(pixels, image.array.UI16 + 8 * (i % 3));
    }
    ck_assert_uint_eq(image.fifo_last_read, 2); /* the tail stays */
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(resetting_the_tail_goes_to_the_newest)
{
    IMAGE image = create("reset", 4);
    uint32_t idx = 99;
    uint64_t cnt0 = 99;

    write_frames(&image, 1, 3);
    ck_assert_int_eq(daoShmResetTail(&image, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(idx, 2);
    ck_assert_uint_eq(cnt0, 3);
    expect_no_next(&image, DAO_NOTREADY);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(an_overwrite_of_the_tail_is_found)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("check", depth);
    IMAGE_METADATA *md;

    write_frames(&image, 1, 1);
    expect_next(&image, DAO_SUCCESS, 0, 1);
    md = &image.md[0];
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_SUCCESS);
    md->write = 1;
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_OVERWRITE);
    md->write = 0;
    md->cnt0 = 2;
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_OVERWRITE);
    md->cnt0 = 1;
    write_frames(&image, 2, depth); /* a full cycle: ours is the oldest, and still there */
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_SUCCESS);
    write_frames(&image, depth + 1, depth + 1);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_OVERWRITE);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(new_pixels_under_the_tails_old_count_are_an_overwrite)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("check1", depth);

    write_frames(&image, 1, 1);
    expect_next(&image, DAO_SUCCESS, 0, 1);
    write_frames(&image, 2, depth);
    image.md[0].fifo_last_written = 0; /* a field writer went over slot 0: head, no count yet */
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), depth == 1 ? DAO_SUCCESS : DAO_OVERWRITE);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_check_of_a_fresh_segment_succeeds)
{
    IMAGE image = create("check2", testbed_depths[_i]);

    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_SUCCESS);
    daoShmCloseShm(&image);
}
END_TEST

/* ---- restarts and disappearances ---- */

START_TEST(a_restart_of_the_same_shape_is_an_overwrite_once)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("restart", depth), reader = open_image("restart"), again;

    write_frames(&writer, 1, 2);
    daoShmCloseShm(&writer);
    again = create("restart", depth);
    write_frames(&again, 1, 1);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_OVERWRITE);
    expect_next(&reader, DAO_OVERWRITE, 0, 1);
    expect_no_next(&reader, DAO_NOTREADY);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    write_frames(&again, 2, 2);
    expect_next(&reader, DAO_SUCCESS, 1 % depth, 2);
    daoShmCloseShm(&again);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_count_that_goes_back_is_an_overwrite_once)
{
    IMAGE writer = create("back", 4), reader = open_image("back");

    write_frames(&writer, 1, 2);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    expect_next(&reader, DAO_SUCCESS, 1, 2);
    write_frames(&writer, 3, 4);
    expect_next(&reader, DAO_SUCCESS, 2, 3);
    expect_next(&reader, DAO_SUCCESS, 3, 4);
    writer.md[3].cnt0 = 0; /* so counts begin again at 1 */
    write_frames(&writer, 1, 2);
    expect_next(&reader, DAO_OVERWRITE, 1, 2);
    expect_no_next(&reader, DAO_NOTREADY);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

static void expect_gone(IMAGE *image)
{
    void *pixels = image;

    expect_no_next(image, DAO_ERROR);
    ck_assert_int_eq(daoShmGetNewestSegment(image, &pixels, NULL, NULL), DAO_ERROR);
    ck_assert_int_eq(daoShmGetArbitrarySegment(image, &pixels, 0), DAO_ERROR);
    ck_assert_ptr_eq(pixels, image);
    ck_assert_int_eq(daoShmResetTail(image, NULL, NULL), DAO_ERROR);
    ck_assert_int_eq(daoShmWaitForNextSegment(image), DAO_ERROR);
    ck_assert_uint_eq(daoShmGetCounter(image), 0);
}

START_TEST(a_truncated_segment_is_an_error_until_opened_again)
{
    IMAGE image = create("truncated", 3), reader = open_image("truncated");
    uint16_t frame[8] = {0};

    write_frames(&image, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    ck_assert_int_eq(ftruncate(image.shmfd, 0), 0);
    expect_gone(&reader);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_ERROR);
    ck_assert_int_eq(daoShmImage2Shm(frame, 8, &image), DAO_ERROR);
    ck_assert_int_eq(daoShmCloseShm(&reader), DAO_SUCCESS);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
    image = create("truncated", 3);
    reader = open_image("truncated");
    write_frames(&image, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_segment_that_is_gone_is_reported_once)
{
    IMAGE image = create("once", 3);
    const char *line;

    ck_assert_int_eq(unlink(testbed_path("once")), 0);
    for (int i = 0; i < 5; i++)
        expect_no_next(&image, DAO_ERROR);
    line = strstr(messages(), "open it again");
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_null(strstr(line + 1, "open it again"));
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_replaced_segment_is_an_error)
{
    IMAGE old = create("replaced", 3), fresh = create("replaced", 4);

    expect_gone(&old);
    ck_assert_int_eq(daoShmCloseShm(&old), DAO_SUCCESS);
    ck_assert_int_eq(daoShmCloseShm(&fresh), DAO_SUCCESS);
}
END_TEST

START_TEST(a_pointer_given_out_survives_a_truncation)
{
    IMAGE image = create("pointer", 3);
    void *pixels;

    write_frames(&image, 1, 1);
    ck_assert_int_eq(daoShmGetNextSegment(&image, &pixels, NULL, NULL), DAO_SUCCESS);
    ck_assert_int_eq(ftruncate(image.shmfd, 0), 0);
    ck_assert_uint_eq(((volatile uint16_t *)pixels)[3], 0);
    expect_no_next(&image, DAO_ERROR);
    daoShmCloseShm(&image);
}
END_TEST

/* ---- waiting ---- */

static void *write_later(void *arg)
{
    struct timespec rest = {.tv_nsec = 30000000};
    uint16_t frame[8] = {0};

    nanosleep(&rest, NULL);
    daoShmImage2Shm(frame, 8, arg);
    return NULL;
}

START_TEST(a_wait_ends_with_the_next_frame_through_the_same_image)
{
    IMAGE image = create("wait", testbed_depths[_i]);
    pthread_t thread;
    uint64_t cnt0;
    void *pixels;

    ck_assert_int_eq(pthread_create(&thread, NULL, write_later, &image), 0);
    ck_assert_int_eq(daoShmWaitForNextSegment(&image), DAO_SUCCESS);
    ck_assert_uint_eq(image.fifo_last_read_cnt0, 0);
    ck_assert_int_eq(daoShmGetNextSegment(&image, &pixels, NULL, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 1);
    pthread_join(thread, NULL);
    daoShmCloseShm(&image);
}
END_TEST

static void do_nothing(int signo)
{
    (void)signo;
}

START_TEST(a_signal_ends_a_wait_with_eintr)
{
    /* Again and again: on a busy machine the first can come before the wait. */
    struct itimerval timer = {{.tv_usec = 50000}, {.tv_usec = 50000}};
    IMAGE image = create("signal", 3);

    ck_assert_ptr_ne((void *)(uintptr_t)signal(SIGALRM, do_nothing), (void *)(uintptr_t)SIG_ERR);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
    errno = 0;
    ck_assert_int_eq(daoShmWaitForNextSegment(&image), DAO_ERROR);
    ck_assert_int_eq(errno, EINTR);
    ck_assert_uint_eq(image.fifo_last_read, 2);
    expect_no_next(&image, DAO_NOTREADY);
    ck_assert_str_eq(messages(), "");
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_restart_ends_a_wait)
{
    IMAGE image = create("waitrestart", 3), again;

    write_frames(&image, 1, 1);
    expect_next(&image, DAO_SUCCESS, 0, 1);
    again = create("waitrestart", 3);
    ck_assert_int_eq(daoShmWaitForNextSegment(&image), DAO_SUCCESS);
    daoShmCloseShm(&image);
    daoShmCloseShm(&again);
}
END_TEST

/* ---- messages ---- */

START_TEST(messages_are_filtered_by_the_level)
{
    IMAGE image;
    uint32_t size[] = {4, 2};

    ck_assert_int_eq(daoGetLogLevel(), DAO_WARNING);
    ck_assert_int_eq(daoLogLevel, 0);
    daoSetLogLevel(DAO_INFO);
    ck_assert_int_eq(daoGetLogLevel(), DAO_INFO);
    image = create("level", 2);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
    daoSetLogLevel(-5); /* errors come at any level */
    forget_messages();
    ck_assert_int_eq(daoShmImageCreate(&image, testbed_path("level"), 9, size, 3, 1, 0), DAO_ERROR);
    ck_assert_ptr_nonnull(strstr(messages(), "[error]"));
}
END_TEST

START_TEST(opening_read_only_is_told_at_the_info_level)
{
    IMAGE image = create("info", 2);

    ck_assert_int_eq(chmod(testbed_dir, 0755), 0);
    ck_assert_int_eq(chmod(testbed_path("stderr"), 0666), 0);
    ck_assert_int_eq(chmod(testbed_path("info"), 0444), 0);
    daoShmCloseShm(&image);
    if (geteuid() == 0)
        ck_assert_int_eq(setuid(65534), 0);
    image = open_image("info");
    ck_assert_ptr_null(strstr(messages(), "read-only"));
    daoSetLogLevel(DAO_INFO);
    image = open_image("info");
    ck_assert_ptr_nonnull(strstr(messages(), "[info] daoShmShm2Img"));
    ck_assert_ptr_nonnull(strstr(messages(), "read-only"));
    _exit(0);
}
END_TEST

static void add_reading(TCase *reading)
{
    tcase_add_test(reading, four_written_at_depth_4_are_four_reads_that_succeed);
    tcase_add_loop_test(reading, one_more_than_a_cycle_is_an_overwrite_once, 0, DEPTHS);
    tcase_add_test(reading, a_count_that_jumps_is_no_overwrite);
    tcase_add_test(reading, the_newest_of_a_fresh_segment_is_its_last_slot);
    tcase_add_test(reading, the_newest_moves_the_tail);
    tcase_add_test(reading, the_newest_and_the_counter_see_through_an_unstamped_head);
    tcase_add_test(reading, an_arbitrary_slot_is_taken_modulo_the_depth);
    tcase_add_test(reading, resetting_the_tail_goes_to_the_newest);
    tcase_add_loop_test(reading, an_overwrite_of_the_tail_is_found, 0, DEPTHS);
    tcase_add_loop_test(reading, new_pixels_under_the_tails_old_count_are_an_overwrite, 0, DEPTHS);
    tcase_add_loop_test(reading, the_check_of_a_fresh_segment_succeeds, 0, DEPTHS);
}

static void add_changes(TCase *changes)
{
    tcase_add_loop_test(changes, a_restart_of_the_same_shape_is_an_overwrite_once, 0, DEPTHS);
    tcase_add_test(changes, a_count_that_goes_back_is_an_overwrite_once);
    tcase_add_test(changes, a_truncated_segment_is_an_error_until_opened_again);
    tcase_add_test(changes, a_segment_that_is_gone_is_reported_once);
    tcase_add_test(changes, a_replaced_segment_is_an_error);
    tcase_add_test(changes, a_pointer_given_out_survives_a_truncation);
    tcase_add_loop_test(changes, a_wait_ends_with_the_next_frame_through_the_same_image, 0, DEPTHS);
    tcase_add_test(changes, a_signal_ends_a_wait_with_eintr);
    tcase_add_test(changes, a_restart_ends_a_wait);
    tcase_add_test(changes, messages_are_filtered_by_the_level);
    tcase_add_test(changes, opening_read_only_is_told_at_the_info_level);
}

int main(void)
{
    Suite *suite = suite_create("api");
    TCase *opening = tcase_create("create and open"), *writing = tcase_create("writing");
    TCase *reading = tcase_create("reading"), *changes = tcase_create("changes");
    TCase *all[] = {opening, writing, reading, changes};

    tcase_add_test(opening, a_created_image_is_filled_in);
    tcase_add_test(opening, the_plain_create_has_depth_1);
    tcase_add_loop_test(opening, every_type_and_number_of_axes_carries_frames, 0, 36);
    tcase_add_test(opening, private_memory_needs_no_file);
    tcase_add_test(opening, wrong_arguments_of_create_are_named);
    tcase_add_test(opening, what_is_not_a_segment_is_not_opened);
    tcase_add_test(opening, a_wrong_size_is_not_opened);
    tcase_add_test(opening, a_segment_from_before_fifo_is_explained);
    tcase_add_test(opening, closing_what_is_not_open_is_an_error);
    tcase_add_test(opening, every_function_refuses_an_image_that_is_not_open);
    tcase_add_test(opening, null_outputs_are_refused_where_they_are_the_point);
    tcase_add_test(opening, a_copy_of_an_image_has_a_tail_of_its_own);
    tcase_add_test(opening, a_segment_that_cannot_be_written_is_opened_read_only);
    tcase_add_test(writing, a_short_frame_leaves_the_old_rest);
    tcase_add_test(writing, a_frame_posts_every_semaphore_once);
    tcase_add_test(writing, a_damaged_head_refuses_the_frame);
    add_reading(reading);
    add_changes(changes);
    for (int i = 0; i < 4; i++) {
        tcase_add_checked_fixture(all[i], redirect_messages, restore_messages);
        tcase_set_timeout(all[i], 30);
        suite_add_tcase(suite, all[i]);
    }
    return testbed_run(suite);
}
