/*
 * latency.h - how latencies in ns are distributed, counted by one thread and read by any other
 * while it does: counts in buckets whose width grows with the value (log-linear, 8 an octave).
 *
 * Adding is two relaxed loads and stores of the one thread's own cache lines, about a nanosecond:
 * made for a path of a million frames a second. Values below 8 ns have a bucket each, above a
 * bucket is at most an eighth of its value wide; what is beyond 18 minutes is in the last one.
 * histogram.h is finer, for who has the values to himself.
 */
#ifndef DAOREC_BASE_LATENCY_H
#define DAOREC_BASE_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

#define LATENCY_OCTAVE_BITS 3u
#define LATENCY_TOP_BITS    40u /* values below 2^40 ns are told apart */
#define LATENCY_BUCKETS     ((LATENCY_TOP_BITS - LATENCY_OCTAVE_BITS + 1) << LATENCY_OCTAVE_BITS)

/* Zeroed, it is empty. */
struct latency {
    _Atomic uint64_t bucket[LATENCY_BUCKETS];
    _Atomic uint64_t sum_ns;
};

/* What was read of one. */
struct latency_counts {
    uint64_t bucket[LATENCY_BUCKETS];
    uint64_t count, sum_ns;
};

static inline uint32_t latency_bucket_of(uint64_t ns)
{
    unsigned octave;

    if (ns < 1u << LATENCY_OCTAVE_BITS)
        return (uint32_t)ns;
    octave = 63u - (unsigned)__builtin_clzll(ns) - LATENCY_OCTAVE_BITS;
    return (octave << LATENCY_OCTAVE_BITS) + (uint32_t)(ns >> octave);
}

/* The one thread that counts. A negative value (clocks that differ) is counted as 0. */
static inline void latency_add(struct latency *latency, int64_t ns)
{
    uint64_t most = (1ull << LATENCY_TOP_BITS) - 1;
    uint64_t value = ns < 0 ? 0 : (uint64_t)ns < most ? (uint64_t)ns : most;
    _Atomic uint64_t *bucket = &latency->bucket[latency_bucket_of(value)];

    atomic_store_explicit(bucket, atomic_load_explicit(bucket, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&latency->sum_ns,
                          atomic_load_explicit(&latency->sum_ns, memory_order_relaxed) + value,
                          memory_order_relaxed);
}

/* Any thread. The count is that of the buckets; the sum may be a frame or two off it. */
void latency_read(struct latency *latency, struct latency_counts *ret);

/* Add all that `from` has. */
void latency_merge(struct latency_counts *to, const struct latency_counts *from);

/* The largest value of a bucket, in ns. */
uint64_t latency_last_of(uint32_t index);

/* The value that `share` (above 0, to 1) of all do not exceed, as the largest of its bucket; 0
 * where there are none. */
uint64_t latency_quantile(const struct latency_counts *counts, double share);

#endif
