/*
 * test_api_restart.c - dao.h: a source that starts again or disappears, and waits for frames.
 */
#include "tests/support/api_bed.h"

#include <pthread.h>
#include <time.h>

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

START_TEST(a_signal_ends_a_wait_with_eintr)
{
    IMAGE image = create("signal", 3);

    disturb(_i ? SA_RESTART : 0);
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

int main(void)
{
    Suite *suite = suite_create("api_restart");
    TCase *tcase;

    tcase = api_add(suite, "restarts and disappearances");
    tcase_add_loop_test(tcase, a_restart_of_the_same_shape_is_an_overwrite_once, 0, DEPTHS);
    tcase_add_test(tcase, a_count_that_goes_back_is_an_overwrite_once);
    tcase_add_test(tcase, a_truncated_segment_is_an_error_until_opened_again);
    tcase_add_test(tcase, a_segment_that_is_gone_is_reported_once);
    tcase_add_test(tcase, a_replaced_segment_is_an_error);
    tcase_add_test(tcase, a_pointer_given_out_survives_a_truncation);
    tcase = api_add(suite, "waiting");
    tcase_add_loop_test(tcase, a_wait_ends_with_the_next_frame_through_the_same_image, 0, DEPTHS);
    tcase_add_loop_test(tcase, a_signal_ends_a_wait_with_eintr, 0, 2);
    tcase_add_test(tcase, a_restart_ends_a_wait);
    return testbed_run(suite);
}
