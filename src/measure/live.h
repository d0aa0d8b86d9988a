/*
 * live.h - segments watched until the end is asked for: the job of `daorec drops SHM...`.
 *
 *     watch.c, a thread a segment --views--> here, the main thread --> screen, lines, JSON
 *
 * What can fail: a segment is not there (or it is waited for), is none, or cannot be opened; a
 * thread cannot be started. Then nothing is watched. What happens to segments later is counted and
 * told: see watch.h. Lines, screen or JSON cannot be written any more (| head, a full disk): then
 * it ends at once, having failed.
 */
#ifndef DAOREC_MEASURE_LIVE_H
#define DAOREC_MEASURE_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "measure/report.h"
#include "measure/watch.h"

struct live_config {
    char *const *paths;
    unsigned path_count;
    struct watch_config watch;
    struct report_options report;
    int64_t wait_ns;  /* for the segments to appear; INT64_MAX: for ever */
    int64_t every_ns; /* a line of numbers each time; 0: as there is a terminal or none */
    bool quiet;
};

/* Blocks until it is over. The program's exit status: 0, 1 failed (it was said why), 3 frames were
 * lost. */
int live_run(const struct live_config *config);

#endif
