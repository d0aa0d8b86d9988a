/*
 * test_api_lock.c - dao.h: daoShmLockWriter, between processes and between handles.
 */
#include "tests/support/api_bed.h"

#include <sys/wait.h>

/* Another process with a handle of its own, which does as it is told, one letter at a time. */
struct other {
    pid_t pid;
    int orders, answers;
};

static int_fast8_t obey(IMAGE *image, const char *path, char order)
{
    switch (order) {
    case 'o':
        return daoShmShm2Img(path, image);
    case 'l':
        return daoShmLockWriter(image);
    case 'c':
        return daoShmCloseShm(image);
    default:
        _exit(0);
    }
}

static struct other start_other(const char *path)
{
    int orders[2], answers[2];
    struct other other;

    ck_assert_int_eq(pipe2(orders, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(answers, O_CLOEXEC), 0);
    other.pid = fork();
    ck_assert_int_ge(other.pid, 0);
    if (other.pid == 0) {
        IMAGE image;
        char order;

        close(orders[1]); /* so that it ends with the test */
        while (read(orders[0], &order, 1) == 1) {
            signed char answer = (signed char)obey(&image, path, order);

            if (write(answers[1], &answer, 1) != 1)
                break;
        }
        _exit(0);
    }
    close(orders[0]);
    close(answers[1]);
    other.orders = orders[1];
    other.answers = answers[0];
    return other;
}

static int tell(const struct other *other, char order)
{
    signed char answer;

    ck_assert_int_eq((int)write(other->orders, &order, 1), 1);
    ck_assert_int_eq((int)read(other->answers, &answer, 1), 1);
    return answer;
}

static void end_other(const struct other *other)
{
    close(other->orders);
    close(other->answers);
    ck_assert_int_eq(waitpid(other->pid, NULL, 0), other->pid);
}

START_TEST(of_two_processes_one_has_the_lock_until_it_closes)
{
    struct other other;
    IMAGE image = create("close", 2);

    daoShmCloseShm(&image);
    other = start_other(testbed_path("close"));
    image = open_image("close");
    ck_assert_int_eq(tell(&other, 'o'), DAO_SUCCESS);
    ck_assert_int_eq(tell(&other, 'l'), DAO_SUCCESS);
    ck_assert_int_eq(daoShmLockWriter(&image), DAO_ERROR);
    expect_message("daoShmLockWriter: ");
    expect_message("another writer holds the lock");
    ck_assert_int_eq(tell(&other, 'c'), DAO_SUCCESS);
    ck_assert_int_eq(daoShmLockWriter(&image), DAO_SUCCESS);
    ck_assert_int_eq(tell(&other, 'o'), DAO_SUCCESS);
    ck_assert_int_eq(tell(&other, 'l'), DAO_ERROR);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
    ck_assert_int_eq(tell(&other, 'l'), DAO_SUCCESS);
    end_other(&other);
}
END_TEST

START_TEST(a_process_that_ends_leaves_the_lock)
{
    IMAGE image = create("ends", 2);
    struct other other = start_other(testbed_path("ends"));

    ck_assert_int_eq(tell(&other, 'o'), DAO_SUCCESS);
    ck_assert_int_eq(tell(&other, 'l'), DAO_SUCCESS);
    ck_assert_int_eq(daoShmLockWriter(&image), DAO_ERROR);
    ck_assert_int_eq(kill(other.pid, SIGKILL), 0);
    end_other(&other);
    ck_assert_int_eq(daoShmLockWriter(&image), DAO_SUCCESS);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(two_handles_of_one_process_are_two_writers)
{
    IMAGE first = create("handles", 2), second = open_image("handles");

    ck_assert_int_eq(daoShmLockWriter(&first), DAO_SUCCESS);
    ck_assert_int_eq(daoShmLockWriter(&first), DAO_SUCCESS); /* its own */
    ck_assert_int_eq(daoShmLockWriter(&second), DAO_ERROR);
    daoShmCloseShm(&first);
    ck_assert_int_eq(daoShmLockWriter(&second), DAO_SUCCESS);
    daoShmCloseShm(&second);
}
END_TEST

START_TEST(locks_of_different_segments_are_independent)
{
    IMAGE first = create("first", 2), second = create("second", 2);

    ck_assert_int_eq(daoShmLockWriter(&first), DAO_SUCCESS);
    ck_assert_int_eq(daoShmLockWriter(&second), DAO_SUCCESS);
    daoShmCloseShm(&first);
    daoShmCloseShm(&second);
}
END_TEST

START_TEST(writing_needs_no_lock)
{
    IMAGE first = create("free", 2), second = open_image("free");

    ck_assert_int_eq(daoShmLockWriter(&first), DAO_SUCCESS);
    write_frames(&second, 1, 1);
    write_frames(&first, 2, 2);
    expect_newest(&second, 1, 2);
    daoShmCloseShm(&first);
    daoShmCloseShm(&second);
}
END_TEST

START_TEST(private_memory_is_locked_by_itself_and_a_closed_image_never)
{
    uint32_t size[] = {4, 2};
    IMAGE image;

    ck_assert_int_eq(daoShmImageCreate(&image, "own", 2, size, _DATATYPE_UINT16, 0, 0),
                     DAO_SUCCESS);
    ck_assert_int_eq(daoShmLockWriter(&image), DAO_SUCCESS);
    daoShmCloseShm(&image);
    ck_assert_int_eq(daoShmLockWriter(&image), DAO_ERROR);
    ck_assert_int_eq(daoShmLockWriter(NULL), DAO_ERROR);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_lock");
    TCase *tcase = api_add(suite, "the writer's lock");

    tcase_add_test(tcase, of_two_processes_one_has_the_lock_until_it_closes);
    tcase_add_test(tcase, a_process_that_ends_leaves_the_lock);
    tcase_add_test(tcase, two_handles_of_one_process_are_two_writers);
    tcase_add_test(tcase, locks_of_different_segments_are_independent);
    tcase_add_test(tcase, writing_needs_no_lock);
    tcase_add_test(tcase, private_memory_is_locked_by_itself_and_a_closed_image_never);
    return testbed_run(suite);
}
