/*
 * recorded.h - losses, intervals and latencies of recordings, and which frames of one stream have
 * no partner in another: the job of `daorec drops FILES|SESSION`. Headers and rows are read, pixels
 * never.
 *
 *     series (files in their order) --rows--> booking --> tally --> report
 *     session.json --where it is finished and its files are all here--^
 *
 * What can fail: no recording there, a damaged one, a file that changes while it is read: nothing
 * is printed of that stream, and the exit status is 1. A file whose rows cannot be believed
 * (sound.h) is left out with a warning, its frames are absent and the ledger is not used; status 1
 * where nothing else is left of its stream. Streams of FITS files of others have no
 * LOST: counts that jump are losses of unknown cause; without counts none can be told.
 */
#ifndef DAOREC_MEASURE_RECORDED_H
#define DAOREC_MEASURE_RECORDED_H

#include <stddef.h>
#include <stdint.h>

#include "measure/report.h"

struct recorded_config {
    char *const *paths;
    size_t path_count;
    const char *const *streams;    /* NULL-terminated names; NULL: all */
    unsigned frame_axis;           /* of cubes of others, from 1; 0: the last */
    const char *align_a, *align_b; /* names; NULL: no alignment */
    int64_t tolerance_ns;          /* 0: half of B's median interval */
    struct report_options report;
};

/* Blocks until all is read and printed. The program's exit status: 0, 1 failed (it was said why), 2
 * there are no such streams to align, 3 frames were lost. */
int recorded_run(const struct recorded_config *config);

#endif
