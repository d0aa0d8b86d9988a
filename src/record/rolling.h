/*
 * rolling.h - when a file ends and how large the next one is made. Pure functions, any thread.
 */
#ifndef DAOREC_RECORD_ROLLING_H
#define DAOREC_RECORD_ROLLING_H

#include <stdbool.h>
#include <stdint.h>

#include "fits/plan.h"

#define ROLLING_BYTES_DEFAULT   (1ull << 30)
#define ROLLING_TIME_NS_DEFAULT (600ll * 1000000000ll)

struct rolling_limits {
    uint64_t frames; /* 0: no limit */
    uint64_t bytes;  /* finished file, tables included; 0: nobody asked, the default */
    int64_t time_ns; /* 0: no limit */
    /* Files end at whole multiples of time_ns since 1970, UTC: all streams at once. Without a
     * limit in time it means nothing. A late boundary is better than a lost frame: while the disk
     * stands still and none of a stream's files is free to go on in, its boundaries, and time_ns
     * alone, wait (see handover.h). */
    bool together;
};

/* Of two limits. */
static inline uint64_t rolling_smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/*
 * Capacity in frames of a stream's next file: the smallest of the limits; the time limit counts as
 * rate x time x 1.05 (1.25 where files end together). While the rate is unknown (<= 0) and no limit
 * in frames was given, a small first file (10 000 frames or 64 MiB, at least two frames), so that
 * thirty slow streams do not claim tens of GB; where files end together one that reaches the
 * boundary also at 100 kHz, since it is not to end before that. Never 0: a frame larger than the
 * size limit gets a file of its own.
 */
uint64_t rolling_capacity(const struct rolling_limits *limits, const struct fits_parts *parts,
                          double rate_hz);

/* A capacity that was planned without knowing the rate, of which so much room is left (UINT64_MAX:
 * not known): a sixteenth of it at most, so that the other streams find some, too, but enough
 * frames to know the rate. A limit in frames is kept. */
uint64_t rolling_fair(const struct rolling_limits *limits, const struct fits_parts *parts,
                      uint64_t capacity, uint64_t left_bytes);

/* The same of a file whose rate is known, of so many streams: where there is less than one for each
 * of them, such a part of what is left, but a second's frames at least: a fast stream among many
 * slow ones is not to roll many times a second while the disk fills. */
uint64_t rolling_share(const struct rolling_limits *limits, const struct fits_parts *parts,
                       uint64_t capacity, double rate_hz, uint64_t left_bytes, unsigned streams);

/* The first boundary behind `at_ns` (both POSIX) where files are to end together, or INT64_MAX. */
int64_t rolling_boundary(const struct rolling_limits *limits, int64_t at_ns);

/* Is it time to end a file that has been open for `age_ns`? */
bool rolling_is_due(const struct rolling_limits *limits, int64_t age_ns);

#endif
