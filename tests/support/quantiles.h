/*
 * quantiles.h - what the tests of histograms and spreads share: values that are the same in every
 * run, and their quantiles by the definition in base/histogram.h.
 */
#ifndef TESTS_QUANTILES_H
#define TESTS_QUANTILES_H

#include <stdint.h>
#include <stdlib.h>

static uint64_t random_state; /* not 0 */

static uint64_t next_random(void) /* xorshift */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static int quantiles_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void sort_values(int64_t *values, uint64_t count)
{
    qsort(values, count, sizeof *values, quantiles_compare);
}

/* The value of that rank among sorted ones. */
static int64_t exact_quantile(const int64_t *sorted, uint64_t count, double share)
{
    uint64_t rank = 1;

    while (rank < count && (double)rank < share * (double)count)
        rank++;
    return sorted[rank - 1];
}

#endif
