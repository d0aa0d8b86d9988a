/*
 * test_api_wait.c - the waits of dao.h for frames and counts: what ends each of them, with which
 * code, and what they give back to the thread. What they cost is test_cadence.c, semaphores are
 * test_api_sem.c.
 *
 * Times are checked with room for a busy machine: a wait must not end early, and the upper bounds
 * are seconds.
 */
#include "tests/support/frozen.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>

#include "lib/clock.h"

#define MS       1000000ll
#define LATER_NS (5 * MS)

static struct timespec time_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / (1000 * MS), .tv_nsec = ns % (1000 * MS)};
}

static struct timespec in_ms(int64_t ms)
{
    return time_of(dao_clock_mono_ns() + ms * MS);
}

static void sleep_ns(int64_t ns)
{
    struct timespec rest = time_of(ns);

    nanosleep(&rest, NULL);
}

/* The one segment of a test. IMAGE.name is too short for every directory. */
static char path[400];

static void begin(void)
{
    catch_output();
    snprintf(path, sizeof path, "%s", testbed_path("w"));
}

/* ---- the five of them, for one frame more than the tail's ---- */

static int_fast8_t wait_for_target(IMAGE *image)
{
    return daoShmWaitForTargetCounter(image, image->fifo_last_read_cnt0 + 1);
}

static int_fast8_t wait_for_next_until(IMAGE *image)
{
    struct timespec deadline = in_ms(30000);

    return daoShmWaitForNextSegmentUntil(image, &deadline);
}

static int_fast8_t wait_for_target_until(IMAGE *image)
{
    struct timespec deadline = in_ms(30000);

    return daoShmWaitForTargetCounterUntil(image, image->fifo_last_read_cnt0 + 1, &deadline);
}

static const struct {
    int_fast8_t (*wait)(IMAGE *image);
    int_fast8_t on_restart;
} waits[] = {
    {daoShmWaitForNextSegment, DAO_SUCCESS}, {wait_for_next_until, DAO_SUCCESS},
    {wait_for_target, DAO_OVERWRITE},        {wait_for_target_until, DAO_OVERWRITE},
    {daoShmWaitForCounter, DAO_OVERWRITE},
};
#define WAITS 5

/* ---- what another thread does meanwhile ---- */

struct later {
    IMAGE *image;
    void (*act)(IMAGE *image);
    pid_t waiting; /* the thread */
};

/* On a busy machine it can take a while until the wait has begun. Before that the thread does not
 * sleep. */
static bool is_asleep(pid_t thread)
{
    char name[64], line[400] = "";
    FILE *stat;
    const char *state;

    snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)thread);
    stat = fopen(name, "r");
    if (!stat || !fgets(line, sizeof line, stat))
        abort();
    fclose(stat);
    state = strrchr(line, ')');
    return state && state[2] == 'S';
}

static void *act_later(void *arg)
{
    const struct later *later = arg;

    do
        sleep_ns(LATER_NS);
    while (!is_asleep(later->waiting));
    later->act(later->image);
    return NULL;
}

/* Wait through `image` while act() is done to the other. */
static int_fast8_t wait_while(int which, IMAGE *image, IMAGE *other, void (*act)(IMAGE *image))
{
    struct later later = {other, act, gettid()};
    IMAGE before = *image;
    int_fast8_t status;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, act_later, &later), 0);
    status = waits[which].wait(image);
    pthread_join(thread, NULL);
    ck_assert_mem_eq(image, &before, sizeof before); /* the tail stays */
    return status;
}

/* Asked by the thread that writes. */
static uint64_t next_count(const IMAGE *image)
{
    return image->md[image->md[0].fifo_last_written].cnt0 + 1;
}

static void publish(IMAGE *image)
{
    uint16_t frame[FRAME_ELEMENTS];

    ramp_fill(frame, _DATATYPE_UINT16, next_count(image), FRAME_ELEMENTS);
    daoShmImage2Shm(frame, FRAME_ELEMENTS, image);
}

static void publish_as_the_field(IMAGE *image)
{
    field_write(image, image->md[0].fifo_size, next_count(image), FIELD_DONE);
}

START_TEST(a_frame_ends_the_wait_when_it_comes)
{
    uint32_t depth = testbed_depths[_i / WAITS];
    IMAGE writer = create_image("w", depth), reader = open_image("w");
    int64_t start_ns = dao_clock_mono_ns();

    ck_assert_int_eq(wait_while(_i % WAITS, &reader, &writer, publish), DAO_SUCCESS);
    ck_assert_int_ge(dao_clock_mono_ns() - start_ns, LATER_NS);
    expect_next(&reader, DAO_SUCCESS, reader.md[0].fifo_last_written, 1);
    ck_assert_int_eq(wait_while(_i % WAITS, &reader, &writer, publish_as_the_field), DAO_SUCCESS);
    expect_next(&reader, DAO_SUCCESS, 1 % depth, 2);
    expect_silence();
    close_images(&writer, &reader);
}
END_TEST

START_TEST(one_thread_waits_while_another_writes_through_the_same_image)
{
    IMAGE image = create_image("w", _i / WAITS ? 4 : 1), reader = image;

    ck_assert_int_eq(wait_while(_i % WAITS, &reader, &image, publish), DAO_SUCCESS);
    ck_assert_uint_eq(daoShmGetCounter(&image), 1);
    close_images(&image, NULL);
}
END_TEST

START_TEST(what_is_there_ends_a_wait_at_once_even_past_its_deadline)
{
    IMAGE writer = create_image("w", testbed_depths[_i]), reader = open_image("w");
    struct timespec past[] = {{0, 0}, {-1, 0}, {INT64_MIN, 999999999}};

    publish(&writer);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(daoShmWaitForNextSegmentUntil(&reader, &past[i]), DAO_SUCCESS);
        ck_assert_int_eq(daoShmWaitForTargetCounterUntil(&reader, 1, &past[i]), DAO_SUCCESS);
        ck_assert_int_eq(daoShmWaitForTargetCounterUntil(&reader, 0, &past[i]), DAO_SUCCESS);
    }
    ck_assert_int_eq(daoShmWaitForNextSegment(&reader), DAO_SUCCESS);
    ck_assert_int_eq(daoShmWaitForTargetCounter(&reader, 1), DAO_SUCCESS);
    ck_assert_uint_eq(reader.fifo_last_read_cnt0, 0);
    close_images(&writer, &reader);
}
END_TEST

START_TEST(a_deadline_in_the_past_is_one_look)
{
    IMAGE image = create_image("w", testbed_depths[_i]);
    struct timespec past[] = {{0, 0}, {0, 999999999}, {-1, 0}, {INT64_MIN, 0}};

    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(daoShmWaitForNextSegmentUntil(&image, &past[i]), DAO_TIMEOUT);
        ck_assert_int_eq(daoShmWaitForTargetCounterUntil(&image, 1, &past[i]), DAO_TIMEOUT);
    }
    expect_silence();
    close_images(&image, NULL);
}
END_TEST

START_TEST(a_deadline_is_kept_and_not_anticipated)
{
    IMAGE image = create_image("w", testbed_depths[_i]);

    for (int i = 0; i < 2; i++) {
        int64_t start_ns = dao_clock_mono_ns(), took_ns;
        struct timespec deadline = time_of(start_ns + 20 * MS);

        ck_assert_int_eq(i ? daoShmWaitForTargetCounterUntil(&image, 1, &deadline)
                           : daoShmWaitForNextSegmentUntil(&image, &deadline),
                         DAO_TIMEOUT);
        took_ns = dao_clock_mono_ns() - start_ns;
        ck_assert_int_ge(took_ns, 20 * MS);
        ck_assert_int_lt(took_ns, 30000 * MS);
    }
    close_images(&image, NULL);
}
END_TEST

START_TEST(a_deadline_beyond_all_time_is_none)
{
    IMAGE image = create_image("w", 3), writer = image;
    struct timespec far = {INT64_MAX, 999999999};
    struct later later = {&writer, publish, gettid()};
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, act_later, &later), 0);
    ck_assert_int_eq(_i ? daoShmWaitForTargetCounterUntil(&image, 1, &far)
                        : daoShmWaitForNextSegmentUntil(&image, &far),
                     DAO_SUCCESS);
    pthread_join(thread, NULL);
    close_images(&image, NULL);
}
END_TEST

START_TEST(a_wait_for_the_counter_is_for_a_frame_after_the_call)
{
    IMAGE writer = create_image("w", testbed_depths[_i]), reader = open_image("w");
    int64_t start_ns;

    publish(&writer);
    publish(&writer);
    start_ns = dao_clock_mono_ns(); /* two frames are there, not read */
    ck_assert_int_eq(wait_while(4, &reader, &writer, publish), DAO_SUCCESS);
    ck_assert_int_ge(dao_clock_mono_ns() - start_ns, LATER_NS);
    ck_assert_uint_eq(daoShmGetCounter(&reader), 3);
    close_images(&writer, &reader);
}
END_TEST

static void publish_a_jump(IMAGE *image)
{
    DAO_FRAME stamp = {.cnt0 = 500};
    uint16_t frame[FRAME_ELEMENTS] = {0};

    daoShmImage2ShmStamped(frame, FRAME_ELEMENTS, image, &stamp);
}

START_TEST(a_count_that_jumps_over_the_target_ends_the_wait)
{
    IMAGE writer = create_image("w", 3), reader = open_image("w");

    ck_assert_int_eq(wait_while(_i, &reader, &writer, publish_a_jump), DAO_SUCCESS);
    close_images(&writer, &reader);
}
END_TEST

/* ---- hazard 1 ---- */

static void stamp(IMAGE *image)
{
    field_stages(image, 2, 9, FIELD_TIMED, FIELD_DONE);
}

static void publish_with_a_rest(IMAGE *image)
{
    field_write(image, 3, 10, FIELD_LED);
    sleep_ns(LATER_NS);
    field_stages(image, 0, 10, FIELD_TIMED, FIELD_DONE);
}

START_TEST(an_unstamped_head_ends_no_wait)
{
    IMAGE writer = create_image("w", 3), reader = open_image("w");
    struct timespec soon;
    int64_t start_ns;

    field_frames(&writer, 3, 1, 8);
    ck_assert_int_eq(daoShmResetTail(&reader, NULL, NULL), DAO_SUCCESS);
    field_write(&writer, 3, 9, FIELD_LED); /* in slot 2, which holds the count 6 */
    soon = in_ms(10);
    ck_assert_int_eq(daoShmWaitForNextSegmentUntil(&reader, &soon), DAO_TIMEOUT);
    soon = in_ms(10);
    ck_assert_int_eq(daoShmWaitForTargetCounterUntil(&reader, 9, &soon), DAO_TIMEOUT);
    start_ns = dao_clock_mono_ns();
    ck_assert_int_eq(wait_while(_i, &reader, &writer, stamp), DAO_SUCCESS);
    ck_assert_int_ge(dao_clock_mono_ns() - start_ns, LATER_NS);
    expect_next(&reader, DAO_SUCCESS, 2, 9);
    start_ns = dao_clock_mono_ns();
    ck_assert_int_eq(wait_while(_i, &reader, &writer, publish_with_a_rest), DAO_SUCCESS);
    ck_assert_int_ge(dao_clock_mono_ns() - start_ns, 2 * LATER_NS);
    expect_next(&reader, DAO_SUCCESS, 0, 10);
    close_images(&writer, &reader);
}
END_TEST

/* ---- restarts and ends ---- */

static void recreate(IMAGE *image)
{
    uint32_t size[] = {4, 2};
    IMAGE again;

    (void)image;
    if (daoShmImageCreate_FIFO(&again, path, 2, size, _DATATYPE_UINT16, 1, 0, 3) == DAO_SUCCESS)
        daoShmCloseShm(&again);
}

/* As recreate(), and the first frames are there at once. */
static void recreate_and_publish(IMAGE *image)
{
    recreate(image);
    publish(image);
    publish(image);
}

static void go_back(IMAGE *image)
{
    field_stages(image, 2, 1, FIELD_BEGUN, FIELD_DONE);
    field_stages(image, 0, 2, FIELD_BEGUN, FIELD_DONE);
}

static void (*const restarts[])(IMAGE *image) = {recreate, recreate_and_publish, go_back};

START_TEST(a_restart_ends_the_wait)
{
    int which = _i % WAITS;
    IMAGE writer = create_image("w", 3), reader = open_image("w");
    uint64_t cnt0;
    void *pixels;

    field_frames(&writer, 3, 1, 8);
    ck_assert_int_eq(daoShmResetTail(&reader, NULL, NULL), DAO_SUCCESS);
    ck_assert_int_eq(wait_while(which, &reader, &writer, restarts[_i / WAITS]),
                     waits[which].on_restart);
    ck_assert_int_eq(daoShmGetNextSegment(&reader, &pixels, NULL, &cnt0), DAO_OVERWRITE);
    ck_assert_uint_eq(cnt0, _i / WAITS ? 2 : 0);
    expect_silence();
    close_images(&writer, &reader);
}
END_TEST

static void cut(IMAGE *image)
{
    (void)image;
    if (truncate(path, 100) < 0)
        abort();
}

static void take_away(IMAGE *image)
{
    (void)image;
    unlink(path);
}

static void replace(IMAGE *image)
{
    unlink(path);
    recreate(image);
}

static void reshape(IMAGE *image)
{
    (void)image;
    foreign_restart("w", &shape_turned);
}

static void (*const ends[])(IMAGE *image) = {cut, take_away, replace, reshape};

START_TEST(the_end_of_the_segment_ends_the_wait)
{
    IMAGE writer = create_image("w", 3), reader = open_image("w");
    int64_t start_ns = dao_clock_mono_ns();

    field_frames(&writer, 3, 1, 8);
    ck_assert_int_eq(daoShmResetTail(&reader, NULL, NULL), DAO_SUCCESS);
    ck_assert_int_eq(wait_while(_i % WAITS, &reader, &writer, ends[_i / WAITS]), DAO_ERROR);
    ck_assert_int_lt(dao_clock_mono_ns() - start_ns, 30000 * MS);
    ck_assert_ptr_nonnull(strstr(messages(), "close it and open it again"));
    close_images(&writer, &reader);
}
END_TEST

/* ---- signals, and what is the thread's ---- */

static volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
    (void)signo;
    alarms++;
}

/* Again and again: on a busy machine the first can come before the wait. */
static void alarm_every_ms(int ms)
{
    struct itimerval timer = {{.tv_usec = ms * 1000}, {.tv_usec = ms * 1000}};

    ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

START_TEST(a_signal_whose_handler_ran_ends_the_wait)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    IMAGE image = create_image("w", 3), before;

    write_frames(&image, 1, 1);
    expect_next(&image, DAO_SUCCESS, 0, 1);
    before = image;
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    alarm_every_ms(20);
    for (int i = 0; i < 2; i++) {
        errno = 0;
        ck_assert_int_eq(waits[_i].wait(&image), DAO_ERROR);
        ck_assert_int_eq(errno, EINTR);
        ck_assert_int_gt(alarms, i);
        ck_assert_mem_eq(&image, &before, sizeof image);
        ck_assert_int_eq(strstr(messages(), "a signal ended the wait") != NULL, i == 1);
        daoSetLogLevel(DAO_INFO); /* it is the caller's affair, and no error of his */
    }
    alarm_every_ms(0);
    expect_no_next(&image, DAO_NOTREADY);
    write_frames(&image, 2, 2);
    expect_next(&image, DAO_SUCCESS, 1, 2);
    close_images(&image, NULL);
}
END_TEST

START_TEST(signals_that_run_no_handler_do_not_end_the_wait)
{
    IMAGE image = create_image("w", 3);
    struct timespec deadline = in_ms(30);
    sigset_t blocked;

    if (_i % 2) {
        ck_assert_ptr_ne((void *)(uintptr_t)signal(SIGALRM, SIG_IGN), (void *)(uintptr_t)SIG_ERR);
    } else { /* not to be handled now: the caller says so */
        ck_assert_ptr_ne((void *)(uintptr_t)signal(SIGALRM, on_alarm), (void *)(uintptr_t)SIG_ERR);
        sigemptyset(&blocked);
        sigaddset(&blocked, SIGALRM);
        ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &blocked, NULL), 0);
    }
    alarm_every_ms(5);
    ck_assert_int_eq(_i / 2 ? daoShmWaitForTargetCounterUntil(&image, 1, &deadline)
                            : daoShmWaitForNextSegmentUntil(&image, &deadline),
                     DAO_TIMEOUT);
    alarm_every_ms(0);
    ck_assert_int_eq(alarms, 0);
    close_images(&image, NULL);
}
END_TEST

START_TEST(the_threads_signal_mask_and_timer_slack_are_given_back)
{
    void (*const happens[])(IMAGE * image) = {publish, cut};
    IMAGE writer = create_image("w", 3), reader = open_image("w");
    sigset_t before, after;

    ck_assert_int_eq(prctl(PR_SET_TIMERSLACK, 77777ul), 0);
    sigemptyset(&before);
    sigaddset(&before, SIGUSR2);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    if (_i / WAITS < 2) {
        wait_while(_i % WAITS, &reader, &writer, happens[_i / WAITS]);
    } else {
        ck_assert_ptr_ne((void *)(uintptr_t)signal(SIGALRM, on_alarm), (void *)(uintptr_t)SIG_ERR);
        alarm_every_ms(10);
        ck_assert_int_eq(waits[_i % WAITS].wait(&reader), DAO_ERROR);
        alarm_every_ms(0);
    }
    ck_assert_int_eq(prctl(PR_GET_TIMERSLACK), 77777);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int signo = 1; signo < 32; signo++)
        ck_assert_int_eq(sigismember(&after, signo), signo == SIGUSR2);
    close_images(&writer, &reader);
}
END_TEST

/* ---- */

static void add_ends(TCase *all)
{
    tcase_add_loop_test(all, a_frame_ends_the_wait_when_it_comes, 0, WAITS * DEPTHS);
    tcase_add_loop_test(all, one_thread_waits_while_another_writes_through_the_same_image, 0,
                        2 * WAITS);
    tcase_add_loop_test(all, what_is_there_ends_a_wait_at_once_even_past_its_deadline, 0, DEPTHS);
    tcase_add_loop_test(all, a_deadline_in_the_past_is_one_look, 0, DEPTHS);
    tcase_add_loop_test(all, a_deadline_is_kept_and_not_anticipated, 0, DEPTHS);
    tcase_add_loop_test(all, a_deadline_beyond_all_time_is_none, 0, 2);
    tcase_add_loop_test(all, a_wait_for_the_counter_is_for_a_frame_after_the_call, 0, DEPTHS);
    tcase_add_loop_test(all, a_count_that_jumps_over_the_target_ends_the_wait, 0, WAITS);
    tcase_add_loop_test(all, an_unstamped_head_ends_no_wait, 0, WAITS);
    tcase_add_loop_test(all, a_restart_ends_the_wait, 0, 3 * WAITS);
    tcase_add_loop_test(all, the_end_of_the_segment_ends_the_wait, 0, 4 * WAITS);
}

int main(void)
{
    Suite *suite = suite_create("waits of the API");
    TCase *all = tcase_create("all");

    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, begin, release_output);
    add_ends(all);
    tcase_add_loop_test(all, a_signal_whose_handler_ran_ends_the_wait, 0, WAITS);
    tcase_add_loop_test(all, signals_that_run_no_handler_do_not_end_the_wait, 0, 4);
    tcase_add_loop_test(all, the_threads_signal_mask_and_timer_slack_are_given_back, 0, 3 * WAITS);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
