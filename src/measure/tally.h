/*
 * tally.h - what is counted and measured of one stream, frame after frame: what was seen, what is
 * missing and why, intervals, latencies. The same for a living segment and for recordings. Pure
 * arithmetic; one thread at a time.
 *
 * expected = seen + lost, always: expected comes from the counts of the runs, seen and lost are
 * counted one by one. Stretches of counts that are in files which are not here are neither.
 *
 *   interval   ATIME of a frame less that of the frame before, where their counts follow each
 *              other in one run and both times are good
 *   latency    when it was taken less ATIME, where that is good
 *   rate       counts from the first to the last frame of each run, less those that the source left
 *              out, over the time between them
 */
#ifndef DAOREC_MEASURE_TALLY_H
#define DAOREC_MEASURE_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "measure/spread.h"
#include "recording/ledger.h"

/* The ledger's causes, and one more: nothing tells why. */
#define TALLY_UNKNOWN LEDGER_CAUSES
#define TALLY_CAUSES  (LEDGER_CAUSES + 1)
const char *tally_cause_name(unsigned cause);

#define TALLY_RUNS_MAX 256u

struct tally_gap {
    int64_t first_cnt0; /* first missing count */
    uint64_t count;
    int64_t time_ns; /* when it was noticed, POSIX; 0: not known */
    unsigned cause;
};

struct tally_run {
    int64_t first_cnt0; /* expected first, also where that frame was lost */
    int64_t last_cnt0;
};

struct tally_frame {
    int64_t cnt0;
    int64_t atime_ns; /* POSIX; 0 or less: it has none */
    int64_t taken_ns; /* POSIX; 0: not known */
    bool is_torn;
    bool is_bad_time; /* besides ATIME 0 or going back, which is noticed here */
};

enum tally_beginning {
    TALLY_START,   /* the first run */
    TALLY_RESTART, /* the source began to count anew */
    TALLY_HOLE,    /* frames between are in files that are not here */
};

struct tally {
    /* set by who owns it: room for the list of gaps and how many are listed at most */
    struct tally_gap *gaps;
    uint64_t gaps_most;
    /* counts */
    uint64_t seen, torn;
    uint64_t lost_by[TALLY_CAUSES];
    uint64_t gap_count; /* all; min(gap_count, gaps_most) are listed */
    uint64_t restarts, absent;
    uint64_t run_count, past_runs;         /* frames expected in the runs before the current one */
    struct tally_run run;                  /* the current one */
    struct tally_run runs[TALLY_RUNS_MAX]; /* finished: min(run_count - 1, TALLY_RUNS_MAX) */
    /* times */
    uint64_t bad_times;
    uint64_t early; /* taken before ATIME: the clocks differ */
    struct spread interval;
    struct histogram latency;
    int64_t first_ns, last_ns; /* of the first and last frame; 0: none had a time */
    /* of the run: for rate and interval */
    bool has_frame;
    struct tally_frame last;
    bool is_last_good;     /* its ATIME */
    int64_t last_atime_ns; /* newest good one of the run; 0: none */
    int64_t run_first_cnt0, run_first_ns, run_last_cnt0, run_last_ns;
    uint64_t run_jumped; /* counts that the source left out between these two */
    uint64_t jumping;    /* the same, since the last frame that had a time */
    uint64_t past_counts;
    double past_span_ns;
};

/* A run begins; first_cnt0: the count expected first. */
void tally_begin_run(struct tally *t, int64_t first_cnt0, enum tally_beginning beginning);

/* `count` frames from first_cnt0 on are lost: the next ones of the run. 0 is no gap. */
void tally_lose(struct tally *t, unsigned cause, int64_t first_cnt0, uint64_t count,
                int64_t time_ns);

/* The next frame of the run. */
void tally_take(struct tally *t, const struct tally_frame *frame);

uint64_t tally_expected(const struct tally *t);
uint64_t tally_lost(const struct tally *t);
double tally_rate_hz(const struct tally *t); /* 0: not known */

/* Gaps that are listed. */
uint64_t tally_listed(const struct tally *t);

#endif
