/*
 * rowcheck.h - do the rows of FRAMES make sense, each by itself and one after the other? Pure
 * logic over rows that are fed in order; any thread, one rowcheck each.
 *
 * What a recorder's rows obey: CNT0 grows by 1 + LOST but at RESET; TIME is ATIME - DATEREF, or NaN
 * with BADTIME; ATIME never goes back but with BADTIME; GAP stands where LOST is not 0, and what
 * says why only beside it. A row that repair has filled in (RECOVERED) knows no ATIME and no SLOT.
 */
#ifndef DAOREC_RECORDING_ROWCHECK_H
#define DAOREC_RECORDING_ROWCHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "fits/rows.h"

/* Sums over the rows fed so far. */
struct row_totals {
    uint64_t rows, lost, gaps, torn, recovered, resets, saturated;
    uint64_t turned_back; /* rows whose RTIME is before that of the row before */
};

struct rowcheck {
    /* set by rowcheck_init() */
    int64_t dateref_ns;
    uint32_t depth;
    void (*report)(void *ctx, uint64_t index, const struct fits_row *row, const char *what);
    void *ctx;
    /* kept here */
    struct row_totals totals;
    struct fits_row before, last; /* the last two rows */
    int64_t last_atime_ns;        /* of the run, INT64_MIN: not known */
    bool is_pending; /* the count of `last` does not follow; whose fault is not known */
};

void rowcheck_init(struct rowcheck *check, int64_t dateref_ns, uint32_t depth,
                   void (*report)(void *ctx, uint64_t index, const struct fits_row *row,
                                  const char *what),
                   void *ctx);
void rowcheck_feed(struct rowcheck *check, const struct fits_row *row);
void rowcheck_end(struct rowcheck *check);

/* What in a row, looked at alone, is nothing that any recorder writes? NULL: nothing. depth: of the
 * FIFO, 0 where it is not known. */
const char *rowcheck_impossible(const struct fits_row *row, uint32_t depth);

/* Does `row` follow a frame of count `cnt0`, by count and LOST? (RESET: always.) */
bool rowcheck_follows(int64_t cnt0, const struct fits_row *row);

/*
 * Frames lost before this row. LOST, the flag GAP and the counts tell it; two of the three decide,
 * since a bit of any of them may be wrong. cnt0_before: of the frame before, where there is one.
 */
int32_t rowcheck_lost(bool has_before, int64_t cnt0_before, const struct fits_row *row);

/* When a frame was taken as DATE-BEG and DATE-END have it: ATIME, or RTIME where that is bad. */
int64_t rowcheck_time(const struct fits_row *row);

/* The whole second that TIME of this row counts from, by its ATIME; 0: it does not tell. */
int64_t rowcheck_dateref(const struct fits_row *row);

/* Of a table whose checksum fails: what in a row stands out from two others? NULL: nothing. a and b
 * are its neighbours (is_between), or at an end of the table the next two. depth >= 1. */
const char *rowcheck_stands_out(const struct fits_row *row, const struct fits_row *a,
                                const struct fits_row *b, bool is_between, uint32_t depth);

#endif
