/*
 * wait.c - waiting for a frame by looking at its count.
 *
 * Between two looks the thread sleeps in ppoll(2) with the caller's signal mask, and everything
 * else of the wait runs with signals blocked: a handler runs in the sleep, and so ends it, or
 * before the wait began. Faults stay unblocked, the SIGBUS guard needs them.
 */
#include "lib/clock.h"
#include "lib/wait.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include "lib/shared.h"
#include "lib/slots.h"

#define NS_PER_S       1000000000ll
#define PATH_CHECK_NS  100000000ll /* without a frame for this long: is the path still ours? */
#define SIGNAL_LOOK_NS 1000000ll   /* while spinning, handlers get a chance this often */

/* What is waited for, and what is known of when it comes. */
struct wait {
    const struct dao_segment *seg;
    int (*peek)(struct wait *w); /* has it come? 0: no; else what the wait returns; cheap */
    int (*look)(struct wait *w); /* the same with system calls: is the segment still whole? */
    uint64_t next;               /* count of the frame that ends the wait */
    struct dao_cadence *cadence; /* NULL: none */
    const struct dao_wait_policy *policy;
    int64_t deadline_ns, begin_ns, path_check_ns;
    int64_t unseen_ns; /* when it was last looked for, and had not come */
    int64_t empty_ns;  /* the same at depth 1, where it is exact */
    /* dao_reader_wait() */
    struct dao_reader *reader;
    /* dao_newest_wait() */
    uint64_t creation_bits, highest;
};

/* ---- the thread ---- */

static void block_signals(sigset_t *ret_before)
{
    static const int kept[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t all;

    sigfillset(&all);
    for (unsigned i = 0; i < sizeof kept / sizeof kept[0]; i++)
        sigdelset(&all, kept[i]);
    pthread_sigmask(SIG_BLOCK, &all, ret_before);
}

/* Sleep, 0 ns allowed. 0, or -EINTR where a handler ran. */
static int sleep_ns(int64_t ns, const sigset_t *mask)
{
    struct timespec time = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

    return ppoll(NULL, 0, &time, mask) < 0 && errno == EINTR ? -EINTR : 0;
}

/* ---- numbers ---- */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t add_capped(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* ---- the cadence ---- */

#define LATE_FIRST_NS   60000ll /* of a sleep, as long as none was measured */
#define SPIN_ALWAYS_NS  60000ll /* a window this long is always worth spinning */
#define JITTER_STEP_NS  5000ll
#define EXTRAPOLATE_MAX 64u /* frames since the last arrival that was seen */

static int64_t smooth(int64_t mean, int64_t sample, int64_t weight)
{
    return mean + (sample - mean) / weight;
}

#define CADENCE_GET(member)        atomic_load_explicit(&(member), memory_order_relaxed)
#define CADENCE_SET(member, value) atomic_store_explicit(&(member), (value), memory_order_relaxed)

static int64_t median(int64_t *values, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        int64_t value = values[i];
        unsigned at = i;

        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
    return values[count / 2];
}

/*
 * Medians, because now and then a frame is late by many intervals, or this thread is, and neither
 * changes when the next one comes. They follow another rate after five frames.
 */
static void note_interval(struct dao_cadence *c, int64_t sample_ns)
{
    unsigned seen = CADENCE_GET(c->intervals), count;
    int64_t values[DAO_CADENCE_INTERVALS], interval_ns;

    CADENCE_SET(c->intervals_ns[seen % DAO_CADENCE_INTERVALS], sample_ns);
    CADENCE_SET(c->intervals, seen + 1);
    count = seen + 1 < DAO_CADENCE_INTERVALS ? seen + 1 : DAO_CADENCE_INTERVALS;
    if (count < 3)
        return;
    for (unsigned i = 0; i < count; i++)
        values[i] = CADENCE_GET(c->intervals_ns[i]);
    interval_ns = median(values, count);
    for (unsigned i = 0; i < count; i++)
        values[i] = values[i] > interval_ns ? values[i] - interval_ns : interval_ns - values[i];
    CADENCE_SET(c->interval_ns, interval_ns);
    CADENCE_SET(c->jitter_ns, median(values, count));
}

/* The frame that was waited for has come just now. */
static void note_arrival(struct dao_cadence *c, uint64_t cnt0, int64_t now_ns)
{
    int64_t arrival_ns = CADENCE_GET(c->arrival_ns);
    uint64_t frames = cnt0 - CADENCE_GET(c->cnt0);

    CADENCE_SET(c->arrival_ns, now_ns);
    CADENCE_SET(c->cnt0, cnt0);
    if (arrival_ns != 0 && frames != 0 && frames <= EXTRAPOLATE_MAX)
        note_interval(c, (now_ns - arrival_ns) / (int64_t)frames);
}

static void note_sleep(struct dao_cadence *c, int64_t late_ns)
{
    int64_t before_ns = CADENCE_GET(c->late_ns);

    if (before_ns == 0)
        before_ns = LATE_FIRST_NS;
    if (late_ns > 2 * before_ns)
        late_ns = 2 * before_ns; /* once in a while another thread had the core */
    CADENCE_SET(c->late_ns, smooth(before_ns, larger(late_ns, 0), 8));
}

struct forecast {
    int64_t from_ns, to_ns; /* between these times spinning is worth its while; both 0: never */
    int64_t interval_ns;    /* 0: not known */
};

/*
 * Around the time when the frame is due: earlier by what a sleep may be late and by the jitter,
 * later by more jitter, in case it is late itself. Not where that would be much of the interval,
 * unless the interval is so short that sleeping gains nothing.
 */
static struct forecast predict(const struct wait *w)
{
    struct forecast never = {0, 0, 0};
    int64_t arrival_ns, interval_ns, jitter_ns, late_ns, due_ns, before_ns, after_ns;
    uint64_t frames;

    if (!w->cadence)
        return never;
    arrival_ns = CADENCE_GET(w->cadence->arrival_ns);
    interval_ns = CADENCE_GET(w->cadence->interval_ns);
    jitter_ns = CADENCE_GET(w->cadence->jitter_ns);
    late_ns = CADENCE_GET(w->cadence->late_ns);
    frames = w->next - CADENCE_GET(w->cadence->cnt0);
    never.interval_ns = interval_ns;
    if (interval_ns == 0 || frames == 0 || frames > EXTRAPOLATE_MAX)
        return never;
    due_ns = arrival_ns + interval_ns * (int64_t)frames;
    before_ns = (late_ns ? late_ns + late_ns / 4 : LATE_FIRST_NS) + 2 * jitter_ns;
    after_ns = 4 * jitter_ns + SPIN_ALWAYS_NS / 2;
    if (before_ns + jitter_ns > interval_ns / 3 && before_ns > SPIN_ALWAYS_NS &&
        interval_ns > 4 * SPIN_ALWAYS_NS)
        return never;
    return (struct forecast){due_ns - before_ns, due_ns + after_ns, interval_ns};
}

/* How long to sleep now that there is nothing to spin for: longer the longer nothing has come, and
 * from the start a small part of the interval that there is on the average. */
static int64_t plan_sleep(const struct wait *w, int64_t now_ns, const struct forecast *forecast)
{
    int64_t since_ns = now_ns - larger(forecast->to_ns, w->begin_ns);

    if (now_ns < forecast->from_ns)
        return forecast->from_ns - now_ns;
    return larger(w->policy->sleep_ns, smaller(w->policy->sleep_max_ns,
                                               larger(since_ns / 8, forecast->interval_ns / 16)));
}

/* ---- the loop ---- */

/* Poll until it has come or the time is over. What peek() said, 0, or -EINTR. */
static int spin(struct wait *w, int64_t until_ns, const sigset_t *mask)
{
    int64_t now_ns = dao_clock_mono_ns(), signal_look_ns = now_ns + SIGNAL_LOOK_NS;

    for (; now_ns < until_ns; now_ns = dao_clock_mono_ns()) {
        int what = w->peek(w);

        if (what != 0)
            return what;
        w->unseen_ns = now_ns;
        if (now_ns >= signal_look_ns) {
            if (sleep_ns(0, mask) < 0)
                return -EINTR;
            signal_look_ns = now_ns + SIGNAL_LOOK_NS;
        }
        dao_cpu_relax();
    }
    return 0;
}

/* Has it come, and is the segment still there? */
static int look(struct wait *w, int64_t now_ns)
{
    int what = w->look(w);

    if (what == 0)
        what = w->peek(w);
    if (what == 0)
        w->unseen_ns = now_ns;
    if (what != 0 || now_ns < w->path_check_ns)
        return what;
    w->path_check_ns = now_ns + PATH_CHECK_NS;
    return dao_segment_check_path(w->seg);
}

static int sleep_until_look(struct wait *w, int64_t now_ns, const struct forecast *forecast,
                            const sigset_t *mask)
{
    int64_t ns = smaller(plan_sleep(w, now_ns, forecast), PATH_CHECK_NS);
    int error;

    ns = smaller(ns, w->deadline_ns - now_ns);
    error = sleep_ns(ns, mask);
    if (error == 0 && w->cadence)
        note_sleep(w->cadence, dao_clock_mono_ns() - now_ns - ns);
    return error;
}

static int wait_masked(struct wait *w, const sigset_t *mask)
{
    const struct forecast forecast = predict(w);
    bool is_predicted = forecast.to_ns > w->begin_ns;
    int64_t now_ns = w->begin_ns;
    int64_t spin_until_ns = is_predicted ? now_ns : add_capped(now_ns, w->policy->spin_ns);

    for (;;) {
        int64_t stop_ns = spin_until_ns;
        int what;

        if (now_ns >= forecast.from_ns && forecast.to_ns > stop_ns)
            stop_ns = forecast.to_ns;
        /* Spinning too looks at size and path once in a while. */
        stop_ns = smaller(smaller(stop_ns, now_ns + PATH_CHECK_NS), w->deadline_ns);
        what = spin(w, stop_ns, mask);
        now_ns = dao_clock_mono_ns();
        if (what == 0)
            what = look(w, now_ns);
        if (what != 0 || now_ns >= w->deadline_ns)
            return what;
        if (now_ns < spin_until_ns || (now_ns >= forecast.from_ns && now_ns < forecast.to_ns))
            continue;
        what = sleep_until_look(w, now_ns, &forecast, mask);
        if (what < 0)
            return what;
        now_ns = dao_clock_mono_ns();
    }
}

/*
 * A count that came while it was waited for: it came after the last look that did not see it, and
 * within that time, where it makes sense there, when its timestamp says.
 */
static void learn(struct wait *w)
{
    int64_t now_ns = dao_clock_mono_ns(), age_ns;
    struct dao_frame_at newest;
    struct dao_take take;

    if (!w->cadence)
        return;
    if (w->seg->geo.depth == 1) {
        CADENCE_SET(w->cadence->empty_cnt0, w->next);
        CADENCE_SET(w->cadence->empty_ns, w->empty_ns);
    }
    if (!dao_slots_newest(w->seg, &newest) || newest.cnt0 != w->next)
        return;
    dao_segment_snapshot(w->seg, newest.slot, &take);
    if (__builtin_sub_overflow(dao_clock_real_ns(), take.atime_ns, &age_ns) || age_ns < 0 ||
        age_ns > now_ns - w->unseen_ns + JITTER_STEP_NS)
        age_ns = 0;
    note_arrival(w->cadence, w->next, now_ns - age_ns);
}

/*
 * A sleep is as exact as the thread's timer slack, 50 us unless somebody has set it: for this wait
 * it is 1 us, where a cadence is to be met.
 */
static int wait_patiently(struct wait *w)
{
    int slack_ns = w->cadence ? prctl(PR_GET_TIMERSLACK) : -1;
    sigset_t mask;
    int what;

    block_signals(&mask);
    if (slack_ns > 1000)
        prctl(PR_SET_TIMERSLACK, 1000ul);
    w->begin_ns = dao_clock_mono_ns();
    w->path_check_ns = w->begin_ns + PATH_CHECK_NS;
    w->unseen_ns = w->begin_ns;
    what = wait_masked(w, &mask);
    if (slack_ns > 1000)
        prctl(PR_SET_TIMERSLACK, (unsigned long)slack_ns);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    if (what == 1)
        learn(w);
    return what;
}

/* ---- for the next frame of a reader ---- */

/* At depth 1 also when there was nothing yet is kept, as begin() does: from then on the age of the
 * frame that comes is counted. 0 elsewhere. */
static int64_t look_time(const struct wait *w)
{
    return w->seg->geo.depth == 1 ? dao_clock_mono_ns() : 0;
}

static int peek_reader(struct wait *w)
{
    struct dao_reader *r = w->reader;
    int64_t look_ns = look_time(w);
    int what = dao_reader_peek(r);

    if (what == DAO_READ_NONE)
        r->unchanged_ns = w->empty_ns = look_ns;
    return what > 0 ? 1 : what;
}

static int look_reader(struct wait *w)
{
    int what = dao_reader_look(w->reader);

    return what < 0 ? what : 0;
}

int dao_reader_wait(struct dao_reader *r, int64_t deadline_ns, const struct dao_wait_policy *policy,
                    struct dao_cadence *cadence)
{
    struct wait w = {
        .seg = r->seg,
        .peek = peek_reader,
        .look = look_reader,
        .next = r->cnt0 + 1,
        .cadence = cadence,
        .policy = policy,
        .deadline_ns = deadline_ns,
        .reader = r,
    };
    int what = peek_reader(&w);

    return what != 0 ? what : wait_patiently(&w);
}

/* ---- for a count ---- */

static int peek_newest(struct wait *w)
{
    int64_t look_ns = look_time(w);
    struct dao_frame_at newest;
    /* acquire: pairs with the release of it in reset_in_place(); before the count, so that a count
     * of a new run shows as one that went back, if not here */
    uint64_t bits = dao_shared_creation(w->seg, __ATOMIC_ACQUIRE);

    if (bits != w->creation_bits)
        return bits ? DAO_WAIT_RESTARTED : 0; /* 0: being created, or pages that are gone */
    if (!dao_slots_newest(w->seg, &newest))
        return 0;
    if (newest.cnt0 >= w->next)
        return 1;
    if (newest.cnt0 < w->highest)
        return DAO_WAIT_RESTARTED;
    w->highest = newest.cnt0;
    w->empty_ns = look_ns;
    return 0;
}

/* Size and header, by a reader's look from where the newest frame is, in the run of the call. */
static int look_newest(struct wait *w)
{
    struct dao_reader r;

    if (dao_reader_init(&r, w->seg, DAO_LAP_NEWEST, false) < 0)
        return -ESTALE;
    r.creation_bits = w->creation_bits;
    return dao_reader_look(&r) < 0 ? -ESTALE : 0;
}

int dao_newest_wait(const struct dao_segment *seg, const uint64_t *target, int64_t deadline_ns,
                    const struct dao_wait_policy *policy, struct dao_cadence *cadence)
{
    struct wait w = {
        .seg = seg,
        .peek = peek_newest,
        .look = look_newest,
        .cadence = cadence,
        .policy = policy,
        .deadline_ns = deadline_ns,
        /* Before the count, so that one of an older run is never waited for. Pairs with the
         * release in reset_in_place() (create.c). */
        .creation_bits = dao_shared_creation(seg, __ATOMIC_ACQUIRE),
    };
    uint32_t slot;
    int what;

    if (target) {
        w.next = *target;
    } else {
        dao_segment_newest(seg, &slot, &w.next);
        w.highest = w.next++;
    }
    if (look_newest(&w) < 0 || dao_segment_check_path(seg) < 0)
        return -ESTALE;
    what = peek_newest(&w);
    if (what == 0)
        what = wait_patiently(&w);
    if (what == DAO_WAIT_RESTARTED && look_newest(&w) < 0)
        return -ESTALE; /* with another shape */
    /* Zero pages read as whatever they like. */
    return what > 0 && dao_segment_is_gone(seg) ? -ESTALE : what;
}
