/*
 * glance.h - a short look at a living segment: newest frame, rate, lock. Reads only.
 */
#ifndef DAOREC_MEASURE_GLANCE_H
#define DAOREC_MEASURE_GLANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/segment.h"

struct glance {
    uint32_t slot; /* of the newest frame */
    uint64_t cnt0;
    int64_t atime_ns;     /* its timestamp, POSIX; 0: it has none */
    int64_t age_ns;       /* of that timestamp, by this machine's clock; may be negative */
    uint64_t frames_seen; /* by count, while we looked */
    int64_t looked_ns;
    double rate_hz;    /* from the first to the last of them; 0: fewer than two moments */
    bool is_restarted; /* the count went back while we looked */
    bool is_gone;      /* truncated, or the path leads elsewhere now */
    bool is_locked;    /* a writer holds the advisory lock */
    bool is_on_disk;   /* not on a file system in memory */
    unsigned keywords_used;
};

/* Look for `for_ns`; blocks that long, sleeping nearly all of it. */
void glance_take(struct glance *ret, const struct dao_segment *seg, int64_t for_ns);

#endif
