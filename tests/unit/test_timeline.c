/*
 * test_timeline.c - when frames were: good times, none, times that run back, clocks that jump.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "replay/timeline.h"
#include "tests/support/suite.h"

#define MS    1000000ll
#define S     1000000000ll
#define BEGIN (1700000000 * S)
#define LATER (3 * MS) /* RTIME behind ATIME */

static struct timeline timeline;

static void clear(void)
{
    memset(&timeline, 0, sizeof timeline);
}

static int64_t next(int64_t atime_ns, int64_t rtime_ns)
{
    const struct fits_row row = {.atime_ns = atime_ns, .rtime_ns = rtime_ns};

    return timeline_next(&timeline, &row, false);
}

/* Frames 0 .. count-1 at 1 kHz; the time of the last one. */
static int64_t run(int count)
{
    int64_t when = 0;

    for (int i = 0; i < count; i++)
        when = next(BEGIN + i * MS, BEGIN + i * MS + LATER);
    return when;
}

START_TEST(good_times_are_kept_to_the_nanosecond)
{
    static const int64_t at[] = {0, 1, 1, 999983, 1000000, 5 * S, 5 * S + 1, 64 * S};

    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
        ck_assert_int_eq(next(BEGIN + at[i], BEGIN + at[i] + LATER), BEGIN + at[i]);
}
END_TEST

START_TEST(a_frame_without_a_time_comes_a_usual_interval_after_the_one_before)
{
    run(10);
    ck_assert_int_eq(next(0, BEGIN + 10 * MS + LATER), BEGIN + 10 * MS);
    ck_assert_int_eq(next(-5, BEGIN + 11 * MS + LATER), BEGIN + 11 * MS);
    /* ... and the next good time rules again, though it is not what was guessed */
    ck_assert_int_eq(next(BEGIN + 12 * MS + 100, BEGIN + 13 * MS), BEGIN + 12 * MS + 100);
}
END_TEST

START_TEST(guesses_that_were_too_late_are_made_good_without_running_back)
{
    run(10);
    next(0, BEGIN + 10 * MS);
    next(0, BEGIN + 10 * MS);
    ck_assert_int_eq(next(BEGIN + 10 * MS, BEGIN + 11 * MS), BEGIN + 11 * MS);
    ck_assert_int_eq(next(BEGIN + 12 * MS, BEGIN + 13 * MS), BEGIN + 12 * MS);
}
END_TEST

START_TEST(a_clock_that_ran_back_costs_one_usual_interval_and_shifts_what_follows)
{
    run(10);
    for (int i = 10; i < 20; i++)
        ck_assert_int_eq(next(BEGIN + i * MS - 3600 * S, BEGIN + i * MS - 3600 * S + LATER),
                         BEGIN + i * MS);
}
END_TEST

START_TEST(a_clock_that_jumped_ahead_is_found_out_by_the_recorders)
{
    run(10);
    for (int i = 10; i < 20; i++)
        ck_assert_int_eq(next(BEGIN + i * MS + 3600 * S, BEGIN + i * MS + LATER), BEGIN + i * MS);
}
END_TEST

START_TEST(a_pause_that_both_clocks_know_is_a_pause)
{
    run(10);
    ck_assert_int_eq(next(BEGIN + 3600 * S, BEGIN + 3600 * S + LATER), BEGIN + 3600 * S);
    ck_assert_int_eq(next(BEGIN + 3600 * S + MS, BEGIN + 3600 * S + MS), BEGIN + 3600 * S + MS);
}
END_TEST

START_TEST(a_restart_with_its_clock_set_back_keeps_the_pause_that_the_recorder_saw)
{
    run(10);
    ck_assert_int_eq(next(BEGIN - 100 * S, BEGIN + 30 * S + 9 * MS + LATER),
                     BEGIN + 30 * S + 9 * MS);
    ck_assert_int_eq(next(BEGIN - 100 * S + MS, BEGIN + 31 * S), BEGIN + 30 * S + 10 * MS);
}
END_TEST

START_TEST(without_any_good_time_the_recorders_clock_rules)
{
    static const int64_t at[] = {0, 1 * MS, 5 * MS, 5 * MS, 2 * S};

    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
        ck_assert_int_eq(next(0, BEGIN + at[i]), BEGIN + at[i]);
    /* and where that runs back, too, no time goes by */
    ck_assert_int_eq(next(0, BEGIN - S), BEGIN + 2 * S);
}
END_TEST

START_TEST(the_first_good_time_after_none_takes_over)
{
    ck_assert_int_eq(next(0, BEGIN), BEGIN);
    ck_assert_int_eq(next(BEGIN + 10 * MS, BEGIN + 10 * MS), BEGIN + 10 * MS);
    ck_assert_int_eq(next(BEGIN + 11 * MS, BEGIN + 11 * MS), BEGIN + 11 * MS);
}
END_TEST

START_TEST(the_usual_interval_is_not_led_astray_by_gaps_and_pauses)
{
    int64_t last = run(10);
    struct fits_row row = {.atime_ns = last + 50 * MS, .rtime_ns = last + 50 * MS, .lost = 49};

    timeline_next(&timeline, &row, false);
    next(last + 5 * S, last + 5 * S);
    ck_assert_int_eq(timeline.usual_ns, MS);
}
END_TEST

/* ---- gaps that are closed ---- */

START_TEST(a_closed_gap_takes_a_usual_interval)
{
    static const int32_t flags[] = {FITS_FLAG_GAP, FITS_FLAG_GAP | FITS_FLAG_OVERWRITE,
                                    FITS_FLAG_RESET};
    int64_t last = run(10);
    struct fits_row row = {.atime_ns = last + 50 * MS,
                           .rtime_ns = last + 50 * MS + LATER,
                           .lost = flags[_i] & FITS_FLAG_GAP ? 49 : 0,
                           .flags = flags[_i]};

    ck_assert_int_eq(timeline_next(&timeline, &row, true), last + MS);
    for (int i = 1; i < 5; i++) /* and what follows moves up */
        ck_assert_int_eq(next(last + (50 + i) * MS, last + (51 + i) * MS), last + (1 + i) * MS);
}
END_TEST

START_TEST(a_count_that_jumped_without_time_going_by_keeps_its_interval)
{
    int64_t last = run(10);
    struct fits_row row = {.atime_ns = last + MS / 2, .rtime_ns = last + MS, .lost = 1000000};

    ck_assert_int_eq(timeline_next(&timeline, &row, true), last + MS / 2);
}
END_TEST

START_TEST(a_gap_that_is_kept_takes_its_time)
{
    int64_t last = run(10);
    struct fits_row row = {.atime_ns = last + 50 * MS, .rtime_ns = last + 50 * MS, .lost = 49};

    ck_assert_int_eq(timeline_next(&timeline, &row, false), last + 50 * MS);
}
END_TEST

START_TEST(times_never_run_back_whatever_the_rows_say)
{
    int64_t last = INT64_MIN;

    srand(1);
    for (int i = 0; i < 100000; i++) {
        static const int64_t odd[] = {0, -1, 1, INT64_MAX, INT64_MIN, BEGIN};
        struct fits_row row = {
            .atime_ns = rand() % 3 ? BEGIN + rand() % 1000 * S : odd[rand() % 6],
            .rtime_ns = rand() % 3 ? BEGIN + rand() % 1000 * S : odd[rand() % 6],
            .lost = rand() % 2,
            .flags = rand() % 256,
        };
        int64_t when;

        if (rand() % 100 == 0)
            clear(), last = INT64_MIN;
        when = timeline_next(&timeline, &row, rand() % 2);
        ck_assert_int_ge(when, last);
        last = when;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timeline");
    TCase *tcase = tcase_create("timeline");

    tcase_add_checked_fixture(tcase, clear, NULL);
    tcase_add_test(tcase, good_times_are_kept_to_the_nanosecond);
    tcase_add_test(tcase, a_frame_without_a_time_comes_a_usual_interval_after_the_one_before);
    tcase_add_test(tcase, guesses_that_were_too_late_are_made_good_without_running_back);
    tcase_add_test(tcase, a_clock_that_ran_back_costs_one_usual_interval_and_shifts_what_follows);
    tcase_add_test(tcase, a_clock_that_jumped_ahead_is_found_out_by_the_recorders);
    tcase_add_test(tcase, a_pause_that_both_clocks_know_is_a_pause);
    tcase_add_test(tcase, a_restart_with_its_clock_set_back_keeps_the_pause_that_the_recorder_saw);
    tcase_add_test(tcase, without_any_good_time_the_recorders_clock_rules);
    tcase_add_test(tcase, the_first_good_time_after_none_takes_over);
    tcase_add_test(tcase, the_usual_interval_is_not_led_astray_by_gaps_and_pauses);
    tcase_add_loop_test(tcase, a_closed_gap_takes_a_usual_interval, 0, 3);
    tcase_add_test(tcase, a_count_that_jumped_without_time_going_by_keeps_its_interval);
    tcase_add_test(tcase, a_gap_that_is_kept_takes_its_time);
    tcase_add_test(tcase, times_never_run_back_whatever_the_rows_say);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
