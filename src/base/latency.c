/* latency.c - see latency.h. */
#include "base/latency.h"

#include <math.h>

void latency_read(struct latency *latency, struct latency_counts *ret)
{
    ret->count = 0;
    ret->sum_ns = atomic_load_explicit(&latency->sum_ns, memory_order_relaxed);
    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
        ret->bucket[i] = atomic_load_explicit(&latency->bucket[i], memory_order_relaxed);
        ret->count += ret->bucket[i];
    }
}

void latency_merge(struct latency_counts *to, const struct latency_counts *from)
{
    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++)
        to->bucket[i] += from->bucket[i];
    to->count += from->count;
    to->sum_ns += from->sum_ns;
}

uint64_t latency_last_of(uint32_t index)
{
    uint32_t octave, within;

    if (index < 1u << LATENCY_OCTAVE_BITS)
        return index;
    octave = (index >> LATENCY_OCTAVE_BITS) - 1;
    within = index & ((1u << LATENCY_OCTAVE_BITS) - 1);
    return (((uint64_t)within + (1u << LATENCY_OCTAVE_BITS) + 1) << octave) - 1;
}

uint64_t latency_quantile(const struct latency_counts *counts, double share)
{
    double rank = ceil(share * (double)counts->count);
    uint64_t seen = 0;

    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += counts->bucket[i];
        if (counts->bucket[i] > 0 && (double)seen >= rank)
            return latency_last_of(i);
    }
    return 0;
}
