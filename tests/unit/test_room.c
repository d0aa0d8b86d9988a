/* test_room.c - how much of the disk may be claimed, and the largest file within it. */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fits/plan.h"
#include "record/room.h"
#include "tests/support/suite.h"

#define MIB 1048576ull

/* ---- claims ---- */

static struct room room_of(uint64_t left, uint64_t keep, uint64_t file_bytes_max)
{
    struct room room = {.limits = {.keep_bytes = keep, .file_bytes_max = file_bytes_max}};

    atomic_store(&room.left_bytes, left);
    return room;
}

START_TEST(a_claim_gets_what_it_asks_for_and_takes_it_away)
{
    struct room room = room_of(100, 1, UINT64_MAX);

    ck_assert_uint_eq(room_claim(&room, 1, 60), 60);
    ck_assert_uint_eq(atomic_load(&room.left_bytes), 40);
    ck_assert_uint_eq(room_claim(&room, 40, 60), 40); /* less, but enough */
    ck_assert_uint_eq(room_claim(&room, 1, 60), 0);
    ck_assert_uint_eq(atomic_load(&room.left_bytes), 0);
}
END_TEST

START_TEST(a_claim_below_its_least_takes_nothing)
{
    struct room room = room_of(100, 1, UINT64_MAX);

    ck_assert_uint_eq(room_claim(&room, 101, 200), 0);
    ck_assert_uint_eq(atomic_load(&room.left_bytes), 100);
}
END_TEST

START_TEST(a_file_is_never_larger_than_the_process_may_write)
{
    struct room room = room_of(1000, 1, 50);

    ck_assert_uint_eq(room_claim(&room, 10, 600), 50);
    ck_assert_uint_eq(atomic_load(&room.left_bytes), 950);
    ck_assert_uint_eq(room_claim(&room, 51, 600), 0);
    room.limits.keep_bytes = 0; /* nor where a full disk is waited for: that limit stays */
    ck_assert_uint_eq(room_claim(&room, 51, 600), 0);
}
END_TEST

START_TEST(where_nothing_is_kept_free_the_least_is_always_granted)
{
    struct room room = room_of(100, 0, UINT64_MAX);

    ck_assert_uint_eq(room_claim(&room, 101, 200), 101);
    ck_assert_uint_eq(atomic_load(&room.left_bytes), 100); /* it is waited for, not taken */
    room.limits.keep_percent = 2.0;
    ck_assert_uint_eq(room_claim(&room, 101, 200), 0);
}
END_TEST

START_TEST(an_unknown_file_system_grants_everything)
{
    struct room room = room_of(UINT64_MAX, 1, UINT64_MAX);

    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(room_claim(&room, 1, 1ull << 60), 1ull << 60);
    ck_assert_uint_eq(atomic_load(&room.left_bytes), UINT64_MAX);
}
END_TEST

#define CLAIMERS 4
#define CLAIMS   20000u

static struct room contended;

static void *claim_often(void *arg)
{
    uint64_t *got = arg;

    for (unsigned i = 0; i < CLAIMS; i++)
        *got += room_claim(&contended, 1 + i % 3, 7);
    return NULL;
}

START_TEST(several_never_claim_more_than_there_is)
{
    pthread_t threads[CLAIMERS];
    uint64_t got[CLAIMERS] = {0}, sum = 0, all = CLAIMERS * CLAIMS * 7ull / 2 + 3;

    contended = room_of(all, 1, UINT64_MAX);
    for (int i = 0; i < CLAIMERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, claim_often, &got[i]), 0);
    for (int i = 0; i < CLAIMERS; i++) {
        pthread_join(threads[i], NULL);
        sum += got[i];
    }
    ck_assert_uint_eq(sum + atomic_load(&contended.left_bytes), all);
    ck_assert_uint_le(atomic_load(&contended.left_bytes), 2);
}
END_TEST

/* ---- looking ---- */

static int open_temp(void)
{
    const char *temp = getenv("TMPDIR");
    int fd = open(temp ? temp : "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    return fd;
}

START_TEST(what_is_kept_is_a_size_or_a_part_of_the_file_system)
{
    struct room room = room_of(0, 64 * MIB, UINT64_MAX);
    struct statvfs fs;
    int fd = open_temp();

    ck_assert_int_eq(fstatvfs(fd, &fs), 0);
    room_look(&room, fd);
    ck_assert_uint_eq(room_kept(&room), 64 * MIB);
    room.limits.keep_percent = 50.0;
    ck_assert_uint_eq(room_kept(&room), (uint64_t)((double)fs.f_blocks * (double)fs.f_frsize / 2));
    close(fd);
}
END_TEST

START_TEST(what_is_left_is_free_less_kept_and_less_a_ledger)
{
    struct room room = room_of(0, 0, UINT64_MAX);
    uint64_t all, some;
    int fd = open_temp();

    room_look(&room, fd);
    all = atomic_load(&room.left_bytes);
    ck_assert_uint_lt(all, UINT64_MAX);
    if (all > 4096 * MIB) { /* others use the disk meanwhile */
        room.limits.keep_bytes = 2048 * MIB;
        room_look(&room, fd);
        some = atomic_load(&room.left_bytes);
        ck_assert_uint_lt(some, all - 1024 * MIB);
        ck_assert_uint_gt(some, all - 3072 * MIB);
    }
    room.limits.keep_percent = 100.0;
    room_look(&room, fd);
    ck_assert_uint_eq(atomic_load(&room.left_bytes), 0);
    ck_assert_uint_eq(atomic_load(&room.to_fill_bytes), 0);
    ck_assert_uint_eq(room_claim(&room, 1, 1), 0);
    room.ring_files = 4; /* it is never full: old files go first */
    room_look(&room, fd);
    ck_assert_uint_eq(atomic_load(&room.to_fill_bytes), UINT64_MAX);
    close(fd);
}
END_TEST

/* Else a look between the plan and the making of a file gives its room to another one. */
START_TEST(what_is_promised_is_not_there_until_it_is_on_the_disk)
{
    struct room room = room_of(0, 0, UINT64_MAX);
    uint64_t all;
    int fd = open_temp();

    room_look(&room, fd);
    all = atomic_load(&room.left_bytes);
    room_promise(&room, all / 2);
    room_look_again(&room);
    ck_assert_uint_lt(atomic_load(&room.left_bytes), all / 4 * 3); /* others use it, too */
    room_promise(&room, UINT64_MAX / 2);
    room_look_again(&room);
    ck_assert_uint_eq(atomic_load(&room.left_bytes), 0);
    room_fulfil(&room, UINT64_MAX / 2);
    room_fulfil(&room, all / 2);
    room_look_again(&room);
    ck_assert_uint_gt(atomic_load(&room.left_bytes), all / 4 * 3);
    ck_assert_uint_eq(atomic_load(&room.looks), 1); /* the session's */
    close(fd);
}
END_TEST

START_TEST(a_file_system_that_does_not_tell_is_not_known)
{
    struct room room = room_of(5, 1, UINT64_MAX);
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    room_look(&room, fd);
    ck_assert_uint_eq(atomic_load(&room.left_bytes), UINT64_MAX);
    close(fd);
    room_look(&room, -1);
    ck_assert_uint_eq(atomic_load(&room.left_bytes), UINT64_MAX);
}
END_TEST

START_TEST(the_file_limit_counts_in_whole_pages)
{
    struct room_limits limits = {0};
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 100000; /* this test has a process of its own */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    room_read_limits(&limits);
    ck_assert_uint_eq(limits.file_bytes_max, 24 * 4096);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    room_read_limits(&limits);
    if (limit.rlim_max == RLIM_INFINITY)
        ck_assert_uint_eq(limits.file_bytes_max, UINT64_MAX);
}
END_TEST

/* ---- the largest file ---- */

static const uint64_t frame_sizes[] = {
    1, 2, 63, 64, 97 * 4, 2879, 2880, 2881, 4096, 65536, 800 * 800 * 2, 64 * MIB, 3ull << 30,
};

START_TEST(the_largest_capacity_fits_and_one_more_does_not)
{
    struct fits_parts parts = {2880 * 4, frame_sizes[_i], 2880 * 2, 2880 * 3};
    struct fits_plan least, plan;

    fits_plan_make(&least, &parts, 1);
    ck_assert_uint_eq(fits_plan_capacity_of(&parts, 0), 0);
    ck_assert_uint_eq(fits_plan_capacity_of(&parts, least.file_bytes - 1), 0);
    ck_assert_uint_ge(fits_plan_capacity_of(&parts, least.file_bytes),
                      1); /* padding may hold more */
    for (uint64_t bytes = least.file_bytes; bytes < 1ull << 50; bytes += bytes / 3 + 977) {
        uint64_t capacity = fits_plan_capacity_of(&parts, bytes);

        ck_assert_uint_ge(capacity, 1);
        fits_plan_make(&plan, &parts, capacity);
        ck_assert_uint_le(plan.file_bytes, bytes);
        fits_plan_make(&plan, &parts, capacity + 1);
        ck_assert_uint_gt(plan.file_bytes, bytes);
    }
}
END_TEST

START_TEST(the_capacity_of_a_plan_is_at_least_that_of_the_plan)
{
    struct fits_parts parts = {2880, frame_sizes[_i], 2880, 2880};
    struct fits_plan plan, found;

    for (uint64_t capacity = 1; capacity < 100000; capacity += capacity / 2 + 1) {
        fits_plan_make(&plan, &parts, capacity);
        fits_plan_make(&found, &parts, fits_plan_capacity_of(&parts, plan.file_bytes));
        ck_assert_uint_ge(found.capacity, capacity); /* padding may have room for more */
        ck_assert_uint_eq(found.file_bytes, plan.file_bytes);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("room");
    TCase *tcase = tcase_create("room");
    int sizes = (int)(sizeof frame_sizes / sizeof frame_sizes[0]);

    tcase_add_test(tcase, a_claim_gets_what_it_asks_for_and_takes_it_away);
    tcase_add_test(tcase, a_claim_below_its_least_takes_nothing);
    tcase_add_test(tcase, a_file_is_never_larger_than_the_process_may_write);
    tcase_add_test(tcase, where_nothing_is_kept_free_the_least_is_always_granted);
    tcase_add_test(tcase, an_unknown_file_system_grants_everything);
    tcase_add_test(tcase, several_never_claim_more_than_there_is);
    tcase_add_test(tcase, what_is_kept_is_a_size_or_a_part_of_the_file_system);
    tcase_add_test(tcase, what_is_left_is_free_less_kept_and_less_a_ledger);
    tcase_add_test(tcase, what_is_promised_is_not_there_until_it_is_on_the_disk);
    tcase_add_test(tcase, a_file_system_that_does_not_tell_is_not_known);
    tcase_add_test(tcase, the_file_limit_counts_in_whole_pages);
    tcase_add_loop_test(tcase, the_largest_capacity_fits_and_one_more_does_not, 0, sizes);
    tcase_add_loop_test(tcase, the_capacity_of_a_plan_is_at_least_that_of_the_plan, 0, sizes);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
