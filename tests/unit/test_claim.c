/*
 * test_claim.c - whether somebody else writes to a segment: by the lock, and by a count that moves,
 * also that of a slow source.
 */
#include "tests/support/testbed.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/claim.h"
#include "lib/clock.h"

#define S 1000000000ll

static const volatile sig_atomic_t never = 0;
static struct dao_segment segment;

/* The last two frames of a source whose frames come this far apart. */
static void put_last_frames(int64_t ago_ns, int64_t interval_ns)
{
    int64_t now_ns = dao_clock_real_ns();

    for (uint64_t cnt0 = 41; cnt0 <= 42; cnt0++) {
        struct dao_write w;

        ck_assert_int_eq(dao_writer_begin(&segment, &w), 0);
        w.cnt0 = cnt0;
        dao_writer_publish(&segment, &w, now_ns - ago_ns - (int64_t)(42 - cnt0) * interval_ns);
    }
}

static void *publish_late(void *ctx)
{
    const struct timespec wait = {1, 200000000};
    struct dao_write w;

    (void)ctx;
    nanosleep(&wait, NULL); /* more than the second that everybody is watched */
    if (dao_writer_begin(&segment, &w) == 0)
        dao_writer_publish(&segment, &w, 0);
    return NULL;
}

/* What is found of a source that publishes once more, 1.2 s from now. */
static int watch(const char *path, struct dao_text *text)
{
    struct claim claims[2] = {0};
    pthread_t thread;
    int r;

    ck_assert_int_eq(claim_take(&claims[0], testbed_path("none"), text), 0);
    ck_assert_int_eq(claim_take(&claims[1], path, text), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, publish_late, NULL), 0);
    r = claim_watch(claims, 2, &never, text);
    pthread_join(thread, NULL);
    claim_release(&claims[0]);
    claim_release(&claims[1]);
    return r;
}

START_TEST(a_slow_source_is_waited_for)
{
    struct dao_text text = {""};

    testbed_create(&segment, "slow", 4);
    put_last_frames(S / 10, 6 * S);
    ck_assert_int_eq(watch(testbed_path("slow"), &text), -EBUSY);
    ck_assert_ptr_nonnull(strstr(text.s, "count is moving"));
    dao_segment_close(&segment);
}
END_TEST

/* Times of which no interval can be made. */
START_TEST(a_segment_with_odd_times_is_watched_all_the_same)
{
    static const int64_t intervals[] = {-S, INT64_MAX / 4, INT64_MAX};
    struct claim claims[3];
    struct dao_text text = {""};
    char name[16];

    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "odd%d", i);
        testbed_create(&segment, name, 4);
        put_last_frames(i == 2 ? 0 : S / 10, intervals[i]);
        ck_assert_int_eq(claim_take(&claims[i], testbed_path(name), &text), 0);
        dao_segment_close(&segment);
    }
    ck_assert_int_eq(claim_watch(claims, 3, &never, &text), 0);
    for (int i = 0; i < 3; i++)
        claim_release(&claims[i]);
}
END_TEST

START_TEST(a_stop_ends_the_watching)
{
    static const volatile sig_atomic_t stop = 1;
    struct claim claim;
    struct dao_text text = {""};

    testbed_create(&segment, "stop", 4);
    put_last_frames(0, 6 * S);
    ck_assert_int_eq(claim_take(&claim, testbed_path("stop"), &text), 0);
    ck_assert_int_eq(claim_watch(&claim, 1, &stop, &text), -ECANCELED);
    claim_release(&claim);
    dao_segment_close(&segment);
}
END_TEST

START_TEST(a_held_lock_is_a_writer)
{
    struct claim claim;
    struct dao_text text = {""};

    testbed_create(&segment, "held", 4);
    ck_assert_int_eq(claim_lock(&segment, &text), 0);
    ck_assert_int_eq(claim_take(&claim, testbed_path("held"), &text), -EBUSY);
    ck_assert_ptr_nonnull(strstr(text.s, "holds its writer's lock"));
    claim_release(&claim);
    dao_segment_close(&segment);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("claim");
    TCase *tcase = tcase_create("claim");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_slow_source_is_waited_for);
    tcase_add_test(tcase, a_segment_with_odd_times_is_watched_all_the_same);
    tcase_add_test(tcase, a_stop_ends_the_watching);
    tcase_add_test(tcase, a_held_lock_is_a_writer);
    suite_add_tcase(suite, tcase);
    return testbed_run(suite);
}
