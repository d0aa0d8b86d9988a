/*
 * sim.h - a simulated source: creates a segment and publishes frames at a cadence kept by absolute
 * deadlines. For trials of everything that reads segments. One thread; no allocation while it runs.
 */
#ifndef DAOREC_SOURCE_SIM_H
#define DAOREC_SOURCE_SIM_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/segment.h"
#include "lib/semset.h"
#include "source/pattern.h"

#define SIM_NO_LIMIT UINT64_MAX

struct sim_setup {
    const char *path;
    struct dao_geometry geometry;
    const char *pattern;  /* of pattern_names */
    double rate_hz;       /* 0: as fast as possible */
    uint64_t frames;      /* SIM_NO_LIMIT: until stopped; 0: only create the segment */
    int64_t duration_ns;  /* frames due before this; INT64_MAX: until stopped */
    uint64_t start_count; /* count of the first frame */
    uint64_t jump_at;     /* the frame with this ordinal (1, 2, ...); 0: none ... */
    uint64_t jump_by;     /* ... has a count larger by this than it would have */
};

struct sim_report {
    uint64_t frames;
    uint64_t first_cnt0, last_cnt0; /* of the frames written; 0 where there are none */
    int64_t elapsed_ns;
    double rate_hz;      /* reached */
    uint64_t late;       /* frames published after the next one was due */
    int64_t late_ns_max; /* worst delay behind a frame's own deadline */
};

struct sim {
    struct sim_setup setup;
    struct dao_segment segment;
    struct dao_semset semaphores;
    struct pattern pattern;
};

/*
 * Make sure that nobody else writes to the path (which takes a second where a segment is there
 * already), create the segment, take the writer's lock and prepare the pattern.
 * 0; -EBUSY: somebody holds the writer's lock, or the count moves; -EEXIST: the path is a file
 * that is no segment; -ECANCELED: *stop was set meanwhile; others from the library. `text` says
 * what is wrong. Safe to close after failure; `sim` needs no initialisation.
 */
int sim_open(struct sim *sim, const struct sim_setup *setup, const volatile sig_atomic_t *stop,
             struct dao_text *text);

/*
 * Publish frames until the limits are reached or *stop is set (from a signal's handler, which must
 * be installed without SA_RESTART). A frame that is late is published at once; none is skipped.
 * 0; -ESTALE: the segment was truncated, removed or replaced; -EBADMSG: somebody wrote garbage
 * into its header. `report` is right in every case.
 */
int sim_run(struct sim *sim, const volatile sig_atomic_t *stop, struct sim_report *report,
            struct dao_text *text);

/* Close; with `remove` the segment and its semaphores vanish, if the path still leads to ours. */
void sim_close(struct sim *sim, bool remove);

#endif
