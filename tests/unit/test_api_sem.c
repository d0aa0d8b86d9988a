/*
 * test_api_sem.c - dao.h: a segment's semaphores made, made again and posted.
 */
#include "tests/support/api_bed.h"

#include <limits.h>

static int_fast8_t (*const create_functions[])(IMAGE *, long) = {daoShmImageCreateSem,
                                                                 daoImageCreateSem};

/* The file of a semaphore; index -1: the log's. */
static const char *sem_path(const char *name, int index)
{
    static char path[200];

    if (index < 0)
        snprintf(path, sizeof path, "/dev/shm/sem.%s_%s_semlog", testbed_prefix, name);
    else
        snprintf(path, sizeof path, "/dev/shm/sem.%s_%s_sem%02d", testbed_prefix, name, index);
    return path;
}

static bool sem_exists(const char *name, int index)
{
    return access(sem_path(name, index), F_OK) == 0;
}

static void remove_semaphores(const char *name)
{
    for (int i = -1; i < IMAGE_NB_SEMAPHORE; i++)
        ck_assert_int_eq(unlink(sem_path(name, i)), 0);
}

/* A post through one image comes out at another one. */
static void expect_connected(IMAGE *from, IMAGE *to, int32_t index)
{
    const struct timespec past = {0};

    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(to, index, &past), DAO_TIMEOUT);
    ck_assert_int_eq(daoSemPost(from, index), DAO_SUCCESS);
    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(to, index, &past), DAO_SUCCESS);
    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(to, index, &past), DAO_TIMEOUT);
}

/* ---- making them ---- */

START_TEST(a_created_segment_has_ten_semaphores_and_one_for_a_logger)
{
    struct stat st;
    mode_t old = umask(027);
    IMAGE image = create("made", 2);

    umask(old);
    ck_assert_uint_eq(image.md[0].sem, IMAGE_NB_SEMAPHORE);
    for (int i = -1; i < IMAGE_NB_SEMAPHORE; i++) {
        ck_assert_int_eq(stat(sem_path("made", i), &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0640); /* 0666 under the umask */
        ck_assert_int_eq(semaphore_value(&image, i), 0);
    }
    ck_assert(!sem_exists("made", IMAGE_NB_SEMAPHORE));
    daoShmCloseShm(&image);
    for (int i = -1; i < IMAGE_NB_SEMAPHORE; i++) /* they stay, as the file does */
        ck_assert(sem_exists("made", i));
}
END_TEST

START_TEST(opening_a_segment_makes_the_semaphores_that_are_missing)
{
    IMAGE image = create("opened", 2), again;

    remove_semaphores("opened");
    again = open_image("opened");
    for (int i = -1; i < IMAGE_NB_SEMAPHORE; i++)
        ck_assert(sem_exists("opened", i));
    daoShmCloseShm(&image);
    daoShmCloseShm(&again);
}
END_TEST

START_TEST(removed_semaphores_are_made_again_for_each_handle_that_asks)
{
    IMAGE writer = create("again", 2), reader = open_image("again");
    int_fast8_t (*create_sem)(IMAGE *, long) = create_functions[_i];

    remove_semaphores("again");
    writer.md[0].sem = 0;
    ck_assert_int_eq(create_sem(&writer, IMAGE_NB_SEMAPHORE), DAO_SUCCESS);
    for (int i = -1; i < IMAGE_NB_SEMAPHORE; i++)
        ck_assert(sem_exists("again", i));
    ck_assert_uint_eq(writer.md[0].sem, IMAGE_NB_SEMAPHORE);
    ck_assert_int_eq(create_sem(&reader, IMAGE_NB_SEMAPHORE), DAO_SUCCESS);
    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++)
        expect_connected(&writer, &reader, i);
    ck_assert_int_eq(daoSemLogPost(&writer), DAO_SUCCESS);
    ck_assert_int_eq(semaphore_value(&reader, -1), 1);
    ck_assert_str_eq(messages(), "");
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(semaphores_that_are_there_keep_their_posts)
{
    IMAGE image = create("kept", 2);
    sem_t *before = image.semptr[3];

    ck_assert_int_eq(daoSemPost(&image, 3), DAO_SUCCESS);
    ck_assert_int_eq(create_functions[_i](&image, IMAGE_NB_SEMAPHORE), DAO_SUCCESS);
    ck_assert_ptr_eq(image.semptr[3], before);
    ck_assert_int_eq(semaphore_value(&image, 3), 1);
    ck_assert_int_eq(semaphore_value(&image, 4), 0);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(fewer_semaphores_are_the_first_ones)
{
    IMAGE image = create("fewer", 2);

    remove_semaphores("fewer");
    ck_assert_int_eq(create_functions[_i](&image, 3), DAO_SUCCESS);
    ck_assert_uint_eq(image.md[0].sem, 3);
    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++)
        ck_assert_int_eq(sem_exists("fewer", i), i < 3);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_number_of_semaphores_out_of_range_is_refused)
{
    static const long numbers[] = {0, -1, IMAGE_NB_SEMAPHORE + 1, LONG_MAX, LONG_MIN, 1l << 32};
    IMAGE image = create("range", 2);
    char word[80];

    remove_semaphores("range");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        forget_messages();
        ck_assert_int_eq(create_functions[_i](&image, numbers[i]), DAO_ERROR);
        snprintf(word, sizeof word, "NBsem is %ld, allowed are 1 to 10", numbers[i]);
        expect_message(word);
        expect_message(_i ? "daoImageCreateSem: " : "daoShmImageCreateSem: ");
    }
    ck_assert_uint_eq(image.md[0].sem, IMAGE_NB_SEMAPHORE);
    ck_assert(!sem_exists("range", 0));
    daoShmCloseShm(&image);
    ck_assert_int_eq(create_functions[_i](&image, 1), DAO_ERROR);
    ck_assert_int_eq(create_functions[_i](NULL, 1), DAO_ERROR);
}
END_TEST

START_TEST(a_read_only_image_gets_semaphores_when_it_asks_and_notes_no_number)
{
    IMAGE image = create("readonly", 2), reader;

    image.md[0].sem = 4;
    ck_assert_int_eq(daoShmShm2ImgReadOnly(testbed_path("readonly"), &reader), DAO_SUCCESS);
    ck_assert_int_eq(create_functions[_i](&reader, IMAGE_NB_SEMAPHORE), DAO_SUCCESS);
    ck_assert_uint_eq(image.md[0].sem, 4);
    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++)
        expect_connected(&image, &reader, i);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(semaphores_without_permission_are_an_error_and_frames_come_without_them)
{
    const struct timespec past = {0};
    const char *name = _i ? "refused1" : "refused0"; /* what is left of one has no rights */
    IMAGE image = create(name, 2), reader;

    ck_assert_int_eq(chmod(testbed_dir, 0755), 0);
    ck_assert_int_eq(chmod(testbed_path("stderr"), 0666), 0);
    ck_assert_int_eq(chmod(testbed_path(name), 0666), 0);
    daoShmCloseShm(&image); /* the C library would not open an open one again */
    for (int i = -1; i < IMAGE_NB_SEMAPHORE; i++)
        ck_assert_int_eq(chmod(sem_path(name, i), 0), 0);
    if (geteuid() == 0)
        ck_assert_int_eq(setuid(65534), 0);
    reader = open_image(name);
    expect_message("[warning] daoShmShm2Img");
    expect_message("going on without semaphores");
    forget_messages();
    ck_assert_int_eq(create_functions[_i](&reader, 2), DAO_ERROR);
    expect_message("Permission denied");
    ck_assert_uint_eq(reader.md[0].sem, IMAGE_NB_SEMAPHORE);
    ck_assert_int_eq(daoSemPost(&reader, 0), DAO_ERROR);
    ck_assert_int_eq(daoSemPostAll(&reader), DAO_ERROR);
    ck_assert_int_eq(daoSemLogPost(&reader), DAO_ERROR);
    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&reader, 0, &past), DAO_ERROR);
    expect_message("daoShmWaitForSemaphoreTimeout: ");
    write_frames(&reader, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    _exit(0); /* not our user any more */
}
END_TEST

/* ---- posting ---- */

START_TEST(a_post_raises_one_semaphore_and_never_above_1)
{
    IMAGE image = create("post", 2);

    for (int times = 0; times < 3; times++) {
        ck_assert_int_eq(daoSemPost(&image, _i), DAO_SUCCESS);
        for (int i = -1; i < IMAGE_NB_SEMAPHORE; i++)
            ck_assert_int_eq(semaphore_value(&image, i), i == _i);
    }
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_post_to_all_raises_the_ten_and_never_above_1)
{
    IMAGE image = create("postall", 2);

    ck_assert_int_eq(daoSemPost(&image, 5), DAO_SUCCESS);
    for (int times = 0; times < 3; times++) {
        ck_assert_int_eq(daoSemPostAll(&image), DAO_SUCCESS);
        expect_semaphores(&image, 1);
        ck_assert_int_eq(semaphore_value(&image, -1), 0);
    }
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_loggers_post_raises_its_own_and_never_above_1)
{
    IMAGE image = create("postlog", 2);

    for (int times = 0; times < 3; times++) {
        ck_assert_int_eq(daoSemLogPost(&image), DAO_SUCCESS);
        expect_semaphores(&image, 0);
        ck_assert_int_eq(semaphore_value(&image, -1), 1);
    }
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_value_above_1_that_others_left_is_not_raised)
{
    IMAGE image = create("above", 2);

    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(sem_post(image.semptr[2]), 0);
    ck_assert_int_eq(daoSemPost(&image, 2), DAO_SUCCESS);
    ck_assert_int_eq(daoSemPostAll(&image), DAO_SUCCESS);
    write_frames(&image, 1, 1);
    ck_assert_int_eq(semaphore_value(&image, 2), 3);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(an_index_out_of_range_is_refused)
{
    static const int32_t indices[] = {-1, -2, IMAGE_NB_SEMAPHORE, INT32_MAX, INT32_MIN};
    const struct timespec past = {0};
    IMAGE image = create("index", 2);

    for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++) {
        forget_messages();
        ck_assert_int_eq(daoSemPost(&image, indices[i]), DAO_ERROR);
        expect_message("daoSemPost: ");
        expect_message("allowed are 0 to 9");
        ck_assert_int_eq(daoShmWaitForSemaphore(&image, indices[i]), DAO_ERROR);
        expect_message("daoShmWaitForSemaphore: ");
        ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&image, indices[i], &past), DAO_ERROR);
        expect_message("daoShmWaitForSemaphoreTimeout: ");
    }
    for (int i = -1; i < IMAGE_NB_SEMAPHORE; i++)
        ck_assert_int_eq(semaphore_value(&image, i), 0);
    daoShmCloseShm(&image);
}
END_TEST

static void expect_no_semaphores(IMAGE *image)
{
    const struct timespec past = {0};

    ck_assert_int_eq(daoSemPost(image, 0), DAO_ERROR);
    ck_assert_int_eq(daoSemPostAll(image), DAO_ERROR);
    ck_assert_int_eq(daoSemLogPost(image), DAO_ERROR);
    ck_assert_int_eq(daoShmWaitForSemaphore(image, 0), DAO_ERROR);
    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(image, 0, &past), DAO_ERROR);
    expect_message("daoSemPost: ");
    expect_message("daoSemPostAll: ");
    expect_message("daoSemLogPost: ");
    expect_message("daoShmWaitForSemaphore: ");
    expect_message("daoShmWaitForSemaphoreTimeout: ");
    forget_messages();
}

START_TEST(private_memory_and_images_that_are_not_open_have_no_semaphores)
{
    uint32_t size[] = {4, 2};
    IMAGE image;

    ck_assert_int_eq(daoShmImageCreate(&image, "own", 2, size, _DATATYPE_UINT16, 0, 0),
                     DAO_SUCCESS);
    expect_no_semaphores(&image);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(create_functions[i](&image, 1), DAO_ERROR);
    expect_message("private memory has no semaphores");
    ck_assert_uint_eq(image.md[0].sem, 0);
    forget_messages();
    daoShmCloseShm(&image);
    expect_no_semaphores(&image);
    expect_no_semaphores(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_sem");
    TCase *tcase;

    tcase = api_add(suite, "making them");
    tcase_add_test(tcase, a_created_segment_has_ten_semaphores_and_one_for_a_logger);
    tcase_add_test(tcase, opening_a_segment_makes_the_semaphores_that_are_missing);
    tcase_add_loop_test(tcase, removed_semaphores_are_made_again_for_each_handle_that_asks, 0, 2);
    tcase_add_loop_test(tcase, semaphores_that_are_there_keep_their_posts, 0, 2);
    tcase_add_loop_test(tcase, fewer_semaphores_are_the_first_ones, 0, 2);
    tcase_add_loop_test(tcase, a_number_of_semaphores_out_of_range_is_refused, 0, 2);
    tcase_add_loop_test(tcase, a_read_only_image_gets_semaphores_when_it_asks_and_notes_no_number,
                        0, 2);
    tcase_add_loop_test(
        tcase, semaphores_without_permission_are_an_error_and_frames_come_without_them, 0, 2);
    tcase = api_add(suite, "posting");
    tcase_add_loop_test(tcase, a_post_raises_one_semaphore_and_never_above_1, 0,
                        IMAGE_NB_SEMAPHORE);
    tcase_add_test(tcase, a_post_to_all_raises_the_ten_and_never_above_1);
    tcase_add_test(tcase, the_loggers_post_raises_its_own_and_never_above_1);
    tcase_add_test(tcase, a_value_above_1_that_others_left_is_not_raised);
    tcase_add_test(tcase, an_index_out_of_range_is_refused);
    tcase_add_test(tcase, private_memory_and_images_that_are_not_open_have_no_semaphores);
    return testbed_run(suite);
}
