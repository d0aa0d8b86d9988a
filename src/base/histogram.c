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

uint64_t histogram_rank(double share, uint64_t count)
{
    double rank = ceil(share * (double)count);

    if (!(rank >= 1.0))
        return 1;
    return rank >= (double)count ? count : (uint64_t)rank;
}

int64_t histogram_at_rank(const struct histogram *h, uint64_t rank)
{
    uint64_t seen = 0;
    uint32_t i = 0;

    if (h->count == 0)
        return 0;
    for (; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += h->bucket[i];
        if (seen >= rank)
            break;
    }
    return last_of(i) < (uint64_t)h->max ? (int64_t)last_of(i) : h->max;
}

int64_t histogram_quantile(const struct histogram *h, double share)
{
    if (h->count == 0)
        return 0;
    return share > 0.0 ? histogram_at_rank(h, histogram_rank(share, h->count)) : h->min;
}

double histogram_mean(const struct histogram *h)
{
    return h->count ? h->sum / (double)h->count : 0.0;
}

int64_t histogram_first_of(uint32_t index)
{
    return index == 0 ? 0 : (int64_t)last_of(index - 1) + 1;
}

int64_t histogram_last_of(uint32_t index)
{
    return (int64_t)last_of(index);
}
