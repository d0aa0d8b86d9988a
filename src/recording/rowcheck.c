/* rowcheck.c - see rowcheck.h. */
#include "recording/rowcheck.h"

#include <math.h>
#include <stddef.h>

#define KNOWN_FLAGS ((1 << FITS_FLAG_COUNT) - 1)

void rowcheck_init(struct rowcheck *check, int64_t dateref_ns, uint32_t depth,
                   void (*report)(void *ctx, uint64_t index, const struct fits_row *row,
                                  const char *what),
                   void *ctx)
{
    *check = (struct rowcheck){.dateref_ns = dateref_ns,
                               .depth = depth,
                               .report = report,
                               .ctx = ctx,
                               .last_atime_ns = INT64_MIN};
}

int64_t rowcheck_time(const struct fits_row *row)
{
    return row->flags & FITS_FLAG_BADTIME ? row->rtime_ns : row->atime_ns;
}

bool rowcheck_follows(int64_t cnt0, const struct fits_row *row)
{
    uint64_t step = (uint64_t)row->cnt0 - (uint64_t)cnt0; /* counts may wrap */

    if (row->flags & FITS_FLAG_RESET)
        return true;
    if (row->lost == INT32_MAX) /* or more */
        return step > (uint64_t)INT32_MAX && step < UINT64_MAX / 2;
    return row->lost >= 0 && step == (uint64_t)row->lost + 1;
}

int32_t rowcheck_lost(bool has_before, int64_t cnt0_before, const struct fits_row *row)
{
    if (row->lost <= 0)
        return 0;
    if (row->flags & FITS_FLAG_GAP)
        return row->lost;
    return has_before && !(row->flags & FITS_FLAG_RESET) && rowcheck_follows(cnt0_before, row)
               ? row->lost
               : 0;
}

int64_t rowcheck_dateref(const struct fits_row *row)
{
    double dateref_s = round((double)row->atime_ns / 1e9 - row->time_s);
    bool is_known = row->atime_ns > 0 && fabs(dateref_s) < 9e9; /* not so where TIME is NaN */

    return is_known ? (int64_t)dateref_s * 1000000000 : 0;
}

/* ---- one row ---- */

static bool has(const struct fits_row *row, int flag)
{
    return (row->flags & flag) != 0;
}

static const char *look_at_flags(const struct fits_row *row)
{
    if (row->flags & ~KNOWN_FLAGS)
        return "FLAGS has bits that mean nothing";
    if (has(row, FITS_FLAG_GAP) != (row->lost > 0))
        return "LOST and the flag GAP do not fit";
    if (has(row, FITS_FLAG_OVERWRITE) && !has(row, FITS_FLAG_GAP))
        return "the flag OVERWRITE stands without GAP";
    if (has(row, FITS_FLAG_QUEUEFULL) && !has(row, FITS_FLAG_OVERWRITE))
        return "the flag QUEUEFULL stands without OVERWRITE";
    if (has(row, FITS_FLAG_RECOVERED) && !has(row, FITS_FLAG_TORN))
        return "the flag RECOVERED stands without TORN";
    return NULL;
}

static const char *look_at_time(const struct rowcheck *check, const struct fits_row *row)
{
    int64_t since, last = check->last_atime_ns;

    if (has(row, FITS_FLAG_BADTIME)) {
        if (!isnan(row->time_s))
            return "TIME is a number beside the flag BADTIME";
        if (row->atime_ns > 0 && last != INT64_MIN && row->atime_ns >= last &&
            !has(row, FITS_FLAG_RESET) &&
            !__builtin_sub_overflow(row->atime_ns, check->dateref_ns, &since))
            return "ATIME is good beside the flag BADTIME";
        return NULL;
    }
    if (__builtin_sub_overflow(row->atime_ns, check->dateref_ns, &since) ||
        row->time_s != (double)since / 1e9)
        return "TIME and ATIME do not fit";
    if (row->atime_ns <= 0)
        return "ATIME is 0 without the flag BADTIME";
    if (last != INT64_MIN && row->atime_ns < last && !has(row, FITS_FLAG_RESET))
        return "ATIME goes back without the flag BADTIME";
    return NULL;
}

static const char *look_at_numbers(uint32_t depth, const struct fits_row *row)
{
    if (row->rtime_ns <= 0)
        return "RTIME is not set";
    if (row->lost < 0)
        return "LOST is negative";
    if ((row->slot < 0 || (uint32_t)row->slot >= depth) && !has(row, FITS_FLAG_RECOVERED))
        return "SLOT is beyond FIFOSIZE";
    return NULL;
}

const char *rowcheck_impossible(const struct fits_row *row, uint32_t depth)
{
    const char *what = look_at_numbers(depth ? depth : UINT32_MAX, row);

    return what ? what : look_at_flags(row);
}

/* ---- one after the other ---- */

static void report(struct rowcheck *check, uint64_t index, const struct fits_row *row,
                   const char *what)
{
    if (check->report)
        check->report(check->ctx, index, row, what);
}

/* A count that does not follow: it is the row's own where the next one fits neither it nor shows a
 * fault of its own when it is left out. */
static bool is_own_fault(const struct rowcheck *check, const struct fits_row *next)
{
    struct fits_row joined = *next;
    int64_t lost = (int64_t)next->lost + check->last.lost + 1;

    if (has(next, FITS_FLAG_RESET) || lost < 0 || lost >= INT32_MAX)
        return false;
    joined.lost = (int32_t)lost;
    return rowcheck_follows(check->before.cnt0, &joined);
}

static void settle_pending(struct rowcheck *check, const struct fits_row *next)
{
    report(check, check->totals.rows - 1, &check->last,
           next && !rowcheck_follows(check->last.cnt0, next) && is_own_fault(check, next)
               ? "CNT0 does not follow, nor does the next one"
               : "CNT0 does not follow the frame before by 1 + LOST");
}

void rowcheck_feed(struct rowcheck *check, const struct fits_row *row)
{
    uint64_t index = check->totals.rows;
    bool excused = false, follows = index == 0 || rowcheck_follows(check->last.cnt0, row);
    int32_t lost = rowcheck_lost(index > 0, check->last.cnt0, row);
    const char *what;

    if (check->is_pending) {
        excused = is_own_fault(check, row);
        settle_pending(check, row);
    }
    check->is_pending = !follows && !excused;
    what = rowcheck_impossible(row, check->depth);
    if (what)
        report(check, index, row, what);
    what = look_at_time(check, row);
    if (what)
        report(check, index, row, what);
    if (has(row, FITS_FLAG_RESET))
        check->last_atime_ns = INT64_MIN;
    if (row->atime_ns > 0 && !what)
        check->last_atime_ns = row->atime_ns;
    check->totals.turned_back += index > 0 && row->rtime_ns < check->last.rtime_ns;
    check->totals.rows++;
    check->totals.lost += (uint64_t)lost;
    check->totals.gaps += lost > 0;
    check->totals.torn += has(row, FITS_FLAG_TORN);
    check->totals.recovered += has(row, FITS_FLAG_RECOVERED);
    check->totals.resets += has(row, FITS_FLAG_RESET);
    check->totals.saturated += lost == INT32_MAX;
    check->before = check->last;
    check->last = *row;
}

void rowcheck_end(struct rowcheck *check)
{
    if (check->is_pending)
        settle_pending(check, NULL);
    check->is_pending = false;
}

/* ---- suspicion ---- */

/* A counter less the frame's count: what neighbours have in common where it counts frames, too. */
static int64_t less_count(int64_t value, const struct fits_row *row)
{
    return (int64_t)((uint64_t)value - (uint64_t)row->cnt0);
}

static int64_t slot_phase(const struct fits_row *row, int64_t depth)
{
    return ((row->slot - row->cnt0 % depth) % depth + depth) % depth;
}

static bool is_odd(int64_t value, int64_t a, int64_t b)
{
    return a == b && value != a;
}

static bool counter_is_odd(const struct fits_row *row, int64_t value, const struct fits_row *a,
                           int64_t a_value, const struct fits_row *b, int64_t b_value)
{
    return a_value == b_value
               ? value != a_value /* it does not count, or not here */
               : is_odd(less_count(value, row), less_count(a_value, a), less_count(b_value, b));
}

const char *rowcheck_stands_out(const struct fits_row *row, const struct fits_row *a,
                                const struct fits_row *b, bool is_between, uint32_t depth)
{
    if (counter_is_odd(row, row->cnt1, a, a->cnt1, b, b->cnt1))
        return "CNT1 stands out from its neighbours";
    if (counter_is_odd(row, row->cnt2, a, a->cnt2, b, b->cnt2))
        return "CNT2 stands out from its neighbours";
    if (is_odd(slot_phase(row, depth), slot_phase(a, depth), slot_phase(b, depth)))
        return "SLOT stands out from its neighbours";
    if (is_between && a->rtime_ns <= b->rtime_ns &&
        (row->rtime_ns < a->rtime_ns || row->rtime_ns > b->rtime_ns))
        return "RTIME stands out from its neighbours";
    if (is_odd(row->flags, a->flags, b->flags) && row->lost == 0)
        return "FLAGS stands out from its neighbours";
    return NULL;
}
