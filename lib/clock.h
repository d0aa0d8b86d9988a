/*
 * clock.h - the two clocks, in nanoseconds. Any thread; async-signal-safe.
 */
#ifndef DAO_CLOCK_H
#define DAO_CLOCK_H

#include <stdint.h>

int64_t dao_clock_mono_ns(void); /* CLOCK_MONOTONIC: for deadlines and spans */
int64_t dao_clock_real_ns(void); /* CLOCK_REALTIME: POSIX time, as atime has it */

#endif
