/*
 * test_api_write.c - dao.h: whole frames written and published.
 */
#include "tests/support/api_bed.h"

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

int main(void)
{
    Suite *suite = suite_create("api_write");
    TCase *tcase;

    tcase = api_add(suite, "writing");
    tcase_add_test(tcase, a_short_frame_leaves_the_old_rest);
    tcase_add_test(tcase, a_frame_posts_every_semaphore_once);
    tcase_add_test(tcase, a_damaged_head_refuses_the_frame);
    return testbed_run(suite);
}
