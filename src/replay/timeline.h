/*
 * timeline.h - when the frames of a stream were, from rows whose times cannot all be believed.
 * Plain arithmetic on one row after the other; for the thread that reads ahead.
 *
 * A frame's time is its ATIME, shifted where the clock behind it ran back or jumped ahead, and
 * never before that of the frame before it. What is done where ATIME says nothing good:
 *
 *   ATIME is 0 (or negative)     the frame comes one usual interval after the one before; the next
 *                                good ATIME rules again
 *   ATIME runs back              the same, and all that follows is shifted by as much
 *   RTIME says that a second     that interval instead of the usual one (a source that was
 *   or more went by meanwhile    restarted and had its clock set)
 *   ATIME is more than a minute  RTIME's interval where that is less than half of it: the source's
 *   ahead                        clock jumped, not the recorder's. All that follows is shifted
 *
 * "Usual" is the median of the last nine good intervals without a loss, RTIME's where there are
 * none yet. A pause that both clocks agree on is not known from both having jumped: whoever
 * plays the frames must not wait for longer than is sensible (feed.c).
 */
#ifndef DAOREC_REPLAY_TIMELINE_H
#define DAOREC_REPLAY_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "fits/rows.h"

#define TIMELINE_INTERVALS 9u

/* Zeroed, before the first row. */
struct timeline {
    bool has_begun;
    int64_t atime_ns, rtime_ns; /* of the row before; atime_ns: the last good one, 0: none yet */
    int64_t when_ns;            /* of the frame before */
    int64_t offset_ns;          /* when - ATIME */
    int64_t usual_ns;           /* 0: not known */
    int64_t interval_ns[TIMELINE_INTERVALS]; /* round and round */
    unsigned intervals;
};

/* When the frame of this row was, POSIX ns. With `close_gap` the frames lost before it, or the
 * restart before it, took no time: it comes a usual interval after the frame before, at most. */
int64_t timeline_next(struct timeline *timeline, const struct fits_row *row, bool close_gap);

#endif
