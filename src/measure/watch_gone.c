/*
 * watch_gone.c - the segment went away: the thread waits for it, and goes on with what comes back.
 * See watch.h and lib/comeback.h.
 *
 *   it does not come back       waited for until the end
 *   it is being made            opening it fails, and is tried again
 *   it may not be opened        the same, less and less often
 *   it comes back               a new run begins, whatever its shape
 *   it goes away again, or the  what it published meanwhile is counted as lost
 *   end is asked for
 */
#include "lib/clock.h"
#include "measure/watch.h"

static void lose(struct watch *w, unsigned cause, uint64_t first, uint64_t count)
{
    tally_lose(&w->now.tally, cause, (int64_t)first, count, dao_clock_real_ns());
}

/* While it is gone the old mapping is not looked at any more, whatever comes to be there. */
static void begin(struct watch *w)
{
    uint64_t seen = w->reader.newest_seen, taken = w->reader.cnt0;

    w->now.condition = WATCH_GONE;
    lose(w, LEDGER_RESTART, taken + 1, seen > taken ? seen - taken : 0);
}

/* It never was read, and will not be. */
static void book_unseen(struct watch *w, const struct dao_segment *back, unsigned cause)
{
    uint64_t first, count = dao_comeback_unseen(&w->comeback, &w->reader, back, &first);

    if (count > 0) {
        tally_begin_run(&w->now.tally, (int64_t)first, TALLY_RESTART);
        lose(w, cause, first, count);
    }
}

static void drop_fresh(struct watch *w, unsigned cause)
{
    book_unseen(w, &w->fresh, cause);
    dao_segment_close(&w->fresh);
}

static void take_over(struct watch *w)
{
    enum watch_event event =
        dao_geometry_equal(&w->segment.geo, &w->fresh.geo) ? WATCH_BACK : WATCH_RESHAPED;
    uint64_t first;

    dao_segment_close(&w->segment);
    w->segment = w->fresh;
    w->fresh = (struct dao_segment){.fd = -1, .guard_index = -1};
    if (dao_comeback_attach(&w->comeback, &w->reader, &w->segment, &first) < 0) {
        book_unseen(w, &w->segment, LEDGER_RESTART);
        return;
    }
    tally_begin_run(&w->now.tally, (int64_t)first, TALLY_RESTART);
    lose(w, LEDGER_RESTART, first, w->reader.cnt0 + 1 - first);
    if (event == WATCH_RESHAPED) {
        w->pace.period_ns = 0.0;
        w->pace.last_ns = 0;
    }
    w->cadence = (struct dao_cadence){0};
    w->now.geometry = w->segment.geo;
    w->now.depth = w->segment.geo.depth;
    w->now.events[event]++;
    w->now.condition = WATCH_RUNNING;
}

void watch_gone_step(struct watch *w)
{
    if (w->now.condition == WATCH_RUNNING)
        begin(w);
    if (w->fresh.fd < 0) {
        if (w->stopping ||
            dao_comeback_open(&w->comeback, &w->fresh, w->path, dao_clock_mono_ns()) < 0) {
            w->finished = w->stopping;
            return;
        }
    }
    dao_comeback_look(&w->comeback, &w->fresh);
    if (w->stopping) {
        drop_fresh(w, LEDGER_LAPPED);
        w->finished = true;
    } else if (dao_segment_check(&w->fresh) < 0) {
        /* Removed again, its frames are still there to be had; truncated, they are not. */
        drop_fresh(w, LEDGER_RESTART);
    } else {
        take_over(w);
    }
}
