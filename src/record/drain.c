/*
 * drain.c - from the segment into blocks: the hot path. See stream.h for the threads, lane.h for
 * who has a turn when.
 *
 * One frame: begin (is there one?), a file and blocks to put it in, encode straight from shared
 * memory into the block, finish (was it whole?), book it. Nothing here waits, allocates or logs.
 * When no block or file is free, frames stay in the FIFO; what is lapped then is the disk's fault.
 * How a stream ends is in stopping.c.
 */
#include "record/drain.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "fits/rows.h"
#include "fits/sum.h"
#include "lib/clock.h"
#include "record/absence.h"
#include "record/handover.h"
#include "record/loss.h"
#include "record/overload.h"
#include "record/setup.h"
#include "record/stopping.h"

#define BATCH_FRAMES         64u
#define BATCH_BYTES          (1u << 20) /* where others wait for their turn */
#define TIME_BYTES           4096u
#define REFUSALS_MAX         4u
#define FLUSH_NS             1000000000ll
#define PATH_CHECK_NS        100000000ll
#define STARVED_SLEEP_NS     200000ll
#define REFUSED_SLEEP_MIN_NS 20000ll
#define REFUSED_SLEEP_MAX_NS 1000000ll
#define STOP_PATIENCE_NS     1000000000ll
#define RATE_FRAMES          16u

enum step {
    STEP_TOOK,    /* a frame was taken */
    STEP_AGAIN,   /* something happened, look again */
    STEP_REFUSED, /* a frame changed under the copy, or its write flag is up */
    STEP_NOTHING, /* no frame there */
    STEP_STARVED, /* a frame is there, but no block or file to put it in */
    STEP_GONE,    /* the segment is */
};

/* ---- one frame ---- */

static uint32_t stage_frame(struct record_stream *s, const struct dao_take *take)
{
    const unsigned char *pixels = take->pixels;
    uint64_t bytes = s->shape->parts.frame_bytes;
    uint32_t sum = 0;

    for (uint64_t done = 0, n; done < bytes; done += n) {
        unsigned char *to = staging_piece(&s->data, done, bytes - done, &n);
        uint32_t part = s->encoder.encode(to, pixels + done, (size_t)n, s->encoder.flip);

        sum = fits_sum_add(sum, fits_sum_at(part, done));
    }
    return sum;
}

/*
 * RTIME. The clock is read again after TIME_BYTES, a microsecond or so of copying: small frames
 * that have piled up share a reading. Never one from before the frame was published.
 */
static int64_t time_of_taking(struct record_stream *s, const struct dao_take *take)
{
    if (s->timed_bytes >= TIME_BYTES || take->atime_ns >= s->time_ns) {
        s->time_ns = dao_clock_real_ns();
        s->timed_bytes = 0;
    }
    s->timed_bytes += s->shape->parts.frame_bytes;
    return s->time_ns;
}

static enum ledger_cause cause_of(const struct record_stream *s, const struct dao_take *take)
{
    bool is_disk = s->starved || atomic_load_explicit(&s->is_thinning, memory_order_relaxed);

    return take->jumped ? LEDGER_SOURCE : is_disk ? LEDGER_DISK : LEDGER_LAPPED;
}

/* TIME, in seconds; false where the segment's timestamp is no good. */
static bool frame_time(struct record_stream *s, const struct dao_take *take, double *ret_s)
{
    int64_t since = 0;
    bool bad = take->atime_ns <= 0 || take->atime_ns < s->last_atime_ns ||
               __builtin_sub_overflow(take->atime_ns, s->current->file.dateref_ns, &since);

    if (take->atime_ns > 0)
        s->last_atime_ns = take->atime_ns;
    *ret_s = bad ? (double)NAN : (double)since / 1e9;
    return !bad;
}

/* First frame of a file: now it gets its name, and the one before it its successor. */
static void open_current(struct record_stream *s, const struct dao_take *take, int64_t when_ns,
                         int64_t now_ns)
{
    struct record_file *f = s->current;

    f->first_cnt0 = (int64_t)take->cnt0;
    f->first_ns = when_ns;
    f->index0 = s->next_index;
    f->opened_mono_ns = now_ns;
    if (s->ending)
        handover_end_pending(s, true);
    handover_send(s, &s->data_queue, (struct record_message){.kind = RECORD_OPEN, .file = f});
}

static void measure_rate(struct record_stream *s, const struct record_file *f)
{
    double span_s = (double)(f->last_ns - f->first_ns) / 1e9;

    if (f->frames % 64 == RATE_FRAMES && span_s > 0.0)
        s->rate_hz = (double)(f->frames - 1) / span_s;
}

/* Book a frame that was proven: its row, its losses, its sums. */
static void accept(struct record_stream *s, const struct dao_take *take, uint64_t previous_cnt0,
                   uint32_t dsum, int64_t rtime_ns, int64_t now_ns)
{
    struct record_file *f = s->current;
    uint64_t lost, row_bytes;
    struct fits_row row = {
        .atime_ns = take->atime_ns,
        .cnt0 = (int64_t)take->cnt0,
        .cnt1 = (int64_t)take->cnt1,
        .cnt2 = (int64_t)take->cnt2,
        .rtime_ns = rtime_ns,
        .slot = (int32_t)take->slot,
        .dsum = dsum,
    };
    bool good_time = frame_time(s, take, &row.time_s);
    unsigned char *packed;

    if (s->left_out > 0)
        loss_book_left_out(s);
    lost = s->pending_lost + take->missing;
    row.lost = lost > INT32_MAX ? INT32_MAX : (int32_t)lost;
    if (take->missing) {
        enum ledger_cause cause = cause_of(s, take);

        row.flags |= loss_flags(cause);
        account_lose(&s->account, cause, (int64_t)previous_cnt0 + 1, take->missing, rtime_ns);
    }
    row.flags |= s->pending_flags | (s->pending_reset ? FITS_FLAG_RESET : 0) |
                 (take->torn ? FITS_FLAG_TORN : 0) | (take->partial ? FITS_FLAG_PARTIAL : 0) |
                 (good_time ? 0 : FITS_FLAG_BADTIME);
    account_take(&s->account, row.cnt0, take->torn, s->shape->parts.frame_bytes);
    if (good_time)
        latency_add(&s->latency, rtime_ns - take->atime_ns);

    f->last_ns = good_time ? take->atime_ns : rtime_ns;
    f->last_cnt0 = row.cnt0;
    if (f->frames == 0)
        open_current(s, take, f->last_ns, now_ns);
    packed = staging_piece(&s->rows, 0, FITS_ROW_BYTES, &row_bytes);
    f->rows_sum = fits_sum_add(f->rows_sum, fits_row_pack(packed, &row));
    f->data_sum =
        fits_sum_add(f->data_sum, fits_sum_at(dsum, f->frames * s->shape->parts.frame_bytes));
    f->lost += lost;
    f->gaps += lost > 0;
    f->torn += take->torn;
    f->frames++;
    s->next_index++;
    s->pending_lost = 0;
    s->pending_flags = 0;
    s->pending_reset = s->starved = false;
    staging_advance(&s->data, s->shape->parts.frame_bytes);
    staging_advance(&s->rows, FITS_ROW_BYTES);
    measure_rate(s, f);
    handover_blocks(s, false);
}

/* The source restarted: what is known of the old run is booked, a new run begins. */
static void restart(struct record_stream *s, const struct dao_take *take)
{
    loss_book_end_of_run(s, take->restart_first, take->restart_lost);
    account_begin_run(&s->account, (int64_t)s->reader.cnt0 + 1);
    s->pending_reset = true;
    s->last_atime_ns = 0;
    account_note_event(&s->account, ACCOUNT_RESTARTED);
}

/* While stopping: is this candidate beyond what was there at the request? Then what was there and
 * is not any more is lost, and the work is done. */
static bool is_beyond_stop(struct record_stream *s, const struct dao_take *take)
{
    if (!s->stopping || take->cnt0 <= s->last_wanted_cnt0)
        return false;
    stopping_give_up(s, cause_of(s, take));
    return true;
}

/* No block or file for this candidate. What was lapped before it is lost, and is to be known before
 * there is a row to tell it. */
static enum step starve(struct record_stream *s, const struct dao_take *take)
{
    s->starved = true;
    overload_note_starved(s);
    if (take->missing > 0) {
        loss_book_left_out(s);
        struct ledger_gap gap = {.first_cnt0 = (int64_t)(s->reader.cnt0 + 1),
                                 .count = take->missing,
                                 .time_ns = dao_clock_real_ns(),
                                 .cause = cause_of(s, take)};

        account_wait(&s->account, &gap);
    }
    return STEP_STARVED;
}

/* A frame that is left out is passed by as one that is taken, without a copy. */
static enum step pass_by(struct record_stream *s, struct dao_take *take)
{
    uint64_t previous_cnt0 = s->reader.cnt0;
    enum ledger_cause cause = cause_of(s, take);

    if (dao_reader_finish(&s->reader, take) != 1)
        return STEP_REFUSED;
    overload_leave_out(s, take, previous_cnt0, cause);
    return STEP_AGAIN;
}

/* Does the recording end before this candidate, or before what is lost there, by the policy for a
 * disk that does not keep up? */
static bool ends_by_policy(struct record_stream *s, const struct dao_take *take)
{
    if (s->config.overload != OVERLOAD_STOP || !overload_ends(s, take))
        return false;
    stopping_end_here(s, &s->overloaded);
    return true;
}

/* Is this candidate not to be recorded, by that policy? */
static bool heed_policy(struct record_stream *s, struct dao_take *take, enum step *ret)
{
    if (!overload_leaves_out(s, take))
        return false;
    *ret = pass_by(s, take);
    return true;
}

static enum step take_frame(struct record_stream *s, int64_t now_ns)
{
    struct dao_take take;
    uint64_t previous_cnt0 = s->reader.cnt0;
    enum step step;
    int64_t rtime_ns;
    uint32_t dsum;

    switch (dao_reader_begin(&s->reader, &take)) {
    case DAO_READ_NONE:
        return STEP_NOTHING;
    case DAO_READ_FRAME:
        break;
    case DAO_READ_RESTART:
        restart(s, &take);
        s->finished = s->stopping; /* what was wanted is gone, and booked */
        return STEP_AGAIN;
    default:
        return STEP_GONE;
    }
    if (ends_by_policy(s, &take) || is_beyond_stop(s, &take))
        return STEP_AGAIN;
    if (s->config.overload == OVERLOAD_DECIMATE && heed_policy(s, &take, &step))
        return step;
    if (!handover_ensure_file(s, take.atime_ns) ||
        !staging_reserve(&s->data, s->shape->parts.frame_bytes) ||
        !staging_reserve(&s->rows, FITS_ROW_BYTES))
        return starve(s, &take);
    dao_reader_prefetch(&s->reader, &take);
    rtime_ns = time_of_taking(s, &take);
    dsum = stage_frame(s, &take);
    if (dao_reader_finish(&s->reader, &take) != 1)
        return STEP_REFUSED;
    accept(s, &take, previous_cnt0, dsum, rtime_ns, now_ns);
    if (s->stopping && take.cnt0 >= s->last_wanted_cnt0)
        s->finished = true;
    if (s->config.frames_wanted && s->account.now.counts.recorded >= s->config.frames_wanted) {
        s->stop_cause = "STOP";
        s->finished = true;
    }
    return STEP_TOOK;
}

/* ---- one turn ---- */

/* Frames in one turn at most; one in any case. */
static unsigned batch_of(const struct record_stream *s)
{
    uint64_t fair;

    if (!s->has_company)
        return BATCH_FRAMES;
    fair = BATCH_BYTES / s->shape->parts.frame_bytes;
    return fair >= BATCH_FRAMES ? BATCH_FRAMES : fair < 1 ? 1 : (unsigned)fair;
}

/* How it ended; *ret_taken: frames. STEP_TOOK: more may be there. */
static enum step drain_batch(struct record_stream *s, int64_t now_ns, uint64_t *ret_taken)
{
    enum step step = STEP_NOTHING;
    uint64_t before = s->reader.cnt0;
    unsigned refused = 0, most = batch_of(s);

    s->timed_bytes = TIME_BYTES;
    for (unsigned i = 0; i < most && !s->finished; i++) {
        step = take_frame(s, now_ns);
        if (step == STEP_TOOK) {
            *ret_taken += 1;
            refused = 0;
            handover_roll_if_due(s, now_ns);
        } else if (step != STEP_AGAIN && (step != STEP_REFUSED || ++refused > REFUSALS_MAX)) {
            break;
        }
    }
    if (s->reader.cnt0 > before || step == STEP_NOTHING)
        pace_note(&s->pace, s->reader.cnt0 > before ? s->reader.cnt0 - before : 0,
                  step == STEP_NOTHING, now_ns);
    return step == STEP_REFUSED && *ret_taken > 0 ? STEP_TOOK : step;
}

static void housekeeping(struct record_stream *s, int64_t now_ns)
{
    handover_heed(s);
    if (atomic_load_explicit(&s->has_wishes, memory_order_relaxed))
        handover_take_wishes(s);
    handover_roll_if_due(s, now_ns);
    if (!s->shape) { /* its segment was not there yet */
        account_publish(&s->account);
        return;
    }
    if (s->current && s->current->frames > 0 && now_ns - s->last_flush_ns >= FLUSH_NS) {
        handover_flush(s);
        s->last_flush_ns = now_ns;
    }
    s->account.now.backlog =
        atomic_load(&s->condition) == STREAM_RUNNING ? dao_reader_backlog(&s->reader) : 0;
    s->account.now.rate_hz = s->rate_hz;
    atomic_store_explicit(&s->bytes_per_s,
                          (uint64_t)(s->rate_hz * (double)s->shape->parts.frame_bytes),
                          memory_order_relaxed);
    s->account.now.starved = s->starved;
    account_note_file(&s->account, s->current ? s->current->file.state.file_seq : 0,
                      s->current ? s->current->frames : 0);
    account_publish(&s->account);
}

/* Looked at now and then while no frames come: does the path lead to another file, or nowhere? */
static bool is_replaced(struct record_stream *s, int64_t now_ns)
{
    if (now_ns - s->last_look_ns < PATH_CHECK_NS)
        return false;
    s->last_look_ns = now_ns;
    return dao_segment_check_path(&s->segment) < 0;
}

/* Opening what comes back, and making room for it, takes its time: with others in this thread the
 * stream goes elsewhere first. */
static void be_without_segment(struct record_stream *s, int64_t now_ns)
{
    if (s->has_company)
        absence_begin(s, now_ns);
    else
        absence_step(s, now_ns);
}

/* One look: size and creation time are looked at always. What a removed segment still holds is
 * taken first; whoever removed it has published before. */
static enum step look(struct record_stream *s, int64_t now_ns, uint64_t *ret_taken)
{
    enum step step = STEP_GONE;

    *ret_taken = 0;
    if (atomic_load_explicit(&s->condition, memory_order_relaxed) == STREAM_RUNNING &&
        dao_reader_look(&s->reader) >= 0) {
        bool replaced = is_replaced(s, now_ns);

        step = drain_batch(s, now_ns, ret_taken);
        if (replaced && (step == STEP_NOTHING || step == STEP_REFUSED))
            step = STEP_GONE;
    }
    if (step == STEP_GONE)
        be_without_segment(s, now_ns);
    if (step == STEP_GONE || *ret_taken > 0)
        s->last_look_ns = now_ns;
    return step;
}

/* How long to rest after a batch, as its end suggests. */
static int64_t rest_ns(struct record_stream *s, enum step step, int64_t now_ns)
{
    /* A writer that died under a frame leaves it refused for ever: look less and less often. */
    if (step != STEP_REFUSED)
        s->refused_sleep_ns = 0;
    else if (s->refused_sleep_ns < REFUSED_SLEEP_MIN_NS)
        s->refused_sleep_ns = REFUSED_SLEEP_MIN_NS;
    else if (s->refused_sleep_ns < REFUSED_SLEEP_MAX_NS)
        s->refused_sleep_ns *= 2;
    switch (step) {
    case STEP_NOTHING:
        return pace_sleep_ns(&s->pace, s->shape->geometry.depth, s->shape->parts.frame_bytes,
                             now_ns);
    case STEP_REFUSED:
        return s->refused_sleep_ns;
    case STEP_STARVED:
        return STARVED_SLEEP_NS;
    case STEP_GONE:
        return absence_sleep_ns(s, now_ns);
    default:
        return 0;
    }
}

/* ---- its life ---- */

/* With a backlog: what was overwritten since the stream was attached to, and had been published
 * before that, is no part of it. A FIFO that is full loses its oldest frame with each new one. */
static void attach_again(struct record_stream *s)
{
    uint64_t known = s->reader.newest_seen, first;
    struct dao_reader reader;

    if (!s->config.backlog || atomic_load(&s->condition) != STREAM_RUNNING ||
        dao_reader_init(&reader, &s->segment, s->reader.lap_policy, true) < 0 ||
        reader.creation_bits != s->reader.creation_bits || reader.cnt0 <= s->reader.cnt0)
        return;
    s->reader = reader;
    first = (reader.cnt0 < known ? reader.cnt0 : known) + 1;
    account_move_run(&s->account, (int64_t)first);
    loss_book(s, LEDGER_LAPPED, first, reader.cnt0 + 1 - first);
}

static void begin(struct record_stream *s, int64_t now_ns)
{
    s->is_begun = true;
    attach_again(s);
    stream_set_pace(s);
    s->start_ns = s->last_flush_ns = s->last_look_ns = s->last_taken_ns = now_ns;
}

int64_t drain_turn(struct record_stream *s, int64_t now_ns)
{
    enum step step = STEP_NOTHING;
    uint64_t taken;

    if (!s->is_begun)
        begin(s, now_ns);
    pulse_move(&s->pulse);
    stopping_check(s, now_ns);
    if (!s->finished) {
        step = look(s, now_ns, &taken);
        housekeeping(s, now_ns);
        if (taken > 0 || step == STEP_STARVED || !s->stopping)
            s->last_taken_ns = now_ns;
        /* Frames that were there at the request cannot be had any more: do not wait for ever. */
        if (!s->finished && now_ns - s->last_taken_ns > STOP_PATIENCE_NS)
            stopping_give_up(s, LEDGER_LAPPED);
    }
    if (!s->finished)
        return rest_ns(s, step, now_ns);
    stopping_finish(s);
    return DRAIN_OVER;
}
