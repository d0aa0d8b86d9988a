/*
 * pace.h - how fast frames come, and how long a reader that drains a FIFO may sleep: plain
 * arithmetic, one thread a pace. And the sleeps themselves, for any thread.
 */
#ifndef DAOREC_BASE_PACE_H
#define DAOREC_BASE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_PARTS        8.0 /* a look each time this part of the FIFO has been filled */
#define PACE_SLEEP_MIN_NS 20000.0
#define PACE_SLEEP_MAX_NS 4000000.0

struct pace {
    int64_t sleep_max_ns; /* set by the owner; 0: PACE_SLEEP_MAX_NS */
    double period_ns;     /* between frames, the fastest seen lately; 0: unknown */
    int64_t last_ns;      /* monotonic time of the last batch that had frames, 0: none yet */
};

/* A batch brought `frames` (>= 1, by count). A faster pace is followed at once, a slower one, which
 * may be a pause that has ended, over many batches. */
void pace_note(struct pace *pace, uint64_t frames, int64_t now_ns);

/*
 * How long until the next look: an eighth of the time in which the FIFO would fill at that pace.
 * Where none is known, or nothing came for a second: half of the time it would take at 100 kHz, or
 * at 8 GB/s, so that a source that begins anew is not lapped and one that is silent costs little.
 */
int64_t pace_sleep_ns(const struct pace *pace, uint32_t depth, uint64_t frame_bytes,
                      int64_t now_ns);

/* Sleep until this monotonic time, or for so long, in ns; a signal that is handled ends it early.
 * What is past, or not above 0, is no sleep. */
void pace_sleep_until(int64_t mono_ns);
void pace_sleep_for(int64_t ns);

#endif
