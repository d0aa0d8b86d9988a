/* booking.c - see booking.h. */
#include "measure/booking.h"

#include <errno.h>
#include <stdlib.h>

#define JUMP_MAX (1ull << 31) /* more is a restart, as for a reader */

bool booking_is_ledger_whole(const struct ledger_stream *ledger)
{
    return ledger->counts.run_count > 0 && ledger->counts.run_count <= LEDGER_RUNS_MAX + 1;
}

int booking_begin(struct booking *b, struct tally *tally, const struct ledger_stream *ledger)
{
    *b = (struct booking){.tally = tally, .ledger = ledger};
    if (ledger)
        b->is_used = calloc(ledger->gaps_listed + 1, sizeof(bool));
    return !ledger || b->is_used ? 0 : -ENOMEM;
}

void booking_free(struct booking *b)
{
    free(b->is_used);
    b->is_used = NULL;
}

/* ---- losses ---- */

/* The ledger's gap of this beginning and length that was not found yet, rather one of this cause:
 * counts can come again in another run. NULL: none. */
static const struct ledger_gap *find_gap(const struct booking *b, int64_t first_cnt0,
                                         uint64_t count, unsigned cause, uint64_t *ret_index)
{
    const struct ledger_gap *found = NULL;

    for (uint64_t i = 0; b->ledger && i < b->ledger->gaps_listed; i++) {
        const struct ledger_gap *gap = &b->ledger->gaps[i];

        if (b->is_used[i] || gap->first_cnt0 != first_cnt0 || gap->count != count ||
            (found && gap->cause != cause))
            continue;
        found = gap;
        *ret_index = i;
        if (gap->cause == cause)
            break;
    }
    return found;
}

/* `count` frames behind the last one of the run; where the ledger knows this very gap, it knows its
 * cause and time better. */
static void lose(struct booking *b, unsigned cause, uint64_t count, int64_t time_ns)
{
    int64_t first = (int64_t)((uint64_t)b->tally->run.last_cnt0 + 1);
    const struct ledger_gap *known;
    uint64_t index = 0;

    if (count == 0)
        return;
    known = find_gap(b, first, count, cause, &index);
    if (known) {
        b->is_used[index] = true;
        cause = known->cause;
        time_ns = known->time_ns;
    }
    tally_lose(b->tally, cause, first, count, time_ns);
}

/*
 * The next gap that the ledger knows within the `left` counts behind the last one of the run, and
 * how far ahead it begins. The list is in the order of time, and then come those of a disk that
 * failed: it is the first that was not found yet, or one of the disk's. Where the two begin at one
 * count, in different runs, rows that are missing are the disk's doing.
 */
static const struct ledger_gap *next_gap(const struct booking *b, uint64_t left, bool are_rows_gone,
                                         uint64_t *ret_ahead)
{
    uint64_t run_last = (uint64_t)b->tally->run.last_cnt0;
    const struct ledger_gap *next = NULL;
    bool is_first = true;

    for (uint64_t i = 0; b->ledger && i < b->ledger->gaps_listed; i++) {
        const struct ledger_gap *gap = &b->ledger->gaps[i];
        uint64_t ahead = (uint64_t)gap->first_cnt0 - run_last - 1;
        bool is_disk = gap->cause == LEDGER_DISK, is_candidate = is_first || is_disk;

        if (b->is_used[i] || gap->count == 0)
            continue;
        is_first = false;
        if (!is_candidate || ahead >= left || gap->count > left - ahead)
            continue;
        if (next && (ahead > *ret_ahead || (ahead == *ret_ahead && !(is_disk && are_rows_gone))))
            continue;
        next = gap;
        *ret_ahead = ahead;
    }
    return next;
}

/* In the current run, up to count `last`: gaps that the ledger knows; the rest has this cause. */
static void fill_up(struct booking *b, int64_t last, unsigned cause, int64_t time_ns)
{
    for (;;) {
        uint64_t left = (uint64_t)last - (uint64_t)b->tally->run.last_cnt0, ahead = 0;
        const struct ledger_gap *next;

        if (left == 0 || left > JUMP_MAX)
            return;
        next = next_gap(b, left, cause == TALLY_UNKNOWN, &ahead);
        if (next && ahead == 0)
            lose(b, next->cause, next->count, next->time_ns);
        else
            lose(b, cause, next ? ahead : left, time_ns);
    }
}

static unsigned cause_of(const struct fits_row *row)
{
    return row->flags & FITS_FLAG_QUEUEFULL   ? LEDGER_DISK
           : row->flags & FITS_FLAG_OVERWRITE ? LEDGER_LAPPED
                                              : LEDGER_SOURCE;
}

/* Where a file does not tell it, it is 1 or ATIME. */
static bool has_rtime(const struct fits_row *row)
{
    return row->rtime_ns > 1 && row->rtime_ns != row->atime_ns;
}

static int64_t time_of(const struct fits_row *row)
{
    return row->rtime_ns > 1 ? row->rtime_ns : row->atime_ns;
}

/* ---- runs ---- */

/* It contradicts the rows: they go on alone. */
static void drop_ledger(struct booking *b)
{
    b->has_ledger_failed = b->has_ledger_failed || b->ledger;
    b->ledger = NULL;
}

static bool is_within(const struct ledger_run *run, int64_t cnt0)
{
    uint64_t at = (uint64_t)cnt0 - (uint64_t)run->first_cnt0;

    return at < ledger_run_expected(run);
}

/* The run of the ledger that a row begins: the first behind the current one that has its count,
 * rather one where what is lost between comes to what the row says. */
static bool find_run(const struct booking *b, const struct fits_row *row, uint64_t *ret)
{
    const struct ledger_run *runs = b->ledger->runs;
    uint64_t lost = (uint64_t)runs[b->ledger_run].last_cnt0 - (uint64_t)b->tally->run.last_cnt0;
    bool found = false;

    for (uint64_t i = b->ledger_run + 1; i < b->ledger->counts.run_count; i++) {
        uint64_t ahead = (uint64_t)row->cnt0 - (uint64_t)runs[i].first_cnt0;
        bool fits = lost + ahead == (uint64_t)row->lost;

        if (is_within(&runs[i], row->cnt0) && (!found || fits)) {
            *ret = i;
            found = true;
            if (fits)
                break;
        }
        lost += ledger_run_expected(&runs[i]);
    }
    return found;
}

/* Up to the end of the current run, and through all that follow, to the beginning of run `to`. */
static void follow_ledger(struct booking *b, uint64_t to, int64_t time_ns)
{
    const struct ledger_run *runs = b->ledger->runs;

    for (; b->ledger_run < to; b->ledger_run++) {
        fill_up(b, runs[b->ledger_run].last_cnt0, LEDGER_RESTART, time_ns);
        tally_begin_run(b->tally, runs[b->ledger_run + 1].first_cnt0, TALLY_RESTART);
    }
}

/* By the row alone. A new run is expected from count 1 on; what it is known to have lost was
 * lapped, the rest belongs to the run before. */
static void begin_run_alone(struct booking *b, const struct fits_row *row)
{
    uint64_t lost = (uint64_t)row->lost, before = lost;
    bool is_first = b->tally->run_count == 0;

    if (row->flags & FITS_FLAG_OVERWRITE)
        before =
            row->cnt0 >= 1 && (uint64_t)row->cnt0 - 1 <= lost ? lost - (uint64_t)row->cnt0 + 1 : 0;
    if (is_first && before > 0)
        tally_begin_run(b->tally, 1, TALLY_START);
    lose(b, LEDGER_RESTART, before, time_of(row));
    tally_begin_run(b->tally, (int64_t)((uint64_t)row->cnt0 - (lost - before)),
                    is_first && before == 0 ? TALLY_START : TALLY_RESTART);
    lose(b, cause_of(row), lost - before, time_of(row));
}

static void book_restart(struct booking *b, const struct fits_row *row)
{
    uint64_t to = 0;

    if (b->ledger && b->tally->run_count == 0)
        tally_begin_run(b->tally, b->ledger->runs[0].first_cnt0, TALLY_START);
    if (b->ledger && !find_run(b, row, &to))
        drop_ledger(b);
    if (!b->ledger) {
        begin_run_alone(b, row);
        return;
    }
    follow_ledger(b, to, time_of(row));
    fill_up(b, (int64_t)((uint64_t)row->cnt0 - 1),
            row->flags & FITS_FLAG_OVERWRITE ? cause_of(row) : LEDGER_RESTART, time_of(row));
}

/* ---- rows ---- */

static void book_first(struct booking *b, const struct fits_row *row)
{
    int64_t first = (int64_t)((uint64_t)row->cnt0 - (uint64_t)row->lost);

    if (b->ledger && is_within(&b->ledger->runs[0], row->cnt0))
        first = b->ledger->runs[0].first_cnt0;
    else
        drop_ledger(b);
    tally_begin_run(b->tally, first, TALLY_START);
}

/* The row whose RESET told of another run may be among those that a disk has swallowed. */
static void catch_up(struct booking *b, const struct fits_row *row)
{
    uint64_t run_last = (uint64_t)b->tally->run.last_cnt0, to = 0;
    uint64_t ahead = (uint64_t)row->cnt0 - run_last - 1;

    if (ahead < (uint64_t)b->ledger->runs[b->ledger_run].last_cnt0 - run_last)
        return;
    if (find_run(b, row, &to))
        follow_ledger(b, to, time_of(row));
    else
        drop_ledger(b);
}

static void book_next(struct booking *b, const struct fits_row *row, bool is_behind_hole)
{
    uint64_t lost = (uint64_t)row->lost, step;
    int64_t before; /* the last count that the row does not account for */

    if (b->ledger)
        catch_up(b, row);
    step = (uint64_t)row->cnt0 - (uint64_t)b->tally->run.last_cnt0 - 1;
    if (step > JUMP_MAX ||
        step < lost) { /* rows that contradict each other, or a source that did */
        drop_ledger(b);
        tally_begin_run(b->tally, (int64_t)((uint64_t)row->cnt0 - lost),
                        is_behind_hole ? TALLY_HOLE : TALLY_RESTART);
        step = lost;
    }
    if (lost == INT32_MAX) /* or more */
        lost = step;
    before = (int64_t)((uint64_t)row->cnt0 - lost - 1);
    if (step > lost && is_behind_hole && !b->ledger) {
        b->tally->absent += step - lost;
        tally_begin_run(b->tally, (int64_t)((uint64_t)before + 1), TALLY_HOLE);
    }
    fill_up(b, before, TALLY_UNKNOWN, time_of(row));
    lose(b, cause_of(row), lost, time_of(row));
}

void booking_row(struct booking *b, const struct fits_row *row, bool is_behind_hole)
{
    struct fits_row sane = *row;
    struct tally_frame frame = {
        .cnt0 = row->cnt0,
        .atime_ns = row->atime_ns,
        .taken_ns = has_rtime(row) ? row->rtime_ns : 0,
        .is_torn = row->flags & FITS_FLAG_TORN,
        .is_bad_time = row->flags & FITS_FLAG_BADTIME,
    };

    sane.lost = row->lost < 0 ? 0 : row->lost;
    if (row->flags & FITS_FLAG_RESET) {
        book_restart(b, &sane);
    } else {
        if (b->tally->run_count == 0)
            book_first(b, &sane);
        book_next(b, &sane, is_behind_hole);
    }
    tally_take(b->tally, &frame);
}

/* ---- the end ---- */

/* Gaps that are not in the ledger's list, since that is cut, have no cause or may have got a wrong
 * one; where all adds up its sums know better. */
static void take_causes(struct booking *b)
{
    const struct ledger_counts *counts = &b->ledger->counts;

    if (tally_lost(b->tally) != ledger_lost(counts)) {
        b->has_ledger_failed = true;
        return;
    }
    for (unsigned i = 0; i < LEDGER_CAUSES; i++)
        b->tally->lost_by[i] = counts->lost_by[i];
    b->tally->lost_by[TALLY_UNKNOWN] = 0;
}

void booking_end(struct booking *b)
{
    uint64_t last;

    if (!b->ledger)
        return;
    last = b->ledger->counts.run_count - 1;
    if (b->tally->run_count == 0)
        tally_begin_run(b->tally, b->ledger->runs[0].first_cnt0, TALLY_START);
    follow_ledger(b, last, 0);
    fill_up(b, b->ledger->runs[last].last_cnt0, TALLY_UNKNOWN, 0);
    take_causes(b);
}
