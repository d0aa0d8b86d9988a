/*
 * absence.c - see absence.h. What can happen:
 *
 *   it does not come back        its file is closed after a second, the stream goes on waiting
 *   it is being made             opening it fails, and is tried again
 *   it comes back as it was      its file is closed (SHMGONE), a new run begins
 *   in another shape             its file is closed (RESHAPE), the next one has the new shape; so
 *                                with other keywords, which are looked at with its first frame
 *   while the disk is slow       first all blocks must be back; what is overwritten in the FIFO
 *                                until then is lost to the disk
 *   too large for memory, disk   this stream ends, and says why; the others go on
 *   it is truncated again, or    what it published meanwhile is counted as lost
 *   the recording ends
 *
 * Opening, allocating and building headers is no work for a hot path, but no frames flow, and what
 * is missed meanwhile is counted.
 */
#include "record/absence.h"

#include <string.h>

#include "lib/clock.h"
#include "record/handover.h"
#include "record/setup.h"

#define GONE_NS     1000000000ll /* then its file is closed */
#define KEYWORDS_NS 100000000ll  /* the time a program has to fill in keywords before its frames */
#define DISK_NS     100000000ll  /* waiting for blocks for longer is the disk's doing */

static void count_event(struct record_stream *s, enum stream_event event)
{
    atomic_fetch_add_explicit(&s->events[event], 1, memory_order_relaxed);
}

/* Lost between two runs; the next frame's row tells of it too. */
static void lose(struct record_stream *s, enum ledger_cause cause, uint64_t first, uint64_t count)
{
    account_lose(&s->account, cause, (int64_t)first, count, dao_clock_real_ns());
    s->pending_restart_lost += count;
}

/* While it is gone the old mapping is not looked at any more, whatever comes to be there. */
static void begin(struct record_stream *s, int64_t now_ns)
{
    uint64_t seen = s->reader.newest_seen, taken = s->reader.cnt0;

    atomic_store(&s->condition, STREAM_GONE);
    s->gone_since_ns = now_ns;
    s->is_retired = false;
    lose(s, LEDGER_RESTART, taken + 1, seen > taken ? seen - taken : 0);
}

/* ---- what came back ---- */

/* It never was recorded, and will not be: what it is known to have published is lost. */
static void book_unseen(struct record_stream *s, const struct dao_segment *segment,
                        enum ledger_cause cause)
{
    uint64_t first, count = dao_comeback_unseen(&s->comeback, &s->reader, segment, &first);

    if (count > 0) {
        account_begin_run(&s->account, (int64_t)first);
        lose(s, cause, first, count);
    }
}

static void drop_fresh(struct record_stream *s, enum ledger_cause cause)
{
    book_unseen(s, &s->fresh, cause);
    dao_segment_close(&s->fresh);
}

static bool open_fresh(struct record_stream *s, int64_t now_ns)
{
    struct dao_text text;

    if (dao_segment_open(&s->fresh, s->path, DAO_ACCESS_READ, &text) < 0)
        return false;
    dao_comeback_begin(&s->comeback, &s->fresh);
    s->fresh_since_ns = now_ns;
    return true;
}

/* Where to go on in s->segment: at the first frame of a new run, or behind what was seen. False: it
 * is gone already. */
static bool attach(struct record_stream *s)
{
    uint64_t first;

    if (dao_comeback_attach(&s->comeback, &s->reader, &s->segment, &first) < 0)
        return false;
    account_begin_run(&s->account, (int64_t)first);
    lose(s, LEDGER_RESTART, first, s->reader.cnt0 + 1 - first);
    s->pending_reset = true;
    s->last_atime_ns = 0;
    return true;
}

/* From here the segment is what came back. */
static void take_over(struct record_stream *s, enum stream_event event)
{
    dao_segment_close(&s->segment);
    s->segment = s->fresh;
    s->fresh = (struct dao_segment){.fd = -1, .guard_index = -1};
    s->is_retired = false;
    if (!attach(s)) {
        book_unseen(s, &s->segment, LEDGER_RESTART);
        return;
    }
    count_event(s, event);
    atomic_store(&s->condition, STREAM_RUNNING);
}

/* ---- another shape ---- */

static void end_unfit(struct record_stream *s)
{
    drop_fresh(s, LEDGER_RESTART);
    s->stop_cause = "ERROR";
    s->finished = true;
    atomic_store_explicit(&s->condition, STREAM_UNFIT, memory_order_release);
}

static void reshape(struct record_stream *s, int64_t now_ns)
{
    bool is_same = stream_is_same_shape(s);

    if (!s->is_retired)
        handover_retire(s, is_same ? "SHMGONE" : "RESHAPE", now_ns);
    s->is_retired = true;
    if (s->comeback.newest == 0 && now_ns - s->fresh_since_ns < KEYWORDS_NS)
        return;
    if (!stream_is_quiet(s)) {
        s->starved = s->starved || now_ns - s->fresh_since_ns > KEYWORDS_NS + DISK_NS;
        return;
    }
    if (stream_reshape(s, &s->unfit) < 0) {
        end_unfit(s);
        return;
    }
    s->rate_hz = 0.0;
    s->pace = (struct pace){0};
    handover_plan(s);
    if (s->no_room) {
        strcpy(s->unfit.s, "no room for a file of such frames");
        end_unfit(s);
        return;
    }
    /* What was overwritten in the FIFO by now was waiting for blocks and for the next file. */
    dao_comeback_look(&s->comeback, &s->fresh);
    s->starved = s->starved || s->comeback.newest - s->comeback.seed >= s->fresh.geo.depth;
    take_over(s, is_same ? STREAM_EVENT_BACK : STREAM_EVENT_RESHAPED);
}

static void go_on(struct record_stream *s, int64_t now_ns)
{
    /* Removed or replaced again, its frames are still there to be had; truncated, they are not. */
    if (dao_segment_check(&s->fresh) < 0) {
        drop_fresh(s, LEDGER_RESTART);
        return;
    }
    dao_comeback_look(&s->comeback, &s->fresh);
    if (s->is_retired || !stream_is_same_shape(s) || !stream_has_same_keywords(s)) {
        reshape(s, now_ns);
        return;
    }
    if (s->current && s->current->frames > 0)
        handover_end_current(s, "SHMGONE", now_ns);
    take_over(s, STREAM_EVENT_BACK);
}

void absence_step(struct record_stream *s, int64_t now_ns)
{
    if (atomic_load(&s->condition) == STREAM_RUNNING)
        begin(s, now_ns);
    if (s->stopping) {
        if (s->fresh.fd >= 0) {
            dao_comeback_look(&s->comeback, &s->fresh);
            drop_fresh(s, s->starved ? LEDGER_DISK : LEDGER_LAPPED);
        }
        s->finished = true;
        return;
    }
    if (s->fresh.fd >= 0 || open_fresh(s, now_ns))
        go_on(s, now_ns);
    if (s->current && s->current->frames > 0 && now_ns - s->gone_since_ns > GONE_NS)
        handover_end_current(s, "SHMGONE", now_ns);
}
