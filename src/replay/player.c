/* player.c - see player.h. */
#include "replay/player.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/pace.h"
#include "lib/clock.h"
#include "lib/shared.h"

#define NS_PER_S     1000000000ll
#define BEGIN_NS     10000000ll  /* from the start of the thread to due time 0 */
#define SLEEP_NS_MAX 100000000ll /* a stop is seen after this */
#define EMPTY_NS     50000ll     /* between looks at an empty ring */
#define CHECK_NS     NS_PER_S    /* how often a path is looked at */
#define COPY_PER_NS  4           /* bytes that are copied in a ns, at least */
/*
 * A sleep ends some 20 us late, give or take 5. Spinning for the last 30 us takes interval errors
 * from 3 us (median) to 0.2 us, for 1.2 % of a core at 1 kHz. Time to spin is a credit that grows
 * by a sixteenth of the time that goes by: more than that of a core it never costs.
 */
#define SPIN_NS_MAX   30000ll
#define SPIN_SHARE    16
#define CREDIT_NS_MAX 200000ll

/* ---- waiting ---- */

static bool is_stopped(const struct player *player)
{
    return atomic_load_explicit(player->stop, memory_order_relaxed);
}

/* Sleep until then. False: to be stopped. */
static bool wait_until(const struct player *player, int64_t mono_ns)
{
    for (;;) {
        int64_t now_ns = dao_clock_mono_ns();

        if (is_stopped(player))
            return false;
        if (now_ns >= mono_ns)
            return true;
        pace_sleep_until(mono_ns - now_ns > SLEEP_NS_MAX ? now_ns + SLEEP_NS_MAX : mono_ns);
    }
}

/* How long before a deadline the sleep is to end, so that the rest is spun. */
static int64_t find_spin_ns(struct player *player)
{
    int64_t now_ns = dao_clock_mono_ns();
    int64_t credit_ns = player->credit_ns + (now_ns - player->credited_ns) / SPIN_SHARE;

    player->credit_ns = credit_ns < CREDIT_NS_MAX ? credit_ns : CREDIT_NS_MAX;
    player->credited_ns = now_ns;
    return player->credit_ns < SPIN_NS_MAX ? player->credit_ns : SPIN_NS_MAX;
}

static void spin_until(struct player *player, int64_t mono_ns)
{
    int64_t begin_ns = dao_clock_mono_ns(), now_ns = begin_ns;

    for (; now_ns < mono_ns; now_ns = dao_clock_mono_ns())
        dao_cpu_relax();
    player->credit_ns -= now_ns - begin_ns;
}

/* The next item; NULL: there is none any more, or to be stopped. */
static const struct ring_item *wait_for_item(const struct player *player)
{
    for (;;) {
        /* acquire, before the look: pairs with the release in feed_run() */
        bool is_last = atomic_load_explicit(player->feed_is_over, memory_order_acquire);
        const struct ring_item *item = ring_peek(player->ring);

        if (is_stopped(player))
            return NULL;
        if (item || is_last)
            return item;
        pace_sleep_until(dao_clock_mono_ns() + EMPTY_NS);
    }
}

/* False: to be stopped. */
static bool wait_for_step(struct player *player)
{
    for (;;) {
        int64_t until_ns = dao_clock_mono_ns() + SLEEP_NS_MAX;
        struct timespec when = {until_ns / NS_PER_S, until_ns % NS_PER_S};

        if (is_stopped(player))
            return false;
        if (sem_clockwait(&player->step, CLOCK_MONOTONIC, &when) == 0)
            return true;
    }
}

/* ---- one frame ---- */

static void fail(struct player *player, const struct player_stream *s, int error)
{
    player->error = error;
    dao_text_set(&player->text, "%.200s: %s", s->target->path,
                 error == -ESTALE    ? "was truncated, removed or replaced by another program"
                 : error == -EBADMSG ? "another program wrote garbage into its header"
                                     : strerror(-error));
}

/* The clock is held: whatever comes is due later by this. */
static void hold(struct player *player, int64_t by_ns)
{
    player->epoch_ns += by_ns;
    player->held_ns += by_ns;
}

/* What was measured of a timed frame, for which the waiting had ended at begun_ns. */
static void book_time(struct player *player, struct player_stream *s, const struct ring_item *item,
                      int64_t deadline_ns, int64_t begun_ns)
{
    int64_t now_ns = dao_clock_mono_ns();
    int64_t late_ns = now_ns > deadline_ns ? now_ns - deadline_ns : 0;

    if (s->published_ns) {
        int64_t error_ns = (now_ns - s->published_ns) - (deadline_ns - s->deadline_ns);

        histogram_add(&s->error_ns, error_ns < 0 ? -error_ns : error_ns);
    }
    histogram_add(&s->late_ns, late_ns);
    if (late_ns > item->patience_ns)
        atomic_fetch_add_explicit(&s->missed, 1, memory_order_relaxed);
    /* What copying takes is no reason to hold the clock: the next deadline may well be met. */
    if (begun_ns - deadline_ns > PLAYER_HOLD_NS) {
        hold(player, begun_ns - deadline_ns);
        deadline_ns = begun_ns;
    }
    s->published_ns = now_ns;
    s->deadline_ns = deadline_ns;
}

static void book_frame(struct player *player, struct player_stream *s, const struct ring_item *item)
{
    uint64_t played = atomic_load_explicit(&s->played, memory_order_relaxed);

    if (played == 0)
        s->first_cnt0 = item->cnt0;
    s->bytes += item->part->geometry.frame_bytes;
    atomic_store_explicit(&s->index, item->index, memory_order_relaxed);
    atomic_store_explicit(&s->cnt0, item->cnt0, memory_order_relaxed);
    atomic_store_explicit(&s->atime_ns, item->atime_ns, memory_order_relaxed);
    atomic_store_explicit(&player->last_stream, item->stream, memory_order_relaxed);
    /* release: what belongs to the frame before its number; pairs with the acquire in tell.c */
    atomic_store_explicit(&s->played, played + 1, memory_order_release);
}

static int64_t stamp_of(const struct player *player, const struct ring_item *item)
{
    if (!player->recorded_atime)
        return 0; /* now */
    return item->atime_ns > 0 ? item->atime_ns : DAO_ATIME_NONE;
}

static void publish(struct player *player, struct player_stream *s, const struct ring_item *item,
                    struct dao_write *w)
{
    w->cnt0 = item->cnt0;
    target_publish(s->target, w, item->cnt1, item->cnt2, stamp_of(player, item));
}

/* When it is due by the monotonic clock. A segment that has just been made anew holds the clock. */
static int64_t find_deadline(struct player *player, const struct player_stream *s,
                             const struct ring_item *item)
{
    int64_t deadline_ns = player->epoch_ns + item->due_ns;

    if (deadline_ns < s->settled_ns) {
        hold(player, s->settled_ns - deadline_ns);
        deadline_ns = s->settled_ns;
    }
    return deadline_ns;
}

/* Wait, fill the slot, wait for the rest, publish. False: to be stopped, or an error. */
static bool play_timed(struct player *player, struct player_stream *s, const struct ring_item *item)
{
    int64_t deadline_ns = find_deadline(player, s, item), early_ns = find_spin_ns(player);
    int64_t copy_ns = (int64_t)(item->part->geometry.frame_bytes / COPY_PER_NS);
    bool is_alone = s->target->segment.geo.depth == 1; /* its slot holds the frame before */
    int64_t begun_ns;
    struct dao_write w;
    int r;

    if (!wait_until(player, deadline_ns - early_ns - (is_alone ? 0 : copy_ns)))
        return false;
    if (is_alone)
        spin_until(player, deadline_ns);
    begun_ns = dao_clock_mono_ns();
    r = target_fill(s->target, item->pixels, &w);
    if (r < 0) {
        fail(player, s, r);
        return false;
    }
    if (deadline_ns - early_ns > dao_clock_mono_ns())
        pace_sleep_until(deadline_ns - early_ns);
    spin_until(player, deadline_ns);
    publish(player, s, item, &w);
    book_time(player, s, item, deadline_ns, begun_ns);
    return true;
}

static bool play_untimed(struct player *player, struct player_stream *s,
                         const struct ring_item *item)
{
    struct dao_write w;
    int r;

    if (player->pace == PLAYER_STEP && !wait_for_step(player))
        return false;
    if (s->settled_ns && !wait_until(player, s->settled_ns))
        return false;
    r = target_fill(s->target, item->pixels, &w);
    if (r < 0) {
        fail(player, s, r);
        return false;
    }
    publish(player, s, item, &w);
    return true;
}

/* Does the path still lead to the segment? Looked at once a second. */
static bool check_target(struct player *player, struct player_stream *s)
{
    int64_t now_ns = dao_clock_mono_ns();
    int r;

    if (now_ns - s->checked_ns < CHECK_NS)
        return true;
    /* In step with its beginning: the streams' turns stay apart. */
    s->checked_ns += (now_ns - s->checked_ns) / CHECK_NS * CHECK_NS;
    r = target_check(s->target);
    if (r < 0)
        fail(player, s, r);
    return r == 0;
}

/* Until no other thread has the stream's segment. False: to be stopped, or an error. */
static bool take_segment(struct player *player, struct player_stream *s)
{
    if (!s->order.target)
        return true;
    while (!maker_is_done(&s->order)) {
        if (is_stopped(player))
            return false;
        pace_sleep_until(dao_clock_mono_ns() + EMPTY_NS);
    }
    s->order.target = NULL;
    s->settled_ns = s->order.done_ns + PLAYER_SETTLE_NS;
    if (s->order.error == 0)
        return true;
    if (s->order.text.s[0]) {
        player->error = s->order.error;
        player->text = s->order.text;
    } else {
        fail(player, s, s->order.error);
    }
    return false;
}

static bool play_frame(struct player *player, const struct ring_item *item)
{
    struct player_stream *s = &player->streams[item->stream];

    if (!take_segment(player, s))
        return false;
    if (player->pace == PLAYER_TIMED ? !play_timed(player, s, item)
                                     : !play_untimed(player, s, item))
        return false;
    s->settled_ns = 0;
    book_frame(player, s, item);
    return check_target(player, s);
}

/* ---- a segment made anew ---- */

static bool recreate(struct player *player, const struct ring_item *item)
{
    struct player_stream *s = &player->streams[item->stream];
    int64_t deadline_ns = player->epoch_ns + item->due_ns;
    int64_t settled_ns = s->published_ns + PLAYER_SETTLE_NS;

    if (player->pace != PLAYER_TIMED)
        deadline_ns = settled_ns = dao_clock_mono_ns() + PLAYER_SETTLE_NS;
    if (deadline_ns < settled_ns)
        hold(player, settled_ns - deadline_ns);
    if (!wait_until(player, deadline_ns < settled_ns ? settled_ns : deadline_ns) ||
        !take_segment(player, s))
        return false;
    s->order.target = s->target;
    s->order.part = item->part;
    s->order.cnt0 = item->cnt0;
    maker_ask(player->maker, &s->order);
    s->published_ns = 0; /* no interval reaches across it */
    return true;
}

/* ---- the thread ---- */

/* Paths are looked at one after the other within the second, not all in one instant. */
static void spread_checks(struct player *player)
{
    for (unsigned i = 0; i < player->count; i++)
        player->streams[i].checked_ns =
            player->begin_ns - CHECK_NS * (int64_t)i / (int64_t)player->count;
}

void *player_run(void *ctx)
{
    struct player *player = ctx;
    const struct ring_item *item;
    bool goes_on = true;

    prctl(PR_SET_TIMERSLACK, 1ul); /* wake at the deadline, not 50 us behind it */
    player->begin_ns = dao_clock_mono_ns();
    spread_checks(player);
    player->epoch_ns = player->begin_ns + (player->pace == PLAYER_TIMED ? BEGIN_NS : 0);
    while (goes_on && (item = wait_for_item(player))) {
        goes_on = item->what == RING_RECREATE ? recreate(player, item) : play_frame(player, item);
        if (goes_on)
            ring_pop(player->ring);
    }
    /* One that no frame followed may have failed all the same. */
    for (unsigned i = 0; i < player->count && goes_on; i++)
        goes_on = take_segment(player, &player->streams[i]);
    player->end_ns = dao_clock_mono_ns();
    /* release: all that is told at the end; pairs with the acquire of those who tell it */
    atomic_store_explicit(&player->is_over, true, memory_order_release);
    return NULL;
}
