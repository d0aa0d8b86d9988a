/* histogram.c - see histogram.h. */
#include "base/histogram.h"

#include <math.h>

#define BITS   HISTOGRAM_OCTAVE_BITS
#define OCTAVE (1u << BITS)

/*
 * A value below 2^BITS is its own index. Above, its BITS bits behind the leading one choose the
 * bucket within the octave, and the octaves lie one behind the other:
 *
 *     index = (octave + 1) * 2^BITS + those bits       octave = position of the leading one - BITS
 */
static uint32_t bucket_of(uint64_t value)
{
    unsigned octave;

    if (value < OCTAVE)
        return (uint32_t)value;
    octave = 63u - (unsigned)__builtin_clzll(value) - BITS;
    return (octave << BITS) + (uint32_t)(value >> octave);
}

/* The largest value of a bucket. */
static uint64_t last_of(uint32_t index)
{
    unsigned octave;

    if (index < OCTAVE)
        return index;
    octave = (index >> BITS) - 1;
    return ((((uint64_t)index & (OCTAVE - 1)) + OCTAVE + 1) << octave) - 1;
}

void histogram_add(struct histogram *h, int64_t value)
{
    if (value < 0)
        value = 0;
    h->bucket[bucket_of((uint64_t)value)]++;
    if (h->count == 0 || value < h->min)
        h->min = value;
    if (h->count == 0 || value > h->max)
        h->max = value;
    h->count++;
    h->sum += (double)value;
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
    if (from->count == 0)
        return;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        h->bucket[i] += from->bucket[i];
    if (h->count == 0 || from->min < h->min)
        h->min = from->min;
    if (h->count == 0 || from->max > h->max)
        h->max = from->max;
    h->count += from->count;
    h->sum += from->sum;
}

/* How many of `count` values a share of them is, rounded up, at least one. */
static uint64_t rank_of(double share, uint64_t count)
{
    double rank = ceil(share * (double)count);

    if (!(rank >= 1.0))
        return 1;
    return rank >= (double)count ? count : (uint64_t)rank;
}

int64_t histogram_quantile(const struct histogram *h, double share)
{
    uint64_t rank, seen = 0;
    uint32_t i = 0;

    if (h->count == 0)
        return 0;
    if (!(share > 0.0))
        return h->min;
    rank = rank_of(share, h->count);
    for (; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += h->bucket[i];
        if (seen >= rank)
            break;
    }
    return last_of(i) < (uint64_t)h->max ? (int64_t)last_of(i) : h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->count ? h->sum / (double)h->count : 0.0;
}
