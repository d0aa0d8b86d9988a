/*
 * test_wait.c - waiting for a frame: what ends a wait, and what it costs.
 *
 * Times are checked with room for a busy machine: a wait must not end early, and the upper bounds
 * are seconds.
 */
#include "tests/support/testbed.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#include "lib/clock.h"
#include "lib/wait.h"

#define MS 1000000ll

static const struct dao_wait_policy sleeping = {.spin_ns = 0, .sleep_ns = 200000};
static const struct dao_wait_policy spinning = {.spin_ns = INT64_MAX, .sleep_ns = 1};

static const struct dao_wait_policy *policy_of(int i)
{
    return i ? &spinning : &sleeping;
}

/* What another thread does to the segment after a while. */
struct later {
    struct dao_segment *seg;
    int64_t delay_ms;
    void (*act)(struct dao_segment *seg);
};

static void sleep_ms(int64_t ms)
{
    struct timespec rest = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS};

    nanosleep(&rest, NULL);
}

static void *act_later(void *arg)
{
    const struct later *later = arg;

    sleep_ms(later->delay_ms);
    later->act(later->seg);
    return NULL;
}

static int wait_while(struct dao_reader *r, const struct later *later, int64_t deadline_ns,
                      const struct dao_wait_policy *policy)
{
    pthread_t thread;
    int what;

    ck_assert_int_eq(pthread_create(&thread, NULL, act_later, (void *)(uintptr_t)later), 0);
    what = dao_reader_wait(r, deadline_ns, policy, NULL);
    pthread_join(thread, NULL);
    return what;
}

static void publish(struct dao_segment *seg)
{
    struct dao_write w;

    if (dao_writer_begin(seg, &w) == 0)
        dao_writer_publish(seg, &w, 0);
}

static void recreate(struct dao_segment *seg)
{
    struct dao_segment again;

    if (dao_segment_create(&again, seg->path, &seg->geo, NULL) == 0)
        dao_segment_close(&again);
}

static void remove_file(struct dao_segment *seg)
{
    unlink(seg->path);
}

static void cut_file(struct dao_segment *seg)
{
    if (ftruncate(seg->fd, 100) < 0)
        abort();
}

static void grow_file(struct dao_segment *seg)
{
    if (ftruncate(seg->fd, (off_t)seg->geo.file_bytes + 4096) < 0)
        abort();
}

START_TEST(a_frame_that_is_there_ends_the_wait_at_once)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "there", 3);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    ck_assert_int_eq(dao_reader_wait(&r, 0, policy_of(_i), NULL), 1); /* even past the deadline */
    ck_assert_uint_eq(r.cnt0, 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_frame_ends_the_wait_when_it_comes)
{
    struct dao_segment seg;
    struct later later = {&seg, 30, publish};
    struct dao_reader r;
    int64_t start_ns = dao_clock_mono_ns();

    testbed_create(&seg, "comes", testbed_depths[_i / 2]);
    r = testbed_reader(&seg);
    ck_assert_int_eq(wait_while(&r, &later, DAO_WAIT_FOREVER, policy_of(_i % 2)), 1);
    ck_assert_int_ge(dao_clock_mono_ns() - start_ns, 30 * MS);
    ck_assert_int_eq(dao_reader_begin(&r, (struct dao_take[]){{0}}), DAO_READ_FRAME);
    dao_segment_close(&seg);
}
END_TEST

static void publish_five(struct dao_segment *seg)
{
    for (int i = 0; i < 5; i++) {
        publish(seg);
        sleep_ms(50);
    }
}

/* At depth 1 a frame copied long after it came is suspect: a wait must not look like it. */
START_TEST(at_depth_1_frames_that_were_waited_for_are_whole)
{
    struct dao_segment seg;
    struct later later = {&seg, 0, publish_five};
    struct dao_reader r;
    pthread_t thread;
    unsigned torn = 0;

    testbed_create(&seg, "whole", 1);
    r = testbed_reader(&seg);
    ck_assert_int_eq(pthread_create(&thread, NULL, act_later, &later), 0);
    while (r.cnt0 < 5) {
        struct dao_take take;

        ck_assert_int_eq(dao_reader_wait(&r, DAO_WAIT_FOREVER, policy_of(_i), NULL), 1);
        if (dao_reader_begin(&r, &take) == DAO_READ_FRAME && dao_reader_finish(&r, &take) == 1)
            torn += take.torn;
    }
    pthread_join(thread, NULL);
    ck_assert_uint_le(torn, 1); /* this thread can be late once on a busy machine */
    dao_segment_close(&seg);
}
END_TEST

START_TEST(the_deadline_is_kept)
{
    struct dao_segment seg;
    struct dao_reader r;
    int64_t start_ns, took_ns;

    testbed_create(&seg, "deadline", 3);
    r = testbed_reader(&seg);
    start_ns = dao_clock_mono_ns();
    ck_assert_int_eq(dao_reader_wait(&r, start_ns + 50 * MS, policy_of(_i), NULL), 0);
    took_ns = dao_clock_mono_ns() - start_ns;
    ck_assert_int_ge(took_ns, 50 * MS);
    ck_assert_int_lt(took_ns, 30000 * MS);
    ck_assert_int_eq(dao_reader_wait(&r, 0, policy_of(_i), NULL), 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_long_sleep_does_not_outlast_the_deadline)
{
    static const struct dao_wait_policy lazy = {.spin_ns = 0, .sleep_ns = 3600000 * MS};
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "lazy", 3);
    r = testbed_reader(&seg);
    ck_assert_int_eq(dao_reader_wait(&r, dao_clock_mono_ns() + 20 * MS, &lazy, NULL), 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_restart_ends_the_wait)
{
    struct dao_segment seg;
    struct later later = {&seg, 30, recreate};
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "restart", 3);
    put_frame(&seg, 1);
    r = testbed_reader(&seg);
    ck_assert_int_eq(wait_while(&r, &later, DAO_WAIT_FOREVER, policy_of(_i)), 1);
    ck_assert_int_eq(dao_reader_begin(&r, &take), DAO_READ_RESTART);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_file_that_is_removed_ends_the_wait)
{
    struct dao_segment seg;
    struct later later = {&seg, 10, remove_file};
    struct dao_reader r;
    int64_t start_ns = dao_clock_mono_ns();

    testbed_create(&seg, "removed", 3);
    r = testbed_reader(&seg);
    ck_assert_int_eq(wait_while(&r, &later, DAO_WAIT_FOREVER, policy_of(_i)), -ESTALE);
    ck_assert_int_lt(dao_clock_mono_ns() - start_ns, 30000 * MS);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_file_that_changes_its_length_ends_the_wait)
{
    struct dao_segment seg;
    struct later later = {&seg, 10, _i / 2 ? grow_file : cut_file};
    struct dao_reader r;

    testbed_create(&seg, "cut", 3);
    r = testbed_reader(&seg);
    ck_assert_int_eq(wait_while(&r, &later, DAO_WAIT_FOREVER, policy_of(_i % 2)), -ESTALE);
    dao_segment_close(&seg);
}
END_TEST

/* ---- signals ---- */

static volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
    (void)signo;
    alarms++;
}

static void alarm_in(int64_t ms)
{
    struct itimerval timer = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};

    ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

START_TEST(a_signal_whose_handler_ran_ends_the_wait)
{
    /* Again and again: on a busy machine the first can come before the wait. */
    static const struct itimerval every_20_ms = {{.tv_usec = 20000}, {.tv_usec = 20000}};
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct dao_segment seg;
    struct dao_reader r, before;

    testbed_create(&seg, "signal", 3);
    r = testbed_reader(&seg);
    before = r;
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &every_20_ms, NULL), 0);
    ck_assert_int_eq(dao_reader_wait(&r, DAO_WAIT_FOREVER, policy_of(_i), NULL), -EINTR);
    ck_assert_int_ge(alarms, 1);
    ck_assert_mem_eq(&r, &before, sizeof r);
    dao_segment_close(&seg);
}
END_TEST

/* Whether the handler interrupted a wait shows in the mask that is restored after it: in a wait
 * everything is blocked but for the sleep. */
static volatile sig_atomic_t alarms_in_wait;

static void on_alarm_look(int signo, siginfo_t *info, void *context)
{
    (void)info;
    on_alarm(signo);
    alarms_in_wait += sigismember(&((ucontext_t *)context)->uc_sigmask, SIGUSR1) == 1;
}

/* A handler that ran between two sleeps would leave the wait to its deadline. */
START_TEST(no_signal_is_lost_between_two_sleeps)
{
    static const struct dao_wait_policy busy = {.spin_ns = 0, .sleep_ns = 1};
    struct sigaction action = {.sa_sigaction = on_alarm_look, .sa_flags = SA_SIGINFO};
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "between", 3);
    r = testbed_reader(&seg);
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    for (int i = 1; i <= 100; i++) {
        sig_atomic_t before = alarms_in_wait;
        int what;

        alarm_in(1);
        what = dao_reader_wait(&r, dao_clock_mono_ns() + 100 * MS, &busy, NULL);
        /* On a busy machine the alarm can come before the wait has begun. */
        ck_assert_int_eq(what, alarms_in_wait > before ? -EINTR : 0);
        ck_assert_int_eq(alarms, i);
    }
    ck_assert_int_gt(alarms_in_wait, 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(an_ignored_signal_does_not_end_the_wait)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "ignored", 3);
    r = testbed_reader(&seg);
    ck_assert_ptr_ne((void *)(uintptr_t)signal(SIGALRM, SIG_IGN), (void *)(uintptr_t)SIG_ERR);
    alarm_in(10);
    ck_assert_int_eq(dao_reader_wait(&r, dao_clock_mono_ns() + 60 * MS, policy_of(_i), NULL), 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(the_callers_signal_mask_is_given_back)
{
    sigset_t before, after;
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "mask", 3);
    r = testbed_reader(&seg);
    sigemptyset(&before);
    sigaddset(&before, SIGUSR2);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    dao_reader_wait(&r, dao_clock_mono_ns() + MS, policy_of(_i), NULL);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    ck_assert_int_eq(sigismember(&after, SIGUSR2), 1);
    ck_assert_int_eq(sigismember(&after, SIGUSR1), 0);
    ck_assert_int_eq(sigismember(&after, SIGTERM), 0);
    dao_segment_close(&seg);
}
END_TEST

/* ---- cost ---- */

static int64_t cpu_ns(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 * MS +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

START_TEST(a_sleeping_wait_burns_no_core)
{
    static const struct dao_wait_policy calm = {.spin_ns = 0, .sleep_ns = MS};
    struct dao_segment seg;
    struct dao_reader r;
    int64_t start_ns;

    testbed_create(&seg, "calm", 64);
    r = testbed_reader(&seg);
    start_ns = cpu_ns();
    ck_assert_int_eq(dao_reader_wait(&r, dao_clock_mono_ns() + 400 * MS, &calm, NULL), 0);
    ck_assert_int_lt(cpu_ns() - start_ns, 100 * MS);
    dao_segment_close(&seg);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wait");
    TCase *all = tcase_create("all");

    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, a_frame_that_is_there_ends_the_wait_at_once, 0, 2);
    tcase_add_loop_test(all, a_frame_ends_the_wait_when_it_comes, 0, 2 * DEPTHS);
    tcase_add_loop_test(all, at_depth_1_frames_that_were_waited_for_are_whole, 0, 2);
    tcase_add_loop_test(all, the_deadline_is_kept, 0, 2);
    tcase_add_test(all, a_long_sleep_does_not_outlast_the_deadline);
    tcase_add_loop_test(all, a_restart_ends_the_wait, 0, 2);
    tcase_add_loop_test(all, a_file_that_is_removed_ends_the_wait, 0, 2);
    tcase_add_loop_test(all, a_file_that_changes_its_length_ends_the_wait, 0, 4);
    tcase_add_loop_test(all, a_signal_whose_handler_ran_ends_the_wait, 0, 2);
    tcase_add_test(all, no_signal_is_lost_between_two_sleeps);
    tcase_add_loop_test(all, an_ignored_signal_does_not_end_the_wait, 0, 2);
    tcase_add_loop_test(all, the_callers_signal_mask_is_given_back, 0, 2);
    tcase_add_test(all, a_sleeping_wait_burns_no_core);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
