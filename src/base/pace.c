/* pace.c - see pace.h. */
#include "base/pace.h"

#include <time.h>

#define NS_PER_S             1000000000ll
#define IDLE_NS              1000000000ll /* then a source is taken for one that pauses */
#define IDLE_SLEEP_MIN_NS    250000.0
#define SILENCE_NS           10000000000ll /* then it is to cost next to nothing */
#define SILENCE_SLEEP_MIN_NS 1000000.0
#define FASTEST_NS           10000.0 /* from frame to frame, of one that begins after a pause */
#define FIRST_NS             1000.0  /* the same, where it is not known how fast it goes on */
#define FASTEST_BYTES_PER_NS 8.0
#define SLOWER_BY            1.05
#define SURPRISE_NS          100000.0 /* between the frames of a source that goes on faster */
#define LONG_NS              4000000.0

/* high rules where it is below low. */
static double clamp(double value, double low, double high)
{
    return value > high ? high : value > low ? value : low < high ? low : high;
}

void pace_note(struct pace *pace, uint64_t frames, bool is_all, int64_t now_ns)
{
    bool is_first = pace->last_ns == 0;
    double period;

    pace->frames += frames;
    if (!is_all || pace->frames == 0)
        return;
    period = (double)(now_ns - pace->last_ns) / (double)pace->frames;
    pace->last_ns = now_ns;
    pace->frames = 0;
    if (is_first)
        return; /* the time before the first frame says nothing */
    if (pace->period_ns <= 0.0 || period < pace->period_ns)
        pace->period_ns = period;
    else
        pace->period_ns = clamp(pace->period_ns * SLOWER_BY, 0.0, period);
}

/* See pace.h. */
static double longest(const struct pace *pace, uint32_t depth, uint64_t frame_bytes)
{
    double most = (double)(pace->sleep_max_ns > 0 ? pace->sleep_max_ns : PACE_SLEEP_MAX_NS);
    double limit = depth * SURPRISE_NS / 2.0;
    double bulk =
        pace->bytes_max ? pace->period_ns * (double)pace->bytes_max / (double)frame_bytes : limit;

    if (bulk < limit)
        limit = bulk;
    return clamp(limit, LONG_NS < most ? LONG_NS : most, most);
}

/* While nothing comes: as long as a source that begins may take for half of the FIFO. */
static double idle(const struct pace *pace, uint32_t depth, uint64_t frame_bytes, int64_t silent_ns,
                   double most)
{
    bool is_long = silent_ns > SILENCE_NS, is_known = pace->period_ns > 0.0;
    double limit = (double)frame_bytes / FASTEST_BYTES_PER_NS, half = depth / 2.0;
    double own = is_known ? pace->period_ns : is_long ? FASTEST_NS : FIRST_NS;
    double expected = is_long ? FASTEST_NS : clamp(own, 0.0, FASTEST_NS);
    double least = IDLE_SLEEP_MIN_NS;

    if (is_long)
        least = clamp(is_known ? own * half : SILENCE_SLEEP_MIN_NS, IDLE_SLEEP_MIN_NS,
                      SILENCE_SLEEP_MIN_NS);
    return clamp((expected < limit ? limit : expected) * half, least, most);
}

int64_t pace_sleep_ns(struct pace *pace, uint32_t depth, uint64_t frame_bytes, int64_t now_ns)
{
    double most = longest(pace, depth, frame_bytes);
    double known = clamp(pace->period_ns * depth / PACE_PARTS, PACE_SLEEP_MIN_NS, most), rest;
    int64_t silent_ns;

    if (pace->since_ns == 0)
        pace->since_ns = now_ns;
    silent_ns = now_ns - (pace->last_ns ? pace->last_ns : pace->since_ns);
    rest = idle(pace, depth, frame_bytes, silent_ns, most);
    return (int64_t)(pace->period_ns <= 0.0 || (silent_ns > IDLE_NS && rest > known) ? rest
                                                                                     : known);
}

void pace_sleep_until(int64_t mono_ns)
{
    struct timespec when = {mono_ns / NS_PER_S, mono_ns % NS_PER_S};

    if (mono_ns > 0)
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

void pace_sleep_for(int64_t ns)
{
    struct timespec rest = {ns / NS_PER_S, ns % NS_PER_S};

    if (ns > 0)
        nanosleep(&rest, NULL);
}
