/*
 * test_api_open.c - dao.h: creating, opening and closing, and what is refused.
 */
#include "tests/support/api_bed.h"

/* ---- creating ---- */

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

START_TEST(a_segment_created_again_is_as_fresh_as_the_first_time)
{
    static const uint16_t zeros[3 * 8];
    IMAGE first = create("fresh", 3), again;

    write_frames(&first, 1, 4);
    ck_assert_int_eq(call_part(&first), DAO_SUCCESS);
    again = create("fresh", 3);
    ck_assert_mem_eq(again.array.V, zeros, sizeof zeros);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(again.md[i].cnt0, 0);
        ck_assert_uint_eq(again.md[i].cnt2, 0);
        ck_assert_uint_eq(again.md[i].write, 0);
        ck_assert_uint_eq(again.md[i].packetTotal, 0);
    }
    ck_assert_uint_eq(again.fifo_last_read, 2);
    ck_assert_uint_eq(again.fifo_last_read_cnt0, 0);
    expect_newest(&again, 2, 0);
    expect_semaphores(&again, 0);
    write_frames(&first, 1, 1); /* the same file: the old handle goes on writing it */
    expect_next(&again, DAO_SUCCESS, 0, 1);
    daoShmCloseShm(&first);
    daoShmCloseShm(&again);
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

START_TEST(a_segment_of_one_axis_of_values_comes_with_its_image)
{
    IMAGE *image = NULL, reader;
    float values[5] = {1, 2, 3, 4, 5};

    ck_assert_int_eq(daoShmInit1D(testbed_path("init1d"), 5, &image), DAO_SUCCESS);
    ck_assert_ptr_nonnull(image);
    ck_assert_uint_eq(image->used, 1);
    ck_assert_uint_eq(image->md[0].naxis, 2);
    ck_assert_uint_eq(image->md[0].size[0], 5);
    ck_assert_uint_eq(image->md[0].size[1], 1);
    ck_assert_uint_eq(image->md[0].size[2], 0);
    ck_assert_uint_eq(image->md[0].nelement, 5);
    ck_assert_uint_eq(image->md[0].atype, _DATATYPE_FLOAT);
    ck_assert_uint_eq(image->md[0].shared, 1);
    ck_assert_uint_eq(image->md[0].fifo_size, 1);
    ck_assert_uint_eq(image->md[0].NBkw, 0);
    reader = open_image("init1d");
    ck_assert_int_eq(daoShmImage2Shm(values, 5, image), DAO_SUCCESS);
    ck_assert_uint_eq(daoShmGetCounter(&reader), 1);
    ck_assert_mem_eq(reader.array.F, values, sizeof values);
    ck_assert_int_eq(daoShmCloseShm(image), DAO_SUCCESS);
    free(image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_segment_of_one_axis_that_cannot_be_made_is_no_image)
{
    IMAGE other, *image = &other;

    ck_assert_int_eq(daoShmInit1D(testbed_path("no1d"), 0, &image), DAO_ERROR);
    ck_assert_ptr_null(image);
    expect_message("size[0]");
    image = &other;
    ck_assert_int_eq(daoShmInit1D(NULL, 5, &image), DAO_ERROR);
    ck_assert_ptr_null(image);
    image = &other;
    ck_assert_int_eq(daoShmInit1D("/nonexistent/x.im.shm", 5, &image), DAO_ERROR);
    ck_assert_ptr_null(image);
    ck_assert_int_eq(daoShmInit1D(testbed_path("no1d"), 5, NULL), DAO_ERROR);
    expect_message("daoShmInit1D: ");
    ck_assert_int_eq(access(testbed_path("no1d"), F_OK), -1);
}
END_TEST

/* ---- opening ---- */

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

/* ---- closing ---- */

START_TEST(closing_zeroes_the_image_and_leaves_the_segment)
{
    IMAGE image = create("stays", 2), zeroed;

    memset(&zeroed, 0, sizeof zeroed);
    write_frames(&image, 1, 3);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
    ck_assert_mem_eq(&image, &zeroed, sizeof image);
    image = open_image("stays");
    expect_newest(&image, 0, 3);
    expect_semaphores(&image, 1); /* those of the frames: an open drains nothing */
    daoShmCloseShm(&image);
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

int main(void)
{
    Suite *suite = suite_create("api_open");
    TCase *tcase;

    tcase = api_add(suite, "creating");
    tcase_add_test(tcase, a_created_image_is_filled_in);
    tcase_add_test(tcase, a_segment_created_again_is_as_fresh_as_the_first_time);
    tcase_add_test(tcase, the_plain_create_has_depth_1);
    tcase_add_loop_test(tcase, every_type_and_number_of_axes_carries_frames, 0, 36);
    tcase_add_test(tcase, private_memory_needs_no_file);
    tcase_add_test(tcase, wrong_arguments_of_create_are_named);
    tcase_add_test(tcase, a_segment_of_one_axis_of_values_comes_with_its_image);
    tcase_add_test(tcase, a_segment_of_one_axis_that_cannot_be_made_is_no_image);
    tcase = api_add(suite, "opening");
    tcase_add_test(tcase, what_is_not_a_segment_is_not_opened);
    tcase_add_test(tcase, a_wrong_size_is_not_opened);
    tcase_add_test(tcase, a_segment_from_before_fifo_is_explained);
    tcase_add_test(tcase, a_copy_of_an_image_has_a_tail_of_its_own);
    tcase_add_test(tcase, a_segment_that_cannot_be_written_is_opened_read_only);
    tcase_add_test(tcase, opening_read_only_is_told_at_the_info_level);
    tcase = api_add(suite, "closing");
    tcase_add_test(tcase, closing_zeroes_the_image_and_leaves_the_segment);
    tcase_add_test(tcase, closing_what_is_not_open_is_an_error);
    tcase_add_test(tcase, every_function_refuses_an_image_that_is_not_open);
    tcase_add_test(tcase, null_outputs_are_refused_where_they_are_the_point);
    return testbed_run(suite);
}
