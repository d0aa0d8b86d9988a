/*
 * shallow.h - how deep a FIFO must be for a reader that is late at times. Pure arithmetic.
 *
 * A reader sleeps for an eighth of the time in which the FIFO fills (base/pace.h), and then looks
 * later than it wanted to by a delay, in which frames go on coming. In a time of L intervals at
 * most floor(L) + 1 frames come. A FIFO of depth N keeps N - 1 of them: the last slot is the
 * writer's.
 */
#ifndef DAOREC_BASE_SHALLOW_H
#define DAOREC_BASE_SHALLOW_H

#include <stdint.h>

/* The least depth at which no frame is lost at this rate to a reader that looks late by delay_ns.
 * 0 where the rate is not known (0). At most UINT32_MAX. */
uint32_t shallow_depth_needed(double rate_hz, int64_t delay_ns);

#endif
