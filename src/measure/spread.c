/* spread.c - see spread.h. */
#include "measure/spread.h"

#include <math.h>
#include <string.h>

static void add_distance(struct spread *s, int64_t value)
{
    int64_t distance = value - s->reference;

    if (distance < 0)
        histogram_add(&s->below, -distance);
    else
        histogram_add(&s->above, distance);
    s->sum += (double)distance;
    s->sum_squares += (double)distance * (double)distance;
}

static int64_t median(const int64_t *values, uint32_t count)
{
    int64_t sorted[SPREAD_FIRST];

    memcpy(sorted, values, count * sizeof *values);
    for (uint32_t i = 1; i < count; i++) {
        int64_t value = sorted[i];
        uint32_t at = i;

        for (; at > 0 && sorted[at - 1] > value; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = value;
    }
    return sorted[count / 2];
}

void spread_settle(struct spread *s)
{
    if (s->is_settled || s->kept == 0)
        return;
    s->reference = median(s->first, s->kept);
    s->is_settled = true;
    for (uint32_t i = 0; i < s->kept; i++)
        add_distance(s, s->first[i]);
}

void spread_add(struct spread *s, int64_t value)
{
    if (s->is_settled) {
        add_distance(s, value);
        return;
    }
    s->first[s->kept++] = value;
    if (s->kept == SPREAD_FIRST)
        spread_settle(s);
}

uint64_t spread_count(const struct spread *s)
{
    return s->below.count + s->above.count;
}

/* The smallest values have the largest distances below. */
int64_t spread_quantile(const struct spread *s, double share)
{
    uint64_t below = s->below.count, count = spread_count(s), rank;

    if (count == 0)
        return 0;
    if (!(share > 0.0))
        return below ? s->reference - s->below.max : s->reference + s->above.min;
    rank = histogram_rank(share, count);
    return rank <= below ? s->reference - histogram_at_rank(&s->below, below - rank + 1)
                         : s->reference + histogram_at_rank(&s->above, rank - below);
}

double spread_mean(const struct spread *s)
{
    uint64_t count = spread_count(s);

    return count ? (double)s->reference + s->sum / (double)count : 0.0;
}

double spread_deviation(const struct spread *s)
{
    uint64_t count = spread_count(s);
    double mean, variance;

    if (count == 0)
        return 0.0;
    mean = s->sum / (double)count;
    variance = s->sum_squares / (double)count - mean * mean;
    return variance > 0.0 ? sqrt(variance) : 0.0;
}
