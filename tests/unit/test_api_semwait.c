/*
 * test_api_semwait.c - dao.h: waits for a segment's semaphores, and all that ends them.
 */
#include "tests/support/api_bed.h"

#include <pthread.h>

#include "lib/clock.h"

#define NS_PER_S 1000000000

/* An absolute time so many milliseconds from now. */
static struct timespec in_ms(int64_t ms)
{
    int64_t ns = dao_clock_real_ns() + ms * 1000000;

    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

/* Either function, with a deadline that is never reached. */
static int_fast8_t wait_long(IMAGE *image, int32_t index, int with_timeout)
{
    struct timespec timeout = in_ms(3600000);

    return with_timeout ? daoShmWaitForSemaphoreTimeout(image, index, &timeout)
                        : daoShmWaitForSemaphore(image, index);
}

/* Something to be done while another thread waits. */
struct deed {
    void (*act)(IMAGE *image);
    IMAGE *image;
    pthread_t thread;
};

static void *act_later(void *arg)
{
    const struct timespec rest = {.tv_nsec = 30000000};
    struct deed *deed = arg;

    nanosleep(&rest, NULL);
    deed->act(deed->image);
    return NULL;
}

static void start_deed(struct deed *deed, void (*act)(IMAGE *image), IMAGE *image)
{
    deed->act = act;
    deed->image = image;
    ck_assert_int_eq(pthread_create(&deed->thread, NULL, act_later, deed), 0);
}

/* ---- posts ---- */

START_TEST(a_wait_takes_the_post_that_is_there)
{
    IMAGE image = create("there", 2);

    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(daoSemPostAll(&image), DAO_SUCCESS);
        ck_assert_int_eq(wait_long(&image, 4, i), DAO_SUCCESS);
        for (int j = 0; j < IMAGE_NB_SEMAPHORE; j++)
            ck_assert_int_eq(semaphore_value(&image, j), j != 4);
    }
    ck_assert_str_eq(messages(), "");
    daoShmCloseShm(&image);
}
END_TEST

static void post_3(IMAGE *image)
{
    daoSemPost(image, 3);
}

static void publish(IMAGE *image)
{
    call_image2shm(image);
}

START_TEST(a_wait_ends_with_a_post_or_a_frame)
{
    IMAGE image = create("later", 2), writer = open_image("later");
    struct deed deed;

    start_deed(&deed, _i / 2 ? post_3 : publish, &writer);
    ck_assert_int_eq(wait_long(&image, 3, _i % 2), DAO_SUCCESS);
    pthread_join(deed.thread, NULL);
    ck_assert_int_eq(semaphore_value(&image, 3), 0);
    ck_assert_uint_eq(image.fifo_last_read_cnt0, 0); /* the tail is no affair of semaphores */
    daoShmCloseShm(&image);
    daoShmCloseShm(&writer);
}
END_TEST

/* ---- deadlines ---- */

START_TEST(a_deadline_in_the_past_is_one_look)
{
    const struct timespec past[] = {
        {0}, {.tv_nsec = 999999999}, {.tv_sec = -5}, {.tv_sec = INT64_MIN}, in_ms(-1)};
    IMAGE image = create("past", 2);

    for (size_t i = 0; i < sizeof past / sizeof past[0]; i++) {
        errno = 0;
        ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&image, 1, &past[i]), DAO_TIMEOUT);
        ck_assert_int_eq(errno, ETIMEDOUT);
        ck_assert_int_eq(daoSemPost(&image, 1), DAO_SUCCESS);
        ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&image, 1, &past[i]), DAO_SUCCESS);
        ck_assert_int_eq(semaphore_value(&image, 1), 0);
    }
    ck_assert_str_eq(messages(), "");
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_wait_ends_at_its_deadline_and_not_before)
{
    IMAGE image = create("deadline", 2);
    struct timespec timeout = in_ms(_i); /* less and more than the time between two looks */

    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&image, 0, &timeout), DAO_TIMEOUT);
    ck_assert_int_ge(dao_clock_real_ns(), timeout.tv_sec * NS_PER_S + timeout.tv_nsec);
    ck_assert_str_eq(messages(), "");
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_deadline_beyond_all_clocks_is_no_error)
{
    const struct timespec never = {.tv_sec = INT64_MAX, .tv_nsec = 999999999};
    IMAGE image = create("never", 2);
    struct deed deed;

    start_deed(&deed, post_3, &image);
    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&image, 3, &never), DAO_SUCCESS);
    pthread_join(deed.thread, NULL);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_deadline_that_is_no_time_is_refused)
{
    const struct timespec wrong[] = {{.tv_sec = 1, .tv_nsec = NS_PER_S},
                                     {.tv_sec = 1, .tv_nsec = -1},
                                     {.tv_sec = 1, .tv_nsec = INT64_MAX}};
    IMAGE image = create("wrong", 2);

    ck_assert_int_eq(daoSemPost(&image, 0), DAO_SUCCESS);
    for (int i = 0; i < 3; i++) {
        forget_messages();
        ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&image, 0, &wrong[i]), DAO_ERROR);
        expect_message("timeout is out of range");
    }
    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&image, 0, NULL), DAO_ERROR);
    expect_message("timeout is NULL");
    ck_assert_int_eq(semaphore_value(&image, 0), 1);
    daoShmCloseShm(&image);
}
END_TEST

/* ---- signals ---- */

START_TEST(a_handled_signal_ends_a_wait_with_eintr)
{
    IMAGE image = create("signal", 2);

    disturb(_i / 2 ? SA_RESTART : 0);
    ck_assert_int_eq(wait_long(&image, 0, _i % 2), DAO_TIMEOUT);
    ck_assert_int_eq(errno, EINTR);
    ck_assert_int_gt(signals_handled, 0);
    ck_assert_str_eq(messages(), "");
    daoSetLogLevel(DAO_INFO); /* a message leaves errno alone */
    errno = 0;
    ck_assert_int_eq(wait_long(&image, 0, _i % 2), DAO_TIMEOUT);
    ck_assert_int_eq(errno, EINTR);
    expect_message("a signal ended the wait");
    daoShmCloseShm(&image);
}
END_TEST

/* ---- segments that are gone ---- */

#define LOST "lost" /* their name: an IMAGE cuts a long one */

static void truncate_it(IMAGE *image)
{
    if (ftruncate(image->shmfd, 0) < 0)
        abort();
}

static void remove_it(IMAGE *image)
{
    (void)image;
    unlink(testbed_path(LOST));
}

static void replace_it(IMAGE *image)
{
    uint32_t size[] = {4, 2};
    IMAGE other;

    (void)image;
    daoShmImageCreate_FIFO(&other, testbed_path(LOST), 2, size, _DATATYPE_UINT16, 1, 0, 7);
    daoShmCloseShm(&other);
}

/* As a writer does that truncates in place and makes a file of the same size: 2 x 4, not 4 x 2. */
static void reshape_it(IMAGE *image)
{
    image->md[0].size[0] = 2;
    image->md[0].size[1] = 4;
    image->md[0].creation_time += 1.0;
}

static void (*const losses[])(IMAGE *image) = {truncate_it, remove_it, replace_it, reshape_it};
#define LOSSES (int)(sizeof losses / sizeof losses[0])

START_TEST(a_segment_that_goes_ends_a_wait)
{
    IMAGE image = create(LOST, 2), other = open_image(LOST);
    struct deed deed;

    start_deed(&deed, losses[_i / 2], &other);
    ck_assert_int_eq(wait_long(&image, 0, _i % 2), DAO_ERROR);
    pthread_join(deed.thread, NULL);
    expect_message(_i % 2 ? "daoShmWaitForSemaphoreTimeout: " : "daoShmWaitForSemaphore: ");
    expect_message("close it and open it again");
    daoShmCloseShm(&image);
    daoShmCloseShm(&other);
}
END_TEST

START_TEST(a_segment_that_is_gone_has_no_waits)
{
    const struct timespec past = {0};
    IMAGE image = create(LOST, 2);

    ck_assert_int_eq(daoSemPostAll(&image), DAO_SUCCESS);
    losses[_i](&image);
    ck_assert_int_eq(daoShmWaitForSemaphore(&image, 0), DAO_ERROR);
    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&image, 0, &past), DAO_ERROR);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
}
END_TEST

START_TEST(a_restart_of_the_same_shape_is_none_of_these)
{
    const struct timespec past = {0};
    IMAGE image = create("restart", 2), again;

    write_frames(&image, 1, 1);
    again = create("restart", 2);
    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&image, 0, &past), DAO_TIMEOUT);
    write_frames(&again, 1, 1);
    ck_assert_int_eq(daoShmWaitForSemaphore(&image, 0), DAO_SUCCESS);
    daoShmCloseShm(&image);
    daoShmCloseShm(&again);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_semwait");
    TCase *tcase;

    tcase = api_add(suite, "posts");
    tcase_add_test(tcase, a_wait_takes_the_post_that_is_there);
    tcase_add_loop_test(tcase, a_wait_ends_with_a_post_or_a_frame, 0, 4);
    tcase = api_add(suite, "deadlines");
    tcase_add_test(tcase, a_deadline_in_the_past_is_one_look);
    tcase_add_loop_test(tcase, a_wait_ends_at_its_deadline_and_not_before, 20, 21);
    tcase_add_loop_test(tcase, a_wait_ends_at_its_deadline_and_not_before, 130, 131);
    tcase_add_test(tcase, a_deadline_beyond_all_clocks_is_no_error);
    tcase_add_test(tcase, a_deadline_that_is_no_time_is_refused);
    tcase = api_add(suite, "signals");
    tcase_add_loop_test(tcase, a_handled_signal_ends_a_wait_with_eintr, 0, 4);
    tcase = api_add(suite, "segments that are gone");
    tcase_add_loop_test(tcase, a_segment_that_goes_ends_a_wait, 0, 2 * LOSSES);
    tcase_add_loop_test(tcase, a_segment_that_is_gone_has_no_waits, 0, LOSSES);
    tcase_add_test(tcase, a_restart_of_the_same_shape_is_none_of_these);
    return testbed_run(suite);
}
