/* timeline.c - see timeline.h. */
#include "replay/timeline.h"

#include <string.h>

#define RTIME_RULES_NS 1000000000ll  /* within this a recorder may take frames in bursts */
#define SUSPECT_NS     60000000000ll /* no interval of a running source */

/* ---- the usual interval ---- */

static int64_t median(const int64_t *values, unsigned count)
{
    int64_t sorted[TIMELINE_INTERVALS];

    for (unsigned i = 0; i < count; i++) {
        unsigned k = i;

        for (; k > 0 && sorted[k - 1] > values[i]; k--)
            sorted[k] = sorted[k - 1];
        sorted[k] = values[i];
    }
    return sorted[count / 2];
}

static void note_interval(struct timeline *t, int64_t interval_ns)
{
    if (interval_ns <= 0)
        return;
    t->interval_ns[t->intervals++ % TIMELINE_INTERVALS] = interval_ns;
    t->usual_ns = median(t->interval_ns,
                         t->intervals < TIMELINE_INTERVALS ? t->intervals : TIMELINE_INTERVALS);
}

/* ---- one row ---- */

/* By the recorder's clock; 0 where that ran back. */
static int64_t interval_by_rtime(const struct timeline *t, const struct fits_row *row)
{
    int64_t interval_ns;

    if (__builtin_sub_overflow(row->rtime_ns, t->rtime_ns, &interval_ns) || interval_ns < 0)
        return 0;
    return interval_ns;
}

/* Where ATIME says nothing. */
static int64_t guess_interval(const struct timeline *t, const struct fits_row *row)
{
    int64_t by_rtime = interval_by_rtime(t, row);

    return t->usual_ns > 0 && by_rtime < RTIME_RULES_NS ? t->usual_ns : by_rtime;
}

/* An interval that ATIME gives: does a jump of the source's clock explain it better? */
static int64_t check_interval(const struct timeline *t, const struct fits_row *row,
                              int64_t interval_ns)
{
    int64_t by_rtime = interval_by_rtime(t, row);

    return interval_ns > SUSPECT_NS && by_rtime < interval_ns / 2 ? by_rtime : interval_ns;
}

/* From the frame before to this one. *ret_shift: what follows is shifted accordingly. */
static int64_t find_interval(const struct timeline *t, const struct fits_row *row, bool *ret_shift)
{
    int64_t when_ns, interval_ns;

    if (row->atime_ns <= 0)
        return guess_interval(t, row);
    if (__builtin_add_overflow(row->atime_ns, t->offset_ns, &when_ns) ||
        __builtin_sub_overflow(when_ns, t->when_ns, &interval_ns) || row->atime_ns < t->atime_ns) {
        *ret_shift = true;
        return guess_interval(t, row);
    }
    if (interval_ns < 0)
        return 0; /* frames without times were guessed to be later than they were */
    *ret_shift = check_interval(t, row, interval_ns) != interval_ns;
    return check_interval(t, row, interval_ns);
}

static void begin(struct timeline *t, const struct fits_row *row)
{
    t->has_begun = true;
    t->when_ns = row->atime_ns > 0 ? row->atime_ns : row->rtime_ns > 0 ? row->rtime_ns : 0;
}

static void go_on(struct timeline *t, const struct fits_row *row, bool close_gap)
{
    bool has_gap = row->lost > 0 || (row->flags & FITS_FLAG_RESET), is_shifted = false;
    int64_t interval_ns = find_interval(t, row, &is_shifted);

    if (close_gap && has_gap && interval_ns > t->usual_ns) {
        interval_ns = t->usual_ns;
        is_shifted = true;
    }
    if (row->atime_ns > 0 && !is_shifted && !has_gap && t->atime_ns > 0)
        note_interval(t, interval_ns);
    if (__builtin_add_overflow(t->when_ns, interval_ns, &t->when_ns))
        t->when_ns = INT64_MAX;
    if (row->atime_ns > 0 && is_shifted)
        t->offset_ns = t->when_ns - row->atime_ns;
}

int64_t timeline_next(struct timeline *t, const struct fits_row *row, bool close_gap)
{
    if (t->has_begun)
        go_on(t, row, close_gap);
    else
        begin(t, row);
    if (row->atime_ns > 0)
        t->atime_ns = row->atime_ns;
    t->rtime_ns = row->rtime_ns;
    return t->when_ns;
}
