/* test_doctor_trials.c - the trials of daorec doctor stay within their bounds and leave nothing
 * behind. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "doctor/cpu_trial.h"
#include "doctor/disk_trial.h"
#include "doctor/folder.h"
#include "io/sink.h"
#include "tests/support/suite.h"

#define MIB 1048576ull

static char dir[256];
static int dir_fd;

static void begin(void)
{
    const char *parent = getenv("TMPDIR");

    snprintf(dir, sizeof dir, "%s/daorec-trial.XXXXXX", parent && *parent ? parent : "/tmp");
    ck_assert(mkdtemp(dir) != NULL);
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(dir_fd, 0);
}

static void end(void)
{
    close(dir_fd);
    ck_assert_msg(rmdir(dir) == 0, "%s: %s", dir, strerror(errno)); /* only where it is empty */
}

static bool is_empty(void)
{
    DIR *entries = opendir(dir);
    unsigned count = 0;

    while (entries && readdir(entries))
        count++;
    closedir(entries);
    return count == 2;
}

START_TEST(a_file_for_a_trial_has_no_name)
{
    struct sink sink;
    struct stat st;

    ck_assert_int_eq(doctor_folder_create(&sink, dir_fd, MIB), 0);
    ck_assert_int_eq(fstat(sink.fd, &st), 0);
    ck_assert_int_eq(st.st_size, MIB);
    ck_assert_int_eq((int)st.st_nlink, 0);
    ck_assert(is_empty());
    sink_close(&sink);
}
END_TEST

/* A file that is larger than it may be could not be written. */
static void allow_no_file_beyond(uint64_t bytes)
{
    const struct rlimit limit = {bytes, bytes};

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0); /* of the process of this test */
}

START_TEST(a_trial_of_the_disk_stays_within_its_bytes_and_leaves_nothing)
{
    struct disk_trial trial = {.dir_fd = dir_fd, .time_ns = 1000000, .bytes_max = 40 * MIB};

    allow_no_file_beyond(40 * MIB);
    ck_assert_int_eq(disk_trial_run(&trial), 0);
    ck_assert_int_gt(trial.took_ns, 0);
    ck_assert_int_gt(trial.stall_ns, 0);
    ck_assert_int_le(trial.stall_ns, trial.took_ns);
    ck_assert(is_empty());
}
END_TEST

START_TEST(where_room_is_little_a_trial_goes_on_in_another_file)
{
    /* As long as it takes to fill some: how fast this disk is nobody knows. */
    struct disk_trial trial = {.dir_fd = dir_fd, .time_ns = 1000000, .bytes_max = 20 * MIB};

    allow_no_file_beyond(20 * MIB);
    for (; trial.files < 3; trial.time_ns *= 2)
        ck_assert_int_eq(disk_trial_run(&trial), 0);
    ck_assert_uint_gt(trial.bytes, 40 * MIB);
    ck_assert_uint_eq(trial.file_bytes, 20 * MIB);
    ck_assert_uint_le(trial.bytes, trial.files * trial.file_bytes);
    ck_assert_int_le(trial.stall_ns, trial.took_ns);
    ck_assert_double_ge(trial.cpu_ns_per_byte, 0.0);
    ck_assert(is_empty());
}
END_TEST

START_TEST(a_trial_of_the_disk_ends_when_its_time_is_over)
{
    struct disk_trial trial = {.dir_fd = dir_fd, .time_ns = 1, .bytes_max = 1024 * MIB};

    ck_assert_int_eq(disk_trial_run(&trial), 0);
    ck_assert_uint_gt(trial.bytes, 0);
    ck_assert_uint_le(trial.bytes, 64 * MIB); /* what was in flight: 16 blocks of 4 MiB */
    ck_assert(is_empty());
}
END_TEST

START_TEST(a_trial_in_too_little_room_is_none)
{
    struct disk_trial trial = {
        .dir_fd = dir_fd, .time_ns = 1000000, .bytes_max = DISK_TRIAL_BYTES_LEAST - 1};

    ck_assert_int_eq(disk_trial_run(&trial), -ENOSPC);
    ck_assert_uint_eq(trial.bytes, 0);
    ck_assert(is_empty());
}
END_TEST

START_TEST(a_trial_where_no_file_can_be_made_says_why)
{
    struct disk_trial trial = {.dir_fd = -1, .time_ns = 1000000, .bytes_max = 64 * MIB};

    ck_assert_int_eq(disk_trial_run(&trial), -EBADF);
}
END_TEST

START_TEST(encoding_costs_something_for_every_type)
{
    ck_assert_double_gt(cpu_trial_encode(dao_dtype_get((unsigned)_i + 1), 1000000), 0.0);
}
END_TEST

START_TEST(a_thread_that_sleeps_again_and_again_is_late_by_something)
{
    struct wake_trial trial;

    ck_assert_int_eq(wake_trial_begin(&trial), 0);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    wake_trial_end(&trial);
    ck_assert_uint_ge(trial.count, 1);
    ck_assert_int_gt(trial.lateness_ns, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("doctor_trials");
    TCase *tcase = tcase_create("trials");

    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, a_file_for_a_trial_has_no_name);
    tcase_add_test(tcase, a_trial_of_the_disk_stays_within_its_bytes_and_leaves_nothing);
    tcase_add_test(tcase, where_room_is_little_a_trial_goes_on_in_another_file);
    tcase_add_test(tcase, a_trial_of_the_disk_ends_when_its_time_is_over);
    tcase_add_test(tcase, a_trial_in_too_little_room_is_none);
    tcase_add_test(tcase, a_trial_where_no_file_can_be_made_says_why);
    tcase_add_loop_test(tcase, encoding_costs_something_for_every_type, 0, DAO_DTYPE_COUNT);
    tcase_add_test(tcase, a_thread_that_sleeps_again_and_again_is_late_by_something);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
