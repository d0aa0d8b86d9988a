/*
 * test_tally.c - counting and measuring one stream, and the depth that a FIFO needs.
 */
#include <check.h>
#include <string.h>

#include "base/shallow.h"
#include "measure/tally.h"
#include "tests/support/suite.h"

#define MS     1000000ll
#define SECOND 1000000000ll
#define START  (1764000000ll * SECOND)
#define GAPS   4u

static struct tally tally;
static struct tally_gap gaps[GAPS];

static void clear(void)
{
    memset(&tally, 0, sizeof tally);
    tally.gaps = gaps;
    tally.gaps_most = GAPS;
}

/* Frame `cnt0`, stamped at_ns after the start and taken late_ns later. */
static void take(int64_t cnt0, int64_t at_ns, int64_t late_ns)
{
    struct tally_frame frame = {
        .cnt0 = cnt0, .atime_ns = START + at_ns, .taken_ns = START + at_ns + late_ns};

    tally_take(&tally, &frame);
}

static void take_many(int64_t first, int64_t last, int64_t at_ns, int64_t interval_ns)
{
    for (int64_t cnt0 = first; cnt0 <= last; cnt0++)
        take(cnt0, at_ns + (cnt0 - first) * interval_ns, MS / 10);
}

static void expect_balance(uint64_t expected, uint64_t lost)
{
    ck_assert_uint_eq(tally_expected(&tally), expected);
    ck_assert_uint_eq(tally_lost(&tally), lost);
    ck_assert_uint_eq(tally.seen + tally_lost(&tally), expected);
}

START_TEST(nothing_is_expected_before_anything_is_known)
{
    expect_balance(0, 0);
    ck_assert_double_eq(tally_rate_hz(&tally), 0.0);
    tally_begin_run(&tally, 101, TALLY_START);
    expect_balance(0, 0);
    ck_assert_double_eq(tally_rate_hz(&tally), 0.0);
}
END_TEST

START_TEST(frames_losses_and_runs_add_up)
{
    tally_begin_run(&tally, 101, TALLY_START);
    tally_lose(&tally, LEDGER_LAPPED, 101, 2, START);
    take_many(103, 110, 0, MS);
    tally_lose(&tally, LEDGER_SOURCE, 111, 1000, START);
    take_many(1111, 1120, 20 * MS, MS);
    tally_lose(&tally, LEDGER_RESTART, 1121, 3, START);
    tally_begin_run(&tally, 1, TALLY_RESTART);
    take_many(1, 50, SECOND, MS);
    tally_begin_run(&tally, 900, TALLY_HOLE);
    take_many(900, 901, 2 * SECOND, MS);
    expect_balance(1023 + 50 + 2, 1005);
    ck_assert_uint_eq(tally.seen, 70);
    ck_assert_uint_eq(tally.lost_by[LEDGER_LAPPED], 2);
    ck_assert_uint_eq(tally.lost_by[LEDGER_SOURCE], 1000);
    ck_assert_uint_eq(tally.lost_by[LEDGER_RESTART], 3);
    ck_assert_uint_eq(tally.restarts, 1); /* a hole is none */
    ck_assert_uint_eq(tally.run_count, 3);
    ck_assert_int_eq(tally.runs[0].first_cnt0, 101);
    ck_assert_int_eq(tally.runs[0].last_cnt0, 1123);
    ck_assert_uint_eq(tally.gap_count, 3);
    ck_assert_int_eq(gaps[1].first_cnt0, 111);
    ck_assert_uint_eq(gaps[1].count, 1000);
}
END_TEST

START_TEST(gaps_beyond_the_list_are_counted)
{
    tally_begin_run(&tally, 1, TALLY_START);
    for (int64_t i = 0; i < 10; i++) {
        tally_lose(&tally, LEDGER_LAPPED, 1 + 2 * i, 1, START);
        take(2 + 2 * i, i * MS, 0);
        tally_lose(&tally, LEDGER_LAPPED, 0, 0, START); /* nothing lost is no gap */
    }
    expect_balance(20, 10);
    ck_assert_uint_eq(tally.gap_count, 10);
    ck_assert_uint_eq(tally_listed(&tally), GAPS);
    ck_assert_int_eq(gaps[3].first_cnt0, 7);
}
END_TEST

START_TEST(intervals_are_those_between_frames_that_follow_each_other)
{
    tally_begin_run(&tally, 1, TALLY_START);
    take(1, 0, 0);
    take(2, 1 * MS, 0);
    tally_lose(&tally, LEDGER_LAPPED, 3, 1, START);
    take(4, 3 * MS, 0); /* not after a loss */
    take(5, 4 * MS, 0);
    tally_begin_run(&tally, 6, TALLY_RESTART);
    take(6, 9 * MS, 0); /* nor over a restart, though the count follows */
    take(7, 12 * MS, 0);
    spread_settle(&tally.interval);
    ck_assert_uint_eq(spread_count(&tally.interval), 3);
    ck_assert_int_eq(spread_quantile(&tally.interval, 0.0), MS);
    ck_assert_int_eq(spread_quantile(&tally.interval, 1.0), 3 * MS);
}
END_TEST

START_TEST(times_that_are_bad_are_counted_and_not_measured)
{
    struct tally_frame frame = {.cnt0 = 2, .taken_ns = START};

    tally_begin_run(&tally, 1, TALLY_START);
    take(1, 5 * MS, 0);
    tally_take(&tally, &frame); /* ATIME 0 */
    take(3, 6 * MS, 0);         /* no interval before it */
    take(4, 5 * MS, 0);         /* goes back */
    take(5, 7 * MS, 0);
    take(6, 8 * MS, 0);
    frame = (struct tally_frame){.cnt0 = 7, .atime_ns = START + 9 * MS, .is_bad_time = true};
    tally_take(&tally, &frame);
    ck_assert_uint_eq(tally.bad_times, 3);
    spread_settle(&tally.interval);
    ck_assert_uint_eq(spread_count(&tally.interval), 1);
    ck_assert_int_eq(spread_quantile(&tally.interval, 0.5), MS);
    ck_assert_uint_eq(tally.latency.count, 4);
    expect_balance(7, 0);
}
END_TEST

START_TEST(in_a_new_run_times_may_begin_anywhere)
{
    tally_begin_run(&tally, 1, TALLY_START);
    take(1, SECOND, 0);
    tally_begin_run(&tally, 1, TALLY_RESTART);
    take(1, 0, 0);
    ck_assert_uint_eq(tally.bad_times, 0);
}
END_TEST

START_TEST(latency_is_from_the_time_stamp_to_the_taking)
{
    tally_begin_run(&tally, 1, TALLY_START);
    for (int64_t i = 1; i <= 100; i++)
        take(i, i * MS, i);
    ck_assert_uint_eq(tally.latency.count, 100);
    ck_assert_int_eq(histogram_quantile(&tally.latency, 0.5), 50);
    ck_assert_int_eq(tally.latency.max, 100);
    take(101, 101 * MS, -5); /* a clock that is ahead of ours */
    ck_assert_uint_eq(tally.early, 1);
    ck_assert_uint_eq(tally.latency.count, 100);
    tally_take(&tally, &(struct tally_frame){.cnt0 = 102, .atime_ns = START + SECOND});
    ck_assert_uint_eq(tally.latency.count, 100); /* when it was taken is not known */
}
END_TEST

START_TEST(the_rate_counts_what_was_lost_but_not_what_a_source_left_out)
{
    tally_begin_run(&tally, 1, TALLY_START);
    take_many(1, 100, 0, MS);
    tally_lose(&tally, LEDGER_LAPPED, 101, 100, START);
    take_many(201, 300, 200 * MS, MS);
    ck_assert_double_eq_tol(tally_rate_hz(&tally), 1000.0, 1e-6);
    tally_lose(&tally, LEDGER_SOURCE, 301, 5000, START);
    take_many(5301, 5400, 300 * MS, MS);
    ck_assert_double_eq_tol(tally_rate_hz(&tally), 1000.0, 1e-6);
    tally_begin_run(&tally, 1, TALLY_RESTART); /* after a pause of ten seconds */
    take_many(1, 100, 10 * SECOND, MS);
    ck_assert_double_eq_tol(tally_rate_hz(&tally), 1000.0, 1e-6);
}
END_TEST

START_TEST(a_jump_before_the_first_frame_does_not_slow_the_rate)
{
    tally_begin_run(&tally, 1, TALLY_START);
    tally_lose(&tally, LEDGER_SOURCE, 1, 50, START);
    take_many(51, 151, 0, MS);
    ck_assert_double_eq_tol(tally_rate_hz(&tally), 1000.0, 1e-6);
}
END_TEST

/* ---- depth ---- */

/* The first of N - 1 slots is overwritten by the N-th frame after the last look. */
static bool is_deep_enough(uint32_t depth, double rate_hz, double delay_ns)
{
    double sleep_ns = depth / 8.0 * 1e9 / rate_hz, intervals;

    if (sleep_ns < 20000.0)
        sleep_ns = 20000.0;
    intervals = (sleep_ns + delay_ns) * rate_hz / 1e9;
    return (uint64_t)intervals + 1 <= depth - 1;
}

START_TEST(the_depth_needed_is_the_least_that_is_enough)
{
    static const double rates[] = {1.0, 100.0, 1000.0, 1234.5, 10000.0, 250000.0, 1e6};
    static const int64_t delays[] = {0, 1000, 60000, MS, 17 * MS, SECOND};

    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        for (size_t d = 0; d < sizeof delays / sizeof delays[0]; d++) {
            uint32_t depth = shallow_depth_needed(rates[r], delays[d]);

            ck_assert_msg(is_deep_enough(depth, rates[r], (double)delays[d]), "%u at %g Hz", depth,
                          rates[r]);
            if (depth > 2)
                ck_assert_msg(!is_deep_enough(depth - 1, rates[r], (double)delays[d]),
                              "%u at %g Hz, %lld ns late", depth, rates[r], (long long)delays[d]);
        }
    }
}
END_TEST

START_TEST(a_depth_of_2_is_the_least_and_one_of_32_bits_the_most)
{
    ck_assert_uint_eq(shallow_depth_needed(1000.0, 0), 2);
    ck_assert_uint_eq(shallow_depth_needed(1000.0, -5), 2);
    ck_assert_uint_eq(shallow_depth_needed(0.0, SECOND), 0);
    ck_assert_uint_eq(shallow_depth_needed(1e9, 100 * SECOND), UINT32_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tally");
    TCase *tcase = tcase_create("tally");

    tcase_add_checked_fixture(tcase, clear, NULL);
    tcase_add_test(tcase, nothing_is_expected_before_anything_is_known);
    tcase_add_test(tcase, frames_losses_and_runs_add_up);
    tcase_add_test(tcase, gaps_beyond_the_list_are_counted);
    tcase_add_test(tcase, intervals_are_those_between_frames_that_follow_each_other);
    tcase_add_test(tcase, times_that_are_bad_are_counted_and_not_measured);
    tcase_add_test(tcase, in_a_new_run_times_may_begin_anywhere);
    tcase_add_test(tcase, latency_is_from_the_time_stamp_to_the_taking);
    tcase_add_test(tcase, the_rate_counts_what_was_lost_but_not_what_a_source_left_out);
    tcase_add_test(tcase, a_jump_before_the_first_frame_does_not_slow_the_rate);
    tcase_add_test(tcase, the_depth_needed_is_the_least_that_is_enough);
    tcase_add_test(tcase, a_depth_of_2_is_the_least_and_one_of_32_bits_the_most);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
