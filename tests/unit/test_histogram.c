/*
 * test_histogram.c - quantiles from buckets against those of the values themselves.
 */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "tests/support/quantiles.h"
#include "tests/support/suite.h"

#define COUNT 20000

static struct histogram h, other;

static void clear(void)
{
    memset(&h, 0, sizeof h);
    memset(&other, 0, sizeof other);
}

static const double shares[] = {0.0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1.0};
#define SHARES (sizeof shares / sizeof shares[0])

/* Never below the value, above it by less than 1/64 of it. */
static void expect_near(int64_t found, int64_t exact)
{
    ck_assert_int_ge(found, exact);
    ck_assert_msg(found - exact <= exact / 64, "%lld for %lld", (long long)found, (long long)exact);
}

START_TEST(an_empty_one_says_zero)
{
    ck_assert_int_eq(histogram_quantile(&h, 0.5), 0);
    ck_assert_double_eq(histogram_mean(&h), 0.0);
    histogram_merge(&h, &other);
    ck_assert_uint_eq(h.count, 0);
}
END_TEST

START_TEST(one_value_is_every_quantile_exactly)
{
    static const int64_t values[] = {0, 1, 63, 64, 127, 128, 1000, 123456789, INT64_MAX};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        clear();
        histogram_add(&h, values[i]);
        for (size_t k = 0; k < SHARES; k++)
            ck_assert_int_eq(histogram_quantile(&h, shares[k]), values[i]);
        ck_assert_int_eq(h.min, values[i]);
        ck_assert_int_eq(h.max, values[i]);
    }
}
END_TEST

START_TEST(below_128_everything_is_exact)
{
    for (int64_t value = 127; value >= 0; value--)
        histogram_add(&h, value);
    for (int percent = 0; percent <= 100; percent++) {
        /* of 0 .. 127 in order: the one with that rank */
        int64_t rank = (128 * percent + 99) / 100;

        ck_assert_int_eq(histogram_quantile(&h, percent / 100.0), rank ? rank - 1 : 0);
    }
    ck_assert_double_eq_tol(histogram_mean(&h), 63.5, 1e-9);
}
END_TEST

/* Around every power of two, where the buckets change. */
START_TEST(each_value_is_told_to_within_a_64th)
{
    for (unsigned bit = 0; bit < 63; bit++) {
        for (int64_t by = -70; by <= 70; by++) {
            int64_t value = (int64_t)(1ull << bit) + by;

            if (value < 0)
                continue;
            clear();
            histogram_add(&h, value);
            histogram_add(&h, INT64_MAX);
            expect_near(histogram_quantile(&h, 0.5), value);
        }
    }
}
END_TEST

/* Of quite different kinds: all magnitudes, narrow, with a long tail, few different ones. */
static int64_t make_value(int kind)
{
    uint64_t random = next_random();

    switch (kind) {
    case 0:
        return (int64_t)(next_random() >> (1 + random % 63));
    case 1:
        return 1000000 + (int64_t)(random % 2000);
    case 2:
        return (int64_t)(50000 / (1 + random % 1000)) + (random % 5000 == 0) * 10000000;
    default:
        return (int64_t)(random % 5) * 777;
    }
}

START_TEST(quantiles_are_those_of_the_values_to_within_a_64th)
{
    int64_t *values = malloc(COUNT * sizeof *values);
    double sum = 0.0;

    random_state = 88172645463325252ull;
    for (int i = 0; i < COUNT; i++) {
        values[i] = make_value(_i);
        sum += (double)values[i];
        histogram_add(&h, values[i]);
    }
    sort_values(values, COUNT);
    for (size_t k = 0; k < SHARES; k++)
        expect_near(histogram_quantile(&h, shares[k]), exact_quantile(values, COUNT, shares[k]));
    ck_assert_uint_eq(h.count, COUNT);
    ck_assert_int_eq(h.min, values[0]);
    ck_assert_int_eq(h.max, values[COUNT - 1]);
    ck_assert_int_eq(histogram_quantile(&h, 0.0), values[0]);
    ck_assert_int_eq(histogram_quantile(&h, 1.0), values[COUNT - 1]);
    ck_assert_double_eq_tol(histogram_mean(&h), sum / COUNT, 1e-9 * sum / COUNT);
    free(values);
}
END_TEST

START_TEST(quantiles_rise_with_the_share)
{
    int64_t last = -1;

    random_state = 1;
    for (int i = 0; i < COUNT; i++)
        histogram_add(&h, make_value(0));
    for (int i = 0; i <= 1000; i++) {
        int64_t value = histogram_quantile(&h, i / 1000.0);

        ck_assert_int_ge(value, last);
        last = value;
    }
}
END_TEST

START_TEST(merging_two_is_adding_all_to_one)
{
    struct histogram *all = calloc(1, sizeof *all);

    random_state = 7;
    for (int i = 0; i < COUNT; i++) {
        int64_t value = make_value(i % 4);

        histogram_add(i % 3 ? &h : &other, value);
        histogram_add(all, value);
    }
    histogram_merge(&h, &other);
    ck_assert_mem_eq(h.bucket, all->bucket, sizeof h.bucket);
    ck_assert_uint_eq(h.count, all->count);
    ck_assert_int_eq(h.min, all->min);
    ck_assert_int_eq(h.max, all->max);
    ck_assert_double_eq_tol(h.sum, all->sum, 1e-9 * all->sum);
    memset(all, 0, sizeof *all);
    histogram_merge(all, &h); /* into an empty one */
    ck_assert_int_eq(all->min, h.min);
    free(all);
}
END_TEST

START_TEST(negative_values_count_as_zero_and_odd_shares_as_the_nearest)
{
    histogram_add(&h, -5);
    histogram_add(&h, 10);
    ck_assert_int_eq(h.min, 0);
    ck_assert_int_eq(histogram_quantile(&h, -1.0), 0);
    ck_assert_int_eq(histogram_quantile(&h, 7.0), 10);
    ck_assert_int_eq(histogram_quantile(&h, (double)__builtin_nanf("")), 0);
}
END_TEST

START_TEST(buckets_follow_each_other_without_a_hole_and_hold_what_they_say)
{
    ck_assert_int_eq(histogram_first_of(0), 0);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        int64_t first = histogram_first_of(i), last = histogram_last_of(i);

        ck_assert_int_ge(last, first);
        if (i > 0)
            ck_assert_int_eq(first, histogram_last_of(i - 1) + 1);
        clear();
        histogram_add(&h, first);
        histogram_add(&h, last);
        ck_assert_uint_eq(h.bucket[i], 2);
    }
    ck_assert_int_eq(histogram_last_of(HISTOGRAM_BUCKETS - 1), INT64_MAX);
}
END_TEST

START_TEST(ranks_count_from_the_smallest)
{
    for (int64_t value = 0; value < 100; value++)
        histogram_add(&h, value);
    for (uint64_t rank = 1; rank <= 100; rank++)
        ck_assert_int_eq(histogram_at_rank(&h, rank), (int64_t)rank - 1);
    ck_assert_uint_eq(histogram_rank(0.5, 100), 50);
    ck_assert_uint_eq(histogram_rank(0.501, 100), 51);
    ck_assert_uint_eq(histogram_rank(0.0, 100), 1);
    ck_assert_uint_eq(histogram_rank(2.0, 100), 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *tcase = tcase_create("histogram");

    tcase_add_checked_fixture(tcase, clear, NULL);
    tcase_add_test(tcase, an_empty_one_says_zero);
    tcase_add_test(tcase, one_value_is_every_quantile_exactly);
    tcase_add_test(tcase, below_128_everything_is_exact);
    tcase_add_test(tcase, each_value_is_told_to_within_a_64th);
    tcase_add_loop_test(tcase, quantiles_are_those_of_the_values_to_within_a_64th, 0, 4);
    tcase_add_test(tcase, quantiles_rise_with_the_share);
    tcase_add_test(tcase, merging_two_is_adding_all_to_one);
    tcase_add_test(tcase, negative_values_count_as_zero_and_odd_shares_as_the_nearest);
    tcase_add_test(tcase, buckets_follow_each_other_without_a_hole_and_hold_what_they_say);
    tcase_add_test(tcase, ranks_count_from_the_smallest);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
