/* rolling.c - see rolling.h. */
#include "record/rolling.h"

#define FIRST_FRAMES 10000u
#define FIRST_BYTES  (64ull << 20)
#define FIRST_HZ     1e5 /* faster than any source that is to reach a boundary */

#define FIRST_PART 16u /* of the room that is left */
#define FAIR_LEAST 32u /* frames: enough to know the rate */
#define FAIR_S     1.0 /* and so long at least, once it is known */

/* Frames of a file of a stream whose rate is not known yet. */
static uint64_t first_capacity(const struct rolling_limits *limits, uint64_t frame_bytes)
{
    uint64_t first = rolling_smaller(FIRST_FRAMES, FIRST_BYTES / frame_bytes);
    double frames = FIRST_HZ * (double)limits->time_ns / 1e9;

    if (limits->together && frames > (double)first)
        return frames < 1e15 ? (uint64_t)frames : UINT64_MAX;
    return first < 2 ? 2 : first;
}

uint64_t rolling_capacity(const struct rolling_limits *limits, const struct fits_parts *parts,
                          double rate_hz)
{
    uint64_t bytes = limits->bytes ? limits->bytes : ROLLING_BYTES_DEFAULT;
    uint64_t capacity = fits_plan_capacity_within(parts, bytes);

    if (limits->frames) {
        capacity = rolling_smaller(capacity, limits->frames);
    } else if (rate_hz <= 0.0) {
        capacity = rolling_smaller(capacity, first_capacity(limits, parts->frame_bytes));
    }
    if (limits->time_ns && rate_hz > 0.0) {
        double spare = limits->together ? 1.25 : 1.05; /* it is to reach the boundary */
        double frames = rate_hz * (double)limits->time_ns / 1e9 * spare + 16.0;

        if (frames < (double)capacity)
            capacity = (uint64_t)frames;
    }
    return capacity ? capacity : 1;
}

uint64_t rolling_share(const struct rolling_limits *limits, const struct fits_parts *parts,
                       uint64_t capacity, double rate_hz, uint64_t left_bytes, unsigned streams)
{
    double second = rate_hz * FAIR_S;
    uint64_t fair, least = FAIR_LEAST;

    if (limits->frames || left_bytes == UINT64_MAX || streams < 2)
        return capacity;
    if (second > (double)least)
        least = second < (double)capacity ? (uint64_t)second : capacity;
    fair = fits_plan_capacity_of(parts, left_bytes / streams);
    return rolling_smaller(capacity, fair > least ? fair : least);
}

uint64_t rolling_fair(const struct rolling_limits *limits, const struct fits_parts *parts,
                      uint64_t capacity, uint64_t left_bytes)
{
    return rolling_share(limits, parts, capacity, 0.0, left_bytes, FIRST_PART);
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
