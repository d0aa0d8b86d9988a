/* rolling.c - see rolling.h. */
#include "record/rolling.h"

#define FIRST_FRAMES 10000u
#define FIRST_BYTES  (64ull << 20)

uint64_t rolling_capacity(const struct rolling_limits *limits, const struct fits_parts *parts,
                          double rate_hz)
{
    uint64_t bytes = limits->bytes ? limits->bytes : ROLLING_BYTES_DEFAULT;
    uint64_t capacity = fits_plan_capacity_within(parts, bytes);

    if (limits->frames) {
        capacity = rolling_smaller(capacity, limits->frames);
    } else if (rate_hz <= 0.0) {
        uint64_t first = rolling_smaller(FIRST_FRAMES, FIRST_BYTES / parts->frame_bytes);

        capacity = rolling_smaller(capacity, first < 2 ? 2 : first);
    }
    if (limits->time_ns && rate_hz > 0.0) {
        double spare = limits->together ? 1.25 : 1.05; /* it is to reach the boundary */
        double frames = rate_hz * (double)limits->time_ns / 1e9 * spare + 16.0;

        if (frames < (double)capacity)
            capacity = (uint64_t)frames;
    }
    return capacity ? capacity : 1;
}

int64_t rolling_boundary(const struct rolling_limits *limits, int64_t at_ns)
{
    int64_t boundary;

    if (!limits->together || limits->time_ns <= 0 || at_ns < 0 ||
        __builtin_add_overflow(at_ns - at_ns % limits->time_ns, limits->time_ns, &boundary))
        return INT64_MAX;
    return boundary;
}

bool rolling_is_due(const struct rolling_limits *limits, int64_t age_ns)
{
    return limits->time_ns && age_ns >= limits->time_ns;
}
