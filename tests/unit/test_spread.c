/*
 * test_spread.c - quantiles around a reference against those of the values themselves.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure/spread.h"
#include "tests/support/quantiles.h"
#include "tests/support/suite.h"

#define COUNT 20000

static struct spread spread;
static int64_t values[COUNT];

static const double shares[] = {0.0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999, 1.0};
#define SHARES (sizeof shares / sizeof shares[0])

static void clear(void)
{
    memset(&spread, 0, sizeof spread);
}

/* Off by less than a 64th of the distance from the reference, and away from it. */
static void expect_near(int64_t found, int64_t exact)
{
    int64_t distance = exact - spread.reference, off = found - exact;

    if (distance < 0) {
        distance = -distance;
        off = -off;
    }
    ck_assert_msg(off >= 0 && off <= distance / 64, "%lld for %lld around %lld", (long long)found,
                  (long long)exact, (long long)spread.reference);
}

static void add_all(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        spread_add(&spread, values[i]);
    spread_settle(&spread);
}

static void expect_all(uint32_t count)
{
    double sum = 0.0, squares = 0.0, mean;

    for (uint32_t i = 0; i < count; i++)
        sum += (double)values[i];
    mean = sum / count;
    for (uint32_t i = 0; i < count; i++)
        squares += ((double)values[i] - mean) * ((double)values[i] - mean);
    sort_values(values, count);
    ck_assert_uint_eq(spread_count(&spread), count);
    for (size_t k = 0; k < SHARES; k++)
        expect_near(spread_quantile(&spread, shares[k]), exact_quantile(values, count, shares[k]));
    ck_assert_int_eq(spread_quantile(&spread, 0.0), values[0]);
    ck_assert_int_eq(spread_quantile(&spread, 1.0), values[count - 1]);
    ck_assert_double_eq_tol(spread_mean(&spread), mean, 1e-6 * fabs(mean) + 1e-6);
    ck_assert_double_eq_tol(spread_deviation(&spread), sqrt(squares / count),
                            1e-6 * sqrt(squares / count) + 1e-6);
}

START_TEST(an_empty_one_says_zero)
{
    spread_settle(&spread);
    ck_assert_uint_eq(spread_count(&spread), 0);
    ck_assert_int_eq(spread_quantile(&spread, 0.5), 0);
    ck_assert_double_eq(spread_mean(&spread), 0.0);
    ck_assert_double_eq(spread_deviation(&spread), 0.0);
}
END_TEST

START_TEST(one_value_is_everything)
{
    spread_add(&spread, 1000003);
    spread_settle(&spread);
    for (size_t k = 0; k < SHARES; k++)
        ck_assert_int_eq(spread_quantile(&spread, shares[k]), 1000003);
    ck_assert_double_eq(spread_deviation(&spread), 0.0);
}
END_TEST

START_TEST(until_63_values_are_there_the_median_of_those_is_the_reference)
{
    for (uint32_t count = 1; count < 2 * SPREAD_FIRST; count++) {
        clear();
        random_state = 3 + count;
        for (uint32_t i = 0; i < count; i++)
            values[i] = (int64_t)(next_random() % 1000000);
        add_all(count);
        if (count <= SPREAD_FIRST) {
            int64_t sorted[SPREAD_FIRST];

            memcpy(sorted, values, count * sizeof *values);
            sort_values(sorted, count);
            ck_assert_int_eq(spread.reference, sorted[count / 2]);
        }
        expect_all(count);
    }
}
END_TEST

/* A loop's jitter, a source that pauses, one that changes its rate, negative offsets. */
static int64_t make_value(int kind, uint32_t i)
{
    int64_t noise = (int64_t)(next_random() % 2001) - 1000;

    switch (kind) {
    case 0:
        return 1000000 + noise;
    case 1:
        return 1000000 + noise / 100 + (i % 1000 == 7) * 5000000000ll;
    case 2:
        return i < COUNT / 2 ? 1000000 + noise : 250000 + noise;
    default:
        return noise - 300;
    }
}

START_TEST(quantiles_are_off_by_less_than_a_64th_of_the_distance_from_the_middle)
{
    random_state = 88172645463325252ull;
    for (uint32_t i = 0; i < COUNT; i++)
        values[i] = make_value(_i, i);
    add_all(COUNT);
    expect_all(COUNT);
}
END_TEST

START_TEST(jitter_is_told_finer_than_a_histogram_of_the_values_could)
{
    random_state = 5;
    for (uint32_t i = 0; i < COUNT; i++)
        values[i] = make_value(0, i);
    add_all(COUNT);
    sort_values(values, COUNT);
    for (size_t k = 0; k < SHARES; k++) {
        int64_t off =
            spread_quantile(&spread, shares[k]) - exact_quantile(values, COUNT, shares[k]);

        ck_assert_int_le(llabs(off), 2000 / 64); /* of a value of 1000000 */
    }
}
END_TEST

START_TEST(what_comes_after_a_question_is_added_to_what_was_there)
{
    spread_add(&spread, 10);
    spread_settle(&spread);
    ck_assert_int_eq(spread_quantile(&spread, 1.0), 10);
    spread_add(&spread, 20);
    spread_add(&spread, -5);
    ck_assert_uint_eq(spread_count(&spread), 3);
    ck_assert_int_eq(spread.reference, 10);
    ck_assert_int_eq(spread_quantile(&spread, 0.0), -5);
    ck_assert_int_eq(spread_quantile(&spread, 0.5), 10);
    ck_assert_int_eq(spread_quantile(&spread, 1.0), 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spread");
    TCase *tcase = tcase_create("spread");

    tcase_add_checked_fixture(tcase, clear, NULL);
    tcase_add_test(tcase, an_empty_one_says_zero);
    tcase_add_test(tcase, one_value_is_everything);
    tcase_add_test(tcase, until_63_values_are_there_the_median_of_those_is_the_reference);
    tcase_add_loop_test(
        tcase, quantiles_are_off_by_less_than_a_64th_of_the_distance_from_the_middle, 0, 4);
    tcase_add_test(tcase, jitter_is_told_finer_than_a_histogram_of_the_values_could);
    tcase_add_test(tcase, what_comes_after_a_question_is_added_to_what_was_there);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
