/* test_mark.c - marks of files that are to be kept (recording/mark.h). */
#include <errno.h>
#include <pthread.h>
#include <sys/file.h>

#include "recording/mark.h"
#include "tests/support/suite.h"
#include "tests/support/takes.h"

static struct take_folder folder;

static void make_file(const char *name)
{
    close(openat(folder.fd, name, O_WRONLY | O_CREAT, 0666));
}

static bool is_there(const char *name)
{
    return faccessat(folder.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void setup(void)
{
    take_folder_make(&folder);
}

static void teardown(void)
{
    take_folder_remove(&folder);
}

START_TEST(a_mark_is_set_once_and_taken_away)
{
    make_file("wfs_000001.fits");
    ck_assert(!mark_is_set(folder.fd, "wfs_000001.fits"));
    ck_assert_int_eq(mark_set(folder.fd, "wfs_000001.fits"), 0);
    ck_assert_int_eq(mark_set(folder.fd, "wfs_000001.fits"), 0);
    ck_assert(mark_is_set(folder.fd, "wfs_000001.fits"));
    ck_assert(!mark_is_set(folder.fd, "wfs_000002.fits"));
    ck_assert_int_eq(mark_clear(folder.fd, "wfs_000001.fits"), 0);
    ck_assert_int_eq(mark_clear(folder.fd, "wfs_000001.fits"), 0);
    ck_assert(!mark_is_set(folder.fd, "wfs_000001.fits"));
}
END_TEST

START_TEST(a_file_that_is_being_recorded_is_marked_under_its_final_name)
{
    int recorder;

    make_file("wfs_000001.fits.part");
    recorder = openat(folder.fd, "wfs_000001.fits.part", O_RDWR);
    ck_assert_int_eq(flock(recorder, LOCK_EX), 0);
    ck_assert_int_eq(mark_set(folder.fd, "wfs_000001.fits.part"), 0);
    ck_assert(mark_is_set(folder.fd, "wfs_000001.fits"));
    ck_assert(is_there("wfs_000001.fits" MARK_SUFFIX));
    close(recorder);
}
END_TEST

/* Else a file could be gone although its mark was reported as set. */
START_TEST(a_file_that_somebody_is_removing_cannot_be_marked)
{
    int other;

    make_file("wfs_000001.fits");
    other = openat(folder.fd, "wfs_000001.fits", O_RDWR);
    ck_assert_int_eq(flock(other, LOCK_EX), 0);
    ck_assert_int_eq(mark_set(folder.fd, "wfs_000001.fits"), -EWOULDBLOCK);
    ck_assert(!is_there("wfs_000001.fits" MARK_SUFFIX));
    close(other);
}
END_TEST

/* As a recorder finishes a file, and removes it at once to keep within a limit. */
static void *finish_and_remove(void *arg)
{
    pthread_barrier_t *begin = arg;
    int fd = openat(folder.fd, "wfs_000001.fits.part", O_RDWR);

    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    pthread_barrier_wait(begin);
    ck_assert_int_eq(renameat(folder.fd, "wfs_000001.fits.part", folder.fd, "wfs_000001.fits"), 0);
    if (!mark_is_set(folder.fd, "wfs_000001.fits"))
        ck_assert_int_eq(unlinkat(folder.fd, "wfs_000001.fits", 0), 0);
    close(fd);
    return NULL;
}

START_TEST(a_file_that_is_finished_meanwhile_is_marked_or_it_is_told_that_it_is_gone)
{
    pthread_barrier_t begin;

    pthread_barrier_init(&begin, NULL, 2);
    for (int i = 0; i < 300; i++) {
        pthread_t remover;
        int r;

        make_file("wfs_000001.fits.part");
        ck_assert_int_eq(pthread_create(&remover, NULL, finish_and_remove, &begin), 0);
        pthread_barrier_wait(&begin);
        for (volatile int spin = 0; spin < i % 30 * 100; spin++) {
        }
        r = mark_set(folder.fd, "wfs_000001.fits.part");
        pthread_join(remover, NULL);
        ck_assert_msg(r == 0 || r == -ENOENT, "%d", r);
        ck_assert_msg(r != 0 || is_there("wfs_000001.fits"), "marked, and gone: %d", i);
        ck_assert(r == 0 || !is_there("wfs_000001.fits" MARK_SUFFIX));
        unlinkat(folder.fd, "wfs_000001.fits", 0);
        unlinkat(folder.fd, "wfs_000001.fits" MARK_SUFFIX, 0);
    }
    pthread_barrier_destroy(&begin);
}
END_TEST

START_TEST(what_is_no_recording_is_refused)
{
    static const struct {
        const char *name;
        int error;
    } cases[] = {{"wfs_000009.fits", -ENOENT}, {"notes.txt", -EINVAL}, {"folder.fits", -EINVAL},
                 {"link.fits", -EINVAL},       {".fits", -EINVAL},     {"x/y.fits", -EINVAL}};

    make_file("notes.txt");
    mkdirat(folder.fd, "folder.fits", 0777);
    ck_assert_int_eq(symlinkat("notes.txt", folder.fd, "link.fits"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(mark_set(folder.fd, cases[i].name) == cases[i].error, "%s", cases[i].name);
    ck_assert(!is_there("folder.fits" MARK_SUFFIX) && !is_there("link.fits" MARK_SUFFIX));
}
END_TEST

START_TEST(a_mark_is_not_written_through_a_link)
{
    make_file("wfs_000001.fits");
    make_file("victim");
    ck_assert_int_eq(symlinkat("victim", folder.fd, "wfs_000001.fits" MARK_SUFFIX), 0);
    ck_assert_int_lt(mark_set(folder.fd, "wfs_000001.fits"), 0);
    ck_assert(mark_is_set(folder.fd, "wfs_000001.fits")); /* what it is nobody knows: kept */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mark");
    TCase *tests = tcase_create("marks");

    take_base_make();
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_mark_is_set_once_and_taken_away);
    tcase_add_test(tests, a_file_that_is_being_recorded_is_marked_under_its_final_name);
    tcase_add_test(tests, a_file_that_somebody_is_removing_cannot_be_marked);
    tcase_add_test(tests,
                   a_file_that_is_finished_meanwhile_is_marked_or_it_is_told_that_it_is_gone);
    tcase_add_test(tests, what_is_no_recording_is_refused);
    tcase_add_test(tests, a_mark_is_not_written_through_a_link);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
