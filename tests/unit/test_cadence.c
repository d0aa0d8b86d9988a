/*
 * test_cadence.c - several threads that wait for frames at once, and what a wait costs: it learns
 * when frames come, spins where that pays, and sleeps where it does not.
 *
 * Nothing is held against a clock: costs are compared with each other within one run, or with the
 * time that passed.
 */
#include "tests/support/frozen.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "lib/clock.h"

#define MS 1000000ll

#ifdef __SANITIZE_ADDRESS__ /* which is no judge of costs */
#define FEWER 4
#else
#define FEWER 1
#endif

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

/* ---- several waiting ---- */

struct follower {
    IMAGE image;
    uint64_t last, taken, lost;
    int failures;
};

static void *follow(void *arg)
{
    struct follower *f = arg;

    while (f->image.fifo_last_read_cnt0 < f->last && !f->failures) {
        uint64_t before = f->image.fifo_last_read_cnt0;
        uint16_t pixels[FRAME_ELEMENTS];
        DAO_FRAME frame;
        int status;

        if (daoShmWaitForNextSegment(&f->image) != DAO_SUCCESS)
            f->failures++;
        status = daoShmCopyNextSegment(&f->image, pixels, sizeof pixels, &frame);
        if (status == DAO_NOTREADY)
            continue; /* lapped, and not yet to be proven */
        f->taken++;
        f->lost += frame.lost;
        f->failures += status == DAO_ERROR || frame.cnt0 != before + frame.lost + 1;
    }
    return NULL;
}

START_TEST(several_threads_wait_at_once_and_each_gets_every_frame)
{
    enum { FOLLOWERS = 3, FRAMES = 150 / FEWER };
    IMAGE writer = create_image("w", 64);
    struct follower followers[FOLLOWERS];
    pthread_t threads[FOLLOWERS];

    for (int i = 0; i < FOLLOWERS; i++) {
        followers[i] = (struct follower){.last = FRAMES, .image = open_image("w")};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, follow, &followers[i]), 0);
    }
    for (int i = 0; i < FRAMES; i++) {
        sleep_ns(MS);
        publish(&writer);
    }
    for (int i = 0; i < FOLLOWERS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(followers[i].failures, 0);
        ck_assert_uint_eq(followers[i].taken + followers[i].lost, FRAMES);
        close_images(&followers[i].image, NULL);
    }
    close_images(&writer, NULL);
}
END_TEST

static void *wait_for_each(void *arg)
{
    struct follower *f = arg;

    for (uint64_t cnt0 = 1; cnt0 <= f->last; cnt0++)
        f->failures += daoShmWaitForTargetCounter(&f->image, cnt0) != DAO_SUCCESS;
    return NULL;
}

/* They share what they know of the cadence, and nothing else. */
START_TEST(two_copies_of_an_image_may_wait_in_two_threads)
{
    IMAGE writer = create_image("w", 64), reader = open_image("w");
    struct follower followers[2] = {{.last = 60, .image = reader}, {.last = 60, .image = reader}};
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_for_each, &followers[i]), 0);
    for (int i = 0; i < 60; i++) {
        sleep_ns(MS);
        publish(&writer);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(followers[i].failures, 0);
    }
    close_images(&writer, &reader);
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

/* A source: frames at these intervals, over and over. */
struct cadence {
    IMAGE *image;
    const int64_t *interval_us;
    int intervals, frames;
};

static void *write_at_a_cadence(void *arg)
{
    const struct cadence *c = arg;
    int64_t due_ns = dao_clock_mono_ns();

    prctl(PR_SET_TIMERSLACK, 1000ul);
    for (int i = 0; i < c->frames; i++) {
        struct timespec due;

        due_ns += c->interval_us[i % c->intervals] * 1000;
        due = time_of(due_ns);
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        publish(c->image);
    }
    return NULL;
}

struct costs {
    int64_t cpu_ns, elapsed_ns;
    int frames;       /* slept for: fewer than were written where this thread was late */
    long sleeps[400]; /* by frame */
};

static int compare_longs(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

/* Median of those after the first quarter, in which the cadence is learnt. 0: too few. */
static long median_sleeps(struct costs *costs)
{
    int first = costs->frames / 4, count = costs->frames - first;

    qsort(costs->sleeps + first, (size_t)count, sizeof costs->sleeps[0], compare_longs);
    return count < 5 ? 0 : costs->sleeps[first + count / 2];
}

static void wait_for_one(struct costs *costs, IMAGE *reader)
{
    struct rusage before, after;
    void *pixels;

    getrusage(RUSAGE_THREAD, &before);
    ck_assert_int_eq(daoShmWaitForNextSegment(reader), DAO_SUCCESS);
    getrusage(RUSAGE_THREAD, &after);
    ck_assert_int_ne(daoShmGetNextSegment(reader, &pixels, NULL, NULL), DAO_ERROR);
    if (after.ru_nvcsw > before.ru_nvcsw)
        costs->sleeps[costs->frames++] = after.ru_nvcsw - before.ru_nvcsw;
}

static void follow_a_cadence(struct costs *costs, const int64_t *interval_us, int intervals,
                             int frames)
{
    IMAGE writer = create_image("w", 512), reader = open_image("w");
    struct cadence cadence = {&writer, interval_us, intervals, frames};
    int64_t start_ns = dao_clock_mono_ns(), start_cpu_ns = cpu_ns();
    pthread_t thread;

    costs->frames = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, write_at_a_cadence, &cadence), 0);
    while (reader.fifo_last_read_cnt0 < (uint64_t)frames)
        wait_for_one(costs, &reader);
    costs->cpu_ns = cpu_ns() - start_cpu_ns;
    costs->elapsed_ns = dao_clock_mono_ns() - start_ns;
    pthread_join(thread, NULL);
    close_images(&writer, &reader);
}

START_TEST(waiting_for_a_steady_source_costs_far_less_than_a_core)
{
    static const int64_t steady_us[] = {2000};
    struct costs costs;

    follow_a_cadence(&costs, steady_us, 1, 200 / FEWER);
    ck_assert_int_lt(costs.cpu_ns, costs.elapsed_ns / 2);
}
END_TEST

/* Who knows when a frame is due sleeps once, until shortly before, and is awake when it comes; who
 * does not sleeps again and again. Other chances for a busy machine, where nothing is steady. */
START_TEST(the_cadence_of_a_steady_source_is_learnt)
{
    static const int64_t steady_us[] = {5000};
    static const int64_t irregular_us[] = {1000, 9000, 2000, 8000, 6000, 4000, 9000, 1000};

    for (int chances = 4;; chances--) {
        struct costs steady, irregular;
        long sleeps, sleeps_irregular;

        follow_a_cadence(&irregular, irregular_us, 8, 60 / FEWER);
        follow_a_cadence(&steady, steady_us, 1, 60 / FEWER);
        sleeps = median_sleeps(&steady);
        sleeps_irregular = median_sleeps(&irregular);
        if (2 * sleeps < sleeps_irregular)
            break;
        ck_assert_msg(chances > 0 || !sleeps || !sleeps_irregular, "%ld sleeps, and %ld", sleeps,
                      sleeps_irregular);
        if (chances == 0)
            break;
    }
}
END_TEST

START_TEST(waiting_for_what_does_not_come_costs_little)
{
    static const int64_t steady_us[] = {1000};
    IMAGE image = create_image("w", 64);
    struct cadence cadence = {&image, steady_us, 1, _i ? 50 : 0};
    uint64_t cnt0 = 1;
    struct timespec deadline;
    int64_t start_ns;
    pthread_t thread;

    /* Nothing is known of the source; or its cadence is, and then it pauses. */
    ck_assert_int_eq(pthread_create(&thread, NULL, write_at_a_cadence, &cadence), 0);
    for (; cnt0 <= (uint64_t)cadence.frames; cnt0++)
        ck_assert_int_eq(daoShmWaitForTargetCounter(&image, cnt0), DAO_SUCCESS);
    pthread_join(thread, NULL);
    start_ns = cpu_ns();
    deadline = in_ms(300);
    ck_assert_int_eq(daoShmWaitForTargetCounterUntil(&image, cnt0, &deadline), DAO_TIMEOUT);
    ck_assert_int_lt(cpu_ns() - start_ns, 60 * MS);
    close_images(&image, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cadence");
    TCase *all = tcase_create("all");

    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, catch_output, release_output);
    tcase_add_test(all, several_threads_wait_at_once_and_each_gets_every_frame);
    tcase_add_test(all, two_copies_of_an_image_may_wait_in_two_threads);
    tcase_add_test(all, waiting_for_a_steady_source_costs_far_less_than_a_core);
    tcase_add_test(all, the_cadence_of_a_steady_source_is_learnt);
    tcase_add_loop_test(all, waiting_for_what_does_not_come_costs_little, 0, 2);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
