/* clock.c - see clock.h. */
#include "lib/clock.h"

#include <time.h>

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

int64_t dao_clock_mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t dao_clock_real_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}
