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
#define PACE_SLEEP_MAX_NS 100000000ll

struct pace {
    /* set by the owner, 0: */
    int64_t sleep_max_ns; /* PACE_SLEEP_MAX_NS */
    uint64_t bytes_max;   /* in one look, no limit: what is to be still in the processor's cache */
    /* kept here */
    double period_ns; /* between frames, the fastest seen lately; 0: unknown */
    uint64_t frames;  /* of looks that did not come to the end of the FIFO */
    int64_t last_ns;  /* monotonic time of the last look that did and had frames, 0: none yet */
    int64_t since_ns; /* of the first look */
};

/* A look brought `frames`, by count; is_all: there were no more. A faster pace is followed at once,
 * a slower one, which may be a pause that has ended, over many looks. */
void pace_note(struct pace *pace, uint64_t frames, bool is_all, int64_t now_ns);

/*
 * How long until the next look: an eighth of the time in which the FIFO would fill at that pace;
 * but not longer than it would take to fill half of it at 10 kHz (or 4 ms), since a source may go
 * on faster at any moment; not longer, above 4 ms, than bytes_max take; and at most sleep_max_ns.
 * Where none is known: half of the time it would take at 1 MHz, or at 8 GB/s, so that not even the
 * beginning is lapped. Where nothing came for a second, at 100 kHz, or at its pace if that was
 * faster. After ten seconds at 100 kHz, and a millisecond at least where its pace leaves half of
 * the FIFO for that: one that is silent for long costs little.
 */
int64_t pace_sleep_ns(struct pace *pace, uint32_t depth, uint64_t frame_bytes, int64_t now_ns);

/* Sleep until this monotonic time, or for so long, in ns; a signal that is handled ends it early.
 * What is past, or not above 0, is no sleep. */
void pace_sleep_until(int64_t mono_ns);
void pace_sleep_for(int64_t ns);

#endif
