/*
 * align.h - which frames of one stream have no partner in another: none whose ATIME is within a
 * tolerance. Pure logic over two sources of frames in the order of their times; one thread.
 *
 * Several frames may have the same partner. A frame whose time is bad, or before one that came
 * earlier in its stream (a clock that was set back), is no partner and is not looked at: it is
 * counted. Frames before the first or behind the last of the other stream are counted apart.
 */
#ifndef DAOREC_MEASURE_ALIGN_H
#define DAOREC_MEASURE_ALIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "measure/spread.h"

struct align_frame {
    int64_t atime_ns; /* 0 or less: bad */
    int64_t cnt0;
    uint64_t index;
};

struct align_source {
    /* The next frame: 1; 0: there is none; negative errno. */
    int (*next)(void *ctx, struct align_frame *ret);
    void *ctx;
};

/* Frames without a partner, one after the other. */
struct align_stretch {
    int64_t first_cnt0, atime_ns; /* of the first of them */
    uint64_t first_index, count;
};

struct align {
    /* set by who owns it */
    int64_t tolerance_ns;
    struct align_stretch *stretches; /* room for stretches_most of them */
    uint64_t stretches_most;
    /* results */
    uint64_t frames, matched; /* of A, with good times */
    uint64_t alone;           /* of these without a partner: frames = matched + alone */
    uint64_t outside;         /* of these before or behind all of B */
    uint64_t untimed_a, untimed_b;
    uint64_t stretch_count; /* all; min(stretch_count, stretches_most) are listed */
    struct spread offset;   /* of the nearest in B from its frame in A, where they match, in ns */
};

/* 0 or what a source said. The offsets are settled. */
int align_run(struct align *align, const struct align_source *a, const struct align_source *b);

#endif
