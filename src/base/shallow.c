/* shallow.c - see shallow.h. */
#include "base/shallow.h"

#include <math.h>

#include "base/pace.h"

uint32_t shallow_depth_needed(double rate_hz, int64_t delay_ns)
{
    double late, shortest, depth = 2.0, needed = 2.0;

    if (!(rate_hz > 0.0))
        return 0;
    late = rate_hz * (double)(delay_ns > 0 ? delay_ns : 0) / 1e9;
    shortest = rate_hz * PACE_SLEEP_MIN_NS / 1e9;
    /* Each turn adds an eighth of what the one before has added: it ends soon. */
    do {
        depth = needed;
        needed = floor(late + fmax(depth / PACE_PARTS, shortest)) + 2.0;
    } while (needed > depth && needed < (double)UINT32_MAX);
    return needed < (double)UINT32_MAX ? (uint32_t)depth : UINT32_MAX;
}
