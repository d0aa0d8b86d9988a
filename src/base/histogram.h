/*
 * histogram.h - how values are distributed, in fixed memory: counts in buckets whose width grows
 * with the value (log-linear), for latencies, intervals and errors in ns.
 *
 * Every octave has 64 buckets of equal width; below 128 each value has a bucket of its own. A
 * quantile is given as the largest value of its bucket, but never above the largest value seen: it
 * is exact below 128, and elsewhere too high by less than 1/64 (1.6 %), never too low. Minimum,
 * maximum, count and mean are exact.
 *
 * 30 KB each, no allocation. Adding is a few ns. One thread at a time.
 */
#ifndef DAOREC_BASE_HISTOGRAM_H
#define DAOREC_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_OCTAVE_BITS 6u /* 2^6 buckets an octave */
#define HISTOGRAM_BUCKETS     ((64u - HISTOGRAM_OCTAVE_BITS) << HISTOGRAM_OCTAVE_BITS)

/* Zeroed, it is empty. */
struct histogram {
    uint64_t bucket[HISTOGRAM_BUCKETS];
    uint64_t count;
    int64_t min, max; /* of no meaning where count is 0 */
    double sum;
};

/* A negative value is counted as 0: what is measured here has none. */
void histogram_add(struct histogram *h, int64_t value);

/* Add all that `from` has seen. */
void histogram_merge(struct histogram *h, const struct histogram *from);

/* The value that `share` (0 to 1) of all values do not exceed; 0 where there are none. 0: the
 * minimum; 1: the maximum. */
int64_t histogram_quantile(const struct histogram *h, double share);

/* The value of that rank among all, 1 (the smallest) to count, as a quantile is given; 0 where
 * there are none. */
int64_t histogram_at_rank(const struct histogram *h, uint64_t rank);

/* How many values a share of `count` is, rounded up: 1 to count. That of a quantile. */
uint64_t histogram_rank(double share, uint64_t count);

double histogram_mean(const struct histogram *h); /* 0 where there are none */

/* The values that a bucket (index < HISTOGRAM_BUCKETS) counts: first to last, both included. */
int64_t histogram_first_of(uint32_t index);
int64_t histogram_last_of(uint32_t index);

#endif
