/*
 * absence.c - see absence.h. What can happen:
 *
 *   it was never there           nothing is counted before it is opened; then as if it came back,
 *                                but for what was overwritten before that, which nobody expected
 *   it might not be opened then  once it may, as one that is there at the start; another that has
 *                                taken its place, as above
 *   it does not come back        its file is closed after a second, the stream goes on waiting
 *   it is being made             opening it fails, and is tried again
 *   it may not be opened         the same, less and less often
 *   it comes back as it was      its file is closed (SHMGONE), a new run begins
 *   in another shape             its file is closed (RESHAPE), the next one has the new shape; so
 *                                with other keywords, which are looked at with its first frame
 *   lapped before it is noticed  what was overwritten when it was opened is a lap
 *   while the disk is slow       first all blocks must be back; what is overwritten in the FIFO
 *                                until then is lost to the disk; so is what had been overwritten
 *                                when it went away
 *   no room for a file of it     what is kept for the old shape is waited for, and 2 s more; what
 *                                is overwritten meanwhile is lost to the disk; then as below
 *   too large for memory, disk   this stream ends, and says why; the others go on
 *   it is truncated again, or    what it published meanwhile is counted as lost
 *   the recording ends
 *
 * Opening, allocating and building headers is no work for a hot path, but no frames flow, and what
 * is missed meanwhile is counted.
 */
#include "record/absence.h"

#include <stdio.h>

#include "base/units.h"
#include "record/handover.h"
#include "record/loss.h"
#include "record/setup.h"

#define GONE_NS       1000000000ll /* then its file is closed */
#define ROOM_NS       2000000000ll /* room that was given back is seen by then */
#define SLEEP_NS      1000000ll
#define LONG_NS       2000000000ll /* then it is away for long */
#define LONG_SLEEP_NS 10000000ll
#define KEYWORDS_NS   100000000ll /* the time a program has to fill in keywords before its frames */

/* While it is gone the old mapping is not looked at any more, whatever comes to be there. */
void absence_begin(struct record_stream *s, int64_t now_ns)
{
    uint64_t seen = s->reader.newest_seen, taken = s->reader.cnt0;

    if (atomic_load(&s->condition) != STREAM_RUNNING)
        return;
    atomic_store(&s->condition, STREAM_GONE);
    s->gone_since_ns = now_ns;
    s->is_retired = false;
    loss_book_end_of_run(s, taken + 1, seen > taken ? seen - taken : 0);
    s->starved = false; /* what that has cost is booked */
    if (s->stopping)
        s->last_wanted_cnt0 = taken; /* so is what was wanted still */
}

/* ---- what came back ---- */

/* Of `*count` frames from `*first` on those up to `last` are lost for this. */
static void lose_up_to(struct record_stream *s, enum ledger_cause cause, uint64_t last,
                       uint64_t *first, uint64_t *count)
{
    uint64_t lost = last < *first ? 0 : last - *first < *count ? last - *first + 1 : *count;

    loss_book(s, cause, *first, lost);
    *first += lost;
    *count -= lost;
}

/* The last frame that is overwritten in it by now, as far as is known. */
static uint64_t last_overwritten(const struct record_stream *s, const struct dao_segment *segment)
{
    uint64_t kept = segment->geo.depth > 1 ? segment->geo.depth - 1 : 1;

    return s->comeback.newest > kept ? s->comeback.newest - kept : 0;
}

/* It never was recorded, and will not be: what it is known to have published is lost. `cause`: for
 * what could have been had still. */
static void book_unseen(struct record_stream *s, const struct dao_segment *segment,
                        enum ledger_cause cause)
{
    uint64_t first, count = dao_comeback_unseen(&s->comeback, &s->reader, segment, &first);

    if (count == 0 || !s->is_expected)
        return;
    account_begin_run(&s->account, (int64_t)first);
    lose_up_to(s, LEDGER_LAPPED, s->comeback.lapped, &first, &count);
    if (s->starved)
        lose_up_to(s, LEDGER_DISK, last_overwritten(s, segment), &first, &count);
    loss_book(s, cause, first, count);
}

static void drop_fresh(struct record_stream *s, enum ledger_cause cause)
{
    book_unseen(s, &s->fresh, cause);
    dao_segment_close(&s->fresh);
    s->is_recut = false;
}

static bool open_fresh(struct record_stream *s, int64_t now_ns)
{
    if (dao_comeback_open(&s->comeback, &s->fresh, s->path, now_ns) < 0)
        return false;
    s->fresh_since_ns = now_ns;
    s->starved = false; /* nothing was waited for with this one */
    return true;
}

/* Where to go on in s->segment: at the first frame of a new run that was not overwritten when it
 * was opened, or behind what was seen. What is overwritten since is found missing by the reader: a
 * lap, or the disk's where that was waited for. False: it is gone already. */
static bool attach(struct record_stream *s)
{
    uint64_t first, count;

    if (dao_comeback_attach(&s->comeback, &s->reader, &s->segment, &first) < 0)
        return false;
    account_begin_run(&s->account, (int64_t)first);
    count = s->reader.cnt0 + 1 - first;
    if (s->starved)
        lose_up_to(s, LEDGER_RESTART, s->comeback.opened_newest, &first, &count);
    loss_book(s, s->starved ? LEDGER_DISK : LEDGER_RESTART, first, count);
    first = s->reader.cnt0 + 1;
    loss_book(s, LEDGER_LAPPED, first, dao_comeback_skip(&s->comeback, &s->reader));
    s->pending_reset = true;
    s->last_atime_ns = 0;
    return true;
}

/* Was it there when recording began, and might not be opened? Not what has taken its place. */
static bool is_denied_one(const struct record_stream *s)
{
    return s->was_denied && (s->denied_ino == 0 ||
                             (s->segment.dev == s->denied_dev && s->segment.ino == s->denied_ino));
}

/* It was not there when recording began: expected is what can be had of it since it was opened, and
 * what is overwritten from there on. */
static bool attach_first(struct record_stream *s)
{
    uint64_t first;

    if (dao_comeback_attach(&s->comeback, &s->reader, &s->segment, &first) < 0)
        return false;
    dao_comeback_skip(&s->comeback, &s->reader);
    /* As one that is there, and may be opened, when recording begins. */
    if (is_denied_one(s) && !s->config.backlog &&
        dao_reader_init(&s->reader, &s->segment, s->reader.lap_policy, false) < 0)
        return false;
    account_begin_run(&s->account, (int64_t)s->reader.cnt0 + 1);
    account_publish(&s->account); /* no ledger lists a file before there is a run */
    return true;
}

/* From here the segment is what came back. */
static void take_over(struct record_stream *s, enum account_event event)
{
    struct dao_segment old = s->segment;
    bool is_attached;

    s->segment = s->fresh;
    s->fresh = (struct dao_segment){.fd = -1, .guard_index = -1};
    s->is_retired = s->is_recut = false;
    is_attached = event == ACCOUNT_APPEARED ? attach_first(s) : attach(s);
    dao_segment_close(&old); /* not before: that takes its time, and the FIFO is being filled */
    if (!is_attached) {
        book_unseen(s, &s->segment, LEDGER_RESTART);
        return;
    }
    s->is_expected = true;
    account_note_event(&s->account, event);
    atomic_store(&s->condition, STREAM_RUNNING);
}

/* ---- another shape ---- */

/* `cause`: of what it still holds. */
static void end_unfit(struct record_stream *s, enum ledger_cause cause)
{
    drop_fresh(s, cause);
    s->stop_cause = "ERROR";
    s->finished = true;
    atomic_store_explicit(&s->condition, STREAM_UNFIT, memory_order_release);
}

/* No file of such frames can be planned. What was prepared for the old shape takes room until it is
 * discarded, and what is free is looked at twice a second: both are waited for. */
static void wait_for_room(struct record_stream *s, int64_t now_ns)
{
    uint64_t most = s->room->limits.file_bytes_max;
    char bytes[32], limit[32];
    struct fits_plan plan;

    s->no_room = false; /* the drain would end the recording for it */
    s->starved = true;
    fits_plan_make(&plan, &s->shape->parts, 1);
    if (plan.file_bytes > most) {
        snprintf(s->unfit.s, sizeof s->unfit.s,
                 "a file of one frame takes %s, and this process may write no more than %s into "
                 "one; allow more with ulimit -f or LimitFSIZE",
                 units_format_bytes(bytes, sizeof bytes, plan.file_bytes),
                 units_format_bytes(limit, sizeof limit, most));
        end_unfit(s, LEDGER_RESTART);
    } else if (stream_has_old_files(s)) {
        s->no_room_since_ns = now_ns;
    } else if (now_ns - s->no_room_since_ns > ROOM_NS) {
        snprintf(s->unfit.s, sizeof s->unfit.s,
                 "no room for a file of such frames beside what --keep-free keeps free; make room, "
                 "or lower it");
        end_unfit(s, LEDGER_DISK);
    }
}

/* Buffers, headers, pace for what came back. False: they cannot be had, the stream has ended. */
static bool recut(struct record_stream *s, int64_t now_ns)
{
    s->event = !s->is_expected           ? ACCOUNT_APPEARED
               : stream_is_same_shape(s) ? ACCOUNT_BACK
                                         : ACCOUNT_RESHAPED;
    if (stream_reshape(s, &s->unfit) < 0) {
        end_unfit(s, LEDGER_RESTART);
        return false;
    }
    s->rate_hz = 0.0;
    stream_set_pace(s);
    s->no_room_since_ns = now_ns;
    s->is_recut = true;
    return true;
}

static void reshape(struct record_stream *s, int64_t now_ns)
{
    if (!s->is_retired)
        handover_retire(s, stream_is_same_shape(s) ? "SHMGONE" : "RESHAPE", now_ns);
    s->is_retired = true;
    if (s->comeback.newest == 0 && now_ns - s->fresh_since_ns < KEYWORDS_NS)
        return;
    if (!stream_is_quiet(s)) {
        s->starved = true;
        return;
    }
    if (!s->is_recut && !recut(s, now_ns))
        return;
    handover_plan(s);
    if (s->no_room)
        wait_for_room(s, now_ns);
    else
        take_over(s, s->event);
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
    take_over(s, s->is_expected ? ACCOUNT_BACK : ACCOUNT_APPEARED);
}

void absence_step(struct record_stream *s, int64_t now_ns)
{
    absence_begin(s, now_ns);
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

int64_t absence_sleep_ns(const struct record_stream *s, int64_t now_ns)
{
    int64_t since_ns = s->gone_since_ns > s->start_ns ? s->gone_since_ns : s->start_ns;

    return s->fresh.fd < 0 && now_ns - since_ns > LONG_NS ? LONG_SLEEP_NS : SLEEP_NS;
}
